/**
 * Answers under a filter, whose bits lie in the worker's bitmap: by a walk that returns only rows
 * that pass (graph/filtered.ts), or by measuring every row that passes, on codes first. Either way
 * float32 decides among the best, as in scan.ts.
 */
import { nextPassing } from "./bitmap";
import { MODE_CAREFUL, MODE_COARSE, MODE_CODES } from "./codebook";
import { searchPassing } from "./graph/filtered";
import { heapBar, heapOffer, heapReset, heapSort } from "./graph/heap";
import { poolReset, slotIn } from "./graph/pool";
import { descend, entry } from "./graph/search";
import { header, slotsUsed } from "./header";
import {
  Careful,
  DotCoarse,
  DotCodes,
  L2Coarse,
  L2Codes,
  L2Floats,
  OtherFloats,
} from "./kernels/metric";
import * as L from "./layout";
import { isStale, prepareQuery } from "./query";
import { beginWalk, endWalk } from "./readers";
import { isVisible } from "./row";
import { decide, merge } from "./rescore";
import { ATTEMPTS } from "./scan";
import { scanTail } from "./tail";
import { Worker } from "./worker";

/** Rows whose codes are loaded before the first of them is measured. */
const BATCH: u32 = 16;

/**
 * As `search`, of rows that pass alone. `worker.gaveUp` says that the walk would have cost more
 * than `budget` rows measured: what it found then is void.
 */
export function searchFiltered(
  worker: Worker,
  ef: u32,
  candidates: u32,
  k: u32,
  wanted: u32,
  budget: u32,
): u32 {
  worker.distances = 0;
  worker.moved = 0;
  worker.gaveUp = 0;
  worker.filtered = 1;
  worker.copiesMax = candidates;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    prepareQuery(worker);
    poolReset(worker, ef);
    heapReset(worker, candidates);
    beginWalk(worker);
    scanTail(worker);
    walkGraph(worker, ef, wanted, budget);
    endWalk(worker);
    if (!isStale(worker)) break;
  }
  heapSort(worker);
  const count = decide(worker, merge(worker, candidates), k);
  worker.filtered = 0;
  return count;
}

function walkGraph(worker: Worker, ef: u32, wanted: u32, budget: u32): void {
  const door = entry();
  if (slotIn(door) == L.NO_SLOT) return;
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) walkIn<DotCoarse>(worker, door, ef, wanted, budget);
    else walkIn<L2Coarse>(worker, door, ef, wanted, budget);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) walkIn<DotCodes>(worker, door, ef, wanted, budget);
    else walkIn<L2Codes>(worker, door, ef, wanted, budget);
  } else if (worker.mode == MODE_CAREFUL) walkIn<Careful>(worker, door, ef, wanted, budget);
  else if (metric == L.METRIC_L2) walkIn<L2Floats>(worker, door, ef, wanted, budget);
  else walkIn<OtherFloats>(worker, door, ef, wanted, budget);
}

function walkIn<S>(worker: Worker, door: u64, ef: u32, wanted: u32, budget: u32): void {
  const from = descend<S>(worker, slotIn(door), <u32>(door >> 32), 0);
  searchPassing<S>(worker, from, ef, wanted, budget);
}

/**
 * The nearest of all slots from..to that pass: the best k of `candidates` by code, and what is as
 * far as the last of them.
 */
export function scanPassing(worker: Worker, from: u32, to: u32, candidates: u32, k: u32): u32 {
  worker.distances = 0;
  worker.moved = 0;
  const end = min(to, slotsUsed());
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    prepareQuery(worker);
    poolReset(worker, 1);
    heapReset(worker, candidates);
    sweep(worker, from, end);
    if (!isStale(worker)) break;
  }
  heapSort(worker);
  return decide(worker, merge(worker, candidates), k);
}

function sweep(worker: Worker, from: u32, end: u32): void {
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) sweepIn<DotCoarse>(worker, from, end);
    else sweepIn<L2Coarse>(worker, from, end);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) sweepIn<DotCodes>(worker, from, end);
    else sweepIn<L2Codes>(worker, from, end);
  } else if (worker.mode == MODE_CAREFUL) sweepIn<Careful>(worker, from, end);
  else if (metric == L.METRIC_L2) sweepIn<L2Floats>(worker, from, end);
  else sweepIn<OtherFloats>(worker, from, end);
}

function sweepIn<S>(worker: Worker, from: u32, end: u32): void {
  const gather = worker.gather;
  let slot = nextPassing(worker, from, end);
  while (slot < end) {
    let met: u32 = 0;
    let sum: u32 = 0;
    while (met < BATCH && slot < end) {
      store<u32>(gather + ((<usize>met) << 2), slot);
      sum += changetype<S>(0).touch(slot);
      met++;
      slot = nextPassing(worker, slot + 1, end);
    }
    worker.sink = sum;
    worker.distances += met;
    let i: u32 = 0;
    for (; i + 4 <= met; i += 4) {
      const at = gather + ((<usize>i) << 2);
      const a = load<u32>(at);
      const b = load<u32>(at, 4);
      const c = load<u32>(at, 8);
      const d = load<u32>(at, 12);
      const keys = changetype<S>(0).four(worker, a, b, c, d);
      offer(worker, i32x4.extract_lane(keys, 0), a);
      offer(worker, i32x4.extract_lane(keys, 1), b);
      offer(worker, i32x4.extract_lane(keys, 2), c);
      offer(worker, i32x4.extract_lane(keys, 3), d);
    }
    for (; i < met; i++) {
      const last = load<u32>(gather + ((<usize>i) << 2));
      offer(worker, changetype<S>(0).one(worker, last), last);
    }
  }
}

// @ts-ignore: decorator
@inline
function offer(worker: Worker, key: u32, slot: u32): void {
  if (<u64>key >= heapBar(worker)) return;
  if (isVisible(slot, worker.snapshot)) heapOffer(worker, key, slot);
}
