/**
 * Snapshots of a real server: taken while rows are written, carried to an empty server, restored
 * there, and held against a model of the very write that the snapshot ends with.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type Connection, pause, type Server, startServer } from "./server.ts";

const DIMENSIONS = 16;
const BATCH = 50;

interface Kept {
  readonly vector: number[];
  readonly version: number;
}

describe("snapshots of a server on a data path", () => {
  const servers: Server[] = [];
  const paths: string[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop("SIGKILL");
    for (const path of paths.splice(0)) await rm(path, { recursive: true, force: true });
  });

  const begin = async (threads: number, path?: string) => {
    const folder = path ?? (await mkdtemp(join(tmpdir(), "omendb-")));
    if (path === undefined) paths.push(folder);
    const server = await startServer({ PATH: folder, THREADS: threads, LOG_LEVEL: "warn" });
    servers.push(server);
    return { server, folder, client: server.connect() };
  };

  for (const threads of [1, 2]) {
    it(`hold the state of one write, taken under load, ${threads} threads`, async () => {
      const from = await begin(threads);
      const writer = startWrites(from.server.connect());
      await pause(800);
      const made = await from.client.post("/snapshots", undefined);
      expect(made.status, made.text).to.equal(202);
      const ready = await untilReady(from.client, made.body.id);
      await pause(200);
      const states = await writer.end();
      const model = states.get(ready.sequence)!;
      expect(writer.writes()).to.be.greaterThan(ready.sequence);
      expect(ready.vectors).to.equal(model.size);
      const image = await download(from.server.port, ready.id);
      expect(image.length).to.equal(ready.bytes);

      const to = await begin(threads);
      const octets = { "content-type": "application/octet-stream" };
      const uploaded = await to.client.send("PUT", "/snapshots/carried", image, octets);
      expect(uploaded.status, uploaded.text).to.equal(201);
      const restored = await to.client.post("/snapshots/carried/restore", undefined);
      expect(restored.status, restored.text).to.equal(200);
      await equals(to.client, model, ready.sequence);
      await to.server.stop("SIGKILL");
      const again = await begin(threads, to.folder);
      await equals(again.client, model, ready.sequence);
      const next = await again.client.post("/vectors/add", { id: "x", vector: vectorOf(1, 1) });
      expect(next.body.sequence).to.equal(ready.sequence + 1);
    }).timeout(120_000);
  }

  it("are kept once under an id, however many send one at the same time", async () => {
    const { client, server } = await begin(2);
    await client.post("/vectors/batch", { vectors: batchOf(1) });
    const images: Uint8Array[] = [];
    for (const more of [2, 3]) {
      const { id } = (await client.post("/snapshots", undefined)).body;
      await untilReady(client, id);
      images.push(await download(server.port, id));
      await client.post("/vectors/batch", { vectors: batchOf(more) });
    }
    const octets = { "content-type": "application/octet-stream" };
    for (let round = 0; round < 8; round++) {
      const path = `/snapshots/same-${round}`;
      const answers = await Promise.all(
        images.map((image) => server.connect().send("PUT", path, image, octets)),
      );
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses).to.deep.equal([201, 409]);
      const kept = answers.find(({ status }) => status === 201)!.body;
      expect((await client.get(path)).body).to.deep.equal(kept);
    }
  });

  it("are restored as a write: the sequence goes on, and what came later is gone", async () => {
    const { client, server, folder } = await begin(2);
    const put = await client.post("/vectors/batch", { vectors: batchOf(1) });
    expect(put.status, put.text).to.equal(200);
    const made = await client.post("/snapshots", undefined);
    expect(made.status, made.text).to.equal(202);
    const { id, sequence } = await untilReady(client, made.body.id);
    await client.post("/vectors/batch", { vectors: batchOf(2) });
    const later = { id: "later", vector: vectorOf(9, 9) };
    const once = { "idempotency-key": "once" };
    const added = await client.send("POST", "/vectors/add", later, once);
    const restored = await client.post(`/snapshots/${id}/restore`, undefined);
    expect(restored.body).to.deep.include({ sequence: sequence + 3 });
    expect((await client.get("/vectors/later")).status).to.equal(404);
    await server.stop("SIGKILL");
    const again = await begin(2, folder);
    expect((await again.client.get("/stats")).body).to.deep.include({
      vectors: BATCH,
      sequence: sequence + 3,
    });
    // What was carried out stays carried out, though its row went.
    const repeated = await again.client.send("POST", "/vectors/add", later, once);
    expect(repeated.body).to.deep.equal(added.body);
    expect((await again.client.get("/vectors/later")).status).to.equal(404);
    expect((await again.client.send("DELETE", `/snapshots/${id}`)).status).to.equal(200);
    expect((await again.client.get(`/snapshots/${id}`)).status).to.equal(404);
  });

  it("that are damaged or of other dimensions change nothing", async () => {
    const { client, server } = await begin(2);
    const put = await client.post("/vectors/batch", { vectors: batchOf(1) });
    expect(put.status, put.text).to.equal(200);
    const made = await client.post("/snapshots", undefined);
    expect(made.status, made.text).to.equal(202);
    const { id } = await untilReady(client, made.body.id);
    const image = await download(server.port, id);
    // Between sections nothing means anything: a byte that is not 0 belongs to one.
    const place = image.findLastIndex((byte) => byte !== 0);
    image[place]! ^= 1;
    const octets = { "content-type": "application/octet-stream" };
    const bad = await client.send("PUT", "/snapshots/bad", image, octets);
    expect(bad.status, bad.text).to.equal(422);
    expect(bad.body.code).to.equal("INVALID_SNAPSHOT");
    image[place]! ^= 1;
    await client.send("PUT", "/collections/other", { dimensions: 3 });
    const kept = await client.send("PUT", "/collections/other/snapshots/a", image, octets);
    expect(kept.status, kept.text).to.equal(201);
    const refused = await client.post("/collections/other/snapshots/a/restore", undefined);
    expect(refused.status).to.equal(409);
    expect((await client.get("/stats")).body.vectors).to.equal(BATCH);
  });
});

const vectorOf = (round: number, row: number) =>
  Array.from({ length: DIMENSIONS }, (_, d) => Math.fround(Math.sin(round * 7 + row * (d + 1))));

const batchOf = (round: number) =>
  Array.from({ length: BATCH }, (_, row) => ({
    id: `r${(round * 17 + row) % 3000}`,
    vector: vectorOf(round, row),
    metadata: { round },
  }));

/** One writer, so that each write's number says what the state is after it. */
function startWrites(client: Connection) {
  const rows = new Map<string, Kept>();
  const states = new Map<number, Map<string, Kept>>();
  let isOver = false;
  let last = 0;
  const work = async () => {
    for (let round = 1; !isOver; round++) {
      const vectors = batchOf(round);
      const answer = await client.post("/vectors/batch", { vectors });
      expect(answer.status, answer.text).to.equal(200);
      last = answer.body.sequence;
      for (const { id, vector } of vectors) rows.set(id, { vector, version: last });
      states.set(last, new Map(rows));
      if (round % 5 > 0) continue;
      const id = `r${(round * 17 + 3) % 3000}`;
      last = (await client.send("DELETE", `/vectors/${id}`)).body.sequence;
      rows.delete(id);
      states.set(last, new Map(rows));
    }
    return states;
  };
  const working = work();
  return {
    writes: () => last,
    end: () => {
      isOver = true;
      return working;
    },
  };
}

async function untilReady(client: Connection, id: string) {
  for (let waited = 0; waited < 20_000; waited += 20) {
    const { body } = await client.get(`/snapshots/${id}`);
    if (body.status === "ready") return body;
    expect(body.status).to.equal("creating");
    await pause(20);
  }
  throw new Error("the snapshot was never ready");
}

async function download(port: number, id: string): Promise<Uint8Array> {
  const response = await fetch(`http://127.0.0.1:${port}/snapshots/${id}/download`);
  expect(response.status).to.equal(200);
  return new Uint8Array(await response.arrayBuffer());
}

async function equals(client: Connection, model: Map<string, Kept>, sequence: number) {
  const { body: stats } = await client.get("/stats");
  expect(stats).to.deep.include({ vectors: model.size, sequence });
  for (const [id, { vector, version }] of model) {
    const { body } = await client.get(`/vectors/${id}`);
    expect(body).to.deep.include({ id, version });
    expect(body.vector.map(Math.fround)).to.deep.equal(vector);
  }
  for (const [id, { vector }] of [...model].slice(0, 50)) {
    const { body } = await client.post("/search", { vector, k: 1 });
    expect(body.results[0].distance, id).to.be.below(1e-6);
  }
}
