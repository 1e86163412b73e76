/**
 * What a client can send that is wrong, against the real server over real sockets: each is answered
 * with the right problem, writes nothing, and others are answered meanwhile.
 */

import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import { expect } from "chai";
import { type Pulse, startPulse } from "./pulse.ts";
import { type Connection, pause, type Server, startServer } from "./server.ts";

const KEY = "the-key-of-this-test";
const MIB = 1024 * 1024;
const HEADERS_TIMEOUT_MS = 1000;
const REQUEST_TIMEOUT_MS = 4000;

/** What every answer has, however it was sent. */
interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: a problem document as it came
  readonly body: any;
}

interface Expected {
  readonly status: number;
  readonly codes: readonly string[];
  readonly pointer?: string;
  readonly detail?: RegExp;
}

const row = (changes: object) => ({ id: "new", vector: [1, 2, 3], ...changes });
const refused = (status: number, ...codes: string[]) => ({ status, codes });

describe("bad input over HTTP", () => {
  let server: Server;
  let client: Connection;
  let pulse: Pulse;

  before(async () => {
    server = await startServer({
      ...{ API_KEY: KEY, THREADS: 2, LOG_LEVEL: "fatal" },
      ...{ HEADERS_TIMEOUT_MS, REQUEST_TIMEOUT_MS },
    });
    client = server.connect({ "x-api-key": KEY });
    expect((await client.post("/vectors/add", row({ id: "first" }))).status).to.equal(200);
    const angles = { dimensions: 3, metric: "cosine" };
    expect((await client.send("PUT", "/collections/angles", angles)).status).to.equal(201);
    pulse = startPulse(server.port);
    await pulse.take();
  });
  after(async () => {
    await pulse.stop();
    client.close();
    expect(await server.stop()).to.equal(0);
  });

  const written = async () => {
    const { sequence, vectors } = (await client.get("/stats")).body;
    const angles = (await client.get("/collections/angles/stats")).body;
    return { sequence, vectors, angles: { sequence: angles.sequence, vectors: angles.vectors } };
  };

  const refuses = (title: string, expected: Expected, send: () => Promise<Refusal>) =>
    it(title, async () => {
      const before = await written();
      await pulse.take();
      const { status, headers, body } = await send();
      const beats = await pulse.take();
      expect(status, JSON.stringify(body)).to.equal(expected.status);
      expect(headers["content-type"]).to.match(/^application\/problem\+json/);
      expect(body).to.include.keys("type", "title", "detail", "instance", "request_id");
      expect(body.status).to.equal(status);
      expect(expected.codes).to.include(body.code);
      if (expected.detail) expect(body.detail).to.match(expected.detail);
      if (expected.pointer) {
        expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).to.include(
          expected.pointer,
        );
      }
      expect(await written()).to.deep.equal(before);
      expect(beats.failed).to.equal(0);
    }).timeout(30_000);

  const add = (body: unknown) => () => client.post("/vectors/add", body);
  const batch = (...vectors: object[]) => post("/vectors/batch", { vectors });
  const search = (body: object) => post("/search", { vector: [1, 2, 3], ...body });
  const post = (path: string, body: unknown) => () => client.post(path, body);

  describe("vectors", () => {
    const mismatch = { ...refused(400, "DIMENSION_MISMATCH"), detail: /3\D+2|2\D+3/ };
    refuses("wrong dimensions", mismatch, add(row({ vector: [1, 2] })));
    refuses(
      "wrong dimensions in the last row of a batch",
      mismatch,
      batch(row({ id: "a" }), row({ id: "b", vector: [1, 2] })),
    );
    refuses("wrong dimensions in a search", mismatch, search({ vector: [1, 2] }));
    for (const text of ["NaN", "Infinity", "-Infinity"]) {
      const body = `{"id":"new","vector":[1,${text},3]}`;
      refuses(text, refused(400, "INVALID_JSON", "INVALID_VECTOR"), add(body));
    }
    const invalid = refused(400, "INVALID_VECTOR");
    refuses("1e999", invalid, add('{"id":"new","vector":[1,1e999,3]}'));
    refuses("1e39, which overflows float32", invalid, add('{"id":"new","vector":[1,1e39,3]}'));
    refuses("a component beyond 1e16", invalid, add('{"id":"new","vector":[1,-1.1e16,3]}'));
    refuses("1e999 in a search", invalid, post("/search", '{"vector":[1,1e999,3]}'));
    const notANumber = Buffer.from(Float32Array.of(1, Number.NaN, 3).buffer).toString("base64");
    refuses("NaN in base64", invalid, add(row({ vector: notANumber })));
    const zero = { id: "new", vector: [0, 0, 0] };
    const zeroRefused = refused(400, "ZERO_VECTOR");
    refuses(
      "a zero vector under cosine",
      zeroRefused,
      post("/collections/angles/vectors/add", zero),
    );
    refuses(
      "a zero query under cosine",
      zeroRefused,
      post("/collections/angles/search", { vector: [0, 0, 0] }),
    );
  });

  describe("ids and bodies", () => {
    const invalidId = refused(400, "INVALID_ID");
    refuses("an empty id", invalidId, add(row({ id: "" })));
    refuses("an id of 600 bytes", invalidId, add(row({ id: "x".repeat(600) })));
    refuses("an id of 300 letters, 600 bytes", invalidId, add(row({ id: "é".repeat(300) })));
    refuses("duplicate ids in a batch", refused(400, "DUPLICATE_ID"), batch(row({}), row({})));
    refuses("an empty batch", refused(400, "BATCH_EMPTY", "INVALID_REQUEST"), batch());
    refuses(
      "duplicate members",
      refused(400, "INVALID_JSON", "INVALID_REQUEST"),
      add('{"id":"new","vector":[1,2,3],"id":"other"}'),
    );
    refuses(
      "an unknown field",
      { ...refused(400, "INVALID_REQUEST"), pointer: "/colour" },
      add(row({ colour: "red" })),
    );
    refuses(
      "broken JSON, and names the position",
      { ...refused(400, "INVALID_JSON"), detail: /\d/ },
      add('{"id":"new","vector":[1,2,3}'),
    );
    refuses("no JSON at all", refused(400, "INVALID_JSON"), add(""));
    refuses(
      "JSON that is 100,000 arrays deep",
      refused(400, "INVALID_JSON", "INVALID_REQUEST", "INVALID_METADATA", "INVALID_VECTOR"),
      add(`${"[".repeat(100_000)}${"]".repeat(100_000)}`),
    );
    refuses(
      "metadata that is 20,000 objects deep and over its limit",
      refused(400, "INVALID_METADATA", "INVALID_JSON"),
      add(`{"id":"new","vector":[1,2,3],"metadata":${deepObject(20_000)}}`),
    );
    refuses("another content type", refused(415, "UNSUPPORTED_MEDIA_TYPE"), () =>
      client.send("POST", "/vectors/add", "id=new", { "content-type": "text/plain" }),
    );
    refuses("a body of 65 MiB", refused(413, "BODY_TOO_LARGE"), () =>
      sendRaw(server, head({ "content-length": 65 * MIB }), Buffer.alloc(65 * MIB, " ")),
    );
  });

  describe("numbers of a search", () => {
    for (const k of [0, -1, 1.5, 1e9]) {
      refuses(`k = ${k}`, { ...refused(400, "INVALID_REQUEST"), pointer: "/k" }, search({ k }));
    }
    const noNumber = { ...refused(400, "INVALID_REQUEST"), pointer: "/k" };
    refuses('k = "10"', noNumber, search({ k: "10" }));
    refuses("ef = 0", { ...noNumber, pointer: "/ef" }, search({ ef: 0 }));
  });

  describe("keys", () => {
    const unauthenticated = refused(401, "UNAUTHENTICATED");
    const sendWith = (headers: Record<string, string>) => async () => {
      const stranger = server.connect(headers);
      const answer = await stranger.post("/vectors/add", row({}));
      stranger.close();
      return answer;
    };
    refuses("a missing key", unauthenticated, sendWith({}));
    refuses("a wrong key", unauthenticated, sendWith({ "x-api-key": `${KEY}x` }));
    refuses("a wrong bearer", unauthenticated, sendWith({ authorization: "Bearer no" }));
  });

  describe("requests that do not end", () => {
    const timedOut = refused(408, "REQUEST_TIMEOUT");
    refuses("a body that never ends", refused(413, "BODY_TOO_LARGE"), () =>
      sendRaw(server, head({ "transfer-encoding": "chunked" }), endless),
    );
    refuses("half a head, then silence", timedOut, () =>
      sendRaw(server, "POST /vectors/add HTTP/1.1\r\nHost: half"),
    );
    refuses("half a body, then silence", timedOut, () =>
      sendRaw(server, head({ "content-length": 1000 }), Buffer.from('{"id":"new","vector":[1,')),
    );
  });

  it("still writes and finds afterwards", async () => {
    expect((await client.post("/vectors/add", row({ id: "last" }))).status).to.equal(200);
    const { results } = (await client.post("/search", { vector: [1, 2, 3], k: 2 })).body;
    expect(results.map(({ id }: { id: string }) => id)).to.deep.equal(["first", "last"]);
  });
});

function deepObject(depth: number): string {
  return `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
}

function head(headers: Record<string, string | number>): string {
  const all = { host: "test", "content-type": "application/json", "x-api-key": KEY, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `POST /vectors/add HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** Writes until the server has answered. */
async function endless(socket: Socket, isAnswered: () => boolean): Promise<void> {
  const chunk = Buffer.concat([
    Buffer.from(`${MIB.toString(16)}\r\n`),
    ...[Buffer.alloc(MIB, " "), Buffer.from("\r\n")],
  ]);
  for (let sent = 0; !isAnswered() && sent < 256 * MIB; sent += MIB) {
    if (!socket.write(chunk)) while (socket.writableNeedDrain && !isAnswered()) await pause(1);
  }
}

type Rest = Buffer | ((socket: Socket, isAnswered: () => boolean) => Promise<void>);

/** Sends bytes as they are and reads one answer, which may come before all bytes are sent. */
async function sendRaw(server: Server, start: string, rest?: Rest): Promise<Refusal> {
  const socket = connectSocket(server.port, "127.0.0.1");
  let text = "";
  let isClosed = false;
  const isAnswered = () => isClosed || /\r\n\r\n.*\}\s*$/s.test(text);
  socket.on("data", (part) => (text += part.toString("utf8")));
  // A server may close a connection whose body it will not read.
  socket.on("error", () => {});
  socket.on("close", () => (isClosed = true));
  await once(socket, "connect");
  socket.write(start);
  if (typeof rest === "function") await rest(socket, isAnswered);
  else if (rest !== undefined) socket.write(rest);
  while (!isAnswered()) await pause(5);
  socket.destroy();
  return parseAnswer(text);
}

function parseAnswer(text: string): Refusal {
  const [top = "", body = ""] = text.split("\r\n\r\n", 2);
  const [first = "", ...lines] = top.split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  expect(first, `the server answered "${text}"`).to.match(/^HTTP\/1\.1 \d{3}/);
  const json = body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1);
  return {
    status: Number(first.split(" ")[1]),
    headers: Object.fromEntries(headers),
    body: JSON.parse(json),
  };
}
