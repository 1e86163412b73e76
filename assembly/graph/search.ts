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
  let best = from;
  let bestKey = changetype<S>(0).one(worker, best);
  for (let at = level; at > target; at--) {
    let moved = true;
    while (moved) {
      moved = false;
      const list = listOf(best, at);
      const count = min<u32>(countOf(list), degreeMax(at));
      worker.distances += count;
      for (let i: u32 = 0; i < count; i++) {
        const slot = linkAt(list, i);
        const key = changetype<S>(0).one(worker, slot);
        if (key < bestKey && slot != worker.without) {
          bestKey = key;
          best = slot;
          moved = true;
        }
      }
    }
  }
  return best;
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
  visitedReset(worker);
  poolReset(worker, ef);
  if (worker.without != L.NO_SLOT) visit(worker, worker.without);
  visit(worker, from);
  poolInsert(worker, changetype<S>(0).one(worker, from), from, hasDied(from));
  walk<S>(worker, level);
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
 * Loads a little of each gathered row before any is measured. There is no prefetch instruction;
 * plain early loads let all their cache misses run at once. The sum is kept so that the loads are
 * not taken for dead.
 */
// @ts-ignore: decorator
@inline
function touchAll<S>(worker: Worker, count: u32): void {
  const gather = worker.gather;
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++)
    sum += changetype<S>(0).touch(load<u32>(gather + ((<usize>i) << 2)));
  const next = poolPeek(worker);
  if (next != L.NO_SLOT) {
    const row = headOf(next);
    sum += load<u32>(row) + load<u32>(row, 64) + load<u32>(row, 128);
  }
  worker.sink = sum;
}

/** Measures the first `count` gathered slots and offers them to the pool. */
// @ts-ignore: decorator
@inline
export function measure<S>(worker: Worker, count: u32): void {
  const gather = worker.gather;
  let i: u32 = 0;
  for (; i + 4 <= count; i += 4) {
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
  for (; i < count; i++) {
    const slot = load<u32>(gather + ((<usize>i) << 2));
    offer(worker, changetype<S>(0).one(worker, slot), slot);
  }
}
