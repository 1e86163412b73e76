/** Collections without float32 over a real server: what they say, and what is there after a kill. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { seededRandom } from "../perf/random.ts";
import { type Connection, type Server, startServer } from "./server.ts";

const DIMENSIONS = 24;
const ROWS = 2500;
const random = seededRandom(11);
const vectors = Array.from({ length: ROWS }, () =>
  Array.from({ length: DIMENSIONS }, () => random.normal()),
);

describe("a collection with vectors none", () => {
  let path: string;
  let server: Server | undefined;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "omendb-"));
  });
  afterEach(async () => {
    await server?.stop("SIGKILL");
    server = undefined;
    await rm(path, { recursive: true, force: true });
  });

  const begin = async () => {
    server = await startServer({ PATH: path, THREADS: 2, EXPERIMENTAL_CODES: "true" });
    return server.connect();
  };
  const linked = async (client: Connection) => {
    for (let looks = 0; looks < 300; looks++) {
      const { body } = await client.get("/collections/c/stats");
      if (body.unindexed === 0 && body.memory.vectors < ROWS * 40) return body;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("the rows' float32 stays");
  };
  const nearest = async (client: Connection, row: number) => {
    const query = { vector: vectors[row], k: 1, include_vector: true, explain: true };
    const { body } = await client.post("/collections/c/search", query);
    return { hit: body.results[0], explain: body.explain };
  };

  it("says so, lets float32 go, and is there after a kill and a restore", async () => {
    let client = await begin();
    const settings = { dimensions: DIMENSIONS, vectors: "none" };
    const made = await client.send("PUT", "/collections/c", settings);
    expect([made.status, made.body.vectors]).to.deep.equal([201, "none"]);
    expect((await client.send("PUT", "/collections/c", settings)).status).to.equal(200);
    const other = await client.send("PUT", "/collections/c", { dimensions: DIMENSIONS });
    expect(other.status).to.equal(409);
    expect(other.body.detail).to.include("vectors none, not memory");
    const rows = vectors.map((vector, row) => ({ id: `row-${row}`, vector, metadata: { row } }));
    await client.post("/collections/c/vectors/batch", { vectors: rows });
    await linked(client);
    const first = await nearest(client, 77);
    expect(first.hit.id).to.equal("row-77");
    expect(first.hit.distance).to.be.above(0).and.below(0.5);
    expect(first.explain.approximate).to.equal(true);
    const got = (await client.get("/collections/c/vectors/row-77")).body.vector as number[];
    expect(got).to.deep.equal(first.hit.vector);
    got.forEach((x, i) => {
      expect(x).to.be.closeTo(vectors[77]![i]!, 0.1);
    });
    // Metadata changes, and the vector stays as it came back.
    const patched = await client.send("PATCH", "/collections/c/vectors/row-77", {
      metadata: { seen: true },
    });
    expect(patched.status).to.equal(200);
    const after = (await client.get("/collections/c/vectors/row-77")).body;
    expect(after.metadata).to.deep.equal({ row: 77, seen: true });
    after.vector.forEach((x: number, i: number) => {
      expect(x).to.be.closeTo(got[i]!, 1e-5);
    });

    const { body: begun } = await client.send("POST", "/collections/c/snapshots");
    for (let looks = 0; looks < 200; looks++) {
      const { body } = await client.get(`/collections/c/snapshots/${begun.id}`);
      if (body.status === "ready") break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await client.send("DELETE", "/collections/c/vectors/row-3");
    await server!.stop("SIGKILL");
    client = await begin();
    expect((await linked(client)).vectors).to.equal(ROWS - 1);
    expect((await nearest(client, 1234)).hit.id).to.equal("row-1234");
    const restored = await client.send("POST", `/collections/c/snapshots/${begun.id}/restore`);
    expect(restored.status, JSON.stringify(restored.body)).to.equal(200);
    expect((await nearest(client, 3)).hit.id).to.equal("row-3");
    expect((await client.get("/collections/c")).body.vectors).to.equal("none");
  });

  it("is refused where there would be no codes, and disk is refused by field", async () => {
    const client = await begin();
    for (const body of [
      { dimensions: 15, vectors: "none" },
      { dimensions: 100, vectors: "none", quantization: "none" },
      { dimensions: 100, vectors: "disk" },
    ]) {
      const answer = await client.send("PUT", "/collections/c", body);
      expect([answer.status, answer.body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
      expect(answer.body.errors[0].pointer).to.equal("/vectors");
    }
    expect((await client.get("/collections/c")).status).to.equal(404);
  });

  it("is not made where the setting does not allow it", async () => {
    server = await startServer({ PATH: path });
    const client = server.connect();
    const answer = await client.send("PUT", "/collections/c", { dimensions: 32, vectors: "none" });
    expect([answer.status, answer.body.errors[0].pointer]).to.deep.equal([400, "/vectors"]);
    expect(answer.body.detail).to.include("OMENDB_EXPERIMENTAL_CODES");
  });
});
