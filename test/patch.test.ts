/**
 * Changing rows under conditions. The merge against RFC 7396 and against plain objects; the headers
 * over the real door; and against a real server, that no change is lost among many that race.
 */
import { expect } from "chai";
import fc from "fast-check";
import { mergePatch } from "../src/collections/patch.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { type Connection, type Server, startServer } from "./server.ts";

/** RFC 7396, appendix A, as far as the patch is an object. */
const EXAMPLES: readonly (readonly [string, string, string])[] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', "{}"],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ["[1,2]", '{"a":"b","c":null}', '{"a":"b"}'],
  ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
];

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** MergePatch as the RFC writes it, on objects that inherit nothing. */
function mergePlainly(target: Json | undefined, patch: Json): Json {
  if (!isPlain(patch)) return patch;
  const into = isPlain(target) ? new Map(Object.entries(target)) : new Map<string, Json>();
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) into.delete(name);
    else into.set(name, mergePlainly(into.get(name), value));
  }
  return Object.fromEntries(into);
}

const isPlain = (value: Json | undefined): value is { [name: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

describe("merge patch", () => {
  it("does what RFC 7396 shows", () => {
    for (const [target, patch, result] of EXAMPLES) {
      expect(mergePatch(target, patch)).to.equal(result);
    }
  });

  it("leaves the bytes of members that it does not name, whatever they are called", () => {
    const target =
      '{ "n" : 1.50e+2 ,\n"__proto__":{ "a":1 },"\\u00e9":[ "}", "\\"" ], "constructor":1, "x":{"y": 0.10} }';
    expect(mergePatch(target, ' { "x" : { "z" : [ 1.0 ] } , "constructor":null } ')).to.equal(
      '{"n":1.50e+2,"__proto__":{ "a":1 },"\\u00e9":[ "}", "\\"" ],"x":{"y":0.10,"z":[ 1.0 ]}}',
    );
    expect(mergePatch('{"__proto__":{"a":1}}', '{"__proto__":{"b":2}}')).to.equal(
      '{"__proto__":{"a":1,"b":2}}',
    );
    expect(mergePatch('{"\\u0061":1}', '{"a":2}')).to.equal('{"\\u0061":2}');
  });

  it("gives what the RFC's own words give, for any two documents", () => {
    const names = fc.constantFrom("a", "b", "c", "__proto__", "constructor", '"', "\\", "é😀", "");
    const { document } = fc.letrec<{ document: Json; value: Json }>((tie) => ({
      document: fc
        .uniqueArray(fc.tuple(names, tie("value")), { selector: ([name]) => name, maxLength: 5 })
        .map((members) => Object.fromEntries(members) as Json),
      value: fc.oneof(
        { depthSize: "small" },
        fc.constant(null),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.string(),
        fc.array(tie("value"), { maxLength: 3 }),
        tie("document"),
      ),
    }));
    const space = fc.constantFrom(undefined, 1, "\t");
    fc.assert(
      fc.property(document, document, space, (target, patch, indent) => {
        const merged = mergePatch(
          JSON.stringify(target, null, indent),
          JSON.stringify(patch, null, indent),
        );
        expect(JSON.parse(merged)).to.deep.equal(
          JSON.parse(JSON.stringify(mergePlainly(target, patch))),
        );
      }),
    );
  });
});

describe("rows under conditions", () => {
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    door = await openDoor();
    client = door.connect();
    const row = { id: "a", vector: [1, 2], metadata: { n: 1, kept: [1.5] } };
    expect((await client.post("/vectors/add", row)).headers.etag).to.equal('"1"');
  });
  afterEach(closeDoors);

  const send = (method: string, path: string, body: unknown, headers: Record<string, string>) =>
    client.send(method, path, body, headers);

  it("are patched in their metadata, their vector or both", async () => {
    const first = await send("PATCH", "/vectors/a", { metadata: { n: 2, more: {} } }, {});
    expect([first.status, first.headers.etag]).to.deep.equal([200, '"2"']);
    expect(first.body).to.deep.equal({ status: "ok", id: "a", sequence: 2 });
    expect((await client.get("/vectors/a")).body).to.deep.equal({
      ...{ id: "a", vector: [1, 2], version: 2 },
      metadata: { n: 2, kept: [1.5], more: {} },
    });
    await send("PATCH", "/vectors/a", { vector: [3, 4], metadata: null }, {});
    expect((await client.get("/vectors/a")).body).to.deep.equal({
      ...{ id: "a", vector: [3, 4], metadata: null, version: 3 },
    });
    await send("PATCH", "/vectors/a", { metadata: { fresh: true } }, {});
    const { body } = await client.get("/collections/default/vectors/a");
    expect(body).to.deep.include({ vector: [3, 4], metadata: { fresh: true }, version: 4 });
  });

  it("are written only over the version that If-Match names", async () => {
    const row = { id: "a", vector: [5, 6] };
    const fails = async (method: string, path: string, body: unknown, tag: string) => {
      const { status, body: problem } = await send(method, path, body, { "if-match": tag });
      expect([status, problem.code]).to.deep.equal([412, "PRECONDITION_FAILED"]);
      expect((await client.get("/vectors/a")).body.version).to.equal(1);
    };
    for (const tag of ['"2"', 'W/"1"', '"x", "3"', '"01"', '""', '"12345678901234567"']) {
      await fails("POST", "/vectors/add", row, tag);
      await fails("PATCH", "/vectors/a", { metadata: {} }, tag);
      await fails("DELETE", "/vectors/a", undefined, tag);
    }
    await fails("POST", "/vectors/add", { ...row, id: "none" }, "*");
    await fails("DELETE", "/vectors/none", undefined, "*");
    const missing = await send("PATCH", "/vectors/none", { metadata: {} }, { "if-match": "*" });
    expect(missing.status).to.equal(404);

    const write = await send("POST", "/vectors/add", row, { "if-match": '"9", "1"' });
    expect([write.status, write.headers.etag]).to.deep.equal([200, '"2"']);
    const patch = await send("PATCH", "/vectors/a", { metadata: {} }, { "if-match": '"2"' });
    expect(patch.headers.etag).to.equal('"3"');
    const gone = await send("DELETE", "/vectors/a", undefined, { "if-match": '"3"' });
    expect(gone.body.deleted).to.equal(1);
  });

  it("are made only where there is none under If-None-Match: *", async () => {
    const header = { "if-none-match": "*" };
    const taken = await send("POST", "/vectors/add", { id: "a", vector: [0, 0] }, header);
    expect([taken.status, taken.body.ids]).to.deep.equal([412, ["a"]]);
    const made = await send("POST", "/vectors/add", { id: "b", vector: [0, 0] }, header);
    expect([made.status, made.headers.etag]).to.deep.equal([200, '"2"']);
  });

  it("are not sent again to who holds them", async () => {
    const read = (header: string, value: string) =>
      send("GET", "/vectors/a", undefined, { [header]: value });
    for (const held of ['"1"', 'W/"1"', '"0", "1"', "*"]) {
      const { status, text, headers } = await read("if-none-match", held);
      expect([status, text, headers.etag], held).to.deep.equal([304, "", '"1"']);
      expect(headers["cache-control"]).to.equal("private, no-cache");
    }
    expect((await read("if-none-match", '"2"')).status).to.equal(200);
    expect((await read("if-match", '"1"')).status).to.equal(200);
    expect((await read("if-match", '"2"')).status).to.equal(412);
    const missing = await send("GET", "/vectors/none", undefined, { "if-none-match": "*" });
    expect(missing.status).to.equal(404);
  });
});

describe("a first write that is refused", () => {
  it("leaves no collection behind, whatever refused it", async () => {
    const server = await startServer({ THREADS: 2, LOG_LEVEL: "warn" });
    const client = server.connect();
    const row = { id: "a", vector: [1, 2] };
    const send = async (path: string, body: object, headers = {}) =>
      (await client.send("POST", path, body, headers)).body.code;
    const codes = [
      await send("/vectors/add", { ...row, mode: "update" }),
      await send("/vectors/batch", { vectors: [row], mode: "update" }),
      await send("/vectors/add", row, { "if-match": "*" }),
      await send("/vectors/add", row, { "if-match": '"1"' }),
      await send("/vectors/add", { id: "a", vector: [] }),
    ];
    expect(codes).to.deep.equal([
      ...["ROW_NOT_FOUND", "ROW_NOT_FOUND", "PRECONDITION_FAILED", "PRECONDITION_FAILED"],
      "DIMENSION_MISMATCH",
    ]);
    expect((await client.get("/collections")).body.collections).to.deep.equal([]);
    const fresh = await client.send("POST", "/vectors/add", row, { "if-none-match": "*" });
    expect(fresh.body.sequence).to.equal(1);
    client.close();
    await server.stop();
  });
});

describe("rows that many change at once, 2 listeners", () => {
  const CLIENTS = 8;
  const ROUNDS = 25;
  let server: Server;
  let clients: Connection[];
  before(async () => {
    server = await startServer({ THREADS: 2, LOG_LEVEL: "warn" });
    clients = Array.from({ length: CLIENTS }, () => server.connect());
  });
  beforeEach(async () => {
    const row = { id: "a", vector: [1], metadata: { count: 0 } };
    expect((await clients[0]!.post("/vectors/add", row)).status).to.equal(200);
  });
  after(() => {
    for (const client of clients) client.close();
    return server?.stop();
  });

  it("keep every patch of another member", async () => {
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < ROUNDS; round++) {
          const metadata = { [`client-${index}`]: { [`round-${round}`]: round } };
          const { status, text } = await client.send("PATCH", "/vectors/a", { metadata });
          expect(status, text).to.equal(200);
        }
      }),
    );
    const { metadata } = (await clients[0]!.get("/vectors/a")).body;
    for (let index = 0; index < CLIENTS; index++) {
      expect(Object.keys(metadata[`client-${index}`])).to.have.length(ROUNDS);
    }
  }).timeout(60_000);

  it("let one writer at a time through under If-Match: a counter counts right", async () => {
    let refused = 0;
    await Promise.all(
      clients.map(async (client, index) => {
        for (let done = 0; done < ROUNDS; ) {
          const { body, headers } = await client.get("/vectors/a");
          const metadata = { count: body.metadata.count + 1 };
          const condition = { "if-match": headers.etag! };
          const isPatch = index % 2 === 0;
          const answer = isPatch
            ? await client.send("PATCH", "/vectors/a", { metadata }, condition)
            : await client.send(
                "POST",
                "/vectors/add",
                { ...body, version: undefined, metadata },
                condition,
              );
          if (answer.status === 200) done++;
          else {
            expect(answer.status, answer.text).to.equal(412);
            refused++;
          }
        }
      }),
    );
    const { body } = await clients[0]!.get("/vectors/a");
    expect(body.metadata.count).to.equal(CLIENTS * ROUNDS);
    expect(refused).to.be.greaterThan(0);
  }).timeout(60_000);
});
