/**
 * The main job, seen from outside: a real server is started on a free port, 100,000 vectors go in
 * through POST /vectors/batch, 1,000 queries through POST /search, and what came of it is printed
 * beside what the seed of this project claims. Ends with 1 when a promise is not kept.
 */
import { cpus } from "node:os";
import { type Connection, ok, pause, type Server, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { type Dataset, loadSift, recallOf } from "./data.ts";
import { type Rows, rowAt } from "./exact.ts";
import { cpuSecondsOf, residentBytesOf } from "./process.ts";
import { startProgress } from "./progress.ts";
import { seededRandom } from "./random.ts";

const BATCH_ROWS = 1000;
const LOADERS = 4;
const SAMPLED_ROWS = 1000;
const K = 10;
const CLIENTS = 8;
const RECALL_MIN = 0.95;
const BYTES_PER_VECTOR_MAX = 900;
const POLL_MS = 20;

interface Loaded {
  readonly acknowledgedSeconds: number;
  readonly indexedSeconds: number;
  readonly foundFirst: number;
}

interface Searched {
  readonly recall: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMicroseconds: number | undefined;
}

async function main(): Promise<void> {
  readArguments(import.meta.url, {});
  const dataset = loadSift("sift100k");
  const server = await startServer({ LOG_LEVEL: "warn" });
  process.once("SIGINT", () => server.stop().then(() => process.exit(130)));
  try {
    const loaded = await load(server, dataset);
    const queries = bodiesOf(dataset.queries);
    await search(server, dataset, queries, 1);
    const one = await search(server, dataset, queries, 1);
    const many = await search(server, dataset, queries, CLIENTS);
    const stats = await getStats(server);
    const resident = residentBytesOf(server.pid);
    report(dataset, stats, resident, loaded, one, many);
  } finally {
    const code = await server.stop();
    console.log(`\nThe server was asked to stop and ended with ${code}.`);
    if (code !== 0) process.exitCode = 1;
  }
}

/** The bodies are made before the clock starts: it is the server that is measured. */
async function load(server: Server, { base }: Dataset): Promise<Loaded> {
  const bodies = batchesOf(base);
  const samples = sampleRows(base.count, bodies.length);
  const connections = Array.from({ length: LOADERS }, () => server.connect());
  const probe = server.connect();
  const progress = startProgress("loading", base.count);
  const start = performance.now();
  let next = 0;
  let done = 0;
  let foundFirst = 0;
  const work = async (connection: Connection) => {
    while (next < bodies.length) {
      const batch = next++;
      await ok(connection.post("/vectors/batch", bodies[batch]!));
      done += Math.min(BATCH_ROWS, base.count - batch * BATCH_ROWS);
      progress.update(done);
      for (const row of samples[batch]!) if (await isFoundFirst(probe, base, row)) foundFirst++;
    }
  };
  await Promise.all(connections.map(work));
  progress.end();
  const acknowledgedSeconds = (performance.now() - start) / 1000;
  while ((await getStats(server)).unindexed > 0) await pause(POLL_MS);
  const indexedSeconds = (performance.now() - start) / 1000;
  for (const connection of [...connections, probe]) connection.close();
  return { acknowledgedSeconds, indexedSeconds, foundFirst };
}

function batchesOf(base: Rows): Buffer[] {
  const batches: Buffer[] = [];
  for (let start = 0; start < base.count; start += BATCH_ROWS) {
    const length = Math.min(BATCH_ROWS, base.count - start);
    const vectors = Array.from({ length }, (_, index) => ({
      id: String(start + index),
      vector: Array.from(rowAt(base, start + index)),
    }));
    batches.push(Buffer.from(JSON.stringify({ vectors })));
  }
  return batches;
}

/** The same number of rows of each batch, drawn without repetition. */
function sampleRows(rows: number, batches: number): number[][] {
  const random = seededRandom(1);
  const each = Math.ceil(SAMPLED_ROWS / batches);
  return Array.from({ length: batches }, (_, batch) => {
    const start = batch * BATCH_ROWS;
    const count = Math.min(BATCH_ROWS, rows - start);
    const drawn = new Set<number>();
    while (drawn.size < Math.min(each, count)) drawn.add(start + random.integer(count));
    return [...drawn];
  });
}

/** A row that is equal to it may stand before it. */
async function isFoundFirst(probe: Connection, base: Rows, row: number): Promise<boolean> {
  const { results } = await ok(probe.post("/search", { vector: [...rowAt(base, row)], k: 1 }));
  return results[0]?.id === String(row) || results[0]?.distance === 0;
}

function bodiesOf(queries: Rows): Buffer[] {
  return Array.from({ length: queries.count }, (_, query) =>
    Buffer.from(JSON.stringify({ vector: Array.from(rowAt(queries, query)), k: K })),
  );
}

async function search(server: Server, dataset: Dataset, bodies: Buffer[], clients: number) {
  const connections = Array.from({ length: clients }, () => server.connect());
  await Promise.all(connections.map((connection) => connection.get("/livez")));
  const latencies: number[] = [];
  const hits: number[][] = [];
  let next = 0;
  const work = async (connection: Connection) => {
    while (next < bodies.length) {
      const query = next++;
      const start = performance.now();
      const { results } = await ok(connection.post("/search", bodies[query]!));
      latencies.push(performance.now() - start);
      hits[query] = results.map(({ id }: { id: string }) => Number(id));
    }
  };
  const cpuBefore = cpuSecondsOf(server.pid);
  const start = performance.now();
  await Promise.all(connections.map(work));
  const seconds = (performance.now() - start) / 1000;
  const cpuAfter = cpuSecondsOf(server.pid);
  for (const connection of connections) connection.close();
  latencies.sort((a, b) => a - b);
  const recalls = hits.map((rows, query) => recallOf(dataset, query, rows, K));
  return {
    recall: recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length,
    perSecond: bodies.length / seconds,
    p50Ms: latencies[Math.floor(latencies.length * 0.5)]!,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)]!,
    cpuMicroseconds:
      cpuBefore === undefined || cpuAfter === undefined
        ? undefined
        : ((cpuAfter - cpuBefore) * 1e6) / bodies.length,
  };
}

interface Stats {
  readonly vectors: number;
  readonly unindexed: number;
  readonly memory_bytes: number;
  readonly wasm_variant: string;
  readonly threads: number;
}

async function getStats(server: Server): Promise<Stats> {
  const connection = server.connect();
  const stats = await ok(connection.get("/stats"));
  connection.close();
  return stats;
}

function report(
  { name, base }: Dataset,
  stats: Stats,
  resident: number | undefined,
  loaded: Loaded,
  one: Searched,
  many: Searched,
): void {
  const bytesPerVector = stats.memory_bytes / stats.vectors;
  const acknowledged = base.count / loaded.acknowledgedSeconds;
  const indexed = base.count / loaded.indexedSeconds;
  const sampled = Math.min(SAMPLED_ROWS, base.count);
  const variant = `wasm ${stats.wasm_variant}, ${stats.threads} listeners`;
  console.log(`
${name}: ${base.count} x ${base.dimensions}, k ${K}, default settings
${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}, ${variant}

recall@${K} against the exact truth   ${one.recall.toFixed(4)}
found first after its batch      ${loaded.foundFirst} of ${sampled} sampled rows
acknowledged                     ${whole(acknowledged)} vectors/s, the sampled searches included
fully indexed                    ${whole(indexed)} vectors/s
${searchLine("1 client ", one)}
${searchLine(`${CLIENTS} clients`, many)}
bytes a vector                   ${whole(bytesPerVector)} (memory_bytes / vectors)
resident memory of the process   ${megabytes(resident)}

| claim of the seed          | claimed      | this run |
|----------------------------|--------------|----------|
| insert, vectors/s          | 97,000       | ${whole(acknowledged)} (${whole(indexed)} indexed) |
| search at 100K vectors, ms | 1-2          | ${one.p50Ms.toFixed(2)} p50, ${one.p99Ms.toFixed(2)} p99 |
| bytes a vector             | about 4,000  | ${whole(bytesPerVector)} |`);
  expectThat(one.recall >= RECALL_MIN, `recall@${K} is below ${RECALL_MIN}`);
  expectThat(loaded.foundFirst === sampled, "a sampled row was not found first");
  expectThat(bytesPerVector <= BYTES_PER_VECTOR_MAX, `over ${BYTES_PER_VECTOR_MAX} bytes a vector`);
}

function searchLine(clients: string, searched: Searched): string {
  const { p50Ms, p99Ms, perSecond, cpuMicroseconds } = searched;
  const cpu = cpuMicroseconds === undefined ? "CPU not known" : `${whole(cpuMicroseconds)} us CPU`;
  const times = `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
  return `search, ${clients}                ${times}, ${whole(perSecond)}/s, ${cpu} a search`;
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");
const megabytes = (bytes: number | undefined) =>
  bytes === undefined ? "not known" : `${whole(bytes / 1024 / 1024)} MiB`;

function expectThat(isKept: boolean, broken: string): void {
  if (isKept) return;
  console.log(`NOT KEPT: ${broken}`);
  process.exitCode = 1;
}

await main();
