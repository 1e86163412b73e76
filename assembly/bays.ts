/**
 * Float32 of rows where it is not kept (`vectors: "none"`): the row is its code, and what a code
 * cannot hold lies in a *bay*.
 *
 *   baysBase     u32 a slot: number of the row's bay + 1, or 0 where the row is its code alone
 *   vectorsBase  the bays, vectorStride bytes each; the first BAYS_RESERVED of them hold no row:
 *                0 takes what the writer is about to publish, 1 and 2 what a row is turned into
 *                while it moves to a new generation
 *
 * A row has a bay while no range has been learned, and afterwards when the range cannot hold it
 * nearly as well as others. Ranges only grow here, so that a row without float32 never leaves one.
 * There are fewer bays than rows: when they run out, the writer learns a range that holds all that
 * lies in them (range.ts).
 *
 * A row's float32 is let go under its readers, so its stamp moves with it. Who changes a stamp, or
 * what a slot's bay is, has the bays' lock.
 */
import { Codebook, codebook, header } from "./header";
import { unpack } from "./kernels/halves";
import * as L from "./layout";
import { codeOf, fineOf, generationOf, lock, unlock, vectorOf } from "./row";

/** How many bays a shard of that capacity has; an image that is loaded may need more. */
export function bayCount(capacity: u64): u64 {
  const rows = min(capacity, max<u64>(L.BAYS_MIN, capacity / L.BAYS_SHARE));
  return max<u64>(rows + L.BAYS_RESERVED, load<u32>(L.HEADER_BAYS));
}

/** Whether rows are let go of once their codes hold them. */
// @ts-ignore: decorator
@inline
export function sheds(): bool {
  return load<u32>(L.HEADER_KEEP) != <u32>L.KEEP_ALL;
}

// @ts-ignore: decorator
@inline
export function bayAddress(bay: u32): usize {
  return header().vectorsBase + <usize>bay * header().vectorStride;
}

/** Where the number of the slot's bay stands. */
// @ts-ignore: decorator
@inline
export function bayEntry(slot: u32): usize {
  return load<usize>(L.HEADER_BAYS_BASE) + ((<usize>slot) << 2);
}

/** Where a vector lies that the writer is about to publish in the slot. */
export function stagedVector(slot: u32): usize {
  return sheds() ? bayAddress(0) : vectorOf(slot);
}

/**
 * The row's float32: where it lies, or what its code stands for, written to `scratch`
 * (vectorStride and codeBytes long).
 */
// @ts-ignore: decorator
@inline
export function floatsOf(slot: u32, scratch: usize): usize {
  return sheds() ? shedFloats(slot, scratch) : vectorOf(slot);
}

function shedFloats(slot: u32, scratch: usize): usize {
  const bay = atomic.load<u32>(bayEntry(slot));
  if (bay != 0) return bayAddress(bay - 1);
  decode(slot, codebook(generationOf(slot)), scratch);
  return scratch;
}

/** What the row's code stands for; past the dimensions it is 0. */
function decode(slot: u32, book: Codebook, target: usize): void {
  const dimensions = header().dimensions;
  const bytes = target + header().vectorStride;
  const starts = changetype<usize>(book) + L.CODEBOOK_STARTS;
  unpack(codeOf(slot), fineOf(slot), header().codeBytes >> 1, starts, bytes);
  const low = f32x4.splat(book.low);
  const scale = f32x4.splat(book.scale);
  for (let at: u32 = 0; at < dimensions; at += 4) {
    const code = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(bytes + at)));
    const values = f32x4.add(low, f32x4.mul(scale, f32x4.convert_i32x4_u(code)));
    const inside = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(dimensions - at));
    v128.store(target + ((<usize>at) << 2), v128.and(values, inside));
  }
}

/** Early loads of what `floatsOf` will read. */
export function touchShed(slot: u32): u32 {
  return load<u32>(codeOf(slot)) + load<u32>(fineOf(slot)) + load<u32>(bayEntry(slot));
}

export function lockBays(): void {
  lock(L.HEADER_BAY_LOCK);
}

export function unlockBays(): void {
  unlock(L.HEADER_BAY_LOCK);
}

/** Bays that a row can still be given. */
export function baysLeft(): u32 {
  const used = atomic.load<u32>(L.HEADER_BAYS_USED);
  return load<u32>(L.HEADER_BAYS) - used + atomic.load<u32>(L.HEADER_BAYS_FREE);
}

/** With the lock: the vector becomes the slot's, in a bay. False when there is none left. */
export function keepInBay(slot: u32, vector: usize): bool {
  let bay = load<u32>(bayEntry(slot));
  if (bay == 0) {
    bay = takeBay();
    if (bay == 0) return false;
    atomic.store<u32>(bayEntry(slot), bay);
  }
  const target = bayAddress(bay - 1);
  if (target != vector) memory.copy(target, vector, header().vectorStride);
  return true;
}

/** With the lock: the slot has no bay any more. */
export function leaveBay(slot: u32): void {
  const bay = load<u32>(bayEntry(slot));
  if (bay == 0) return;
  atomic.store<u32>(bayEntry(slot), 0);
  freeBay(bay);
}

function takeBay(): u32 {
  const free = load<u32>(L.HEADER_BAY_FREE);
  if (free != 0) {
    store<u32>(L.HEADER_BAY_FREE, load<u32>(bayAddress(free - 1)));
    atomic.sub<u32>(L.HEADER_BAYS_FREE, 1);
    return free;
  }
  const used = load<u32>(L.HEADER_BAYS_USED);
  if (used >= load<u32>(L.HEADER_BAYS)) return 0;
  atomic.store<u32>(L.HEADER_BAYS_USED, used + 1);
  return used + 1;
}

/** The first word of a free bay leads to the next one. */
export function freeBay(bay: u32): void {
  store<u32>(bayAddress(bay - 1), load<u32>(L.HEADER_BAY_FREE));
  store<u32>(L.HEADER_BAY_FREE, bay);
  atomic.add<u32>(L.HEADER_BAYS_FREE, 1);
}
