/**
 * The tail: rows that are appended but not in the graph yet, as a ring of slots.
 *
 *   head <= taken <= end    three counters that only grow; entry i lies at i mod tailCapacity
 *   head .. taken           being linked; an entry whose top bit is set is done
 *   taken .. end            waiting
 *
 * The writer alone moves `end`; linkers claim by moving `taken` and pass `head` over what is done.
 * Readers scan head .. end before they walk the graph: a row that is linked meanwhile is then met
 * in both, never in neither.
 */
import { passes } from "./bitmap";
import { MODE_CAREFUL, MODE_COARSE, MODE_CODES } from "./codebook";
import { insert } from "./graph/insert";
import { noteHaste } from "./graph/refine";
import { heapBar, heapOffer } from "./graph/heap";
import { header } from "./header";
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
import { forgotten } from "./readers";
import { deathOf, headOf, isVisible } from "./row";
import { Worker } from "./worker";

const DONE: u32 = 0x80000000;

// @ts-ignore: decorator
@inline
function entryAt(index: u32): usize {
  return header().tailBase + ((<usize>(index & (header().tailCapacity - 1))) << 2);
}

// @ts-ignore: decorator
@inline
function tailEnd(): u32 {
  return atomic.load<u32>(L.HEADER_TAIL_END);
}

/** Rows that wait for, or are in, a linker's hands. */
export function tailLength(): u32 {
  // Head first: it never passes an end that is read after it.
  const head = atomic.load<u32>(L.HEADER_TAIL_HEAD);
  return tailEnd() - head;
}

/** The slot of the entry at `index`, counted from the head; with a mark where it is done. */
export function tailEntry(index: u32): u32 {
  return atomic.load<u32>(entryAt(atomic.load<u32>(L.HEADER_TAIL_HEAD) + index));
}

/** Appends a slot. The writer only. */
export function tailPush(slot: u32): void {
  const end = tailEnd();
  atomic.store<u32>(entryAt(end), slot);
  atomic.store<u32>(L.HEADER_TAIL_END, end + 1);
}

/** Links up to `count` waiting rows; returns how many were taken. */
export function linkTail(worker: Worker, count: u32, ef: u32, slack: u32, hasty: bool): u32 {
  let done: u32 = 0;
  while (done < count) {
    const index = claim();
    if (index < 0) break;
    const at = entryAt(<u32>index);
    const slot = atomic.load<u32>(at);
    // Also a row that died meanwhile, as long as a reader may be owed it: its death may be of a
    // write that is not published yet.
    if (isForgotten(slot)) passBy(slot);
    else insert(worker, slot, ef, slack);
    if (hasty) noteHaste(slot);
    atomic.store<u32>(at, slot | DONE);
    passHead();
    done++;
  }
  return done;
}

function isForgotten(slot: u32): bool {
  const death = deathOf(slot);
  return death != 0 && death <= forgotten();
}

/** The row never comes into the graph: a repair frees its slot as it stands. */
function passBy(slot: u32): void {
  atomic.or<u16>(headOf(slot) + L.ROW_FLAGS, <u16>L.FLAG_PASSED);
}

/** The index of a waiting entry that is now ours, or -1. */
function claim(): i64 {
  while (true) {
    const taken = atomic.load<u32>(L.HEADER_TAIL_TAKEN);
    if (taken == tailEnd()) return -1;
    if (atomic.cmpxchg<u32>(L.HEADER_TAIL_TAKEN, taken, taken + 1) == taken) return <i64>taken;
  }
}

/** Moves `head` over finished entries. A cmpxchg that fails means that another linker just did. */
function passHead(): void {
  while (true) {
    const head = atomic.load<u32>(L.HEADER_TAIL_HEAD);
    if (head == atomic.load<u32>(L.HEADER_TAIL_TAKEN)) return;
    if (!(atomic.load<u32>(entryAt(head)) & DONE)) return;
    atomic.cmpxchg<u32>(L.HEADER_TAIL_HEAD, head, head + 1);
  }
}

/** Offers the tail's visible rows to the worker's heap, by the query's own way of measuring. */
export function scanTail(worker: Worker): void {
  if (tailLength() == 0) return;
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) scanIn<DotCoarse>(worker);
    else scanIn<L2Coarse>(worker);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) scanIn<DotCodes>(worker);
    else scanIn<L2Codes>(worker);
  } else if (worker.mode == MODE_CAREFUL) scanIn<Careful>(worker);
  else if (metric == L.METRIC_L2) scanIn<L2Floats>(worker);
  else scanIn<OtherFloats>(worker);
}

function scanIn<S>(worker: Worker): void {
  const gather = worker.gather;
  let at = atomic.load<u32>(L.HEADER_TAIL_HEAD);
  const end = tailEnd();
  // The ring is longer than any tail, but a reader that slept might find it turned: it reads one
  // turn at most.
  if (end - at > header().tailCapacity) at = end - header().tailCapacity;
  let met: u32 = 0;
  for (; at != end; at++) {
    const slot = atomic.load<u32>(entryAt(at));
    if (slot & DONE || (worker.filtered && !passes(worker, slot))) continue;
    store<u32>(gather + ((<usize>met) << 2), slot);
    met++;
    if (met == 4) {
      met = 0;
      measureFour<S>(worker, gather);
    }
  }
  for (let i: u32 = 0; i < met; i++) {
    const slot = load<u32>(gather + ((<usize>i) << 2));
    offer(worker, changetype<S>(0).one(worker, slot), slot);
  }
}

// @ts-ignore: decorator
@inline
function measureFour<S>(worker: Worker, gather: usize): void {
  const a = load<u32>(gather);
  const b = load<u32>(gather, 4);
  const c = load<u32>(gather, 8);
  const d = load<u32>(gather, 12);
  const keys = changetype<S>(0).four(worker, a, b, c, d);
  offer(worker, i32x4.extract_lane(keys, 0), a);
  offer(worker, i32x4.extract_lane(keys, 1), b);
  offer(worker, i32x4.extract_lane(keys, 2), c);
  offer(worker, i32x4.extract_lane(keys, 3), d);
  worker.distances += 4;
}

// @ts-ignore: decorator
@inline
function offer(worker: Worker, key: u32, slot: u32): void {
  if (<u64>key >= heapBar(worker)) return;
  if (isVisible(slot, worker.snapshot)) heapOffer(worker, key, slot);
}
