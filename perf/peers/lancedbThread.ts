/** The thread that LanceDB lives in; see lancedb.ts. */
import { createRequire } from "node:module";
import { type MessagePort, workerData } from "node:worker_threads";
import { type Metric, type Rows, rowAt } from "../exact.ts";

export interface LancedbOrder {
  readonly build?: {
    readonly base: Rows;
    readonly m: number;
    readonly efConstruction: number;
    readonly metric: Metric;
  };
  readonly search?: { readonly query: Float32Array; readonly k: number; readonly ef: number };
}

export interface LancedbAnswer {
  readonly rows: readonly number[];
  readonly error?: string;
}

interface Query {
  limit(k: number): Query;
  ef(ef: number): Query;
  refineFactor(factor: number): Query;
  select(columns: readonly string[]): Query;
  toArray(): Promise<readonly { id: number }[]>;
}

interface Table {
  createIndex(column: string, options: object): Promise<void>;
  vectorSearch(query: Float32Array): Query;
}

interface Lancedb {
  readonly Index: { hnswSq(options: object): object };
  connect(path: string): Promise<{
    createTable(name: string, rows: readonly object[], options: object): Promise<Table>;
  }>;
}

/** Candidates measured again on float32, for one that is wanted. */
const REFINE_FACTOR = 2;

const { port, answered, folder } = workerData as {
  port: MessagePort;
  answered: Int32Array;
  folder: string;
};
const lancedb = createRequire(import.meta.url)("@lancedb/lancedb") as Lancedb;
let table: Table;

async function build({ base, m, efConstruction, metric }: NonNullable<LancedbOrder["build"]>) {
  const connection = await lancedb.connect(folder);
  const rows = Array.from({ length: base.count }, (_, id) => ({
    ...{ id, vector: Array.from(rowAt(base, id)) },
  }));
  table = await connection.createTable("rows", rows, { mode: "overwrite" });
  const options = { distanceType: metric, numPartitions: 1, m, efConstruction };
  await table.createIndex("vector", { config: lancedb.Index.hnswSq(options) });
}

async function search({ query, k, ef }: NonNullable<LancedbOrder["search"]>) {
  // It refuses to walk for fewer than it is to measure again.
  const width = Math.max(ef, k * REFINE_FACTOR);
  const asked = table.vectorSearch(query).limit(k).ef(width).refineFactor(REFINE_FACTOR);
  return (await asked.select(["id", "_distance"]).toArray()).map(({ id }) => Number(id));
}

async function answer(order: LancedbOrder): Promise<LancedbAnswer> {
  try {
    if (order.build !== undefined) await build(order.build);
    return { rows: order.search === undefined ? [] : await search(order.search) };
  } catch (error) {
    return { rows: [], error: (error as Error).message };
  }
}

port.on("message", async (order: LancedbOrder) => {
  const message = await answer(order);
  port.postMessage(message);
  Atomics.store(answered, 0, 1);
  Atomics.notify(answered, 0);
});
