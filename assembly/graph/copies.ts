/**
 * Copies: rows that a walk cannot tell apart, because their codes (or vectors, where it goes by
 * those) are the same. Hundreds of them would fill every list near them and every pool that passes,
 * and the graph would end there. So they hang on each other and stand for one row elsewhere:
 *
 *   - a row that meets a copy of itself when it is linked is linked to from copies alone: from the
 *     one met, its *host*, or from one behind the host that leads to fewer than OWN_COPIES. So
 *     copies are a tree, in which all are reached from each, and which a walk climbs to its root.
 *   - lists name one copy of other rows, of those met the one in the lowest slot (select.ts).
 *   - a pool counts one copy of a row; the others are kept and walked through beside (pool.ts), as
 *     many as the pool is wide.
 */
import { floatsOf } from "../bays";
import { passes } from "../bitmap";
import { MODE_CODES } from "../codebook";
import { header } from "../header";
import * as L from "../layout";
import * as Row from "../row";
import { Worker } from "../worker";
import { keyIn, poolEntry, slotIn } from "./pool";

/** Copies of itself that a row leads to. */
export const OWN_COPIES: u32 = 4;
/** Copies that are asked for room before a link is forced. */
const STEPS_MAX: u32 = 32;

export function isCopy(worker: Worker, a: u32, b: u32): bool {
  if (worker.mode > MODE_CODES)
    return isSame(
      floatsOf(a, worker.floatsA),
      floatsOf(b, worker.floatsB),
      header().vectorStride,
    );
  const half = header().codeBytes >> 1;
  return (
    Row.generationOf(a) == Row.generationOf(b) &&
    isSame(Row.codeOf(a), Row.codeOf(b), half) &&
    isSame(Row.fineOf(a), Row.fineOf(b), half)
  );
}

/** Whole numbers of 16 bytes. */
function isSame(a: usize, b: usize, bytes: u32): bool {
  for (let at: usize = 0; at < bytes; at += 16)
    if (v128.any_true(v128.xor(v128.load(a + at), v128.load(b + at)))) return false;
  return true;
}

/**
 * Where a walk notes a row that is tied with others in its pool: by a hash of the code, the
 * distance, the lowest copy's slot, how many there are, and the walk.
 */
function placeOf(worker: Worker, slot: u32): usize {
  const isCoded = worker.mode <= MODE_CODES;
  const bytes = isCoded ? header().codeBytes >> 1 : header().vectorStride;
  const from = isCoded ? Row.codeOf(slot) : floatsOf(slot, worker.floatsA);
  let hash: u64 = 0;
  for (let at: usize = 0; at < bytes; at += 8)
    hash = (rotl<u64>(hash, 5) ^ load<u64>(from + at)) * 0x9e3779b97f4a7c15;
  return worker.tied + ((<usize>(hash >> (64 - L.TIED_BITS))) << 4);
}

/** Where copies of `slot` are noted in this walk, at that distance; anew, where none are. */
function noted(worker: Worker, key: u32, slot: u32): usize {
  const place = placeOf(worker, slot);
  const isThere = load<u32>(place) == key && load<u32>(place, 12) == worker.walk;
  const first = load<u32>(place, 4);
  if (isThere && (first == slot || isCopy(worker, first, slot))) return place;
  store<u32>(place, key);
  store<u32>(place, slot, 4);
  store<u32>(place, 0, 8);
  store<u32>(place, worker.walk, 12);
  return place;
}

/** Sees to it that copies of an entry of the pool are known from now on. */
export function noteFirst(worker: Worker, key: u32, slot: u32): void {
  const place = noted(worker, key, slot);
  store<u32>(place, max<u32>(load<u32>(place, 8), 1), 8);
}

/**
 * Notes a living row that comes into the pool tied with others; returns which copy it is, from 0.
 * One in a lower slot than all before leads to the root, and counts as the second.
 */
export function noteCopy(worker: Worker, key: u32, slot: u32): u32 {
  const place = noted(worker, key, slot);
  const copies = load<u32>(place, 8);
  store<u32>(place, copies + 1, 8);
  if (slot >= load<u32>(place, 4)) return copies;
  store<u32>(place, slot, 4);
  return 1;
}

/** Whether a row would take a place in the pool, were it no copy. */
export function isCounted(worker: Worker, slot: u32): bool {
  return !Row.hasDied(slot) && (!worker.filtered || passes(worker, slot));
}

/** One of the living copies of `slot` in the pool of its own walk; NO_SLOT where there is none. */
export function hostOf<S>(worker: Worker, slot: u32): u32 {
  const size = worker.poolSize;
  const key = changetype<S>(0).one(worker, slot);
  let from: u32 = 0;
  while (from < size && keyIn(poolEntry(worker, from)) < key) from++;
  let to = from;
  while (to < size && keyIn(poolEntry(worker, to)) == key) to++;
  const count = to - from;
  // Not always the first, so that no chain of them grows long.
  for (let i: u32 = 0; i < count; i++) {
    const other = slotIn(poolEntry(worker, from + ((slot + i) % count)));
    if (other != slot && !Row.hasDied(other) && isCopy(worker, slot, other)) return other;
  }
  return L.NO_SLOT;
}

/**
 * Lets the host lead to its copy `slot`, or a copy behind the host that leads to fewer than it may.
 * False where none is found soon.
 */
export function hang(worker: Worker, host: u32, slot: u32, level: u32): bool {
  let from = host;
  for (let step: u32 = 0; step < STEPS_MAX && from != L.NO_SLOT; step++) {
    if (takeIn(worker, from, slot, level)) return true;
    from = copyBehind(worker, from, slot, level, step);
  }
  return false;
}

/** Whether the host leads to `slot` now. */
function takeIn(worker: Worker, host: u32, slot: u32, level: u32): bool {
  Row.lockRow(host);
  const list = Row.listOf(host, level);
  const count = Row.countOf(list);
  let copies: u32 = 0;
  let known = false;
  for (let i: u32 = 0; i < count && !known; i++) {
    known = Row.linkAt(list, i) == slot;
    copies += <u32>isCopy(worker, slot, Row.linkAt(list, i));
  }
  const isOpen = copies < OWN_COPIES && count < Row.degreeMax(level);
  if (isOpen && !known) {
    Row.setLink(list, count, slot);
    Row.setCount(list, count + 1);
  }
  Row.unlockRow(host);
  return isOpen || known;
}

/** One of the living copies in a host's list, another at each step; NO_SLOT for none. */
function copyBehind(worker: Worker, host: u32, slot: u32, level: u32, step: u32): u32 {
  const list = Row.listOf(host, level);
  const count = min<u32>(Row.countOf(list), Row.degreeMax(level));
  let draw = (slot ^ (step << 24)) * 0x9e3779b9;
  let found: u32 = L.NO_SLOT;
  let copies: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const other = Row.linkAt(list, i);
    if (Row.hasDied(other) || !isCopy(worker, slot, other)) continue;
    copies++;
    draw = (draw ^ (draw >> 15)) * 0x85ebca6b;
    if ((draw >> 8) % copies == 0) found = other;
  }
  return found;
}
