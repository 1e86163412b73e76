/**
 * `npm run bench:beside`: what searches take while rows come in as fast as they can be linked,
 * beside what they take at rest: the engine with its threads in this process, two linkers, and this
 * thread, which writes whenever fewer than TAIL_ROWS wait, and searches between. Writes are not in
 * the times; linkers never rest. Ends with 1 when the p99 is 5 times the idle one, with as many or
 * fewer rows.
 *
 *   node perf/beside.ts [--rows 50000] [--more 400000] [--linkers 2]
 */
import { cpus } from "node:os";
import type { Collection } from "../src/embedded/collection.ts";
import { open } from "../src/embedded/open.ts";
import { pause } from "../test/server.ts";
import { numberOf, readArguments } from "./arguments.ts";
import { clustered } from "./data.ts";
import { rowAt } from "./exact.ts";

const DIMENSIONS = 128;
const QUERIES = 1000;
const K = 10;
const BATCH_ROWS = 500;
/** Linked at the default width: a longer tail is linked in haste. */
const TAIL_ROWS = 3500;
const IDLE_SEARCHES = 5000;
const REST_MS = 5000;
const FACTOR_MAX = 5;

const { values } = readArguments(import.meta.url, {
  rows: { type: "string", default: "50000" },
  more: { type: "string", default: "400000" },
  linkers: { type: "string", default: "2" },
});
const rows = numberOf("rows", values.rows, 1);
const more = numberOf("more", values.more, 1);
const linkers = numberOf("linkers", values.linkers, 1);
const { base, queries } = clustered(rows + more, QUERIES, DIMENSIONS);
const database = await open(undefined, { linkers });
const collection = await database.createCollection("rows", {
  dimensions: DIMENSIONS,
  metric: "l2",
});
let written = 0;
let asked = 0;

async function write(into: Collection): Promise<void> {
  const length = Math.min(BATCH_ROWS, base.count - written);
  await into.batch(
    Array.from({ length }, (_, at) => ({
      ...{ id: `row-${written + at}`, vector: rowAt(base, written + at) },
    })),
  );
  written += length;
}

const tailOf = async () => (await collection.stats()).unindexed;

async function search(): Promise<number> {
  const vector = rowAt(queries, asked++ % QUERIES);
  const begunAt = performance.now();
  await collection.search({ vector, k: K });
  return performance.now() - begunAt;
}

async function rest(): Promise<void> {
  while ((await tailOf()) > 0) await pause(50);
  await pause(REST_MS);
}

/** Milliseconds: p50, p99 and the worst. */
function shown(times: readonly number[]): { readonly p99: number; readonly text: string } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]!;
  const [p50, p99, worst] = [at(0.5), at(0.99), at(1)].map((each) => each.toFixed(3));
  const text = `${times.length} searches, p50 ${p50} ms, p99 ${p99} ms, worst ${worst} ms`;
  return { p99: at(0.99), text };
}

async function idleTimes(): Promise<number[]> {
  const times: number[] = [];
  for (let searches = 0; searches < IDLE_SEARCHES; searches++) {
    times.push(await search());
    if (searches % 10 === 0) await pause(1);
  }
  return times;
}

console.log(
  `generated ${base.count} x ${DIMENSIONS}, l2; ${cpus().length} x ${cpus()[0]?.model}, ` +
    `Node ${process.versions.node}, ${linkers} linkers`,
);
while (written < rows) await write(collection);
await rest();
const before = await idleTimes();
console.log(`at rest, ${rows} rows: ${shown(before).text}`);
const busy: number[] = [];
const begunAt = performance.now();
let waited = 0;
while (written < base.count) {
  const tail = await tailOf();
  if (tail < TAIL_ROWS) await write(collection);
  else waited++;
  busy.push(await search());
}
const seconds = (performance.now() - begunAt) / 1000;
const rate = Math.round(more / seconds).toLocaleString("en-US");
console.log(`while ${rate} rows/s come in (full ${waited} times): ${shown(busy).text}`);
await rest();
const after = await idleTimes();
console.log(`at rest, ${base.count} rows: ${shown(after).text}`);
const idle = Math.min(shown(before).p99, shown(after).p99);
const factor = shown(busy).p99 / idle;
console.log(`p99 ${factor.toFixed(2)} times the idle one, ${FACTOR_MAX} allowed`);
await database.close();
process.exit(factor < FACTOR_MAX ? 0 : 1);
