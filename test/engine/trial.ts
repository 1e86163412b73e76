/**
 * What the engine's suites share: every variant, small shards over small memories, rows appended as
 * the writer would and linked as a linker would, and the plain answers that the engine's are held
 * against.
 */
import { type Dataset, generate, loadSift, recallOf } from "../../perf/data.ts";
import { type Metric, type Rows, rowAt } from "../../perf/exact.ts";
import { seedFromEnvironment } from "../../perf/random.ts";
import { isSettled, linkSlice, tend } from "../../src/engine/linking.ts";
import { reserveMemory } from "../../src/engine/memory.ts";
import { formatShard, NO_SLOT, Shard } from "../../src/engine/shard.ts";
import {
  compileVariant,
  VARIANTS,
  type Variant,
  type VariantName,
} from "../../src/engine/variant.ts";
import { stagedVector, takeSlot } from "../../src/engine/writing.ts";
import { readVariant } from "../../src/threads/engineFiles.ts";

/** Of every random test here; the suites' titles print it. */
export const SEED = seedFromEnvironment() | 0;

export const METRICS: readonly Metric[] = ["l2", "cosine", "dot"];
export const M = 16;
export const EF_CONSTRUCTION = 64;
export const EF = 96;
export const K = 10;
const CANDIDATES = 40;
const LINK_ROWS = 500;
const PAGE_BYTES = 65536;

const compiled = new Map<VariantName, Variant>();

export function variantOf(name: VariantName): Variant {
  const variant = compiled.get(name) ?? compileVariant(name, readVariant(name));
  compiled.set(name, variant);
  return variant;
}

/** Runs a suite once a variant, the one with assertions included. */
export function overVariants(title: string, suite: (name: VariantName) => void): void {
  for (const name of VARIANTS) describe(`${title}, ${name}, seed ${SEED}`, () => suite(name));
}

export interface TrialOptions {
  readonly dimensions: number;
  readonly metric?: Metric;
  readonly capacity?: number;
  readonly workers?: number;
  readonly m?: number;
  readonly quantization?: "none" | "sq8";
  readonly vectors?: "memory" | "none";
}

/** A fresh shard as its first worker holds it. */
export function newShard(name: VariantName, options: TrialOptions): Shard {
  const { dimensions, metric = "l2", capacity = 4000, workers = 1 } = options;
  const { m = M, quantization = "sq8", vectors } = options;
  const variant = variantOf(name);
  const rowBytes = dimensions * 5 + m * 12 + 128;
  const bytes = 2 ** 22 * (workers + 1) + (capacity + 1024) * (rowBytes + workers * 2);
  const memory = reserveMemory(Math.ceil(bytes / PAGE_BYTES), variant.shared);
  const settings = { dimensions, metric, quantization, vectors, m, workers, capacityMax: capacity };
  formatShard(variant, memory, settings);
  return new Shard(variant, memory, 0);
}

/** Appends rows as one write; returns the first slot, the rest follow. */
export function append(shard: Shard, values: Float32Array, sequence = 1): number {
  const first = shard.slotsUsed;
  const { dimensions } = shard;
  for (let at = 0; at < values.length; at += dimensions) {
    replace(shard, NO_SLOT, values.subarray(at, at + dimensions), sequence);
  }
  return first;
}

/** Writes a row in place of the one in `before`, NO_SLOT for none; returns its slot. */
export function replace(
  shard: Shard,
  before: number,
  vector: Float32Array,
  sequence: number,
): number {
  const slot = takeSlot(shard);
  if (slot === NO_SLOT) throw new Error("the trial's shard is full");
  stagedVector(shard, slot).set(vector);
  shard.engine.publishRow(slot, before, sequence);
  if (before !== NO_SLOT) shard.engine.retireRow(before, sequence);
  return slot;
}

/** Links, learns and re-encodes until nothing is left to do. */
export function linkAll(shard: Shard, efConstruction = EF_CONSTRUCTION): void {
  for (let slices = 0; linkSlice(shard, LINK_ROWS, efConstruction); slices++) {
    if (slices > 10_000) throw new Error("linking never ends");
  }
}

let clock = 0;

/** Links and repairs until nothing is left to do; time passes as fast as it takes. */
export function settle(shard: Shard, published = 1): void {
  for (let slices = 0; !isSettled(shard); slices++) {
    if (slices > 10_000) throw new Error("the shard never settles");
    tendOnce(shard, published);
  }
}

/** A slice of a linker's work; where nothing is due, time passes fast. */
export function tendOnce(shard: Shard, published: number): void {
  clock += tend(shard, LINK_ROWS, EF_CONSTRUCTION, published, clock) === "idle" ? 100_000 : 1;
}

/** Learns and re-encodes, and links nothing. */
export function settleCodes(shard: Shard): void {
  const { engine } = shard;
  while (engine.needsLearning() !== 0 || engine.isReencoding() !== 0) {
    if (engine.isReencoding() === 0) engine.learn(shard.worker);
    engine.reencode(LINK_ROWS);
  }
}

/** The slots that a search at `snapshot` finds, nearest first. */
export function search(
  shard: Shard,
  query: Float32Array,
  { k = K, ef = EF, snapshot = 1 } = {},
): number[] {
  shard.setQuery(query);
  return slotsOf(shard, shard.search(ef, Math.max(CANDIDATES, k), snapshot, k)).slice(0, k);
}

/** As `search`, but float32 is asked about every candidate. */
export function searchPatiently(shard: Shard, query: Float32Array, ef = EF): number[] {
  shard.setQuery(query);
  return slotsOf(shard, shard.search(ef, CANDIDATES, 1)).slice(0, K);
}

/** The slots that an exact scan at `snapshot` finds, nearest first. */
export function scan(
  shard: Shard,
  query: Float32Array,
  { k = K, from = 0, to = shard.slotsUsed, snapshot = 1 } = {},
): number[] {
  shard.setQuery(query);
  return slotsOf(shard, shard.scan(from, to, k, snapshot));
}

function slotsOf(shard: Shard, count: number): number[] {
  return Array.from({ length: count }, (_, index) => shard.resultSlot(index));
}

/** Mean recall@10 of a dataset whose row r lies in slot r, by distance, so that a tie is a hit. */
export function recallAt(shard: Shard, dataset: Dataset, ef = EF, snapshot = 1): number {
  const { queries } = dataset;
  let sum = 0;
  for (let query = 0; query < queries.count; query++) {
    const found = search(shard, rowAt(queries, query), { ef, snapshot });
    sum += recallOf(dataset, query, found, K);
  }
  return sum / queries.count;
}

/** Mean share of the exact scan's k nearest distances that a search reaches, whatever the data. */
export function recallToScan(
  shard: Shard,
  queries: Rows,
  { snapshot = 1, ef = EF, k = K } = {},
): number {
  let sum = 0;
  for (let index = 0; index < queries.count; index++) {
    const query = rowAt(queries, index);
    const wanted = scan(shard, query, { k, snapshot }).length;
    if (wanted === 0) throw new Error("the exact scan finds nothing");
    const bar = shard.resultDistance(wanted - 1);
    const found = search(shard, query, { k, ef, snapshot }).length;
    let reached = 0;
    for (let place = 0; place < found; place++) {
      if (shard.resultDistance(place) <= bar) reached++;
    }
    sum += reached / wanted;
  }
  return sum / queries.count;
}

const datasets = new Map<string, Dataset>();

/** Clustered rows with their truth, made once for all variants. */
export function clustered(rows: number, dimensions: number, metric: Metric, queries = 50): Dataset {
  const key = [rows, dimensions, metric, queries].join();
  const dataset =
    datasets.get(key) ?? generate({ rows, dimensions, metric, queries, truthWidth: K });
  datasets.set(key, dataset);
  return dataset;
}

export function sift(): Dataset {
  const dataset = datasets.get("sift10k") ?? loadSift("sift10k");
  datasets.set("sift10k", dataset);
  return dataset;
}

export function rowsOf(values: Float32Array, dimensions: number): Rows {
  return { values, count: values.length / dimensions, dimensions };
}

/** A word of the header or of any other place in the shard's memory. */
export function words(shard: Shard): Uint32Array {
  return new Uint32Array(shard.memory.buffer);
}
