/**
 * The pool of a walk: one sorted array of entries, nearest first, in place of the two heaps of the
 * paper.
 *
 *   entry = key << 32 | expanded << 31 | dead << 30 | slot
 *
 * `limit` counts living entries: a dead row is walked through but takes nobody's place, so the pool
 * holds `poolDead` entries more, up to `deadShare` limits. Further copies of an entry (copies.ts)
 * are marked and counted as dead ones are; `poolSpare` says how many. `poolNext` is the first entry
 * that has not been expanded. A walk that adapts (width.ts) also turns away what lies beyond its
 * reach.
 */
import * as L from "../layout";
import { Worker } from "../worker";
import { isCounted, noteCopy, noteFirst } from "./copies";

export const EXPANDED: u64 = 0x80000000;
export const DEAD: u64 = 0x40000000;

/** Dead entries that are walked through, in limits: beyond that they take places like others. */
export const DEAD_SHARE: u32 = 8;

/** After a change of what the pool may hold. */
export function setPlaces(worker: Worker): void {
  const dead = min<u32>(worker.poolDead - worker.poolSpare, worker.poolLimit * worker.deadShare);
  worker.places = min<u32>(worker.poolLimit + worker.poolSpare + dead, L.POOL_MAX - 1);
}

export function poolReset(worker: Worker, limit: u32): void {
  worker.poolSize = 0;
  worker.poolLimit = limit;
  worker.deadShare = DEAD_SHARE;
  worker.poolDead = 0;
  worker.poolSpare = 0;
  worker.poolNext = 0;
  worker.poolSpan = 0;
  setPlaces(worker);
}

/** Living rows in the pool, copies included. */
export function poolCounts(worker: Worker): u32 {
  return worker.poolSize - worker.poolDead + worker.poolSpare;
}

// @ts-ignore: decorator
@inline
export function poolEntry(worker: Worker, index: u32): u64 {
  return load<u64>(worker.pool + ((<usize>index) << 3));
}

// @ts-ignore: decorator
@inline
export function slotIn(entry: u64): u32 {
  return <u32>entry & L.NO_SLOT;
}

// @ts-ignore: decorator
@inline
export function keyIn(entry: u64): u32 {
  return <u32>(entry >> 32);
}

/** The key at or above which an entry finds no place; 2^32 while there is room. */
// @ts-ignore: decorator
@inline
export function poolBar(worker: Worker): u64 {
  const size = worker.poolSize;
  const reach = poolReach(worker);
  if (size < worker.places) return reach;
  return min<u64>(reach, load<u64>(worker.pool + ((<usize>size) << 3) - 8) >> 32);
}

/** The key beyond which an adapting walk does not go; 2^32 for none. Dead rows move no place up. */
// @ts-ignore: decorator
@inline
function poolReach(worker: Worker): u64 {
  const span = worker.poolSpan;
  const sure = worker.poolSure + worker.poolDead;
  if (span == 0 || worker.poolSize < sure) return 0x100000000;
  const anchor = keyIn(poolEntry(worker, worker.poolAnchor + worker.poolDead - 1));
  return max<u64>(<u64>(span * <f32>anchor), <u64>keyIn(poolEntry(worker, sure - 1)));
}

/** Whether an entry beside the one that comes in at `at` is as far. */
// @ts-ignore: decorator
@inline
function isTied(worker: Worker, at: u32, key: u32): bool {
  if (at > 0 && keyIn(poolEntry(worker, at - 1)) == key) return true;
  return at + 1 < worker.poolSize && keyIn(poolEntry(worker, at + 1)) == key;
}

/**
 * The mark of the entry that comes in at `at`, tied with others: of a row only the first copy
 * counts. Takes it out again where there are enough.
 */
function markTied(worker: Worker, at: u32, key: u32, slot: u32): u64 {
  if (at > 0) noteEntry(worker, at - 1, key);
  if (at + 1 < worker.poolSize) noteEntry(worker, at + 1, key);
  const copies = noteCopy(worker, key, slot);
  if (copies == 0) return 0;
  worker.poolDead++;
  worker.poolSpare++;
  setPlaces(worker);
  return copies < worker.copiesMax ? DEAD : DEAD | EXPANDED;
}

/** Sees to it that a tied entry's copies are known from now on. */
function noteEntry(worker: Worker, index: u32, key: u32): void {
  const found = poolEntry(worker, index);
  if (keyIn(found) == key && !(found & DEAD)) noteFirst(worker, key, slotIn(found));
}

/** Puts an entry in its place; the farthest goes when more than `limit` living ones are there. */
export function poolInsert(worker: Worker, key: u32, slot: u32, dead: bool): void {
  const pool = worker.pool;
  let entry = ((<u64>key) << 32) | (dead ? DEAD : 0) | slot;
  let at = worker.poolSize;
  let above = pool + ((<usize>at) << 3);
  while (at > 0) {
    const other = load<u64>(above - 8);
    if (other <= entry) break;
    store<u64>(above, other);
    above -= 8;
    at--;
  }
  worker.poolSize++;
  if (dead) {
    worker.poolDead++;
    setPlaces(worker);
  } else if (isTied(worker, at, key)) entry |= markTied(worker, at, key, slot);
  store<u64>(above, entry);
  if (at < worker.poolNext) worker.poolNext = at;
  trim(worker);
}

// @ts-ignore: decorator
@inline
function trim(worker: Worker): void {
  while (worker.poolSize > worker.places) {
    worker.poolSize--;
    const last = poolEntry(worker, worker.poolSize);
    if (!(last & DEAD)) continue;
    worker.poolDead--;
    worker.poolSpare -= <u32>isCounted(worker, slotIn(last));
    setPlaces(worker);
  }
}

/** The entry that would be expanded next, as far as is known now. */
// @ts-ignore: decorator
@inline
export function poolPeek(worker: Worker): u32 {
  const next = worker.poolNext;
  return next < worker.poolSize ? slotIn(poolEntry(worker, next)) : L.NO_SLOT;
}

/** The nearest entry not yet expanded, now marked as expanded; NO_SLOT when the walk is over. */
// @ts-ignore: decorator
@inline
export function poolTake(worker: Worker): u32 {
  const size = worker.poolSize;
  const pool = worker.pool;
  let next = worker.poolNext;
  while (next < size) {
    const at = pool + ((<usize>next) << 3);
    const entry = load<u64>(at);
    if (!(entry & EXPANDED)) {
      if (<u64>keyIn(entry) > poolReach(worker)) break;
      store<u64>(at, entry | EXPANDED);
      worker.poolNext = next + 1;
      return slotIn(entry);
    }
    next++;
  }
  worker.poolNext = next;
  return L.NO_SLOT;
}
