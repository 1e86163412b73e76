/**
 * What strangers send on purpose: requests that two servers would read differently, headers that
 * want to become others, keys where keys do not belong. Each has its status, and nothing is written.
 */
import { connect } from "node:net";
import { expect } from "chai";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";

const KEY = "the-key-of-the-house";
const BODY = '{"id":"a","vector":[1]}';
const CHUNKED = `17\r\n${BODY}\r\n0\r\n\r\n`;
const POST = `POST /vectors/add HTTP/1.1\r\nHost: x\r\nX-API-Key: ${KEY}\r\nContent-Type: application/json\r\n`;
const GET = `GET /stats HTTP/1.1\r\nHost: x\r\nX-API-Key: ${KEY}\r\n`;
const IDLE_MS = 250;

/** All that comes back until the server closes, or for a moment. */
function exchange(door: OpenDoor, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(door.port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    let text = "";
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on("data", (part) => (text += part.toString("latin1")));
    socket.on("error", () => undefined).on("close", () => resolve(text));
  });
}

const statusesIn = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

describe("http hostile", () => {
  afterEach(closeDoors);

  it("refuses what two servers would cut into requests differently", async () => {
    const door = await openDoor({ API_KEY: KEY });
    const shapes: Record<string, string> = {
      "two lengths": `${POST}Content-Length: 23\r\nContent-Length: 5\r\n\r\n${BODY}`,
      "one length twice": `${POST}Content-Length: 23\r\nContent-Length: 23\r\n\r\n${BODY}`,
      "a list of lengths": `${POST}Content-Length: 23, 23\r\n\r\n${BODY}`,
      "a length and chunks": `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
      "chunks and a length": `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${CHUNKED}`,
      "two encodings": `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${CHUNKED}`,
      "an unknown encoding": `${POST}Transfer-Encoding: xchunked\r\n\r\n${CHUNKED}`,
      "a space before the colon": `${POST}Transfer-Encoding : chunked\r\n\r\n${CHUNKED}`,
      "a folded header": `${POST}X-A: b\r\n c\r\nContent-Length: 23\r\n\r\n${BODY}`,
      "a negative length": `${POST}Content-Length: -1\r\n\r\n${BODY}`,
      "a signed length": `${POST}Content-Length: +23\r\n\r\n${BODY}`,
      "a chunk of no size": `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n${BODY}\r\n0\r\n\r\n`,
      "bare line feeds": `${GET.replaceAll("\r\n", "\n")}\n`,
      "another protocol": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "no host": "GET /livez HTTP/1.1\r\n\r\n",
    };
    for (const [name, bytes] of Object.entries(shapes)) {
      const text = await exchange(door, bytes);
      expect(statusesIn(text), name).to.deep.equal([400]);
    }
    expect(door.database.collections()).to.deep.equal([]);
  });

  it("answers one request where a second one hides in a body", async () => {
    const door = await openDoor({ API_KEY: KEY });
    const hidden = `DELETE /collections/default HTTP/1.1\r\nHost: x\r\nX-API-Key: ${KEY}\r\n\r\n`;
    const text = await exchange(door, `${GET}Content-Length: ${hidden.length}\r\n\r\n${hidden}`);
    expect(statusesIn(text)).to.deep.equal([200]);
    expect(door.lines.filter(({ audit }) => audit !== undefined)).to.deep.equal([]);
    expect(
      statusesIn(await exchange(door, "CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n")),
    ).to.deep.equal([]);
  });

  it("answers 431 to a megabyte of header or address", async () => {
    const door = await openDoor({ API_KEY: KEY });
    const long = "a".repeat(1024 * 1024);
    for (const bytes of [
      `GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ${long}\r\n\r\n`,
      `GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${long}\r\n\r\n`,
      `GET /${long} HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET /livez HTTP/1.1\r\nHost: x\r\n${"a: b\r\n".repeat(100_000)}\r\n`,
    ]) {
      const text = await exchange(door, bytes);
      expect(statusesIn(text)).to.deep.equal([431]);
      expect(text).to.contain("HEADERS_TOO_LARGE");
    }
    expect((await door.connect().get("/livez")).status).to.equal(200);
  });

  it("lets no header become another", async () => {
    const door = await openDoor({ API_KEY: KEY, CORS_ORIGINS: "https://a.example" });
    for (const id of ["a\rX-B: c", "a\0b", "a\nX-B: c"]) {
      const text = await exchange(door, `${GET}X-Request-Id: ${id}\r\n\r\n`);
      expect(text.toLowerCase()).to.not.match(/\r\nx-b: c\r\n/);
    }
    for (const id of ["a%0d%0aX-B:c", "<script>", "é", "a b", "x".repeat(129)]) {
      const text = await exchange(door, `${GET}X-Request-Id: ${id}\r\n\r\n`);
      expect(statusesIn(text)).to.deep.equal([200]);
      expect(text).to.not.contain(id);
    }
    const origin = await exchange(door, `${GET}Origin: https://a.example.evil\r\n\r\n`);
    expect(origin.toLowerCase()).to.not.contain("access-control-allow-origin");
  });

  it("takes a key in one header only, as it is", async () => {
    const door = await openDoor({ API_KEY: KEY, TRUST_PROXY: "loopback", LOG_LEVEL: "debug" });
    const ask = async (lines: string, path = "/stats") => {
      const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      const text = await exchange(door, `${head}${lines}\r\n`);
      return [...statusesIn(text), text.match(/"code":"(\w+)"/)?.[1]];
    };
    // Spaces around a header's value are not part of it.
    expect(await ask(`X-API-Key: ${KEY}  \r\n`)).to.deep.equal([200, undefined]);
    expect(await ask(`Authorization: bearer   ${KEY}\t\r\n`)).to.deep.equal([200, undefined]);
    const wrong = [
      `X-API-Key: ${KEY}x\r\n`,
      `X-API-Key: ${KEY} ${KEY}\r\n`,
      `X-API-Key: "${KEY}"\r\n`,
      `X-API-Key: Bearer ${KEY}\r\n`,
      `Authorization: ${KEY}\r\n`,
      `Authorization: Basic ${Buffer.from(`:${KEY}`).toString("base64")}\r\n`,
      `Authorization: Bearer\r\n`,
      `Api-Key: ${KEY}\r\n`,
      `X-Auth-Token: ${KEY}\r\n`,
      `Cookie: X-API-Key=${KEY}\r\n`,
      `Proxy-Authorization: Bearer ${KEY}\r\n`,
    ];
    for (const lines of wrong) {
      expect(await ask(lines), lines).to.deep.equal([401, "UNAUTHENTICATED"]);
    }
    const several = [
      `X-API-Key: ${KEY}\r\nAuthorization: Bearer ${KEY}\r\n`,
      `X-API-Key: ${KEY}\r\nx-api-key: ${KEY}\r\n`,
      `Authorization: Bearer ${KEY}\r\nAuthorization: Bearer ${KEY}\r\n`,
      `X-API-Key: ${KEY}\r\nAuthorization: Basic eA==\r\n`,
    ];
    for (const lines of several) {
      expect(await ask(lines), lines).to.deep.equal([400, "INVALID_REQUEST"]);
    }
    for (const name of ["api_key", "apikey", "api-key", "key", "X-API-Key", "token"]) {
      for (const query of [`?${name}=${KEY}`, `?limit=1&${name}=${KEY}`]) {
        for (const path of ["/stats", "/livez", "/nowhere"]) {
          const got = await ask(`X-API-Key: ${KEY}\r\n`, `${path}${query}`);
          expect(got, path + query).to.deep.equal([400, "INVALID_REQUEST"]);
        }
      }
    }
    const hidden = ["?access_token=", "?a=%3F&%61pi%5Fkey=", "?Authorization="];
    for (const query of hidden) {
      expect(await ask("", `/stats${query}${KEY}`)).to.deep.equal([400, "INVALID_REQUEST"]);
    }
    expect(door.lines).to.have.length.above(30);
    expect(JSON.stringify(door.lines)).to.not.contain(KEY);
  });

  it("finds no way out of a collection's name", async () => {
    const door = await openDoor();
    const client = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1] });
    for (const name of [
      ...["..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "a%00", "%", "%ff"],
      ...["default%2f..", "default/..", "a%0d%0ab", "~", "C:", "a".repeat(65), "ｄefault"],
    ]) {
      for (const method of ["GET", "PUT", "DELETE"]) {
        const body = method === "PUT" ? { dimensions: 2 } : undefined;
        const { status } = await client.send(method, `/collections/${encodeURI(name)}`, body);
        expect(status, `${method} ${name}`).to.be.oneOf([400, 404, 405]);
      }
    }
    expect(door.database.collections()).to.have.length(1);
  });
});
