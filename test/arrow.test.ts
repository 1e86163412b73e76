/** Arrow streams in and out, and which media types an answer may have. */

import { connect as connectSocket } from "node:net";
import {
  Binary,
  Bool,
  Field,
  FixedSizeList,
  Float32,
  Float64,
  Int64,
  LargeUtf8,
  List,
  makeData,
  Table,
  tableFromIPC,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { expect } from "chai";
import fc from "fast-check";
import { SEED } from "./deskModule.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import type { Connection } from "./server.ts";

const ARROW = "application/vnd.apache.arrow.stream";

const utf8 = (texts: (string | null)[]) => vectorFromArray(texts, new Utf8());
function fixed(rows: number[][], size = rows[0]!.length): Vector {
  const child = makeData({ type: new Float32(), data: Float32Array.from(rows.flat()) });
  const type = new FixedSizeList(size, new Field("item", new Float32(), false));
  return new Vector([makeData({ type, length: rows.length, nullCount: 0, child })]);
}

describe(`Arrow (SEED=${SEED})`, () => {
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    door = await openDoor({ MAX_BODY_MB: 16 });
    client = door.connect();
  });
  afterEach(closeDoors);

  const send = (bytes: Uint8Array, query = "") =>
    client.send("POST", `/vectors/batch${query}`, bytes, { "content-type": ARROW });
  const stream = (columns: Record<string, Vector>) =>
    tableToIPC(new Table(columns as never), "stream");
  const rows = () => door.database.collection("default")?.rows ?? new Map();

  /** Bytes as they came; the connection of tests knows only text. */
  async function table(method: string, path: string, body?: object) {
    const text = body === undefined ? "" : JSON.stringify(body);
    const socket = connectSocket(door.port, "127.0.0.1");
    const type = body === undefined ? "" : "Content-Type: application/json\r\n";
    socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: ${ARROW}\r\n` +
        `${type}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part);
    const bytes = Buffer.concat(parts);
    const head = bytes.subarray(0, bytes.indexOf("\r\n\r\n")).toString();
    expect(head).to.match(/^HTTP\/1\.1 200 /);
    expect(head).to.contain(`Content-Type: ${ARROW}`);
    expect(head).to.match(/\r\nVary: Accept/);
    return tableFromIPC(bytes.subarray(head.length + 4));
  }

  it("writes what the same rows as JSON write, in one write", async () => {
    const metadata = ['{ "a" : 1.0 }', null, '{"b":[{"c":"é"}]}'];
    const columns = {
      id: utf8(["x", "é😀", "z"]),
      vector: fixed([
        [1, 2],
        [3, 4],
        [5, 6],
      ]),
    };
    const answer = await send(stream({ ...columns, metadata: utf8(metadata) }));
    expect([answer.status, answer.body]).to.deep.equal([
      200,
      { status: "ok", count: 3, sequence: 1 },
    ]);
    expect((await client.get("/vectors/x")).text).to.contain(`"metadata":${metadata[0]}`);
    const { body } = await client.post("/vectors/get", { ids: ["é😀", "z"] });
    expect(body.vectors).to.deep.equal([
      { id: "é😀", vector: [3, 4], metadata: null, version: 1 },
      { id: "z", vector: [5, 6], metadata: { b: [{ c: "é" }] }, version: 1 },
    ]);
    const again = await send(stream(columns), "?mode=insert");
    expect([again.status, again.body.code]).to.deep.equal([409, "ROW_EXISTS"]);
  });

  it("takes lists of one length, float64, large_utf8, several batches and flat columns", async () => {
    const list = (type: Float32 | Float64, rows: number[][]) =>
      vectorFromArray(rows, new List(new Field("item", type, true)));
    const batch = (id: string[], vector: Vector, year: (bigint | null)[], tags: string[][]) =>
      new Table({
        id: vectorFromArray(id, new LargeUtf8()),
        vector,
        year: vectorFromArray(year, new Int64()),
        isNew: vectorFromArray([true, null], new Bool()),
        tags: vectorFromArray(tags, new List(new Field("item", new Utf8(), true))),
      } as never);
    const first = batch(
      ["a", "b"],
      list(new Float64(), [
        [0.1, 2],
        [3, 4],
      ]),
      [1n, null],
      [["x"], []],
    );
    const second = batch(
      ["c", "d"],
      list(new Float64(), [
        [5, 6],
        [7, 8],
      ]),
      [2n, 3n],
      [[], ["y"]],
    );
    const answer = await send(tableToIPC(first.concat(second), "stream"));
    expect(answer.body).to.deep.equal({ status: "ok", count: 4, sequence: 1 });
    const { body } = await client.post("/vectors/get", { ids: ["a", "b", "c", "d"] });
    expect(body.vectors.map((row: { metadata: unknown }) => row.metadata)).to.deep.equal([
      { year: 1, isNew: true, tags: ["x"] },
      { tags: [] },
      { year: 2, isNew: true, tags: [] },
      { year: 3, tags: ["y"] },
    ]);
    expect(body.vectors[0].vector[0]).to.equal(Math.fround(0.1));
    const lists = { id: utf8(["e"]), vector: list(new Float32(), [[9, 9]]) };
    expect((await send(stream(lists))).status).to.equal(200);
  });

  it("names the row and the column that are wrong, and writes nothing", async () => {
    await client.post("/vectors/add", { id: "first", vector: [0, 0] });
    const id = utf8(["a", "b"]);
    const vector = fixed([
      [1, 2],
      [3, 4],
    ]);
    const lists = vectorFromArray([[1, 2], [3]], new List(new Field("item", new Float32(), true)));
    const structs = vectorFromArray([{ a: 1 }, { a: 2 }]);
    for (const [columns, code, detail] of [
      [{ vector }, "INVALID_REQUEST", /column "id": is missing; there are vector/],
      [{ id }, "INVALID_REQUEST", /column "vector": is missing/],
      [{ id: utf8(["a", null]), vector }, "INVALID_REQUEST", /row 1, column "id": is null/],
      [{ id: utf8(["a", ""]), vector }, "INVALID_ID", /row 1, column "id"/],
      [{ id: utf8(["a", "x".repeat(600)]), vector }, "INVALID_ID", /row 1, column "id"/],
      [{ id: utf8(["a", "a"]), vector }, "DUPLICATE_ID", /row 1, column "id": stands at 0 too/],
      [{ id: vectorFromArray([1, 2]), vector }, "INVALID_REQUEST", /column "id": expected utf8/],
      [
        {
          id,
          vector: fixed([
            [1, 2],
            [3, Number.NaN],
          ]),
        },
        "INVALID_VECTOR",
        /row 1.*component 1/,
      ],
      [
        {
          id,
          vector: fixed([
            [1e17, 2],
            [3, 4],
          ]),
        },
        "INVALID_VECTOR",
        /row 0.*component 0/,
      ],
      [{ id, vector: fixed([[1], [2]]) }, "DIMENSION_MISMATCH", /expected 2 dimensions, got 1/],
      [{ id, vector: lists }, "DIMENSION_MISMATCH", /row 1, column "vector": expected 2/],
      [{ id, vector: utf8(["a", "b"]) }, "INVALID_REQUEST", /expected fixed_size_list<float32>/],
      [{ id, vector, metadata: utf8([null, "[1]"]) }, "INVALID_METADATA", /row 1.*no JSON object/],
      [
        { id, vector, metadata: utf8(['{"a":}', null]) },
        "INVALID_METADATA",
        /row 0.*\/a: .*byte 5/,
      ],
      [{ id, vector, metadata: utf8([null, '{"a":1,"a":2}']) }, "INVALID_METADATA", /row 1.*twice/],
      [{ id, vector, metadata: utf8(["{} {}", null]) }, "INVALID_METADATA", /row 0/],
      [{ id, vector, s: structs }, "INVALID_REQUEST", /column "s": only texts/],
      [
        { id, vector, metadata: utf8([null, null]), b: id },
        "INVALID_REQUEST",
        /column "b": cannot/,
      ],
      [
        { id, vector, n: vectorFromArray([1n, 2n ** 60n], new Int64()) },
        ...["INVALID_REQUEST" as const, /row 1, column "n": the integer/],
      ],
    ] as [Record<string, Vector>, string, RegExp][]) {
      const { status, body } = await send(stream(columns));
      expect([status, body.code], body.detail).to.deep.equal([400, code]);
      expect(body.detail).to.match(detail);
      expect(body.errors[0].pointer).to.match(/^\/vectors\/\d/);
    }
    expect([...rows().keys()]).to.deep.equal(["first"]);
    const bytes = vectorFromArray([new Uint8Array([0xff]), new Uint8Array([0x61])], new Binary());
    const broken = makeData({
      ...{ type: new Utf8(), length: 2, nullCount: 0 },
      ...{ valueOffsets: bytes.data[0]!.valueOffsets, data: bytes.data[0]!.values },
    });
    const { body } = await send(stream({ id: new Vector([broken]), vector }));
    expect(body.detail).to.match(/row 0, column "id": the text is not UTF-8/);
  });

  it("refuses what is no stream, or a spoilt one, and never falls over", async () => {
    const text = (index: number) => `row-${index}`;
    const vectors = Array.from({ length: 20 }, (_, index) => [index, 1]);
    const ids = utf8(vectors.map((_, index) => text(index)));
    const metadata = utf8(vectors.map((_, index) => `{"n":${index}}`));
    const sound = stream({ id: ids, vector: fixed(vectors), metadata });
    for (const bytes of [new Uint8Array(0), Buffer.from("nonsense"), sound.subarray(0, 100)]) {
      const { status, body } = await send(bytes);
      expect(status, body.detail).to.equal(400);
      expect(body.code).to.be.oneOf(["INVALID_REQUEST", "BATCH_EMPTY"]);
    }
    const property = fc.asyncProperty(fc.nat(sound.length - 1), fc.nat(255), async (at, byte) => {
      const spoilt = Uint8Array.from(sound);
      spoilt[at] = byte;
      const { status, body } = await send(spoilt);
      expect(status, `${at}: ${byte}: ${body.detail}`).to.be.oneOf([200, 400, 413]);
    });
    await fc.assert(property, { seed: SEED, numRuns: 600 });
  });

  it("answers rows, pages and hits as Arrow when asked", async () => {
    const vectors = Array.from({ length: 30 }, (_, id) => ({
      ...{ id, vector: [id, 0.25] },
      ...(id % 3 === 0 ? { metadata: { n: id } } : {}),
    }));
    await client.post("/vectors/batch", { vectors });
    const got = await table("POST", "/vectors/get", { ids: [3, "none", 4] });
    expect(got.schema.names).to.deep.equal(["id", "vector", "metadata", "version"]);
    expect(got.toArray().map((row) => row.toJSON().id)).to.deep.equal(["3", "none", "4"]);
    expect([...got.getChild("vector")!.get(0)]).to.deep.equal([3, 0.25]);
    expect(got.getChild("vector")!.get(1)).to.equal(null);
    expect([...got.getChild("metadata")!]).to.deep.equal(['{"n":3}', null, null]);
    expect([...got.getChild("version")!]).to.deep.equal([1n, null, 1n]);
    const one = await table("GET", "/vectors/7");
    expect(one.numRows).to.equal(1);

    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const page = await table("GET", `/vectors?limit=12&include_metadata=false${cursor}`);
      expect(page.schema.names).to.deep.equal(["id", "vector", "version"]);
      for (const row of page.toArray().map((each) => each.toJSON())) {
        expect([...row.vector]).to.deep.equal([Number(row.id), 0.25]);
        seen.push(row.id);
      }
      const next = page.schema.metadata.get("next_cursor");
      if (next === undefined) break;
      expect(page.numRows).to.equal(12);
      cursor = `&cursor=${encodeURIComponent(next)}`;
    }
    expect(seen.sort()).to.deep.equal(vectors.map(({ id }) => `${id}`).sort());

    const searches = [
      { vector: [3, 0.25], k: 2, include_vector: true },
      { vector: [9, 0.25], k: 1 },
    ];
    const json = (await client.post("/search/batch", { searches })).body.results;
    const hits = await table("POST", "/search/batch", { searches });
    expect([...hits.getChild("search")!]).to.deep.equal([0, 0, 1]);
    for (const name of ["id", "distance", "score"]) {
      const flat = json.flat().map((hit: Record<string, unknown>) => hit[name]);
      expect([...hits.getChild(name)!]).to.deep.equal(flat);
    }
    expect(hits.getChild("vector")!.get(2)).to.equal(null);

    const empty = await table("POST", "/vectors/get", { ids: ["none"], include_vector: false });
    expect(empty.schema.names).to.deep.equal(["id", "metadata", "version"]);
    // What came out goes in again.
    const bytes = tableToIPC(got.slice(0, 1).select(["id", "vector", "metadata"]), "stream");
    expect((await send(bytes)).body).to.include({ count: 1 });
  });

  it("gives what Accept likes best, or 406", async () => {
    await client.post("/vectors/add", { id: "a", vector: [1] });
    const type = async (accept: string, path = "/vectors/a") => {
      const { status, headers } = await client.send("GET", path, undefined, { accept });
      return status === 200 ? headers["content-type"]!.split(";")[0] : status;
    };
    const json = "application/json";
    for (const [accept, expected] of [
      ...[
        ["*/*", json],
        ["", json],
        ["application/*", json],
        ["APPLICATION/JSON", json],
      ],
      ...[
        [`${ARROW}, */*;q=0.1`, ARROW],
        [`${ARROW};q=0.5, ${json}`, json],
      ],
      ...[
        [`text/html, ${ARROW};q=0.2`, ARROW],
        ["text/html, */*;q=0.8", json],
      ],
      ...[
        ["text/html", 406],
        [`${json};q=0`, 406],
        [`${json};q=0, */*`, ARROW],
        ["text/*", 406],
      ],
    ] as [string, string | number][]) {
      expect(await type(accept), accept).to.equal(expected);
    }
    expect(await type("text/plain", "/metrics")).to.equal("text/plain");
    expect(await type(ARROW, "/stats")).to.equal(406);
    const { body } = await client.send("GET", "/stats", undefined, { accept: "text/csv" });
    expect(body.code).to.equal("NOT_ACCEPTABLE");
    expect(body.detail).to.contain(json);
    const refused = await client.send("POST", "/vectors/batch", "x", {
      "content-type": "text/csv",
    });
    expect(refused.body.detail).to.contain(ARROW);
  });
});
