/**
 * `npm run bench:bulk`: how fast linkers at full tilt put sift100k into a graph, by the profile that a
 * long tail gets, and what a second linker adds. All rows are appended, then one linker, or two in one
 * memory, link them until none waits; hnswlib-node builds with efConstruction 128 in between, where it
 * is installed. CPU time is that of the linking threads; their wall time says the same only on a
 * machine with nothing else to do. Recall is of the graph as bulk linking leaves it; a line of its own
 * tells of the second pass, by which idle linkers bring such rows up to the others.
 *
 * --ef and --slack try another profile, --m another number of links, --rounds says how often.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { HASTY, linkSlice } from "../src/engine/linking.ts";
import { reserveMemory } from "../src/engine/memory.ts";
import { formatShard, NO_SLOT, Shard } from "../src/engine/shard.ts";
import type { Variant } from "../src/engine/variant.ts";
import { takeSlot } from "../src/engine/writing.ts";
import { loadEngine } from "../src/threads/engineFiles.ts";
import { numberOf, readArguments } from "./arguments.ts";
import { type Dataset, loadSift, recallOf } from "./data.ts";
import { rowAt } from "./exact.ts";
import { cpuMicrosecondsOf, median } from "./measure.ts";
import { openHnswlib } from "./peers/hnswlib.ts";

const K = 10;
const EFS = [64, 96];
const EF_CONSTRUCTION_RIVAL = 128;
const CANDIDATES = 40;
const EF_CONSTRUCTION = 64;
const SLICE_ROWS = 64;
const THREADS = [1, 2];

interface Profile {
  readonly ef: number;
  readonly slack: number;
}

interface Order extends Profile {
  readonly variant: Variant;
  readonly memory: WebAssembly.Memory;
  readonly worker: number;
  /** One word, 1 when all may begin. */
  readonly start: Int32Array;
}

interface Turn {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** Links until nothing waits; returns the seconds of CPU that took. */
function linkAll(order: Order): number {
  const shard = new Shard(order.variant, order.memory, order.worker);
  parentPort!.postMessage("ready");
  Atomics.wait(order.start, 0, 0);
  const before = process.threadCpuUsage();
  while (shard.tail > 0) {
    shard.engine.linkTail(shard.worker, SLICE_ROWS, order.ef, order.slack, 1);
  }
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1e6;
}

async function build(
  variant: Variant,
  dataset: Dataset,
  m: number,
  threads: number,
  profile: Profile,
): Promise<{ shard: Shard; turn: Turn }> {
  const { base, metric } = dataset;
  const { dimensions, count } = base;
  const memory = reserveMemory();
  const settings = { dimensions, metric, quantization: "sq8", m, workers: 1 + threads } as const;
  formatShard(variant, memory, { ...settings, capacityMax: count });
  const shard = new Shard(variant, memory, 0);
  for (let row = 0; row < count; row++) {
    const slot = takeSlot(shard);
    shard.vector(slot).set(rowAt(base, row));
    shard.engine.publishRow(slot, NO_SLOT, 1);
  }
  // The codes' range is learned and put to use, no row linked.
  while (shard.engine.needsLearning() !== 0 || shard.engine.isReencoding() !== 0) {
    linkSlice(shard, 0, profile.ef);
  }
  const start = new Int32Array(new SharedArrayBuffer(4));
  const linkers = Array.from({ length: threads }, (_, index) => {
    const workerData: Order = { ...profile, variant, memory, worker: 1 + index, start };
    return new Worker(new URL(import.meta.url), { workerData });
  });
  await Promise.all(linkers.map((linker) => once(linker, "message")));
  const began = performance.now();
  Atomics.store(start, 0, 1);
  Atomics.notify(start, 0);
  const spent = await Promise.all(linkers.map((linker) => once(linker, "message")));
  const wallSeconds = (performance.now() - began) / 1000;
  const cpuSeconds = spent.reduce((sum, [seconds]) => sum + Number(seconds), 0);
  return { shard, turn: { cpuSeconds, wallSeconds } };
}

/** The second pass, which linkers take when nothing waits; microseconds of CPU a row. */
function refine(shard: Shard): number {
  const spent = cpuMicrosecondsOf(() => {
    while (shard.engine.refine(shard.worker, SLICE_ROWS, EF_CONSTRUCTION) !== 0);
  });
  return spent / shard.live;
}

function recallAt(shard: Shard, dataset: Dataset, ef: number): number {
  const { queries } = dataset;
  let sum = 0;
  for (let index = 0; index < queries.count; index++) {
    shard.setQuery(rowAt(queries, index));
    const found = Math.min(K, shard.search(ef, CANDIDATES, 1, K));
    const slots = Array.from({ length: found }, (_, place) => shard.resultSlot(place));
    sum += recallOf(dataset, index, slots, K);
  }
  return sum / queries.count;
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    ef: { type: "string", default: String(HASTY.ef) },
    slack: { type: "string", default: String(HASTY.slack) },
    m: { type: "string", default: "16" },
    rounds: { type: "string", default: "3" },
  });
  const profile = { ef: numberOf("ef", values.ef, 1), slack: numberOf("slack", values.slack) };
  const m = numberOf("m", values.m, 2);
  const dataset = loadSift("sift100k");
  const { variant } = loadEngine();
  const { count } = dataset.base;
  console.log(`${dataset.name}, m ${m}, ef ${profile.ef}, slack ${profile.slack}, ${variant.name}`);
  const rival = openHnswlib();
  const ratios: number[] = [];
  const twice: { cpu: number; wall: number }[] = [];
  for (let round = 0; round < numberOf("rounds", values.rounds, 1); round++) {
    const turns: Turn[] = [];
    for (const threads of THREADS) {
      const { shard, turn } = await build(variant, dataset, m, threads, profile);
      turns.push(turn);
      const recalls = EFS.map((ef) => `${recallAt(shard, dataset, ef).toFixed(4)} at ef ${ef}`);
      console.log(
        `${threads} linker${threads > 1 ? "s" : ""}: ${whole(count / turn.cpuSeconds)} vectors/CPU-second, ` +
          `${whole(count / turn.wallSeconds)} vectors/s, recall@${K} ${recalls.join(", ")}`,
      );
    }
    const [one, two] = turns as [Turn, Turn];
    const { shard } = await build(variant, dataset, m, 1, profile);
    const spent = refine(shard);
    const refined = EFS.map((ef) => `${recallAt(shard, dataset, ef).toFixed(4)} at ef ${ef}`);
    console.log(`second pass: ${whole(1e6 / spent)}, recall@${K} ${refined.join(", ")}`);
    const cpu = (2 * one.cpuSeconds) / two.cpuSeconds;
    twice.push({ cpu, wall: one.wallSeconds / two.wallSeconds });
    if (rival !== undefined) {
      const options = { m: 16, efConstruction: EF_CONSTRUCTION_RIVAL, metric: dataset.metric };
      const seconds = cpuMicrosecondsOf(() => rival.build(dataset.base, options)) / 1e6;
      ratios.push(seconds / two.cpuSeconds);
      console.log(
        `${rival.name}, efConstruction ${EF_CONSTRUCTION_RIVAL}: ${whole(count / seconds)}`,
      );
    }
  }
  console.log(
    `two linkers do ${median(twice.map(({ cpu }) => cpu)).toFixed(2)} times the work of one in the same ` +
      `time if both have a core (by CPU), ${median(twice.map(({ wall }) => wall)).toFixed(2)} times as it was`,
  );
  if (ratios.length > 0) {
    console.log(`${median(ratios).toFixed(1)} times hnswlib-node's rows a CPU-second`);
  }
}

if (isMainThread) await main();
else parentPort!.postMessage(linkAll(workerData as Order));
