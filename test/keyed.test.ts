/**
 * Idempotency-Key: a repeated request gives the first answer again and writes nothing, for whoever
 * sent the first, on any thread, and after a restart.
 */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { KEPT_MS, KEYS_MAX, Ledger } from "../src/collections/ledger.ts";
import { OmenError } from "../src/errors.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { makeKeyring } from "./keyring.ts";
import { type Answer, type Connection, pause, type Server, startServer } from "./server.ts";

const under = (key: string, more: Record<string, string> = {}) => ({
  "idempotency-key": key,
  ...more,
});

describe("a write under an Idempotency-Key", () => {
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    door = await openDoor();
    client = door.connect();
  });
  afterEach(closeDoors);

  const rows = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ id: `${n}`, vector: [n, 1] }));

  /** Sends it twice; the second answer is the first one, and nothing is written again. */
  async function repeat(method: string, path: string, body: unknown, more = {}): Promise<Answer> {
    const headers = under(`key of ${method} ${path}`.replaceAll(" ", "-"), more);
    const first = await client.send(method, path, body, headers);
    const { sequence } = (await client.get("/stats")).body;
    const again = await client.send(method, path, body, headers);
    expect([again.status, again.text]).to.deep.equal([first.status, first.text]);
    expect(again.headers.etag).to.equal(first.headers.etag);
    expect(first.headers).to.not.have.property("idempotent-replayed");
    expect(again.headers["idempotent-replayed"]).to.equal("true");
    expect((await client.get("/stats")).body.sequence).to.equal(sequence);
    return first;
  }

  it("gives the first answer again, for every kind of write", async () => {
    await repeat("POST", "/vectors/batch", { vectors: rows(5), mode: "insert" });
    const added = await repeat("POST", "/vectors/add", { id: "a", vector: [1, 1], mode: "insert" });
    expect(added.body).to.deep.equal({ status: "ok", id: "a", sequence: 2 });
    await repeat("PATCH", "/vectors/a", { metadata: { n: 1 } }, { "if-match": '"2"' });
    const some = await repeat("POST", "/vectors/delete", { ids: ["0", "1", "none"] });
    expect(some.body.deleted).to.equal(2);
    const gone = await repeat("DELETE", "/vectors/a", undefined, { "if-match": '"3"' });
    expect(gone.body).to.deep.equal({ status: "ok", deleted: 1, sequence: 5 });
    const patched = await client.send(
      "PATCH",
      "/vectors/a",
      { metadata: { n: 1 } },
      {
        ...under("key-of-PATCH-/vectors/a", { "if-match": '"2"' }),
      },
    );
    expect([patched.status, patched.body.sequence], "also of a row that is gone").to.deep.equal([
      200, 3,
    ]);
  });

  it("is one request at the root and by the collection's name, and another elsewhere", async () => {
    await client.send("PUT", "/collections/other", { dimensions: 2 });
    const body = { id: "a", vector: [1, 2] };
    const send = (base: string) => client.send("POST", `${base}/vectors/add`, body, under("k"));
    expect((await send("")).body.sequence).to.equal(1);
    expect((await send("/collections/default")).headers["idempotent-replayed"]).to.equal("true");
    expect((await send("/collections/other")).headers).to.not.have.property("idempotent-replayed");
  });

  it("refuses another request under the key: body, row, operation, condition", async () => {
    const body = { id: "a", vector: [1, 2] };
    await client.send("POST", "/vectors/add", body, under("k"));
    for (const [method, path, other, more] of [
      ["POST", "/vectors/add", { id: "a", vector: [1, 3] }, {}],
      ["POST", "/vectors/add", body, { "if-match": '"1"' }],
      ["POST", "/vectors/batch", { vectors: [body] }, {}],
      ["PATCH", "/vectors/a", { metadata: {} }, {}],
      ["DELETE", "/vectors/a", undefined, {}],
    ] as const) {
      const answer = await client.send(method, path, other, under("k", more));
      expect([answer.status, answer.body.code]).to.deep.equal([422, "IDEMPOTENCY_KEY_REUSED"]);
    }
    expect((await client.get("/stats")).body.sequence).to.equal(1);
  });

  it("does not keep what was refused: the request may be mended and sent again", async () => {
    const send = (vector: number[]) =>
      client.send("POST", "/vectors/add", { id: "a", vector }, under("k"));
    await client.post("/vectors/add", { id: "b", vector: [1, 2] });
    expect((await send([1])).status).to.equal(400);
    expect((await send([1, 2])).body.sequence).to.equal(2);
  });

  it("refuses keys that are none, and keys where they cannot be kept", async () => {
    const body = { id: "a", vector: [1, 2] };
    for (const key of ["", "a b", "x".repeat(256), "\u00e9"]) {
      const answer = await client.send("POST", "/vectors/add", body, under(key));
      expect([answer.status, answer.body?.code], key).to.deep.equal([400, "INVALID_REQUEST"]);
    }
    const ndjson = under("k", { "content-type": "application/x-ndjson" });
    const line = `${JSON.stringify(body)}\n`;
    const lines = await client.send("POST", "/vectors/batch", line, ndjson);
    expect([lines.status, lines.body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
    expect(door.database.collection("default")).to.equal(undefined);
  });
});

describe("idempotency keys on a real server, 2 listeners", () => {
  let path: string;
  let server: Server | undefined;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "omendb-"));
  });
  afterEach(async () => {
    await server?.stop("SIGKILL");
    await rm(path, { recursive: true, force: true });
  });
  const begin = (more = {}) => startServer({ PATH: join(path, "data"), THREADS: 2, ...more });

  it("outlive a restart, whatever ended the process", async () => {
    server = await begin();
    let client = server.connect();
    const batch = {
      vectors: [
        { id: "a", vector: [1] },
        { id: "b", vector: [2] },
      ],
    };
    const put = () => client.send("POST", "/vectors/batch", batch, under("put"));
    const remove = () => client.send("POST", "/vectors/delete", { ids: ["a", "c"] }, under("gone"));
    const first = [await put(), await remove()].map(({ text }) => text);
    expect(first[1]).to.equal('{"status":"ok","deleted":1,"sequence":2}');
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      await server.stop(signal);
      server = await begin();
      client = server.connect();
      expect([(await put()).text, (await remove()).text]).to.deep.equal(first);
      const { body } = await client.get("/stats");
      expect(body).to.include({ vectors: 1, sequence: 2 });
      const other = await client.send("POST", "/vectors/delete", { ids: ["b"] }, under("put"));
      expect(other.body.code).to.equal("IDEMPOTENCY_KEY_REUSED");
    }
    await client.send("DELETE", "/collections/default");
    expect((await put()).body.sequence).to.equal(1);
  }).timeout(60_000);

  it("outlive the log that brought them, in an image; so do cursors", async () => {
    server = await begin({ LOG_LEVEL: "info" });
    let client = server.connect();
    const row = { id: "a", vector: Array<number>(64).fill(1) };
    const put = () => client.send("POST", "/vectors/add", row, under("put"));
    const first = (await put()).text;
    // More than a start would rather read from the log than from an image.
    for (let batch = 0; batch < 6; batch++) {
      const ids = Array.from({ length: 1000 }, (_, n) => `row-${batch}-${n}`);
      const vectors = ids.map((id, n) => ({ ...row, id, vector: row.vector.map(() => n) }));
      expect((await client.post("/vectors/batch", { vectors })).status).to.equal(200);
    }
    const page = (await client.get("/vectors?limit=4000&include_vector=false")).body;
    await server.stop();
    server = await begin({ LOG_LEVEL: "info" });
    client = server.connect();
    expect(server.output(), "the write itself is not read again").to.match(/"frames":0,/);
    const again = await put();
    expect([again.text, again.headers["idempotent-replayed"]]).to.deep.equal([first, "true"]);
    const path = `/vectors?limit=4000&include_vector=false&cursor=${page.next_cursor}`;
    const rest = (await client.get(path)).body;
    const ids = [...page.vectors, ...rest.vectors].map(({ id }: { id: string }) => id);
    expect([new Set(ids).size, ids.length, rest.next_cursor]).to.deep.equal([6001, 6001, null]);
  }).timeout(60_000);

  it("belong to the credential that brought them", async () => {
    const keyring = makeKeyring([
      { name: "ann", role: "writer" },
      { name: "bob", role: "writer" },
    ]);
    const file = join(path, "keys.json");
    await writeFile(file, keyring.text, { mode: 0o600 });
    server = await begin({ KEYS_FILE: file });
    const send = async (name: string, n: number) => {
      const client = server!.connect({ "x-api-key": keyring.keys[name]! });
      const answer = await client.send(
        "POST",
        "/vectors/add",
        { id: "a", vector: [n] },
        under("k"),
      );
      client.close();
      return [answer.status, answer.body.sequence ?? answer.body.code];
    };
    expect(await send("ann", 1)).to.deep.equal([200, 1]);
    expect(await send("bob", 2)).to.deep.equal([200, 2]);
    expect(await send("ann", 1)).to.deep.equal([200, 1]);
    expect(await send("bob", 1)).to.deep.equal([422, "IDEMPOTENCY_KEY_REUSED"]);
  });

  it("are taken while the first request is under way, on every thread, and free after", async () => {
    server = await begin();
    const body = JSON.stringify({ id: "a", vector: [1] });
    const head = [
      "POST /vectors/add HTTP/1.1",
      ...["Host: localhost", "Content-Type: application/json", "Idempotency-Key: k"],
      "Expect: 100-continue",
      `Content-Length: ${body.length}`,
    ];
    const socket = connectSocket(server.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    // Who is asked to go on has its key.
    const [asked] = await once(socket, "data");
    expect(String(asked)).to.match(/^HTTP\/1.1 100 /);
    socket.write(body.slice(0, 5));
    const clients = Array.from({ length: 6 }, () => server!.connect());
    const send = (client: Connection) => client.send("POST", "/vectors/add", body, under("k"));
    for (const client of clients) {
      const answer = await send(client);
      expect([answer.status, answer.body.code]).to.deep.equal([409, "IDEMPOTENCY_KEY_IN_FLIGHT"]);
      expect(answer.headers["retry-after"]).to.equal("1");
    }
    socket.destroy();
    let answer = await send(clients[0]!);
    for (let tries = 0; tries < 100 && answer.status === 409; tries++) {
      await pause(20);
      answer = await send(clients[0]!);
    }
    expect([answer.status, answer.body.sequence]).to.deep.equal([200, 1]);
    // An eager client may ask again before the answer has been looked at.
    const again = await Promise.all(clients.map(send));
    for (const { status } of again) expect(status).to.be.oneOf([200, 409]);
    expect((await clients[0]!.get("/stats")).body.sequence).to.equal(1);
  }).timeout(30_000);

  it("let one of many simultaneous requests write, and all get its answer in the end", async () => {
    server = await begin();
    const clients = Array.from({ length: 8 }, () => server!.connect());
    for (let round = 0; round < 20; round++) {
      const body = { id: `row-${round}`, vector: [round], mode: "insert" };
      const texts = await Promise.all(
        clients.map(async (client) => {
          for (;;) {
            const answer = await client.send("POST", "/vectors/add", body, under(`k-${round}`));
            if (answer.status === 200) return answer.text;
            expect(answer.status, answer.text).to.equal(409);
            expect(answer.body.code).to.equal("IDEMPOTENCY_KEY_IN_FLIGHT");
          }
        }),
      );
      const expected = `{"status":"ok","id":"row-${round}","sequence":${round + 1}}`;
      expect(new Set(texts)).to.deep.equal(new Set([expected]));
    }
  }).timeout(30_000);
});

describe("the ledger of idempotency keys", () => {
  const keyOf = (n: number) => n.toString(16).padStart(32, "0");
  const onceOf = (n: number, atMs: number) => ({ key: keyOf(n), request: keyOf(n * 7), atMs });

  it("keeps an entry for a day, and the latest of a key", () => {
    const ledger = new Ledger();
    ledger.add(onceOf(1, 1000), 5, 2);
    expect(ledger.find(keyOf(1), 1000 + KEPT_MS - 1)).to.include({ sequence: 5, changed: 2 });
    expect(ledger.find(keyOf(1), 1000 + KEPT_MS)).to.equal(undefined);
    ledger.add(onceOf(1, 2000 + KEPT_MS), 6, 0);
    expect(ledger.find(keyOf(1), 2000 + KEPT_MS)).to.include({ sequence: 6 });
    ledger.add(onceOf(2, 3000 + 2 * KEPT_MS), 7, 0);
    expect(ledger.size).to.equal(1);
  });

  it("lets the oldest go when there are too many", () => {
    const ledger = new Ledger();
    for (let n = 0; n < KEYS_MAX + 10; n++) ledger.add(onceOf(n, 1000), n + 1, 0);
    expect(ledger.size).to.equal(KEYS_MAX);
    expect(ledger.find(keyOf(9), 1000)).to.equal(undefined);
    expect(ledger.find(keyOf(10), 1000)).to.include({ sequence: 11 });
  });

  it("comes back from its bytes, and refuses other bytes", () => {
    const ledger = new Ledger();
    for (let n = 0; n < 100; n++) ledger.add(onceOf(n, 2 ** 41 + n), n + 1, n * 3);
    const copy = new Ledger();
    copy.restore(ledger.toBytes(), "an image");
    expect(copy.size).to.equal(100);
    for (let n = 0; n < 100; n++) {
      expect(copy.find(keyOf(n), 2 ** 41)).to.deep.equal(ledger.find(keyOf(n), 2 ** 41));
    }
    const read = () => copy.restore(new Uint8Array(55), "an image");
    expect(read).to.throw(OmenError, /an image: no ledger .* has 55 bytes/);
  });
});
