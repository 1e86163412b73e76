/**
 * Answers: the exact scan over float32, and the search that walks codes and lets float32 decide.
 *
 * A reader sees the writes up to its snapshot: rows born at or before it and not dead by then.
 * Float32 are read under the slot's stamp (read, measure, fence, read again); a row whose stamp
 * moved has been given to another write, is left out and counted in `moved`, and the host searches
 * again with a newer snapshot.
 */
import { nextPassing, passes } from "./bitmap";
import { MODE_CAREFUL, MODE_CODES, orderedBits, fromOrderedBits } from "./codebook";
import { heapOffer, heapReset, heapSort } from "./graph/heap";
import { keyIn, poolEntry, poolReset, slotIn } from "./graph/pool";
import { descend, entry, searchLayer } from "./graph/search";
import { visit, visitedReset } from "./graph/visited";
import { header, slotsUsed } from "./header";
import {
  Careful,
  DotCodes,
  estimated,
  floatDistance,
  L2Codes,
  L2Floats,
  OtherFloats,
} from "./kernels/metric";
import * as L from "./layout";
import { isStale, prepareQuery } from "./query";
import { beginWalk, endWalk } from "./readers";
import { isVisible, stampOf, vectorOf } from "./row";
import { scanTail } from "./tail";
import { Worker } from "./worker";

/** A search meets a change of generation at most this often before its answer stands as it is. */
export const ATTEMPTS = 4;
/** While a row is rescored, the one so many places on is loaded, that many bytes of it. */
const AHEAD: u32 = 2;
const TOUCH_BYTES: u32 = 1024;
/** Rows measured on float32, at least, before their differences from the codes are relied on. */
const MEASURED_MIN: u32 = 8;

/**
 * The nearest rows by a walk of width `ef`, rescored on float32 and sorted, in `worker.results`:
 * the best k of `candidates` rows by code, and what is as far as the last of them.
 */
export function search(worker: Worker, ef: u32, candidates: u32, k: u32): u32 {
  worker.distances = 0;
  worker.moved = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    prepareQuery(worker);
    poolReset(worker, ef);
    heapReset(worker, candidates);
    beginWalk(worker);
    scanTail(worker);
    walkGraph(worker, ef);
    endWalk(worker);
    if (!isStale(worker)) break;
  }
  worker.exhausted = worker.poolSize - worker.poolDead < ef ? worker.poolSize : 0;
  heapSort(worker);
  return rescore(worker, merge(worker, candidates), k);
}

function walkGraph(worker: Worker, ef: u32): void {
  const door = entry();
  if (slotIn(door) == L.NO_SLOT) return;
  const metric = header().metric;
  if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) walkIn<DotCodes>(worker, door, ef);
    else walkIn<L2Codes>(worker, door, ef);
  } else if (worker.mode == MODE_CAREFUL) walkIn<Careful>(worker, door, ef);
  else if (metric == L.METRIC_L2) walkIn<L2Floats>(worker, door, ef);
  else walkIn<OtherFloats>(worker, door, ef);
}

function walkIn<S>(worker: Worker, door: u64, ef: u32): void {
  searchLayer<S>(worker, descend<S>(worker, slotIn(door), <u32>(door >> 32), 0), ef, 0);
}

/**
 * Merges pool and tail, both sorted, into `worker.order`: key << 32 | slot of the nearest `wanted`
 * distinct visible rows.
 */
export function merge(worker: Worker, wanted: u32): u32 {
  visitedReset(worker);
  let count: u32 = 0;
  let p: u32 = 0;
  let t: u32 = 0;
  while (count < wanted) {
    const pooled = p < worker.poolSize ? poolEntry(worker, p) : u64.MAX_VALUE;
    const tailed = t < worker.heapSize ? load<u64>(worker.heap + ((<usize>t) << 3)) : u64.MAX_VALUE;
    if (pooled == u64.MAX_VALUE && tailed == u64.MAX_VALUE) break;
    const fromPool =
      pooled != u64.MAX_VALUE && (tailed == u64.MAX_VALUE || keyIn(pooled) <= keyIn(tailed));
    const found = fromPool ? pooled : tailed;
    if (fromPool) p++;
    else t++;
    const slot = slotIn(found);
    if (worker.filtered && !passes(worker, slot)) continue;
    if (!visit(worker, slot) || !isVisible(slot, worker.snapshot)) continue;
    store<u64>(worker.order + ((<usize>count) << 3), ((<u64>keyIn(found)) << 32) | slot);
    count++;
  }
  return count;
}

/**
 * Measures the candidates in `worker.order` on float32, nearest by code first, and leaves the k
 * nearest, and whatever is as far as the last of them, sorted as results.
 *
 * It stops where no later candidate can be among them. How far codes and float32 lie apart shows in
 * the rows measured so far: a row is given up when its code is farther than the k-th row even after
 * the greatest difference seen, and the whole spread of differences on top, are taken from it.
 */
export function rescore(worker: Worker, count: u32, k: u32): u32 {
  const measured = worker.pool;
  let size: u32 = 0;
  let least: f32 = Infinity;
  let most: f32 = -Infinity;
  heapReset(worker, min(k, count));
  for (let i: u32 = 0; i < count; i++) {
    const at = worker.order + ((<usize>i) << 3);
    const found = load<u64>(at);
    const slot = slotIn(found);
    const estimate = estimated(worker, keyIn(found));
    if (size >= k && size >= MEASURED_MIN) {
      const bar = fromOrderedBits(<u32>(load<u64>(worker.heap) >> 32));
      if (estimate - (most + (most - least)) > bar) break;
    }
    if (i + AHEAD < count) touchRow(worker, load<u32>(at + (AHEAD << 3)));
    const stamp = stampOf(slot);
    const distance = floatDistance(worker, slot);
    if (hasMoved(worker, slot, stamp)) continue;
    least = min(least, estimate - distance);
    most = max(most, estimate - distance);
    store<u32>(at, stamp, 4);
    const key = orderedBits(distance);
    store<u64>(measured + ((<usize>size) << 3), ((<u64>key) << 32) | i);
    heapOffer(worker, key, i);
    size++;
  }
  return settle(worker, size);
}

/** Sorts the measured rows up to the farthest one in the heap, and writes them as results. */
function settle(worker: Worker, size: u32): u32 {
  const bar = worker.heapSize > 0 ? load<u64>(worker.heap) >> 32 : 0;
  heapReset(worker, size);
  for (let i: u32 = 0; i < size; i++) {
    const entry = load<u64>(worker.pool + ((<usize>i) << 3));
    if (entry >> 32 <= bar) heapOffer(worker, <u32>(entry >> 32), <u32>entry);
  }
  heapSort(worker);
  for (let i: u32 = 0; i < worker.heapSize; i++) {
    const found = load<u64>(worker.heap + ((<usize>i) << 3));
    const at = worker.order + ((<usize>(<u32>found)) << 3);
    writeResult(worker, i, keyIn(found), slotIn(load<u64>(at)), load<u32>(at, 4));
  }
  worker.resultCount = worker.heapSize;
  return worker.heapSize;
}

/**
 * Early loads of a row that is measured soon, so that its cache misses run beside the present
 * row's.
 */
// @ts-ignore: decorator
@inline
function touchRow(worker: Worker, slot: u32): void {
  const vector = vectorOf(slot);
  const bytes = min<u32>(header().vectorStride, TOUCH_BYTES);
  let sum = stampOf(slot);
  for (let at: u32 = 0; at < bytes; at += 64) sum += load<u32>(vector + at);
  worker.sink = sum;
}

/**
 * After a row was read: whether it was given away meanwhile. The fence keeps the reads before the
 * second stamp.
 */
// @ts-ignore: decorator
@inline
function hasMoved(worker: Worker, slot: u32, stamp: u32): bool {
  fenceOn(worker);
  if (!(stamp & 1) && stampOf(slot) == stamp && isVisible(slot, worker.snapshot)) return false;
  worker.moved++;
  return true;
}

/** A fence on the worker's own cache line, which readers do not share. */
// @ts-ignore: decorator
@inline
function fenceOn(worker: Worker): void {
  atomic.add<u32>(changetype<usize>(worker), 0, L.WORKER_FENCE);
}

function writeResult(worker: Worker, index: u32, key: u32, slot: u32, stamp: u32): void {
  const at = worker.results + <usize>index * L.RESULT_BYTES;
  store<f32>(at, fromOrderedBits(key), L.RESULT_DISTANCE);
  store<u32>(at, slot, L.RESULT_SLOT);
  store<u32>(at, stamp, L.RESULT_STAMP);
}

/**
 * Exact scan of the slots from..to: the nearest k visible rows (that pass the bitmap, when
 * `filtered`), sorted, in `worker.results`. `worker.ties` tells whether rows as far as the last one
 * were turned away.
 */
export function scan(worker: Worker, from: u32, to: u32, k: u32, filtered: bool): u32 {
  prepareQuery(worker);
  worker.distances = 0;
  worker.moved = 0;
  const end = min(to, slotsUsed());
  // While no slot is given to another row, no stamp can move: only then is each row tried for
  // itself.
  const recycled = atomic.load<u32>(L.HEADER_RECYCLED);
  let turnedAway = gather(worker, from, end, k, filtered, false);
  fenceOn(worker);
  if (atomic.load<u32>(L.HEADER_RECYCLED) != recycled)
    turnedAway = gather(worker, from, end, k, filtered, true);
  heapSort(worker);
  let last: u64 = 0;
  for (let i: u32 = 0; i < worker.heapSize; i++) {
    const found = load<u64>(worker.heap + ((<usize>i) << 3));
    writeResult(worker, i, keyIn(found), <u32>found, stampOf(<u32>found));
    last = found >> 32;
  }
  worker.resultCount = worker.heapSize;
  worker.ties = <u32>(worker.heapSize > 0 && turnedAway == last);
  return worker.heapSize;
}

/** Fills the heap; returns the least key that was turned away from it. */
function gather(worker: Worker, from: u32, end: u32, k: u32, filtered: bool, checked: bool): u64 {
  heapReset(worker, k);
  let turnedAway = u64.MAX_VALUE;
  for (let slot = from; slot < end; slot++) {
    if (filtered) {
      slot = nextPassing(worker, slot, end);
      if (slot >= end) break;
    }
    const stamp = stampOf(slot);
    if (!isVisible(slot, worker.snapshot)) continue;
    const key = orderedBits(floatDistance(worker, slot));
    worker.distances++;
    if (checked && hasMoved(worker, slot, stamp)) continue;
    if (worker.heapSize == k) {
      const root = load<u64>(worker.heap) >> 32;
      turnedAway = min(turnedAway, max(root, <u64>key));
      if (<u64>key >= root) continue;
    }
    heapOffer(worker, key, slot);
  }
  return turnedAway;
}

/**
 * The visible slots from `from` on at exactly the distance `boundary`, as results; at most POOL_MAX
 * - 1 of them. `worker.scanned` is where to go on; the scan is over when it reaches slotsUsed.
 */
export function scanTies(worker: Worker, from: u32, to: u32, boundary: f32, filtered: bool): u32 {
  prepareQuery(worker);
  worker.moved = 0;
  let count: u32 = 0;
  let slot = from;
  const end = min(to, slotsUsed());
  const key = orderedBits(boundary);
  for (; slot < end && count < <u32>(L.POOL_MAX - 1); slot++) {
    if (filtered) {
      slot = nextPassing(worker, slot, end);
      if (slot >= end) break;
    }
    const stamp = stampOf(slot);
    if (!isVisible(slot, worker.snapshot)) continue;
    const same = orderedBits(floatDistance(worker, slot)) == key;
    if (hasMoved(worker, slot, stamp) || !same) continue;
    writeResult(worker, count, key, slot, stamp);
    count++;
  }
  worker.scanned = slot;
  worker.resultCount = count;
  return count;
}
