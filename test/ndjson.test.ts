/** Rows as lines: what is written, where it stops, and that it never takes more than it can hold. */
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { expect } from "chai";
import fc from "fast-check";
import { LINE_BYTES_MAX } from "../src/http/body.ts";
import { SEED } from "./deskModule.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { type Connection, pause } from "./server.ts";

const LINES = { "content-type": "application/x-ndjson" };
const MIB = 1024 * 1024;

/** What is said of each line of a generated body: a row, nothing, or why not. */
interface Line {
  readonly text: string;
  readonly id?: string;
  readonly fault?: string;
}

const sound = fc
  .record({ id: fc.constantFrom("a", "b", "c", "d", "e", "f"), n: fc.integer() })
  .map(({ id, n }): Line => {
    const metadata = `{ "n":${n}}`;
    return { text: `{"metadata":${metadata},"id":"${id}","vector":[${n % 1000}, 1]}`, id };
  });
const blank = fc.constantFrom("", " ", "\r", "\t \r").map((text): Line => ({ text }));
const broken = fc.constantFrom<Line>(
  { text: '{"id":"x","vector":[1,2]},{"id":"y","vector":[1,2]}', fault: "INVALID_JSON" },
  { text: '{"id":"x",', fault: "INVALID_JSON" },
  { text: '{"id":"x","vector":[1,2]}]', fault: "INVALID_JSON" },
  { text: '"x"', fault: "INVALID_REQUEST" },
  { text: "7", fault: "INVALID_REQUEST" },
  { text: '{"id":"x"}', fault: "INVALID_REQUEST" },
  { text: '{"id":"x","vector":0}', fault: "INVALID_VECTOR" },
  { text: '{"id":"x","vector":[1,"2"]}', fault: "INVALID_VECTOR" },
  { text: '{"id":"x","vector":[1,1e17]}', fault: "INVALID_VECTOR" },
  { text: '{"id":"x","vector":[1,2,3]}', fault: "DIMENSION_MISMATCH" },
  { text: '{"id":"","vector":[1,2]}', fault: "INVALID_ID" },
  { text: '{"id":"x","vector":[1,2],"metadata":[]}', fault: "INVALID_METADATA" },
  { text: '{"id":"x","vector":[1,2],"mode":"insert"}', fault: "INVALID_REQUEST" },
);

describe(`NDJSON (SEED=${SEED})`, () => {
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    door = await openDoor({ REQUEST_TIMEOUT_MS: 600 });
    client = door.connect();
  });
  afterEach(closeDoors);

  const lines = (text: string, path = "/vectors/batch") => client.send("POST", path, text, LINES);
  const rows = (name = "default") => door.database.collection(name)?.rows ?? new Map();

  /** Sends the text in pieces, as chunks of a request on a connection of its own. */
  async function inPieces(text: Buffer, cuts: readonly number[]) {
    const socket = connectSocket(door.port, "127.0.0.1").setNoDelay(true);
    let answer = "";
    socket.setEncoding("utf8").on("data", (part) => (answer += part));
    socket.on("error", () => {});
    socket.write(
      `POST /vectors/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
        `Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const places = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length];
    places.sort((a, b) => a - b);
    for (const [index, place] of places.entries()) {
      const piece = text.subarray(places[index - 1] ?? 0, place);
      if (piece.length === 0) continue;
      socket.write(`${piece.length.toString(16)}\r\n`);
      socket.write(piece);
      socket.write("\r\n");
      if (index % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write("0\r\n\r\n");
    await once(socket, "close");
    const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
    return { status: Number(answer.slice(9, 12)), body: JSON.parse(body) };
  }

  it("writes a row a line, whatever ends the lines and stands between them", async () => {
    const answer = await lines(
      '{"id":1,"vector":[1,2],"metadata":{ "a" : 1 }}\r\n\n  \n{"vector":"AACAPwAAAEA=","id":"b"}',
    );
    expect(answer.status).to.equal(200);
    expect(answer.body).to.deep.equal({ status: "ok", count: 2, accepted: 2, sequence: 1 });
    expect((await client.get("/vectors/1")).text).to.contain('"metadata":{ "a" : 1 }');
    expect((await client.get("/vectors/b")).body.vector).to.deep.equal([1, 2]);
  });

  it("ends as if each line were a write of its own, however the body comes in pieces", async () => {
    const bodies = fc.record({
      lines: fc.array(fc.oneof({ weight: 12, arbitrary: sound }, blank, broken), { maxLength: 40 }),
      cuts: fc.array(fc.nat(), { maxLength: 8 }),
    });
    const property = fc.asyncProperty(bodies, async ({ lines, cuts }) => {
      door.database.found.clear();
      await client.post("/vectors/add", { id: "first", vector: [0, 0] });
      const text = Buffer.from(lines.map((line) => line.text).join("\n"));
      const { status, body } = await inPieces(text, cuts);

      const expected = new Map<string, string>();
      const stop = lines.findIndex((line) => line.fault !== undefined);
      const written = lines.slice(0, stop < 0 ? lines.length : stop).filter((line) => line.id);
      for (const { id, text } of written) expected.set(id!, text.slice(12, text.indexOf(',"id"')));
      const found = [...rows()].filter(([id]) => id !== "first");
      const kept = found.map(([id, row]) => [id, Buffer.from(row.metadata!).toString()]);
      expect(new Map(kept as [string, string][])).to.deep.equal(expected);
      expect(body.accepted).to.equal(written.length);
      if (stop >= 0) {
        expect(status).to.equal(400);
        expect([body.code, body.line]).to.deep.equal([lines[stop]!.fault, stop + 1]);
        expect(body.detail).to.match(new RegExp(`^line ${stop + 1}: `));
      } else expect(status).to.equal(written.length === 0 ? 400 : 200);
    });
    await fc.assert(property, { seed: SEED, numRuns: 150 });
  });

  it("says which component of which line is wrong", async () => {
    const { status, body } = await lines(
      '{"id":1,"vector":[1,2]}\n\n{"id":"b","vector":[3,null]}\n{"id":"c","vector":[1,2]}\n',
    );
    expect(status).to.equal(400);
    expect(body).to.include({ code: "INVALID_VECTOR", accepted: 1, line: 3 });
    expect(body.errors[0].pointer).to.equal("/vector/1");
    expect([...rows().keys()]).to.deep.equal(["1"]);
  });

  it("holds all rows to the mode in the address, and takes no other parameter", async () => {
    await lines('{"id":1,"vector":[1]}\n{"id":2,"vector":[1]}\n');
    const text = '{"id":3,"vector":[1]}\n{"id":3,"vector":[2]}\n{"id":4,"vector":[2]}\n';
    const twice = await lines(text, "/vectors/batch?mode=insert");
    expect(twice.status).to.equal(409);
    expect(twice.body).to.include({ code: "ROW_EXISTS", accepted: 1, line: 2 });
    expect(rows().get("3").vector[0]).to.equal(1);
    expect(rows().has("4")).to.equal(false);
    const missing = await lines('{"id":9,"vector":[1]}\n', "/vectors/batch?mode=update");
    expect(missing.body).to.include({ code: "ROW_NOT_FOUND", accepted: 0, line: 1 });
    for (const query of ["?mode=upset", "?mod=insert", "?mode=insert&mode=insert", "?k=1"]) {
      const refused = await lines('{"id":9,"vector":[1]}\n', `/vectors/batch${query}`);
      expect([refused.status, refused.body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
    }
  });

  it("refuses a line over the limit and writes what stands before it", async () => {
    const long = `{"id":"long","vector":[1],"metadata":{"a":"${"x".repeat(LINE_BYTES_MAX)}"}}`;
    for (const end of ["\n", `\n{"id":"after","vector":[1]}\n`, ""]) {
      const { status, body } = await lines(`{"id":"before","vector":[1]}\n${long}${end}`);
      expect(status).to.equal(413);
      expect(body).to.include({ code: "BODY_TOO_LARGE", accepted: 1, line: 2 });
      expect(body.detail).to.contain(`${LINE_BYTES_MAX} bytes`);
    }
    expect([...rows().keys()]).to.deep.equal(["before"]);
  });

  it("refuses a body without rows", async () => {
    for (const text of ["", "\n \n\r\n"]) {
      const { status, body } = await lines(text);
      expect([status, body.code, body.accepted]).to.deep.equal([400, "BATCH_EMPTY", 0]);
    }
  });

  it("takes longer than a request may, as long as lines come", async () => {
    const socket = connectSocket(door.port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("utf8").on("data", (part) => (answer += part));
    socket.write(
      `POST /vectors/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
        `Content-Type: application/x-ndjson\r\nContent-Length: ${16 * 24}\r\n\r\n`,
    );
    for (let index = 0; index < 16; index++) {
      socket.write(`{"id":${index + 10},"vector":[1]}`.padEnd(23).concat("\n"));
      await pause(100);
    }
    if (!socket.closed) await once(socket, "close");
    expect(answer).to.match(/^HTTP\/1\.1 200 /);
    expect(rows().size).to.equal(16);
  });

  it("lets the sender wait while the writer is busy", async () => {
    let release: () => void = () => {};
    const isFree = new Promise<void>((resolve) => (release = resolve));
    const put = door.database.put.bind(door.database);
    door.database.put = async (...parts) => {
      const kept = { ...parts[1], vectors: parts[1].vectors.slice() };
      await isFree;
      return put(parts[0], kept, parts[2]);
    };
    const total = 96 * MIB;
    const row = Buffer.from(`{"id":"same","vector":[${"1,".repeat(4000)}1]}\n`);
    const socket = connectSocket(door.port, "127.0.0.1");
    socket.write(
      `POST /vectors/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
        `Content-Type: application/x-ndjson\r\nContent-Length: ${total}\r\n\r\n`,
    );
    let sent = 0;
    const fill = () => {
      while (sent + row.length < total && socket.write(row)) sent += row.length;
    };
    socket.on("drain", fill).on("error", () => {});
    fill();
    await pause(700);
    const atRest = sent;
    await pause(300);
    expect(sent).to.equal(atRest);
    expect(sent).to.be.below(24 * MIB);
    release();
    await pause(500);
    expect(sent).to.be.above(atRest);
    socket.destroy();
  });

  it("keeps what came whole when the sender goes away, and logs where it stopped", async () => {
    const row = (id: number) => `{"id":${id},"vector":[${"1.5,".repeat(1000)}1.5]}\n`;
    const text = Array.from({ length: 600 }, (_, index) => row(index + 100)).join("");
    const socket = connectSocket(door.port, "127.0.0.1").on("error", () => {});
    socket.write(
      `POST /vectors/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
        `Content-Type: application/x-ndjson\r\nContent-Length: ${2 * text.length}\r\n\r\n`,
    );
    socket.write(text);
    for (let tries = 0; rows().size < 480 && tries < 100; tries++) await pause(20);
    socket.destroy();
    for (let tries = 0; door.lines.length === 0 && tries < 100; tries++) await pause(20);
    const { res } = door.lines.at(-1);
    expect(res).to.include({ code: "INVALID_REQUEST", accepted: rows().size });
    expect(res.line).to.equal(rows().size + 1);
    expect(rows().size).to.be.within(480, 600);
  });

  it("leaves no collection behind when the sender goes away before the first part", async () => {
    const socket = connectSocket(door.port, "127.0.0.1").on("error", () => {});
    socket.write(
      `POST /vectors/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n` +
        `Content-Length: 1000\r\n\r\n{"id":1,"vector":[1,2]}\n{"id":2,`,
    );
    await pause(50);
    socket.destroy();
    for (let tries = 0; door.lines.length === 0 && tries < 100; tries++) await pause(20);
    expect(door.lines.at(-1).res).to.include({ accepted: 0, line: 1 });
    expect(door.database.collections()).to.deep.equal([]);
  });
});
