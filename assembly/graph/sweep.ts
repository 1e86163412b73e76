/**
 * What a row loses when its neighbours are doomed, and what it gets for them. The consolidation of
 * Singh et al., "FreshDiskANN" (2021): a row that linked to a doomed one may link to that one's own
 * neighbours, among which Algorithm 4 of the HNSW paper chooses anew. A row that keeps enough links
 * only drops the doomed ones, so that a pass over few dead rows stays cheap.
 *
 * A row's lists change under its lock; the lists of doomed rows are read without one. When each row
 * has been swept, no list of a row that stays names a doomed one.
 */
import { MODE_CAREFUL, MODE_COARSE, MODE_CODES } from "../codebook";
import { header } from "../header";
import {
  Careful,
  DotCoarse,
  DotCodes,
  L2Coarse,
  L2Codes,
  L2Floats,
  OtherFloats,
} from "../kernels/metric";
import * as L from "../layout";
import { prepareRow } from "../query";
import * as Row from "../row";
import { Worker } from "../worker";
import { heapOffer, heapReset, heapSort } from "./heap";
import { link, writeList } from "./insert";
import { selectOwn } from "./select";
import { visit, visitedReset } from "./visited";

/** Of the nearest so many candidates the links are chosen. */
const CANDIDATES: u32 = 96;
/** Room that a mended list leaves for links that come back. */
const SLACK: u32 = 8;
/** How many slots are measured at a time; the gather area holds that many and a list more. */
const GATHER: u32 = 512;

/** Sweeps the slots from..to; returns how many lists were chosen anew. */
export function sweep(worker: Worker, from: u32, to: u32): u32 {
  let mended: u32 = 0;
  for (let slot = from; slot < to; slot++) {
    if (!Row.isLinked(slot) || Row.isDoomed(slot)) continue;
    let isReady = false;
    for (let level = <i32>Row.levelOf(slot); level >= 0; level--) {
      if (!namesDoomed(slot, level) || drop(slot, level)) continue;
      if (!isReady) prepareRow(worker, slot);
      isReady = true;
      mend(worker, slot, level);
      mended++;
    }
  }
  return mended;
}

function namesDoomed(slot: u32, level: u32): bool {
  const list = Row.listOf(slot, level);
  const count = Row.countOf(list);
  for (let i: u32 = 0; i < count; i++) if (Row.isDoomed(Row.linkAt(list, i))) return true;
  return false;
}

/** With so many links left a list is as good as before. */
// @ts-ignore: decorator
@inline
function enough(level: u32): u32 {
  return level == 0 ? header().m : header().m >> 1;
}

/**
 * Takes doomed rows out of a list, if enough others are left or if the row itself is dead; returns
 * whether it did.
 */
function drop(slot: u32, level: u32): bool {
  Row.lockRow(slot);
  const list = Row.listOf(slot, level);
  const count = Row.countOf(list);
  let kept: u32 = 0;
  for (let i: u32 = 0; i < count; i++) kept += <u32>!Row.isDoomed(Row.linkAt(list, i));
  const isDone = kept >= enough(level) || Row.hasDied(slot);
  if (isDone) {
    let to: u32 = 0;
    for (let i: u32 = 0; i < count; i++) {
      const other = Row.linkAt(list, i);
      if (!Row.isDoomed(other)) Row.setLink(list, to++, other);
    }
    Row.setCount(list, to);
  }
  Row.unlockRow(slot);
  return isDone;
}

function mend(worker: Worker, slot: u32, level: u32): void {
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) mendIn<DotCoarse>(worker, slot, level);
    else mendIn<L2Coarse>(worker, slot, level);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) mendIn<DotCodes>(worker, slot, level);
    else mendIn<L2Codes>(worker, slot, level);
  } else if (worker.mode == MODE_CAREFUL) mendIn<Careful>(worker, slot, level);
  else if (metric == L.METRIC_L2) mendIn<L2Floats>(worker, slot, level);
  else mendIn<OtherFloats>(worker, slot, level);
}

function mendIn<S>(worker: Worker, slot: u32, level: u32): void {
  Row.lockRow(slot);
  gatherAround<S>(worker, slot, level);
  const bound = Row.degreeMax(level);
  const wanted = bound - min(SLACK, bound / 2);
  const chosen = selectOwn<S>(worker, slot, worker.heap, worker.heapSize, wanted);
  const list = Row.listOf(slot, level);
  const fresh = keepNew(worker, list, chosen);
  writeList(worker, list, chosen);
  Row.unlockRow(slot);
  for (let i: u32 = 0; i < fresh; i++) {
    link<S>(worker, load<u32>(worker.keys + ((<usize>i) << 2)), slot, level, SLACK);
  }
}

/** Notes the chosen rows that the list does not name yet; they are owed a link back. */
function keepNew(worker: Worker, list: usize, chosen: u32): u32 {
  const count = Row.countOf(list);
  let fresh: u32 = 0;
  for (let i: u32 = 0; i < chosen; i++) {
    const other = load<u32>(worker.chosen + ((<usize>i) << 2));
    let at: u32 = 0;
    while (at < count && Row.linkAt(list, at) != other) at++;
    if (at < count) continue;
    store<u32>(worker.keys + ((<usize>fresh) << 2), other);
    fresh++;
  }
  return fresh;
}

/**
 * The nearest living rows among the row's own neighbours and those of its dead neighbours, sorted
 * in the worker's heap.
 */
function gatherAround<S>(worker: Worker, slot: u32, level: u32): void {
  visitedReset(worker);
  visit(worker, slot);
  heapReset(worker, CANDIDATES);
  const list = Row.listOf(slot, level);
  const count = Row.countOf(list);
  let met: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const other = Row.linkAt(list, i);
    if (!Row.hasDied(other)) met = gather(worker, met, other);
    else {
      const behind = Row.listOf(other, level);
      const more = min<u32>(Row.countOf(behind), Row.degreeMax(level));
      for (let j: u32 = 0; j < more; j++) {
        const next = Row.linkAt(behind, j);
        if (!Row.hasDied(next)) met = gather(worker, met, next);
      }
    }
    if (met < GATHER) continue;
    measureAll<S>(worker, met);
    met = 0;
  }
  measureAll<S>(worker, met);
  heapSort(worker);
}

// @ts-ignore: decorator
@inline
function gather(worker: Worker, met: u32, slot: u32): u32 {
  store<u32>(worker.gather + ((<usize>met) << 2), slot);
  return met + <u32>visit(worker, slot);
}

function measureAll<S>(worker: Worker, count: u32): void {
  const gather = worker.gather;
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++)
    sum += changetype<S>(0).touch(load<u32>(gather + ((<usize>i) << 2)));
  worker.sink = sum;
  for (let i: u32 = 0; i < count; i++) {
    const slot = load<u32>(gather + ((<usize>i) << 2));
    heapOffer(worker, changetype<S>(0).one(worker, slot), slot);
  }
}
