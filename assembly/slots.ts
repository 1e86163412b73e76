/**
 * The writer's side of a shard: slots are taken, filled, published and retired here, by one thread.
 *
 * A row comes in three steps. `takeSlot` makes its stamp odd, the host copies the vector in,
 * `publish` writes the rest, makes the stamp even and puts the row on the tail. Readers whose
 * snapshot is older than its birth pass it by until the collection's sequence moves on, so a batch
 * appears as one.
 *
 * A slot whose row a repair has confirmed to be out of the graph comes back through `takeFreed` and
 * waits at the end of the free list, so that it rests as long as it can.
 */
import { bayAddress, bayEntry, leaveBay, lockBays, sheds, stagedVector, unlockBays } from "./bays";
import { encodeRow, forgetCode, settleCode } from "./codebook";
import { markDirty } from "./dirty";
import { fence, header, slotsUsed } from "./header";
import * as L from "./layout";
import { codeOf, fineOf, flagsOf, headOf, setDied, setDoomed } from "./row";
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
    const next = load<u32>(headOf(slot), L.ROW_PREVIOUS);
    store<u32>(L.HEADER_FREE_HEAD, next);
    if (next == L.NO_SLOT) store<u32>(L.HEADER_FREE_TAIL, next);
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
  // A mark of rough stays until the row is encoded, which keeps the account of such rows.
  atomic.and<u16>(head, <u16>L.FLAG_ROUGH, L.ROW_FLAGS);
  store<u32>(head, 0, L.ROW_COUNT);
  store<u8>(head, 0, L.ROW_LEVEL);
  encodeRow(slot);
  setDied(slot, false);
  atomic.store<u64>(head, 0, L.ROW_DEATH);
  atomic.store<u64>(head, sequence, L.ROW_BIRTH);
  atomic.store<u32>(head, atomic.load<u32>(head, L.ROW_STAMP) + 1, L.ROW_STAMP);
  settleCode(slot);
  markRow(slot);
  if (sheds()) markBay(slot);
  else markDirty(stagedVector(slot), header().vectorStride);
  if (header().codeStride > 0) {
    markDirty(codeOf(slot), header().codeStride);
    markDirty(fineOf(slot), header().codeBytes >> 1);
  }
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

/**
 * A slot whose row has left the graph for good, now on the free list; NO_SLOT when there is none.
 * The caller frees what it keeps for the slot. The birth goes and the stamp moves first, so that
 * whoever still reads the row's record notices.
 */
export function takeFreed(): u32 {
  if (atomic.load<u32>(L.HEADER_CONFIRMED) == 0) return L.NO_SLOT;
  const words = (slotsUsed() + 63) >> 6;
  let word = load<u32>(L.HEADER_RECLAIM_CURSOR);
  for (let looked: u32 = 0; looked <= words; looked++) {
    if (word >= words) word = 0;
    let bits = atomic.load<u64>(header().doomedBase + ((<usize>word) << 3));
    while (bits != 0) {
      const slot = (word << 6) + <u32>ctz<u64>(bits);
      bits &= bits - 1;
      if (!(flagsOf(slot) & L.FLAG_CONFIRMED)) continue;
      store<u32>(L.HEADER_RECLAIM_CURSOR, word);
      free(slot);
      return slot;
    }
    word++;
  }
  return L.NO_SLOT;
}

function free(slot: u32): void {
  const head = headOf(slot);
  if (sheds()) lockBays();
  atomic.store<u64>(head, 0, L.ROW_BIRTH);
  atomic.store<u32>(head, atomic.load<u32>(head, L.ROW_STAMP) + 2, L.ROW_STAMP);
  fence();
  if (sheds()) {
    markBay(slot);
    leaveBay(slot);
    unlockBays();
  }
  atomic.and<u16>(head, ~(<u16>L.FLAG_CONFIRMED), L.ROW_FLAGS);
  setDied(slot, false);
  setDoomed(slot, false);
  atomic.sub<u32>(L.HEADER_DEAD, 1);
  atomic.sub<u32>(L.HEADER_CONFIRMED, 1);
  store<u32>(head, L.NO_SLOT, L.ROW_PREVIOUS);
  const last = load<u32>(L.HEADER_FREE_TAIL);
  if (last == L.NO_SLOT) store<u32>(L.HEADER_FREE_HEAD, slot);
  else {
    store<u32>(headOf(last), slot, L.ROW_PREVIOUS);
    markRow(last);
  }
  store<u32>(L.HEADER_FREE_TAIL, slot);
  store<u32>(L.HEADER_FREE_COUNT, load<u32>(L.HEADER_FREE_COUNT) + 1);
  markRow(slot);
}

/** The slot's bay, if it has one, and where its number stands. */
function markBay(slot: u32): void {
  markDirty(bayEntry(slot), 4);
  const bay = load<u32>(bayEntry(slot));
  if (bay != 0) markDirty(bayAddress(bay - 1), header().vectorStride);
}

/** What the writer changes of a row beside its vector and code: its head, and its bits. */
function markRow(slot: u32): void {
  markDirty(headOf(slot), L.ROW_HEAD_BYTES);
  markDirty(header().deadBase + (slot >> 3), 1);
  markDirty(header().doomedBase + (slot >> 3), 1);
}
