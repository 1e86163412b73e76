/**
 * What a server costs that nobody asks anything: its CPU over some minutes after 50,000 rows were
 * loaded, half of them replaced, and its linkers have linked, repaired and calibrated. Ends with 1
 * when that is more than one core in a hundred.
 *
 *   node perf/idle.ts [minutes]
 */
import { startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { loadSift } from "./data.ts";
import { rowAt } from "./exact.ts";
import { cpuSecondsOf } from "./process.ts";

const ROWS = 50_000;
const BATCH_ROWS = 2000;
const SHARE_MAX = 0.01;
const LOOK_MS = 500;

const { positionals } = readArguments(import.meta.url, {}, ["minutes"]);
const minutes = Number(positionals[0] ?? "10");
const { base } = loadSift("sift100k");
const server = await startServer({ THREADS: 2 });
const client = server.connect();

async function post(path: string, body: object): Promise<void> {
  const { status, text } = await client.post(path, body);
  if (status !== 200) throw new Error(`${path} was answered ${status}: ${text}`);
}

async function load(first: number, rows: number): Promise<void> {
  for (let at = 0; at < rows; at += BATCH_ROWS) {
    const vectors = Array.from({ length: BATCH_ROWS }, (_, row) => ({
      id: first + at + row,
      vector: Buffer.from(rowAt(base, first + at + row).slice().buffer).toString("base64"),
    }));
    await post("/vectors/batch", { vectors });
  }
}

async function remove(first: number, rows: number): Promise<void> {
  for (let at = 0; at < rows; at += BATCH_ROWS) {
    await post("/vectors/delete", {
      ids: Array.from({ length: BATCH_ROWS }, (_, row) => first + at + row),
    });
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const timed = async (what: string, work: Promise<void>) => {
  const begunAtMs = performance.now();
  await work;
  console.log(`${what} took ${((performance.now() - begunAtMs) / 1000).toFixed(2)} s`);
};

await timed(`loading ${ROWS} rows`, load(0, ROWS));
await timed("deleting half of them", remove(0, ROWS / 2));
await timed("loading as many others, which waits for repairs", load(ROWS, ROWS / 2));
for (;;) {
  const { body } = await client.get("/recall?sample=1");
  if (body.calibration !== null) break;
  await pause(LOOK_MS);
}
// Cold code is thrown away, and what was garbage is collected.
await pause(10_000);
const { body: stats } = await client.get("/stats");
console.log(`${stats.vectors} rows, ${stats.deleted} dead, ${stats.bytes_per_vector} bytes each`);
const before = cpuSecondsOf(server.pid)!;
await pause(minutes * 60_000);
const share = (cpuSecondsOf(server.pid)! - before) / (minutes * 60);
console.log(`${(share * 100).toFixed(3)} % of a core over ${minutes} minutes at rest`);
client.close();
await server.stop();
process.exitCode = share <= SHARE_MAX ? 0 : 1;
