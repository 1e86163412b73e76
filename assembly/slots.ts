/**
 * The writer's side of a shard: slots are taken, filled, published and retired here, by one thread.
 *
 * A row comes in three steps. `takeSlot` makes its stamp odd, the host copies the vector in,
 * `publish` writes the rest, makes the stamp even and puts the row on the tail. Readers whose
 * snapshot is older than its birth pass it by until the collection's sequence moves on, so a batch
 * appears as one.
 */
import { encodeRow, forgetCode, settleCode } from "./codebook";
import { markDirty } from "./dirty";
import { fence, header, slotsUsed } from "./header";
import * as L from "./layout";
import { codeOf, headOf, setDied, vectorOf } from "./row";
import { tailPush } from "./tail";

/** Slots that can still be taken. */
export function slotsLeft(): u32 {
  return header().capacity - slotsUsed() + load<u32>(L.HEADER_FREE_COUNT);
}

/**
 * Takes a slot, or returns NO_SLOT. Fresh slots come in ascending order, so a batch mostly fills
 * one stretch.
 */
export function takeSlot(): u32 {
  const free = load<u32>(L.HEADER_FREE_HEAD);
  let slot: u32;
  if (free != L.NO_SLOT) {
    slot = free;
    atomic.add<u32>(L.HEADER_RECYCLED, 1);
    store<u32>(L.HEADER_FREE_HEAD, load<u32>(headOf(slot), L.ROW_PREVIOUS));
    store<u32>(L.HEADER_FREE_COUNT, load<u32>(L.HEADER_FREE_COUNT) - 1);
  } else {
    slot = slotsUsed();
    if (slot >= header().capacity) return L.NO_SLOT;
    atomic.store<u32>(L.HEADER_SLOTS_USED, slot + 1);
  }
  const head = headOf(slot);
  atomic.store<u32>(head, (atomic.load<u32>(head, L.ROW_STAMP) + 1) | 1, L.ROW_STAMP);
  fence();
  return slot;
}

/** The row's vector is in place: encode it, give it its birth, and let readers have it. */
export function publishRow(slot: u32, previous: u32, sequence: u64): void {
  const head = headOf(slot);
  store<u32>(head, previous, L.ROW_PREVIOUS);
  atomic.store<u16>(head, 0, L.ROW_FLAGS);
  store<u32>(head, 0, L.ROW_COUNT);
  store<u8>(head, 0, L.ROW_LEVEL);
  encodeRow(slot);
  setDied(slot, false);
  atomic.store<u64>(head, 0, L.ROW_DEATH);
  atomic.store<u64>(head, sequence, L.ROW_BIRTH);
  atomic.store<u32>(head, atomic.load<u32>(head, L.ROW_STAMP) + 1, L.ROW_STAMP);
  settleCode(slot);
  markRow(slot);
  markDirty(vectorOf(slot), header().vectorStride);
  if (header().codeStride > 0) markDirty(codeOf(slot), header().codeStride);
  atomic.add<u32>(L.HEADER_LIVE, 1);
  tailPush(slot);
}

/**
 * The row leaves every answer from `sequence` on. Its slot stays where the graph can walk through
 * it.
 */
export function retireRow(slot: u32, sequence: u64): void {
  const head = headOf(slot);
  atomic.store<u64>(head, sequence, L.ROW_DEATH);
  forgetCode(slot);
  setDied(slot, true);
  markRow(slot);
  atomic.sub<u32>(L.HEADER_LIVE, 1);
  atomic.add<u32>(L.HEADER_DEAD, 1);
}

/** What the writer changes of a row beside its vector and code: its head, its bit of the dead. */
function markRow(slot: u32): void {
  markDirty(headOf(slot), L.ROW_HEAD_BYTES);
  markDirty(header().deadBase + (slot >> 3), 1);
}
