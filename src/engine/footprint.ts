/** What a shard's memory holds, by part, from the words of its header. */
import * as L from "../../assembly/layout.ts";

const BAY_ENTRY_BYTES = 4;

/** Bytes. `free` has the slots that wait for a row, and what threads need to search. */
export interface Footprint {
  readonly vectors: number;
  readonly codes: number;
  readonly graph: number;
  readonly free: number;
}

/** Bytes that one more row takes, the share of upper levels left out. */
export function rowBytesOf(words: Uint32Array): number {
  const at = (offset: number) => words[offset >>> 2]!;
  return keptBytesOf(words) + codeBytesOf(words) + at(L.HEADER_ROW_STRIDE);
}

/** Of a row's float32; where it is not kept, of what tells the few rows apart that have it. */
export function keptBytesOf(words: Uint32Array): number {
  const isKept = words[L.HEADER_KEEP >>> 2] === L.KEEP_ALL;
  return isKept ? words[L.HEADER_VECTOR_STRIDE >>> 2]! : BAY_ENTRY_BYTES;
}

/** Of both halves. */
export function codeBytesOf(words: Uint32Array): number {
  return words[L.HEADER_CODE_STRIDE >>> 2]! + words[L.HEADER_CODE_BYTES >>> 2]! / 2;
}

/** Bytes of links above level 0 a row, on average: one row in m has a level more than below. */
export function upperBytesOf(words: Uint32Array): number {
  return words[L.HEADER_UPPER_STRIDE >>> 2]! / (words[L.HEADER_M >>> 2]! - 1);
}

/** Bytes that rows have touched. */
export function footprintOf(words: Uint32Array): Footprint {
  const at = (offset: number) => words[offset >>> 2]!;
  const used = at(L.HEADER_SLOTS_USED);
  const free = at(L.HEADER_FREE_COUNT);
  const taken = used - free;
  const upper = Math.min(at(L.HEADER_UPPER_USED), at(L.HEADER_UPPER_CAPACITY));
  const ring = Math.min(at(L.HEADER_TAIL_END), at(L.HEADER_TAIL_CAPACITY));
  const bays = at(L.HEADER_BAYS_USED) - at(L.HEADER_BAYS_FREE);
  const threads = used * at(L.HEADER_WORKERS);
  return {
    vectors: taken * keptBytesOf(words) + bays * at(L.HEADER_VECTOR_STRIDE),
    codes: taken * codeBytesOf(words),
    graph: taken * at(L.HEADER_ROW_STRIDE) + upper * at(L.HEADER_UPPER_STRIDE),
    free: free * rowBytesOf(words) + ring * 4 + threads + L.HEADER_BYTES,
  };
}
