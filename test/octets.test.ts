/** Vectors as bytes: queries that are nothing else, and answers in base64. */
import { expect } from "chai";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import type { Connection } from "./server.ts";

const bytesOf = (...components: number[]) =>
  new Uint8Array(Float32Array.from(components).buffer.slice(0));
const base64Of = (...components: number[]) =>
  Buffer.from(bytesOf(...components)).toString("base64");

describe("vectors as bytes", () => {
  let door: OpenDoor;
  let client: Connection;
  before(async () => {
    door = await openDoor();
    client = door.connect();
    const rows = Array.from({ length: 30 }, (_, id) => ({
      ...{ id, vector: [id, 0.5, 0.25], metadata: { even: id % 2 === 0 } },
    }));
    await client.post("/vectors/batch", { vectors: rows });
  });
  after(closeDoors);

  const octets = (bytes: Uint8Array, query = "") =>
    client.send("POST", `/search${query}`, bytes, { "content-type": "application/octet-stream" });

  it("finds what the same query as JSON finds, with each parameter", async () => {
    const filter = encodeURIComponent('{"even":true}');
    for (const [query, body] of [
      ["", {}],
      ["?k=3", { k: 3 }],
      ["?k=3&include_vector=true&include_metadata=false", { k: 3, include_vector: true }],
      ["?vector_format=base64&include_vector=true", { include_vector: true, base64: true }],
      [`?filter=${filter}&exact=true&explain=true`, { filter: { even: true }, exact: true }],
      ["?max_distance=2.5e0&ef=50", { max_distance: 2.5 }],
    ] as const) {
      const { base64, ...plain } = { base64: false, ...body };
      const json = await client.post("/search", {
        ...{ vector: [7, 0.5, 0.25], ...plain },
        ...(base64 ? { vector_format: "base64" } : {}),
        ...(query.includes("include_metadata=false") ? { include_metadata: false } : {}),
      });
      const { status, body: found } = await octets(bytesOf(7, 0.5, 0.25), query);
      expect(status, query).to.equal(200);
      expect(found.results).to.deep.equal(json.body.results);
      expect("explain" in found).to.equal(query.includes("explain"));
    }
  });

  it("refuses bytes that are no query, and says why", async () => {
    for (const [bytes, code, detail] of [
      [bytesOf(1, 2, 3).subarray(1), "INVALID_VECTOR", /11 bytes are not whole float32/],
      [bytesOf(1, 2), "DIMENSION_MISMATCH", /expected 3 dimensions, got 2/],
      [bytesOf(), "DIMENSION_MISMATCH", /got 0/],
      [bytesOf(1, Number.NaN, 2), "INVALID_VECTOR", /\/vector\/1: component 1 is not finite/],
      [bytesOf(1, 2, Number.NEGATIVE_INFINITY), "INVALID_VECTOR", /component 2/],
      [bytesOf(1e17, 2, 3), "INVALID_VECTOR", /component 0/],
    ] as const) {
      const { status, body } = await octets(bytes);
      expect([status, body.code]).to.deep.equal([400, code]);
      expect(body.detail).to.match(detail);
      expect(body.errors[0].pointer).to.match(/^\/vector/);
    }
  });

  it("holds parameters to the schema of the JSON body, by the same pointers", async () => {
    for (const [query, pointer] of [
      ...[
        ["?k=0", "/k"],
        ["?k=1.5", "/k"],
        ["?k=ten", "/k"],
        ["?k=", "/k"],
        ["?k=1e9", "/k"],
      ],
      ...[
        ["?exact=yes", "/exact"],
        ["?K=3", "/K"],
        ["?vector=[1,2,3]", "/vector"],
      ],
      ...[
        ["?k=1&k=2", "/k"],
        ["?vector_format=hex", "/vector_format"],
        ["?filter=x", "/filter"],
      ],
      ...[
        ["?filter={%22$no%22:1}", "/filter/$no"],
        ["?__proto__=1", "/__proto__"],
      ],
    ] as [string, string][]) {
      const { status, body } = await octets(bytesOf(1, 2, 3), query);
      expect(status, query).to.equal(400);
      expect(body.errors[0].pointer).to.equal(pointer);
    }
  });

  it("leaves no parameter overlooked beside a JSON body", async () => {
    for (const path of ["/search?k=3", "/vectors/batch?mode=insert"]) {
      const { status, body } = await client.post(path, { vector: [1, 2, 3] });
      expect([status, body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
    }
    const { status, body } = await client.get("/vectors/1?vectorformat=base64");
    expect([status, body.errors[0].pointer]).to.deep.equal([400, "/vectorformat"]);
  });

  it("answers vectors in base64 wherever a request says so", async () => {
    const seven = base64Of(7, 0.5, 0.25);
    const asked = { vector_format: "base64", include_vector: true };
    const search = { vector: [7, 0.5, 0.25], k: 1, ...asked };
    expect((await client.post("/search", search)).body.results[0].vector).to.equal(seven);
    const page = await client.get("/vectors?limit=100&vector_format=base64");
    const floats = new Map(
      page.body.vectors.map((row: { id: string; vector: string }) => [row.id, row.vector]),
    );
    expect(floats.get("7")).to.equal(seven);
    const many = { searches: [search, { ...search, vector_format: "array" }] };
    const { results } = (await client.post("/search/batch", many)).body;
    expect(results[0][0].vector).to.equal(seven);
    expect(results[1][0].vector).to.deep.equal([7, 0.5, 0.25]);
    const got = await client.post("/vectors/get", { ids: [7, "none"], ...asked });
    expect(got.body.vectors.map((row: { vector: string } | null) => row?.vector)).to.deep.equal([
      seven,
      undefined,
    ]);
    const one = await client.get("/vectors/7?vector_format=base64");
    expect(one.body.vector).to.equal(seven);
    const again = await client.post("/vectors/add", { id: "again", vector: one.body.vector });
    expect(again.status).to.equal(200);
  });
});
