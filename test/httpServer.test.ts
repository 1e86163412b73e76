/** The server around the app: slow and broken clients, bodies that are not wanted, and the end. */
import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import { expect } from "chai";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { pause } from "./server.ts";

const JSON_HEAD = "Host: localhost\r\nContent-Type: application/json\r\n";

interface Raw {
  readonly socket: Socket;
  text(): string;
  readonly closed: Promise<void>;
}

async function openSocket(door: OpenDoor, start: string): Promise<Raw> {
  const socket = connectSocket({ port: door.port, host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  socket.on("data", (part) => (text += part.toString("utf8")));
  socket.on("error", () => {});
  const closed = once(socket, "close").then(() => {});
  socket.on("end", () => socket.end());
  await once(socket, "connect");
  socket.write(start);
  return { socket, text: () => text, closed };
}

function problemIn(text: string) {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  expect(head).to.match(/Content-Type: application\/problem\+json/i);
  return { status: Number(head.split(" ")[1]), head, ...JSON.parse(body) };
}

async function until(isTrue: () => boolean, ms = 30_000): Promise<void> {
  for (let waited = 0; !isTrue() && waited < ms; waited += 5) await pause(5);
  expect(isTrue(), "nothing came in time").to.equal(true);
}

describe("http server", () => {
  afterEach(closeDoors);

  it("answers 408 to half a head and to half a body, then closes", async () => {
    const door = await openDoor({ HEADERS_TIMEOUT_MS: 300, REQUEST_TIMEOUT_MS: 600 });
    const half = await openSocket(door, "GET /health HTTP/1.1\r\nHost: loc");
    const body = await openSocket(
      door,
      `POST /search HTTP/1.1\r\n${JSON_HEAD}Content-Length: 100\r\n\r\n{"vec`,
    );
    expect((await door.connect().get("/health")).status).to.equal(200);
    for (const { closed, text } of [half, body]) {
      await closed;
      expect(problemIn(text())).to.include({ status: 408, code: "REQUEST_TIMEOUT" });
    }
  });

  it("answers 400 to bytes that are no HTTP, and 431 to endless headers", async () => {
    const door = await openDoor();
    const noHttp = await openSocket(door, "\u0016\u0003\u0001 hello\r\n\r\n");
    await noHttp.closed;
    expect(problemIn(noHttp.text())).to.include({ status: 400, code: "INVALID_REQUEST" });
    const large = await openSocket(door, `GET / HTTP/1.1\r\nX-Long: ${"x".repeat(20_000)}\r\n`);
    await large.closed;
    expect(problemIn(large.text())).to.include({ status: 431, code: "HEADERS_TOO_LARGE" });
    expect((await door.connect().get("/health")).status).to.equal(200);
  });

  it("answers at once who has no key, although the body is still coming", async () => {
    const door = await openDoor({ API_KEY: "key" });
    const { socket, text, closed } = await openSocket(
      door,
      `POST /vectors/add HTTP/1.1\r\n${JSON_HEAD}Content-Length: 10000000\r\n\r\n{"id":`,
    );
    await until(() => text().includes("}"));
    const problem = problemIn(text());
    expect(problem).to.include({ status: 401, code: "UNAUTHENTICATED" });
    expect(problem.head).to.match(/Connection: close/i);
    // Whoever goes on sending can still read the answer, and is let go when the body is over.
    for (let part = 0; part < 10; part++) socket.write(Buffer.alloc(999_999, " "));
    socket.write(Buffer.alloc(4));
    await closed;
    expect(text().match(/HTTP\/1\.1/g)).to.have.length(1);
  });

  it("lets go of a refused client that never finishes its body", async () => {
    const door = await openDoor({ API_KEY: "key" });
    const { closed, text } = await openSocket(
      door,
      `POST /vectors/add HTTP/1.1\r\n${JSON_HEAD}Content-Length: 1000\r\n\r\n{`,
    );
    await closed;
    expect(problemIn(text()).status).to.equal(401);
  });

  it("keeps the connection of a client that was refused with its body read", async () => {
    const door = await openDoor();
    const client = door.connect();
    const { headers } = await client.post("/vectors/add", { id: 1 });
    expect(headers.connection).to.equal("keep-alive");
    expect((await client.get("/health")).status).to.equal(200);
  });

  it("asks for a body that waits for 100 Continue only when it will read it", async () => {
    const door = await openDoor({ API_KEY: "key", MAX_BODY_MB: 1 });
    const send = (headers: string) =>
      openSocket(
        door,
        `POST /search HTTP/1.1\r\n${JSON_HEAD}Expect: 100-continue\r\n${headers}\r\n`,
      );
    const body = '{"vector":[1]}';
    const known = await send(`X-API-Key: key\r\nContent-Length: ${body.length}\r\n`);
    await until(() => known.text().startsWith("HTTP/1.1 100 Continue\r\n\r\n"));
    known.socket.write(body);
    await until(() => known.text().includes('{"results":[]'));
    known.socket.destroy();

    const stranger = await send("Content-Length: 100\r\n");
    await stranger.closed;
    expect(problemIn(stranger.text()).status).to.equal(401);
    const large = await send("X-API-Key: key\r\nContent-Length: 99999999\r\n");
    await large.closed;
    expect(problemIn(large.text()).status).to.equal(413);
  });

  it("forgets a client that goes away in the middle of its body", async () => {
    const door = await openDoor();
    for (let turn = 0; turn < 20; turn++) {
      const { socket, closed } = await openSocket(
        door,
        `POST /search HTTP/1.1\r\n${JSON_HEAD}Content-Length: 100\r\n\r\n{"vec`,
      );
      await pause(5);
      socket.resetAndDestroy();
      await closed;
    }
    const client = door.connect();
    expect((await client.post("/search", { vector: [1] })).status).to.equal(200);
  });

  it("closes at once when nothing is in flight, also with idle connections", async () => {
    const door = await openDoor();
    const { socket, closed } = await openSocket(
      door,
      "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    await once(socket, "data");
    expect(await door.close(600_000)).to.equal(0);
    await closed;
  });

  it("finishes what is in flight, takes no more, and ends connections that were kept", async () => {
    const door = await openDoor();
    const { socket, text, closed } = await openSocket(
      door,
      `POST /search HTTP/1.1\r\n${JSON_HEAD}Content-Length: 14\r\n\r\n{"vect`,
    );
    await pause(50);
    const closing = door.close(5000);
    await pause(50);
    const late = connectSocket(door.port, "127.0.0.1");
    const [error] = await once(late, "error");
    expect(error.code).to.equal("ECONNREFUSED");
    socket.write('or":[1]}');
    await closed;
    expect(text())
      .to.match(/^HTTP\/1\.1 200 /)
      .and.contain('{"results":[]');
    expect(await closing).to.equal(0);
  });

  it("does not wait its deadline for a body that has ceased to come, and says so", async () => {
    const door = await openDoor();
    const head = `POST /vectors/add HTTP/1.1\r\n${JSON_HEAD}Content-Length: 100\r\n\r\n{"id`;
    const half = await openSocket(door, head);
    await pause(50);
    expect(await door.close(600_000)).to.equal(0);
    await half.closed;
    expect(problemIn(half.text())).to.include({ status: 503, code: "SHUTTING_DOWN" });
    expect(door.database.collections()).to.deep.equal([]);
  });

  it("refuses in words a request without a host, and one that expects what is not known", async () => {
    const door = await openDoor();
    const none = await openSocket(door, "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n");
    await none.closed;
    expect(problemIn(none.text())).to.include({ status: 400, code: "INVALID_REQUEST" });
    const strange = "Host: localhost\r\nExpect: 200-maybe\r\nConnection: close\r\n\r\n";
    const other = await openSocket(door, `POST /search HTTP/1.1\r\n${strange}`);
    await other.closed;
    expect(problemIn(other.text())).to.include({ status: 417, code: "EXPECTATION_FAILED" });
    const old = await openSocket(door, "GET /livez HTTP/1.0\r\n\r\n");
    await old.closed;
    expect(old.text()).to.match(/^HTTP\/1\.\d 200 /);
  });

  it("cuts what is not done at the deadline, and says how many", async () => {
    const door = await openDoor();
    await openSocket(door, `POST /search HTTP/1.1\r\n${JSON_HEAD}Content-Length: 14\r\n\r\n{`);
    await pause(50);
    const beganAt = performance.now();
    expect(await door.close(200)).to.equal(1);
    expect(performance.now() - beganAt).to.be.above(150);
  });
});
