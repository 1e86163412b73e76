/** Recall over HTTP, from a real server whose linkers measure it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { generate } from "../perf/data.ts";
import { rowAt } from "../perf/exact.ts";
import { type Connection, type Server, startServer } from "./server.ts";

const ROWS = 10_000;
const DIMENSIONS = 32;
const BATCH_ROWS = 1000;
const POLLS_MAX = 600;
const POLL_MS = 50;

describe("recall over http", () => {
  const { base, queries } = generate({
    ...{ rows: ROWS, dimensions: DIMENSIONS, metric: "l2", queries: 10, truthWidth: 1 },
  });
  let server: Server;
  let client: Connection;

  before(async function () {
    this.timeout(60_000);
    server = await startServer({ THREADS: 2 });
    client = server.connect();
    for (let first = 0; first < ROWS; first += BATCH_ROWS) {
      const vectors = Array.from({ length: BATCH_ROWS }, (_, at) => ({
        id: first + at,
        vector: [...rowAt(base, first + at)],
      }));
      expect((await client.post("/vectors/batch", { vectors })).status).to.equal(200);
    }
  });
  after(async () => {
    client?.close();
    await server?.stop();
  });

  it("is measured by the linkers, and every listener knows it", async () => {
    let body: { calibration: object | null } | undefined;
    for (let poll = 0; poll < POLLS_MAX && !body?.calibration; poll++) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      ({ body } = await client.get("/recall?sample=1"));
    }
    expect(body?.calibration).to.include({ rows: ROWS });
    const others = Array.from({ length: 6 }, () => server.connect());
    for (const other of others) {
      const { status, body: told } = await other.get("/collections/default/recall?sample=5&k=20");
      expect(status).to.equal(200);
      expect(told).to.include({ sample: 5, k: 20 });
      expect(told.calibration).to.include({ rows: ROWS });
      expect(
        told.targets.map((each: { recall_target: number }) => each.recall_target),
      ).to.deep.equal([0.9, 0.95, 0.99]);
      expect(told.curve[0]).to.have.all.keys("ef", "recall", "at_least", "distances", "p50_ms");
      other.close();
    }
  }).timeout(60_000);

  it("can be asked for in a search, which explains what it gave", async () => {
    const vector = [...rowAt(queries, 0)];
    const search = { vector, recall_target: 0.95, explain: true };
    const { status, body } = await client.post("/search", search);
    expect(status).to.equal(200);
    expect(body.results).to.have.length(10);
    expect(body.explain.strategy).to.equal("graph");
    expect(body.explain.recall).to.include({ target: 0.95 });
    expect(body.explain.recall.at_least).to.be.above(0.9);
    const octets = Buffer.from(rowAt(queries, 0).slice().buffer);
    const headers = { "content-type": "application/octet-stream" };
    const path = "/search?recall_target=1&explain=true";
    const exact = await client.send("POST", path, octets, headers);
    expect(exact.body.explain).to.include({ strategy: "exact", distances_computed: ROWS });
  });

  it("is refused beside an ef, outside of 0 to 1, and of too large a sample", async () => {
    const vector = [...rowAt(queries, 0)];
    const both = await client.post("/search", { vector, ef: 50, recall_target: 0.9 });
    expect(both.status).to.equal(400);
    expect(both.body.errors[0].pointer).to.equal("/recall_target");
    for (const recall_target of [0, 1.01, "0.9"]) {
      const { status, body } = await client.post("/search", { vector, recall_target });
      expect(status).to.equal(400);
      expect(body.errors[0].pointer).to.equal("/recall_target");
    }
    for (const query of ["sample=1001", "sample=0", "k=101", "k=x", "rows=3"]) {
      expect((await client.get(`/recall?${query}`)).status, query).to.equal(400);
    }
    expect((await client.get("/collections/none/recall")).status).to.equal(404);
  });

  it("of a collection without rows has nothing to show", async () => {
    const settings = { dimensions: 4 };
    expect((await client.send("PUT", "/collections/empty", settings)).status).to.equal(201);
    const { status, body } = await client.get("/collections/empty/recall");
    expect(status).to.equal(200);
    expect(body).to.deep.include({ sample: 0, curve: [], calibration: null });
  });
});

describe("recall of a server on a data path", () => {
  it("is told after a restart by the curves that were measured before", async () => {
    const path = await mkdtemp(join(tmpdir(), "omendb-recall-"));
    const { base } = generate({
      ...{ rows: ROWS, dimensions: DIMENSIONS, metric: "l2", queries: 1, truthWidth: 1 },
    });
    let server = await startServer({ PATH: path, THREADS: 1 });
    try {
      let client = server.connect();
      for (let first = 0; first < ROWS; first += BATCH_ROWS) {
        const vectors = Array.from({ length: BATCH_ROWS }, (_, at) => ({
          id: first + at,
          vector: [...rowAt(base, first + at)],
        }));
        expect((await client.post("/vectors/batch", { vectors })).status).to.equal(200);
      }
      let measured: { sample: number; age_seconds: number } | undefined;
      for (let poll = 0; poll < POLLS_MAX && !measured; poll++) {
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        measured = (await client.get("/recall?sample=1")).body.calibration ?? undefined;
      }
      const targets = (await client.get("/recall?sample=1")).body.targets;
      expect(await server.stop()).to.equal(0);
      server = await startServer({ PATH: path, THREADS: 1 });
      client = server.connect();
      const { body } = await client.get("/recall?sample=1");
      expect(body.calibration).to.include({ rows: ROWS, sample: measured!.sample });
      expect(body.calibration.age_seconds).to.be.above(measured!.age_seconds);
      expect(body.targets).to.deep.equal(targets);
      client.close();
    } finally {
      await server.stop("SIGKILL");
      await rm(path, { recursive: true });
    }
  }).timeout(90_000);
});
