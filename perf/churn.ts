/**
 * An index after a long life beside a fresh one: ten rounds in each of which half of the rows go and
 * as many others come, at random or whole regions of space at once, while readers search and linkers
 * repair. After each round, when the linkers have nothing left to do: recall, whether rows find
 * themselves, memory, what a delete cost, and the checker. Ends with 1 when a promise is broken.
 *
 *   node perf/churn.ts [random|clustered] [rows] [rounds] [linkers] [readers] [variant] [--json FILE]
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { Worker } from "node:worker_threads";
import { Catalog } from "../src/collections/catalog.ts";
import type { Collection } from "../src/collections/collection.ts";
import type { CollectionSettings } from "../src/collections/database.ts";
import { isSettled } from "../src/engine/linking.ts";
import { chooseVariant, SHARED_VARIANTS, type VariantName } from "../src/engine/variant.ts";
import { encodePut, encodeRemove } from "../src/storage/frame.ts";
import { readVariant } from "../src/threads/engineFiles.ts";
import { linkRound } from "../src/threads/linking.ts";
import { threadOf } from "../src/threads/messages.ts";
import { Room } from "../src/threads/room.ts";
import { Writer } from "../src/threads/writer.ts";
import { readArguments } from "./arguments.ts";
import { type ChurnOrder, READ, STOP } from "./churnOrder.ts";
import { loadSift } from "./data.ts";
import { distance, rowAt } from "./exact.ts";
import { type Random, seededRandom } from "./random.ts";

const K = 10;
const BATCH_ROWS = 500;
const QUERIES = 500;
const SELVES = 5000;
const REGIONS = 200;
const RECALL_LOSS_MAX = 0.005;
const SELF_MIN = 0.999;
const MEMORY_MAX = 1.1;
/** Writes wait while more dead rows than this wait for repair, as the server's do. */
const LOOK_MS = 2;

/** What is found after each round; the first is before any. */
export interface ChurnData {
  readonly about: object;
  readonly rounds: readonly ChurnRound[];
  readonly searchesMeanwhile: number;
  readonly isKept: boolean;
}

interface ChurnRound {
  readonly round: number;
  /** Recall@10 and distances a search of the old index, and of a fresh one of the same rows. */
  readonly recall: number;
  readonly freshRecall: number;
  readonly distances: number;
  readonly freshDistances: number;
  /** The share of sampled rows that find themselves first. */
  readonly selves: number;
  /** Over the fresh one's. */
  readonly memory: number;
  /** CPU of writer and linkers for a row, until nothing waits. */
  readonly deleteMicroseconds: number;
  readonly insertMicroseconds: number;
  /** The checker's word. */
  readonly fault: string | null;
}

const { positionals, values: options } = readArguments(
  import.meta.url,
  { json: { type: "string" } },
  [...["random|clustered", "rows", "rounds", "linkers", "readers", "variant"]],
);
const [kind = "random", rowsText = "50000", roundsText = "10", ...rest] = positionals;
const [linkersText = "2", readersText = "4", variantName] = rest;
const rowCount = Number(rowsText);
const rounds = Number(roundsText);
const linkers = Number(linkersText);
const readers = Number(readersText);

const names = variantName ? [variantName as VariantName] : SHARED_VARIANTS;
const variant = chooseVariant(names, readVariant);
const dataset = loadSift("sift100k");
const { dimensions } = dataset.base;
const settings: CollectionSettings = {
  ...{ dimensions, metric: "l2", quantization: "sq8", m: 16, efConstruction: 64, efSearch: 96 },
};

/** A collection with its threads; row r of the dataset has the id r. */
class Herd {
  readonly catalog = new Catalog(threadOf(variant, 0));
  readonly signals = new Int32Array(new SharedArrayBuffer(8));
  readonly cpu = new Float64Array(new SharedArrayBuffer(8 * (1 + linkers + readers)));
  readonly live = new Set<number>();
  readonly #threads: Worker[] = [];
  readonly #writer: Writer;

  constructor() {
    const { catalog } = this;
    const announce = async () => {};
    const workers = 1 + linkers + readers;
    const room = new Room({ catalog, workers, shardRows: 4 * rowCount, announce });
    this.#writer = new Writer({ catalog, room, announce, ring: () => {} });
  }

  async open(readerCount: number): Promise<void> {
    await this.#writer.handle({ kind: "create", name: "herd", settings });
    for (let worker = 1; worker <= linkers + readerCount; worker++) {
      const workerData: ChurnOrder = {
        ...{ role: worker <= linkers ? "linker" : "reader", variant, worker },
        ...{ parts: this.collection.memories, signals: this.signals.buffer, cpu: this.cpu.buffer },
      };
      const thread = new Worker(new URL("./churnWorker.ts", import.meta.url), { workerData });
      thread.on("error", (error) => {
        console.error(error);
        process.exit(1);
      });
      this.#threads.push(thread);
    }
  }

  get collection(): Collection {
    return this.catalog.get("herd")!;
  }

  /** CPU microseconds of writer and linkers. */
  get worked(): number {
    const { user, system } = process.threadCpuUsage();
    return user + system + this.cpu.subarray(1, 1 + linkers).reduce((sum, time) => sum + time, 0);
  }

  async put(rows: readonly number[]): Promise<void> {
    for (let at = 0; at < rows.length; at += BATCH_ROWS) {
      await this.#wait(() => this.collection.repairBacklog > 0 || this.collection.backlog > 20_000);
      const batch = rows.slice(at, at + BATCH_ROWS);
      const vectors = new Float32Array(batch.length * dimensions);
      for (const [place, row] of batch.entries()) {
        vectors.set(rowAt(dataset.base, row), place * dimensions);
        this.live.add(row);
      }
      const ids = batch.map(String);
      const frame = encodePut({ ids, vectors, dimensions, metadata: ids.map(() => undefined) });
      await this.#writer.handle({ kind: "write", name: "herd", frame, mode: "upsert" });
    }
  }

  async remove(rows: readonly number[]): Promise<void> {
    for (let at = 0; at < rows.length; at += BATCH_ROWS) {
      const batch = rows.slice(at, at + BATCH_ROWS);
      for (const row of batch) this.live.delete(row);
      const frame = encodeRemove(batch.map(String));
      await this.#writer.handle({ kind: "write", name: "herd", frame, mode: "upsert" });
    }
  }

  /** Until nothing waits to be linked or repaired. */
  async settle(): Promise<void> {
    await this.#wait(() => {
      if (linkers === 0) while (linkRound(this.catalog, 64) === "busy");
      return !this.collection.parts.every(({ shard }) => isSettled(shard));
    });
  }

  async #wait(isHeld: () => boolean): Promise<void> {
    while (isHeld()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }

  read(isReading: boolean): void {
    Atomics.store(this.signals, READ, isReading ? 1 : 0);
    Atomics.notify(this.signals, READ);
  }

  async close(): Promise<number> {
    Atomics.store(this.signals, STOP, 1);
    const ended = this.#threads.map((thread) => once(thread, "message"));
    const counts = (await Promise.all(ended)).map(([count]) => Number(count));
    return counts.reduce((sum, count) => sum + count, 0);
  }
}

async function recallOf(collection: Collection): Promise<{ recall: number; distances: number }> {
  let found = 0;
  let distances = 0;
  for (let index = 0; index < QUERIES; index++) {
    const query = {
      ...{ vector: rowAt(dataset.queries, index), k: K },
      ...{ includeMetadata: false, includeVector: false },
    };
    const { hits } = await collection.search({ ...query, exact: true });
    const bar = hits.at(-1)!.distance;
    const walked = await collection.search({ ...query, exact: false });
    found += walked.hits.filter((hit) => hit.distance <= bar).length;
    distances += walked.explanation.distancesComputed;
  }
  return { recall: found / (K * QUERIES), distances: distances / QUERIES };
}

/** The share of sampled live rows that a search for their own vector finds first. */
async function selvesOf(herd: Herd, random: Random): Promise<number> {
  const rows = [...herd.live];
  let found = 0;
  const count = Math.min(SELVES, rows.length);
  for (let index = 0; index < count; index++) {
    const row = rows[random.integer(rows.length)]!;
    const { hits } = await herd.collection.search({
      ...{ vector: rowAt(dataset.base, row), k: 1, exact: false },
      ...{ includeMetadata: false, includeVector: false },
    });
    if (hits[0]?.distance === 0) found++;
  }
  return found / count;
}

/** Half of the living: drawn at random, or region by region. */
function drawLeaving(herd: Herd, random: Random): number[] {
  const rows = shuffle([...herd.live], random);
  const count = rows.length >> 1;
  if (kind === "random") return rows.slice(0, count);
  const centres = rows.slice(0, REGIONS).map((row) => rowAt(dataset.base, row));
  const regions: number[][] = centres.map(() => []);
  for (const row of rows) {
    const vector = rowAt(dataset.base, row);
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const [index, centre] of centres.entries()) {
      const away = distance("l2", vector, centre);
      if (away < least) [best, least] = [index, away];
    }
    regions[best]!.push(row);
  }
  return regions.flat().slice(0, count);
}

function shuffle(rows: number[], random: Random): number[] {
  for (let at = rows.length - 1; at > 0; at--) {
    const other = random.integer(at + 1);
    [rows[at], rows[other]] = [rows[other]!, rows[at]!];
  }
  return rows;
}

function cellsOf(one: ChurnRound): string[] {
  return [
    String(one.round).padStart(5),
    one.recall.toFixed(4),
    one.freshRecall.toFixed(4),
    Math.round(one.distances).toString().padStart(9),
    Math.round(one.freshDistances).toString().padStart(6),
    `${(one.selves * 100).toFixed(2)}%`,
    one.memory.toFixed(3).padStart(7),
    one.deleteMicroseconds.toFixed(1).padStart(9),
    one.insertMicroseconds.toFixed(1).padStart(9),
    one.fault ?? "ok",
  ];
}

async function freshOf(rows: readonly number[]): Promise<Herd> {
  const herd = new Herd();
  await herd.open(0);
  await herd.put(rows);
  await herd.settle();
  return herd;
}

const random = seededRandom(7);
const all = shuffle(
  Array.from({ length: dataset.base.count }, (_, row) => row),
  random,
);
console.log(
  `${dataset.name}: ${rowCount} rows, ${kind} deletes, ${linkers} linkers, ${readers} readers, ${variant.name}`,
);
console.log(
  "round  recall  fresh   distances  fresh  selves   memory  delete us  insert us  checker",
);
const herd = new Herd();
await herd.open(readers);
await herd.put(all.slice(0, rowCount));
await herd.settle();
let isKept = true;
const found: ChurnRound[] = [];
for (let round = 0; round <= rounds; round++) {
  let deleteMicroseconds = 0;
  let insertMicroseconds = 0;
  if (round > 0) {
    herd.read(true);
    const leaving = drawLeaving(herd, random);
    const absent = shuffle(
      all.filter((row) => !herd.live.has(row)),
      random,
    );
    const coming = absent.slice(0, leaving.length);
    let before = herd.worked;
    await herd.remove(leaving);
    await herd.settle();
    deleteMicroseconds = (herd.worked - before) / leaving.length;
    before = herd.worked;
    await herd.put(coming);
    await herd.settle();
    insertMicroseconds = (herd.worked - before) / coming.length;
    herd.read(false);
  }
  const fresh = await freshOf(shuffle([...herd.live], random));
  const [old, young] = [await recallOf(herd.collection), await recallOf(fresh.collection)];
  const selves = await selvesOf(herd, random);
  const memory = herd.collection.stats().memoryBytes / fresh.collection.stats().memoryBytes;
  const fault = herd.collection.parts.map(({ shard }) => shard.check()).find(Boolean);
  found.push({
    round,
    ...{ recall: old.recall, freshRecall: young.recall },
    ...{ distances: old.distances, freshDistances: young.distances },
    ...{ selves, memory, deleteMicroseconds, insertMicroseconds },
    fault: fault ? `${fault.fault} (${fault.value})` : null,
  });
  console.log(cellsOf(found.at(-1)!).join("  "));
  isKept &&= old.recall >= young.recall - RECALL_LOSS_MAX && selves >= SELF_MIN;
  isKept &&= memory <= MEMORY_MAX && fault === undefined;
  await fresh.close();
}
const searchesMeanwhile = await herd.close();
console.log(`${searchesMeanwhile} searches ran meanwhile`);
console.log(isKept ? "all promises kept" : "a promise is broken");
if (options.json !== undefined) {
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  const about = {
    ...{ machine, data: dataset.name, rows: rowCount, deletes: kind, linkers, readers },
    ...{ variant: variant.name },
  };
  const data: ChurnData = { about, rounds: found, searchesMeanwhile, isKept };
  writeFileSync(options.json, `${JSON.stringify(data, undefined, 2)}\n`);
}
process.exitCode = isKept ? 0 : 1;
