/**
 * The walk: Algorithms 2 and 5 of Malkov and Yashunin, "Efficient and robust approximate nearest
 * neighbor search using Hierarchical Navigable Small World graphs" (2016), over one sorted pool.
 * Readers take no lock: a list is read at its count, and every id in it is a slot below slotsUsed,
 * linked now or before.
 *
 * Unmet neighbours are gathered first and then measured four at a time, so that their cache misses
 * overlap.
 */
import * as L from "../layout";
import { countOf, degreeMax, hasDied, headOf, linkAt, listOf } from "../row";
import { Worker } from "../worker";
import { poolBar, poolInsert, poolPeek, poolReset, poolTake } from "./pool";
import { visit, visitedReset, visitList } from "./visited";

/** Slot and top level of the entry point; NO_SLOT while the graph is empty. */
// @ts-ignore: decorator
@inline
export function entry(): u64 {
  return atomic.load<u64>(L.HEADER_ENTRY);
}

/** Walks greedily from `level` down to, but not on, `target`; returns the nearest slot met. */
export function descend<S>(worker: Worker, from: u32, level: u32, target: u32): u32 {
  const gather = worker.gather;
  let best = from;
  let bestKey = changetype<S>(0).one(worker, best);
  for (let at = level; at > target; at--) {
    let moved = true;
    while (moved) {
      moved = false;
      const list = listOf(best, at);
      const count = min<u32>(countOf(list), degreeMax(at));
      for (let i: u32 = 0; i < count; i++)
        store<u32>(gather + ((<usize>i) << 2), linkAt(list, i));
      worker.sink = touchGathered<S>(worker, count);
      worker.distances += count;
      fillFour(gather, count);
      for (let i: u32 = 0; i < count; i += 4) {
        const four = gather + ((<usize>i) << 2);
        for (let near = nearOf<S>(worker, four, bestKey - 1); near; near &= near - 1) {
          const lane = (<usize>ctz(near)) << 2;
          const key = load<u32>(worker.keys + lane);
          const slot = load<u32>(four + lane);
          if (key >= bestKey || slot == worker.without) continue;
          bestKey = key;
          best = slot;
          moved = true;
        }
      }
    }
  }
  return best;
}

/** The last gathered slot again, so that whole fours can be measured; callers leave them out. */
// @ts-ignore: decorator
@inline
function fillFour(gather: usize, count: u32): void {
  if (count == 0) return;
  const end = gather + ((<usize>count) << 2);
  const last = load<u32>(end - 4);
  store<u32>(end, last);
  store<u32>(end, last, 4);
  store<u32>(end, last, 8);
}

/** Bits of those of the four slots at `four` whose keys, left in `worker.keys`, are up to `bar`. */
// @ts-ignore: decorator
@inline
function nearOf<S>(worker: Worker, four: usize, bar: u32): i32 {
  const keys = changetype<S>(0).four(
    worker,
    load<u32>(four),
    load<u32>(four, 4),
    load<u32>(four, 8),
    load<u32>(four, 12),
  );
  const near = i32x4.bitmask(i32x4.le_u(keys, i32x4.splat(bar)));
  if (near) v128.store(worker.keys, keys);
  return near;
}

// @ts-ignore: decorator
@inline
function offer(worker: Worker, key: u32, slot: u32): void {
  if (<u64>key >= poolBar(worker)) return;
  poolInsert(worker, key, slot, hasDied(slot));
}

/**
 * Algorithm 2: the `ef` nearest living rows met from `from` on, left in the pool. Dead rows are
 * walked through and count for nothing; rows written after the snapshot may be in the pool and are
 * sorted out by whoever reads it.
 */
export function searchLayer<S>(worker: Worker, from: u32, ef: u32, level: u32): void {
  open<S>(worker, from, ef);
  walk<S>(worker, level);
}

/** Puts the row that a walk begins at into an empty pool. */
export function open<S>(worker: Worker, from: u32, ef: u32): void {
  visitedReset(worker);
  poolReset(worker, ef);
  if (worker.without != L.NO_SLOT) visit(worker, worker.without);
  visit(worker, from);
  poolInsert(worker, changetype<S>(0).one(worker, from), from, hasDied(from));
}

/** Expands the pool until nothing nearer is left. */
export function walk<S>(worker: Worker, level: u32): void {
  const gather = worker.gather;
  while (true) {
    const slot = poolTake(worker);
    if (slot == L.NO_SLOT) return;
    const list = listOf(slot, level);
    const count = min<u32>(countOf(list), degreeMax(level));
    const met = visitList(worker, list, count, gather);
    touchAll<S>(worker, met);
    worker.distances += met;
    measure<S>(worker, met);
  }
}

/**
 * Loads a little of each gathered row before any is measured, and of the list that comes next.
 * There is no prefetch instruction; plain early loads let all their cache misses run at once. The
 * sum is kept so that the loads are not taken for dead.
 */
// @ts-ignore: decorator
@inline
function touchAll<S>(worker: Worker, count: u32): void {
  let sum = touchGathered<S>(worker, count);
  const next = poolPeek(worker);
  if (next != L.NO_SLOT) {
    const row = headOf(next);
    sum += load<u32>(row) + load<u32>(row, 64) + load<u32>(row, 128);
  }
  worker.sink = sum;
}

// @ts-ignore: decorator
@inline
function touchGathered<S>(worker: Worker, count: u32): u32 {
  const gather = worker.gather;
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++)
    sum += changetype<S>(0).touch(load<u32>(gather + ((<usize>i) << 2)));
  return sum;
}

/**
 * Measures the first `count` gathered slots and offers them to the pool: four at a time, of which
 * most often none is near enough. A bar of 0 lets all pass here, and `offer` turns them away.
 */
// @ts-ignore: decorator
@inline
export function measure<S>(worker: Worker, count: u32): void {
  const gather = worker.gather;
  fillFour(gather, count);
  let bar = <u32>(poolBar(worker) - 1);
  for (let i: u32 = 0; i < count; i += 4) {
    const four = gather + ((<usize>i) << 2);
    let near = nearOf<S>(worker, four, bar);
    if (near == 0) continue;
    if (i + 4 > count) near &= (1 << (count - i)) - 1;
    for (; near; near &= near - 1) {
      const lane = (<usize>ctz(near)) << 2;
      offer(worker, load<u32>(worker.keys + lane), load<u32>(four + lane));
    }
    bar = <u32>(poolBar(worker) - 1);
  }
}
