/** The bits by which reach.ts finds rows that no walk can meet; words of 64 slots. */
import { header } from "../header";

// @ts-ignore: decorator
@inline
export function dueAt(word: u32): usize {
  return header().reachBase + ((<usize>word) << 3);
}

// @ts-ignore: decorator
@inline
export function metAt(word: u32): usize {
  return dueAt(word) + header().bitmapStride;
}

// @ts-ignore: decorator
@inline
export function spreadAt(word: u32): usize {
  return dueAt(word) + 2 * <usize>header().bitmapStride;
}

// @ts-ignore: decorator
@inline
export function isMet(slot: u32): bool {
  return ((load<u64>(metAt(slot >> 6)) >> (slot & 63)) & 1) != 0;
}

export function setMet(slot: u32): void {
  const at = metAt(slot >> 6);
  store<u64>(at, load<u64>(at) | ((<u64>1) << (slot & 63)));
}
