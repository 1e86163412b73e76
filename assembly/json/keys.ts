/**
 * Member names: no object may use one twice, written in whatever way. The first names of an object
 * lie in its frame as (hash, position) and are compared one by one. An object with more of them
 * moves them into the body's table, an open-addressed array of (hash, position) in which the
 * object's own position is mixed into the hash: names of different objects never meet, so nothing
 * is ever taken out when an object ends. The host makes the table larger than the number of names
 * that fit into the body.
 *
 * The hash is multiply-with-carry under a secret multiplier, so that no sender can aim at one chain
 * of the table.
 */
import { DESK_SCRATCH, KEY_BYTES_MAX, TABLE_SLOT_BYTES } from "../desk";
import { Frame, FRAME_KEYS_MAX, Scan } from "./state";
import { unescape } from "./text";

/**
 * What a look into the table costs of a step's budget: about as long as so many bytes take
 * otherwise.
 */
const TABLE_COST_BYTES: usize = 48;
const GOLDEN: u32 = 0x9e3779b1;
const SECOND_SCRATCH: usize = <usize>DESK_SCRATCH + KEY_BYTES_MAX + 16;

@unmanaged
class Slot {
  hash: u32;
  /** The opening quote of the name; 0 in an empty slot. */
  position: usize;
}

if (offsetof<Slot>() != TABLE_SLOT_BYTES) ERROR("Slot drifted from desk.ts");

// @ts-ignore: decorator
@inline
function frameSlot(frame: Frame, index: u32): Slot {
  return changetype<Slot>(
    changetype<usize>(frame) + offsetof<Frame>() + <usize>index * TABLE_SLOT_BYTES,
  );
}

// @ts-ignore: decorator
@inline
function mix(hash: u64, word: u32, multiplier: u64): u64 {
  return <u64>(<u32>hash ^ word) * multiplier + (hash >> 32);
}

/** The hash of the name from `start` on, `length` bytes without escapes. */
export function hashKey(scan: Scan, start: usize, length: usize): u32 {
  const multiplier = <u64>scan.hashMultiplier;
  let hash = <u64>scan.hashSeed;
  let position = start;
  let left = length;
  for (; left >= 4; left -= 4, position += 4) hash = mix(hash, load<u32>(position), multiplier);
  hash = mix(hash, load<u32>(position) & ((1 << (<u32>left << 3)) - 1), multiplier);
  hash = mix(hash, <u32>length, multiplier);
  return <u32>hash ^ <u32>(hash >> 32);
}

/**
 * Remembers the name whose opening quote is at `position`; false when the object has it already.
 */
export function addKey(scan: Scan, frame: Frame, position: usize, hash: u32): bool {
  if (frame.isInTable) return insertKey(scan, frame, position, hash);
  const count = frame.keyCount;
  for (let index: u32 = 0; index < count; index++) {
    const slot = frameSlot(frame, index);
    if (slot.hash == hash && isSameKey(slot.position, position)) return false;
  }
  if (count == FRAME_KEYS_MAX) {
    moveKeys(scan, frame);
    return insertKey(scan, frame, position, hash);
  }
  const slot = frameSlot(frame, count);
  slot.hash = hash;
  slot.position = position;
  frame.keyCount = count + 1;
  return true;
}

/** Equal hashes are almost always equal names, so this may be slow. */
function isSameKey(first: usize, second: usize): bool {
  const length = unescape(first, DESK_SCRATCH);
  if (length != unescape(second, SECOND_SCRATCH)) return false;
  return memory.compare(DESK_SCRATCH, SECOND_SCRATCH, length) == 0;
}

function moveKeys(scan: Scan, frame: Frame): void {
  if (!scan.tableClean) {
    memory.fill(scan.table, 0, (<usize>scan.tableMask + 1) * TABLE_SLOT_BYTES);
    scan.tableClean = 1;
  }
  frame.isInTable = 1;
  for (let index: u32 = 0; index < FRAME_KEYS_MAX; index++) {
    const slot = frameSlot(frame, index);
    insertKey(scan, frame, slot.position, slot.hash);
  }
}

function insertKey(scan: Scan, frame: Frame, position: usize, hash: u32): bool {
  const mask = scan.tableMask;
  const mixed = hash ^ (<u32>frame.start * GOLDEN);
  let index = mixed & mask;
  scan.limit -= TABLE_COST_BYTES;
  while (true) {
    const slot = changetype<Slot>(scan.table + <usize>index * TABLE_SLOT_BYTES);
    if (slot.position == 0) {
      slot.hash = mixed;
      slot.position = position;
      return true;
    }
    // The same text has the same hash, and different objects mix it differently: it is this
    // object's name.
    if (slot.hash == mixed && isSameKey(slot.position, position)) return false;
    index = (index + 1) & mask;
  }
}
