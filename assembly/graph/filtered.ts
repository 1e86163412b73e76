/**
 * The walk under a filter: only rows that pass the worker's bitmap count, and the others are looked
 * through. It is the two-hop search of ACORN-1 (Patel et al., "ACORN: Performant and
 * Predicate-Agnostic Search Over Vector Embeddings and Structured Data", 2024): where too few
 * neighbours of a row pass, the neighbours of those that do not are taken instead, without the ones
 * between being measured. So the walk costs about the same whatever share of the rows passes.
 *
 * Where nothing passes within two steps, what is there is measured and walked through as a bridge,
 * like dead rows are: it takes no place among the `ef`. That also leads from the door, which has no
 * reason to pass, to the nearest rows that do.
 *
 * Where what passes lies far from the query, that may go on for long: a walk that costs more than
 * its budget gives up, and so says one that ends with fewer than `ef`. To measure all that passes
 * is cheaper then, and surer.
 */
import { passes } from "../bitmap";
import * as L from "../layout";
import { countOf, degreeMax, hasDied, headOf, linkAt, listOf } from "../row";
import { Worker } from "../worker";
import { poolBar, poolCounts, poolInsert, poolPeek, poolReset, poolTake, setPlaces } from "./pool";
import { visit, visitedReset } from "./visited";

/** Rows gathered at once, at most; the room is for 1024. */
const GATHER_MAX: u32 = 512;
/** While a list is looked through, the one so many places on is loaded. */
const AHEAD: u32 = 2;
/**
 * Bridges kept in the pool, in limits. With fewer, a region where nothing passes is not crossed.
 */
const BRIDGE_SHARE: u32 = 64;
/** What a row measured and a list looked through cost, in rows that a scan measures. */
const DISTANCE_COST: u32 = 3;
const LIST_COST: u32 = 25;

/**
 * Leaves the nearest rows met in the pool, those that do not count marked as dead. Looks for
 * `wanted` new rows that pass around each row; sets `worker.gaveUp` when the pool is void.
 */
export function searchPassing<S>(
  worker: Worker,
  from: u32,
  ef: u32,
  wanted: u32,
  budget: u32,
): void {
  visitedReset(worker);
  poolReset(worker, ef);
  worker.deadShare = BRIDGE_SHARE;
  setPlaces(worker);
  visit(worker, from);
  poolInsert(worker, changetype<S>(0).one(worker, from), from, !counts(worker, from));
  worker.looked = 0;
  worker.gaveUp = 0;
  const already = worker.distances;
  while (true) {
    const slot = poolTake(worker);
    if (slot == L.NO_SLOT) break;
    if ((worker.distances - already) * DISTANCE_COST + worker.looked * LIST_COST > budget) {
      worker.gaveUp = 1;
      return;
    }
    expand<S>(worker, slot, wanted);
  }
  if (poolCounts(worker) < ef) worker.gaveUp = 1;
}

// @ts-ignore: decorator
@inline
function counts(worker: Worker, slot: u32): bool {
  return passes(worker, slot) && !hasDied(slot);
}

function expand<S>(worker: Worker, slot: u32, wanted: u32): void {
  const gather = worker.gather;
  const aside = worker.keys;
  const list = listOf(slot, 0);
  const count = min<u32>(countOf(list), degreeMax(0));
  let met: u32 = 0;
  let others: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const link = linkAt(list, i);
    if (!visit(worker, link)) continue;
    if (passes(worker, link)) {
      store<u32>(gather + ((<usize>met) << 2), link);
      met++;
    } else {
      store<u32>(aside + ((<usize>others) << 2), link);
      others++;
    }
  }
  if (met < wanted && others > 0) met = lookThrough(worker, met, others, wanted);
  if (met > 0) measure<S>(worker, gather, met, true);
  else measure<S>(worker, aside, others, false);
}

/** Gathers rows that pass among the neighbours of the `others`, until there are `wanted`. */
function lookThrough(worker: Worker, already: u32, others: u32, wanted: u32): u32 {
  const gather = worker.gather;
  const aside = worker.keys;
  let met = already;
  for (let i: u32 = 0; i < others && met < wanted; i++) {
    const list = listOf(load<u32>(aside + ((<usize>i) << 2)), 0);
    if (i + AHEAD < others) {
      const next = headOf(load<u32>(aside + ((<usize>(i + AHEAD)) << 2)));
      worker.sink = load<u32>(next) + load<u32>(next, 64) + load<u32>(next, 128);
    }
    const count = min<u32>(countOf(list), degreeMax(0));
    worker.looked++;
    for (let j: u32 = 0; j < count; j++) {
      const link = linkAt(list, j);
      if (!passes(worker, link) || !visit(worker, link)) continue;
      store<u32>(gather + ((<usize>met) << 2), link);
      met++;
      if (met == GATHER_MAX) return met;
    }
  }
  return met;
}

function measure<S>(worker: Worker, slots: usize, count: u32, passing: bool): void {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++)
    sum += changetype<S>(0).touch(load<u32>(slots + ((<usize>i) << 2)));
  const next = poolPeek(worker);
  if (next != L.NO_SLOT) {
    const row = headOf(next);
    sum += load<u32>(row) + load<u32>(row, 64) + load<u32>(row, 128);
  }
  worker.sink = sum;
  worker.distances += count;
  let i: u32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = slots + ((<usize>i) << 2);
    const a = load<u32>(at);
    const b = load<u32>(at, 4);
    const c = load<u32>(at, 8);
    const d = load<u32>(at, 12);
    const keys = changetype<S>(0).four(worker, a, b, c, d);
    offer(worker, i32x4.extract_lane(keys, 0), a, passing);
    offer(worker, i32x4.extract_lane(keys, 1), b, passing);
    offer(worker, i32x4.extract_lane(keys, 2), c, passing);
    offer(worker, i32x4.extract_lane(keys, 3), d, passing);
  }
  for (; i < count; i++) {
    const slot = load<u32>(slots + ((<usize>i) << 2));
    offer(worker, changetype<S>(0).one(worker, slot), slot, passing);
  }
}

// @ts-ignore: decorator
@inline
function offer(worker: Worker, key: u32, slot: u32, passing: bool): void {
  if (<u64>key >= poolBar(worker)) return;
  poolInsert(worker, key, slot, !passing || hasDied(slot));
}
