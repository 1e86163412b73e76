/** The bits of a filter that a worker holds: one a slot, set where the row's metadata match. */
import { header, slotsUsed } from "./header";
import { isVisible } from "./row";
import { Worker } from "./worker";

// @ts-ignore: decorator
@inline
export function passes(worker: Worker, slot: u32): bool {
  return ((load<u8>(worker.bitmap + (slot >> 3)) >> (<u8>slot & 7)) & 1) != 0;
}

/** The first slot from `slot` on, but below `end`, that passes; `end` when there is none. */
export function nextPassing(worker: Worker, slot: u32, end: u32): u32 {
  if (slot >= end) return end;
  let word = slot >> 6;
  let bits = load<u64>(worker.bitmap + (<usize>word << 3)) & (~(<u64>0) << (slot & 63));
  while (bits == 0) {
    word++;
    if (word << 6 >= end) return end;
    bits = load<u64>(worker.bitmap + (<usize>word << 3));
  }
  return min<u32>((word << 6) + <u32>ctz(bits), end);
}

/** How many of the slots below `end` pass and have not died. */
export function countPassing(worker: Worker, end: u32): u32 {
  let count: u64 = 0;
  const bytes = <usize>((end + 63) >> 6) << 3;
  for (let at: usize = 0; at < bytes; at += 8) {
    count += popcnt(load<u64>(worker.bitmap + at) & ~load<u64>(header().deadBase + at));
  }
  return <u32>count;
}

/**
 * How many rows in the slots from..to are seen at the worker's snapshot, and pass if `filtered`.
 */
export function countVisible(worker: Worker, from: u32, to: u32, filtered: bool): u32 {
  const end = min(to, slotsUsed());
  let count: u32 = 0;
  for (let slot = from; slot < end; slot++) {
    if (filtered) {
      slot = nextPassing(worker, slot, end);
      if (slot >= end) break;
    }
    count += u32(isVisible(slot, worker.snapshot));
  }
  return count;
}
