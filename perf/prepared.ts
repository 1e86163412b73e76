/**
 * What a scenario needs before its clock starts: queries with the distances of their exact k-th rows,
 * request bodies as files, and the rows in the server.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Field,
  FixedSizeList,
  Float32,
  makeData,
  Table,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { type Connection, pause, type Server } from "../test/server.ts";
import { type Dataset, loadSift } from "./data.ts";
import { distance, exactNeighbours, type Rows, rowAt } from "./exact.ts";
import { BATCH_ROWS, K, KEY, type Prepared, type Scenario, SHELVES } from "./scenarios.ts";

const LOADERS = 4;
const POLL_MS = 20;

export type BodyKind = "json" | "base64" | "ndjson" | "arrow";

/** Writes what the script opens into the folder; answers the path of the JSON file. */
export async function prepareRun(scenario: Scenario, folder: string): Promise<string> {
  const dataset = loadSift(scenario.data);
  const { workload } = scenario;
  const prepared: Prepared = {
    dimensions: dataset.base.dimensions,
    queries: queriesOf(dataset, workload.kind === "search" && workload.filtered === true),
    bodies: workload.kind === "ingest" ? writeBodies(dataset.base, workload.body, folder) : [],
  };
  const path = join(folder, "prepared.json");
  writeFileSync(path, JSON.stringify(prepared));
  return path;
}

function queriesOf(dataset: Dataset, isFiltered: boolean): Prepared["queries"] {
  const { base, queries, truth, truthWidth, metric } = dataset;
  const shelves = isFiltered
    ? Array.from({ length: SHELVES }, (_, shelf) => shelfOf(base, shelf))
    : [];
  return Array.from({ length: queries.count }, (_, query) => {
    const vector = rowAt(queries, query);
    const kth = (rows: Rows, row: number) => Math.sqrt(distance(metric, vector, rowAt(rows, row)));
    const shelf = shelves[query % SHELVES];
    const one: Rows = { values: vector, count: 1, dimensions: queries.dimensions };
    return {
      vector: Array.from(vector),
      bound: kth(base, truth[query * truthWidth + K - 1]!),
      shelfBound: shelf ? kth(shelf, exactNeighbours(shelf, one, K, metric)[K - 1]!) : 0,
    };
  });
}

function shelfOf({ values, count, dimensions }: Rows, shelf: number): Rows {
  const rows = Math.ceil((count - shelf) / SHELVES);
  const own = new Float32Array(rows * dimensions);
  for (let row = 0; row < rows; row++) {
    const start = (row * SHELVES + shelf) * dimensions;
    own.set(values.subarray(start, start + dimensions), row * dimensions);
  }
  return { values: own, count: rows, dimensions };
}

function writeBodies(base: Rows, kind: BodyKind, folder: string): Prepared["bodies"] {
  const bodies: { file: string; rows: number }[] = [];
  for (let start = 0; start < base.count; start += BATCH_ROWS) {
    const rows = Math.min(BATCH_ROWS, base.count - start);
    const file = join(folder, `batch-${bodies.length}`);
    writeFileSync(file, batchBody(base, start, rows, kind));
    bodies.push({ file, rows });
  }
  return bodies;
}

/** The rows start .. start + count as the body of a batch. */
export function batchBody(base: Rows, start: number, count: number, kind: BodyKind): Uint8Array {
  if (kind === "arrow") return arrowBody(base, start, count);
  const vectors = Array.from({ length: count }, (_, index) => {
    const row = start + index;
    const vector = rowAt(base, row);
    const text = () => Buffer.from(vector.slice().buffer).toString("base64");
    const sent = kind === "base64" ? text() : Array.from(vector);
    return { id: String(row), vector: sent, metadata: { shelf: row % SHELVES } };
  });
  if (kind === "ndjson") return Buffer.from(vectors.map((row) => JSON.stringify(row)).join("\n"));
  return Buffer.from(JSON.stringify({ vectors }));
}

function arrowBody({ values, dimensions }: Rows, start: number, count: number): Uint8Array {
  const data = values.slice(start * dimensions, (start + count) * dimensions);
  const child = makeData({ type: new Float32(), data });
  const type = new FixedSizeList(dimensions, new Field("item", new Float32(), false));
  const list = makeData({ type, length: count, nullCount: 0, child });
  const rows = Array.from({ length: count }, (_, index) => start + index);
  const texts = (textOf: (row: number) => string) => vectorFromArray(rows.map(textOf), new Utf8());
  const metadata = texts((row) => JSON.stringify({ shelf: row % SHELVES }));
  return tableToIPC(new Table({ id: texts(String), vector: new Vector([list]), metadata }));
}

/** Writes all rows and waits until they are in the graph. */
export async function fill(server: Server, { data }: Scenario): Promise<void> {
  const { base } = loadSift(data);
  let next = 0;
  const work = async (connection: Connection) => {
    for (let start = next; start < base.count; start = next) {
      next += BATCH_ROWS;
      const body = batchBody(base, start, Math.min(BATCH_ROWS, base.count - start), "json");
      await insist(connection, body);
    }
    connection.close();
  };
  const connect = () => server.connect({ "x-api-key": KEY });
  await Promise.all(Array.from({ length: LOADERS }, () => work(connect())));
  const probe = connect();
  while ((await probe.get("/stats")).body.unindexed > 0) await pause(POLL_MS);
  probe.close();
}

/** A server that limits its rate is asked again after the time that it names. */
async function insist(connection: Connection, body: Uint8Array): Promise<void> {
  for (;;) {
    const { status, text, headers } = await connection.post("/vectors/batch", body);
    if (status === 200) return;
    if (status !== 429 && status !== 503) throw new Error(`loading: ${status}: ${text}`);
    await pause(Number(headers["retry-after"] ?? 1) * 1000);
  }
}
