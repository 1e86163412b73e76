/**
 * The engine's exports, all over plain numbers: addresses are unsigned 32 bits, sequences float64
 * (whole up to 2^53), and no i64 crosses the boundary. `worker` is the calling thread's index,
 * below the count given to `format`; two threads never use one index at a time.
 * src/engine/exports.ts mirrors this list, and a test compares the two.
 */
import * as Bays from "./bays";
import * as Bitmap from "./bitmap";
import * as Dictionary from "./columns/dictionary";
import * as Lanes from "./columns/lanes";
import * as Reading from "./columns/read";
import * as Scanning from "./columns/scan";
import * as Filtered from "./filtered";
import * as Check from "./graph/check";
import * as Refine from "./graph/refine";
import * as Revisit from "./graph/revisit";
import * as Kernel from "./kernels/codes";
import * as Half from "./kernels/halves";
import * as Lane from "./kernels/lanes";
import * as L from "./layout";
import * as Range from "./range";
import * as Row from "./row";
import * as Scan from "./scan";
import * as Slots from "./slots";
import * as Tail from "./tail";
import { Worker } from "./worker";

export { baysLeft, stagedVector } from "./bays";
export { isReencoding, needsLearning, reencode } from "./codebook";
export { slotsLeft, takeSlot } from "./slots";
export { tailLength } from "./tail";
export { tryFree, tryIds, tryIndex, tryRecords } from "./trial";
export { adoptEntries, adoptTables, beginEntries, checkChunk } from "./columns/check";
export { pinColumn } from "./columns/read";
export { formatColumns } from "./columns/regions";
export { crc32c, crc32cInit } from "./crc32c";
export { checkBays, checkRows, checkState, soundBytes } from "./graph/bounds";
export { jsonStep } from "./json";
export { jsonLine } from "./json/lines";
export { forget, pin, repair, takeFreed, unrepaired } from "./going";
export { format } from "./regions";

export function workerBase(worker: u32): usize {
  return changetype<usize>(Worker.of(worker));
}

/** Where the row's float32 lies, or was put for this worker until its next call. */
export function vectorAddress(worker: u32, slot: u32): usize {
  return Bays.floatsOf(slot, Worker.of(worker).floatsA);
}

/** Writer only, with the maintenance lock: rows move to a range that holds them. */
export function emptyBays(worker: u32): void {
  Range.emptyBays(Worker.of(worker));
}

export function headAddress(slot: u32): usize {
  return Row.headOf(slot);
}

/**
 * Writer only: the slot's vector is in place; `previous` is the slot that this row replaces, or
 * NO_SLOT.
 */
export function publishRow(slot: u32, previous: u32, sequence: f64): void {
  Slots.publishRow(slot, previous, <u64>sequence);
}

/** Writer only. */
export function retireRow(slot: u32, sequence: f64): void {
  Slots.retireRow(slot, <u64>sequence);
}

/**
 * Linkers: puts up to `count` waiting rows into the graph, each by a walk of width `ef`. Returns
 * how many were taken.
 */
export function linkTail(worker: u32, count: u32, ef: u32, slack: u32, hasty: bool): u32 {
  return Tail.linkTail(Worker.of(worker), count, ef, slack, hasty);
}

/** Linkers: links up to `count` hasty rows anew or visits as many; true while there may be more. */
export function refine(worker: u32, count: u32, ef: u32): bool {
  return Refine.refine(Worker.of(worker), count, ef) || Revisit.revisit(Worker.of(worker), count);
}

/**
 * Takes the maintenance lock if it is free. Who has it may learn and re-encode, and must give it
 * back.
 */
export function tryMaintenance(): bool {
  return atomic.cmpxchg<u32>(L.HEADER_MAINTENANCE, 0, 1) == 0;
}

/** Never called on a thread that serves requests: it may sleep. */
export function awaitMaintenance(): void {
  while (atomic.cmpxchg<u32>(L.HEADER_MAINTENANCE, 0, 1) != 0)
    atomic.wait<i32>(L.HEADER_MAINTENANCE, 1, 1000000);
}

export function endMaintenance(): void {
  atomic.store<u32>(L.HEADER_MAINTENANCE, 0);
}

/**
 * With the maintenance lock: learns the codes' range from live rows; may begin a new generation of
 * codes.
 */
export function learn(worker: u32): void {
  Range.learn(Worker.of(worker));
}

/**
 * The query lies at the worker's `query`; results lie at its `results`, nearest first: the best k
 * of `candidates` rows, and what is as far as the last of them. Reads the state at `snapshot`.
 */
export function search(worker: u32, ef: u32, candidates: u32, snapshot: f64, k: u32): u32 {
  const own = Worker.of(worker);
  own.snapshot = <u64>snapshot;
  return Scan.search(own, ef, candidates, k);
}

/**
 * The same, as if the row in the slot `without` were not there: how a stranger like it would be
 * answered.
 */
export function searchWithout(
  worker: u32,
  ef: u32,
  candidates: u32,
  snapshot: f64,
  k: u32,
  without: u32,
): u32 {
  const own = Worker.of(worker);
  own.without = without;
  own.snapshot = <u64>snapshot;
  const count = Scan.search(own, ef, candidates, k);
  own.without = L.NO_SLOT;
  return count;
}

export function scan(worker: u32, from: u32, to: u32, k: u32, filtered: bool, snapshot: f64): u32 {
  const own = Worker.of(worker);
  own.snapshot = <u64>snapshot;
  return Scan.scan(own, from, to, k, filtered);
}

export function scanTies(
  worker: u32,
  from: u32,
  to: u32,
  boundary: f32,
  filtered: bool,
  snapshot: f64,
): u32 {
  const own = Worker.of(worker);
  own.snapshot = <u64>snapshot;
  return Scan.scanTies(own, from, to, boundary, filtered);
}

/** As `search`, but only rows that pass the worker's bitmap; gives up beyond `budget` rows. */
export function searchFiltered(
  worker: u32,
  ef: u32,
  candidates: u32,
  snapshot: f64,
  k: u32,
  wanted: u32,
  budget: u32,
): u32 {
  const own = Worker.of(worker);
  own.snapshot = <u64>snapshot;
  return Filtered.searchFiltered(own, ef, candidates, k, wanted, budget);
}

/** The nearest of the slots from..to that pass the worker's bitmap, found by their codes. */
export function scanPassing(
  worker: u32,
  from: u32,
  to: u32,
  candidates: u32,
  snapshot: f64,
  k: u32,
): u32 {
  const own = Worker.of(worker);
  own.snapshot = <u64>snapshot;
  return Filtered.scanPassing(own, from, to, candidates, k);
}

/** How many living slots below `end` pass the worker's bitmap. */
export function countPassing(worker: u32, end: u32): u32 {
  return Bitmap.countPassing(Worker.of(worker), end);
}

export function countVisible(
  worker: u32,
  from: u32,
  to: u32,
  filtered: bool,
  snapshot: f64,
): u32 {
  const own = Worker.of(worker);
  own.snapshot = <u64>snapshot;
  return Bitmap.countVisible(own, from, to, filtered);
}

/** 1 when a reader at `snapshot` sees the slot's row, be it moving or not. */
export function isVisible(slot: u32, snapshot: f64): bool {
  return Row.isVisible(slot, <u64>snapshot);
}

/** 1 when a reader at `snapshot` sees the slot's row and its stamp is still `stamp`. */
export function isStillVisible(slot: u32, stamp: u32, snapshot: f64): bool {
  // Of a row whose code is being moved only its being there is sure.
  return Row.isVisible(slot, <u64>snapshot) && !(stamp & 1) && Row.stampOf(slot) == stamp;
}

/** The graph's checker: a FAULT_ number; the worker's area tells slot and value. */
export function check(worker: u32): u32 {
  return Check.check(Worker.of(worker));
}

// Over a memory of columns, which an instance of its own is made for.

/** Writer only: the slot's lanes, from the metadata in the scratch; 0 bytes for a row without. */
export function putColumns(slot: u32, bytes: u32): void {
  Reading.putRow(slot, bytes);
}

/** Writer only: the slot holds no row any more. */
export function freeColumns(slot: u32): void {
  Lanes.setPresent(slot, false);
}

/** The code of a string, NO_CODE when no row has it. */
export function findText(text: usize, bytes: u32): u32 {
  return Dictionary.find(text, bytes);
}

/** Runs the worker's program over groups of rows; returns how many rows are to be seen in JSON. */
export function runColumns(worker: u32, from: u32, to: u32): u32 {
  return Scanning.run(worker, from, to);
}

// For benchmarks and the self-test at start: kernels over plain addresses.

export function squaredCodes(a: usize, b: usize, bytes: usize): i32 {
  return Kernel.squaredCodes(a, b, bytes);
}

export function dotCodes(a: usize, b: usize, bytes: usize): i32 {
  return Kernel.dotCodes(a, b, bytes);
}

export function squaredL2(a: usize, b: usize, bytes: usize): f32 {
  return Lane.squaredL2(a, b, bytes);
}

export function dotFloats(a: usize, b: usize, bytes: usize): f32 {
  return Lane.dot(a, b, bytes);
}

export function cosineFloats(a: usize, b: usize, bytes: usize): f32 {
  const length = Lane.norm(a, bytes);
  return Lane.cosine(a, b, bytes, length > 0 ? 1 / length : 0);
}

export function squaredCoarse(query: usize, row: usize, half: usize, table: usize): i32 {
  return Half.squaredCoarse(query, row, half, table);
}

/** Over `count` coarse halves `stride` apart, four at a time. */
export function sweepCodes(
  query: usize,
  base: usize,
  stride: usize,
  count: u32,
  half: usize,
  table: usize,
  product: bool,
): i32 {
  let sum: i32 = 0;
  for (let i: u32 = 0; i + 4 <= count; i += 4) {
    const a = base + <usize>i * stride;
    const four = product
      ? Half.dotCoarse4(query, a, a + stride, a + 2 * stride, a + 3 * stride, half, table)
      : Half.squaredCoarse4(query, a, a + stride, a + 2 * stride, a + 3 * stride, half, table);
    sum += Kernel.sumCounts(four);
  }
  return sum;
}
