/**
 * Answers: the exact scan over float32, and the search that walks codes and lets float32 decide.
 *
 * A reader sees the writes up to its snapshot: rows born at or before it and not dead by then.
 * Float32 are read under the slot's stamp (read, measure, fence, read again); a row whose stamp
 * moved has been given to another write, is left out and counted in `moved`, and the host searches
 * again with a newer snapshot.
 */
import { sheds } from "./bays";
import { nextPassing, passes } from "./bitmap";
import { isReencoding, MODE_CAREFUL, MODE_COARSE, MODE_CODES, orderedBits } from "./codebook";
import { heapOffer, heapReset, heapSort } from "./graph/heap";
import { keyIn, poolCounts, poolReset, slotIn } from "./graph/pool";
import { descend, entry, open, walk } from "./graph/search";
import { adapt } from "./graph/width";
import { header, slotsUsed } from "./header";
import {
  Careful,
  DotCoarse,
  DotCodes,
  floatDistance,
  L2Coarse,
  L2Codes,
  L2Floats,
  OtherFloats,
} from "./kernels/metric";
import * as L from "./layout";
import { isStale, prepareQuery } from "./query";
import { beginWalk, endWalk } from "./readers";
import { decide, fenceOn, hasMoved, merge, writeResult } from "./rescore";
import { isVisible, stampOf } from "./row";
import { scanTail } from "./tail";
import { Worker } from "./worker";

/** A search meets a change of generation at most this often before its answer stands as it is. */
export const ATTEMPTS = 4;
/**
 * The nearest rows by a walk of width `ef`, rescored on float32 and sorted, in `worker.results`:
 * the best k of `candidates` rows by code, and what is as far as the last of them.
 */
export function search(worker: Worker, ef: u32, candidates: u32, k: u32): u32 {
  worker.distances = 0;
  worker.moved = 0;
  worker.copiesMax = candidates;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    prepareQuery(worker);
    poolReset(worker, ef);
    heapReset(worker, candidates);
    beginWalk(worker);
    scanTail(worker);
    walkGraph(worker, ef, k);
    endWalk(worker);
    if (!isStale(worker)) break;
  }
  const least = worker.poolSpan == 0 ? ef : worker.poolSure;
  worker.exhausted = poolCounts(worker) < least ? worker.poolSize : 0;
  heapSort(worker);
  return decide(worker, merge(worker, candidates), k);
}

function walkGraph(worker: Worker, ef: u32, k: u32): void {
  const door = entry();
  if (slotIn(door) == L.NO_SLOT) return;
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) walkIn<DotCoarse>(worker, door, ef, k);
    else walkIn<L2Coarse>(worker, door, ef, k);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) walkIn<DotCodes>(worker, door, ef, k);
    else walkIn<L2Codes>(worker, door, ef, k);
  } else if (worker.mode == MODE_CAREFUL) walkIn<Careful>(worker, door, ef, k);
  else if (metric == L.METRIC_L2) walkIn<L2Floats>(worker, door, ef, k);
  else walkIn<OtherFloats>(worker, door, ef, k);
}

function walkIn<S>(worker: Worker, door: u64, ef: u32, k: u32): void {
  open<S>(worker, descend<S>(worker, slotIn(door), <u32>(door >> 32), 0), ef);
  adapt(worker, ef, k);
  walk<S>(worker, 0);
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
  if (atomic.load<u32>(L.HEADER_RECYCLED) != recycled || isMoving(worker))
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

/** Whether rows moved to another generation meanwhile, and their float32 with them. */
function isMoving(worker: Worker): bool {
  return sheds() && (isReencoding() || isStale(worker));
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
