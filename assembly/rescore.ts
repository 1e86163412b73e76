/**
 * From candidates to results: what a walk and the tail have found is merged, and float32 decides
 * among the best of it, of which it is asked about as few as the codes leave in doubt.
 */
import { sheds, touchShed } from "./bays";
import { passes } from "./bitmap";
import { fromOrderedBits, MODE_COARSE, orderedBits } from "./codebook";
import { heapOffer, heapReset, heapSort } from "./graph/heap";
import { DEAD, keyIn, poolEntry, slotIn } from "./graph/pool";
import { sortEntries } from "./graph/select";
import { visit, visitedReset } from "./graph/visited";
import { header } from "./header";
import { DotCodes, estimated, floatDistance, L2Codes } from "./kernels/metric";
import * as L from "./layout";
import { fineOf, isVisible, stampOf, vectorOf } from "./row";
import { Worker } from "./worker";

/** While a row is rescored, the one so many places on is loaded, that many bytes of it. */
const AHEAD: u32 = 2;
const TOUCH_BYTES: u32 = 1024;
/** Rows measured on float32, at least, before their differences from the codes are relied on. */
const MEASURED_MIN: u32 = 8;

/**
 * Merges pool and tail, both sorted, into `worker.order`: key << 32 | slot of the nearest `wanted`
 * distinct visible rows, and the copies of them that the walk kept: these take nobody's place here
 * either.
 */
export function merge(worker: Worker, wanted: u32): u32 {
  visitedReset(worker);
  let count: u32 = 0;
  let counted: u32 = 0;
  let p: u32 = 0;
  let t: u32 = 0;
  while (counted < wanted && count < <u32>L.POOL_MAX) {
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
    counted += <u32>!(found & DEAD);
  }
  return count;
}

/** Lets float32 decide among the `count` candidates in `worker.order`, whose keys are a walk's. */
export function decide(worker: Worker, count: u32, k: u32): u32 {
  if (worker.mode == MODE_COARSE) refine(worker, count);
  return rescore(worker, count, k);
}

/** Sorts coarse candidates by their whole codes, so that fewer of them need their float32 read. */
function refine(worker: Worker, count: u32): void {
  const entries = worker.order;
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++)
    sum += load<u32>(fineOf(slotIn(load<u64>(entries + ((<usize>i) << 3)))));
  worker.sink = sum;
  const isDot = header().metric == L.METRIC_DOT;
  for (let i: u32 = 0; i < count; i++) {
    const at = entries + ((<usize>i) << 3);
    const slot = slotIn(load<u64>(at));
    const key = isDot
      ? changetype<DotCodes>(0).one(worker, slot)
      : changetype<L2Codes>(0).one(worker, slot);
    store<u32>(at, key, 4);
  }
  sortEntries(entries, count);
}

/**
 * Measures the candidates in `worker.order` on float32, nearest by code first, and leaves the k
 * nearest, and whatever is as far as the last of them, sorted as results.
 *
 * It stops where no later candidate can be among them. How far codes and float32 lie apart shows in
 * the rows measured so far: a row is given up when its code is farther than the k-th row even after
 * the greatest difference seen, and the whole spread of differences on top, are taken from it.
 * `worker.scanned` says how many of the candidates were read.
 */
function rescore(worker: Worker, count: u32, k: u32): u32 {
  const measured = worker.pool;
  let size: u32 = 0;
  let told: u32 = 0;
  let last: u32 = 0;
  let least: f32 = Infinity;
  let most: f32 = -Infinity;
  heapReset(worker, min(k, count));
  let i: u32 = 0;
  for (; i < count; i++) {
    const at = worker.order + ((<usize>i) << 3);
    const found = load<u64>(at);
    const slot = slotIn(found);
    const estimate = estimated(worker, keyIn(found));
    if (size >= k && told >= MEASURED_MIN) {
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
    // What lies apart in copies is the same each time, and says nothing of other rows.
    told += <u32>(keyIn(found) != last);
    last = keyIn(found);
  }
  worker.scanned = i;
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
  let sum = stampOf(slot);
  if (sheds()) {
    worker.sink = sum + touchShed(slot);
    return;
  }
  const vector = vectorOf(slot);
  const bytes = min<u32>(header().vectorStride, TOUCH_BYTES);
  for (let at: u32 = 0; at < bytes; at += 64) sum += load<u32>(vector + at);
  worker.sink = sum;
}

/**
 * After a row was read: whether it was given away meanwhile. The fence keeps the reads before the
 * second stamp.
 */
// @ts-ignore: decorator
@inline
export function hasMoved(worker: Worker, slot: u32, stamp: u32): bool {
  fenceOn(worker);
  if (!(stamp & 1) && stampOf(slot) == stamp && isVisible(slot, worker.snapshot)) return false;
  worker.moved++;
  return true;
}

/** A fence on the worker's own cache line, which readers do not share. */
// @ts-ignore: decorator
@inline
export function fenceOn(worker: Worker): void {
  atomic.add<u32>(changetype<usize>(worker), 0, L.WORKER_FENCE);
}

export function writeResult(worker: Worker, index: u32, key: u32, slot: u32, stamp: u32): void {
  const at = worker.results + <usize>index * L.RESULT_BYTES;
  store<f32>(at, fromOrderedBits(key), L.RESULT_DISTANCE);
  store<u32>(at, slot, L.RESULT_SLOT);
  store<u32>(at, stamp, L.RESULT_STAMP);
}
