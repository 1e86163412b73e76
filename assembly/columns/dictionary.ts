/**
 * The dictionary of a shard's columns: each distinct string, and each distinct array of lanes,
 * under one code. It only grows. The writer interns; readers look up and compare, and take no lock:
 * an index that became too full is written anew in the other of two regions and made current by one
 * store, and who finds nothing looks whether that happened meanwhile.
 */
import * as C from "../columns";
import { markDirty } from "../dirty";

const MULTIPLIER: u64 = 0x9fb21c651e98df25;

// @ts-ignore: decorator
@inline
export function entryOf(code: u32): usize {
  return <usize>load<u32>(C.COLUMNS_ENTRIES_BASE) + (<usize>code << 4);
}

// @ts-ignore: decorator
@inline
export function addressIn(entry: usize): usize {
  return textAt(load<u32>(entry, C.ENTRY_PLACE));
}

// @ts-ignore: decorator
@inline
export function textAt(place: u32): usize {
  return <usize>load<u32>(C.COLUMNS_TEXTS_BASE) + place;
}

/** Bytes of a string or of an array's lanes. */
// @ts-ignore: decorator
@inline
export function bytesIn(entry: usize): u32 {
  return load<u32>(entry, C.ENTRY_LENGTH) & ~(<u32>C.ENTRY_ARRAY);
}

/** Eight bytes at a time; the rest of the last word is not looked at. The seed is the shard's. */
export function hashBytes(at: usize, bytes: u32, seed: u32): u32 {
  let hash = (<u64>seed << 32) ^ bytes;
  let rest = bytes;
  for (; rest >= 8; rest -= 8) {
    hash = (hash ^ load<u64>(at)) * MULTIPLIER;
    hash ^= hash >> 29;
    at += 8;
  }
  if (rest > 0) hash = (hash ^ (load<u64>(at) & ((<u64>1 << (rest << 3)) - 1))) * MULTIPLIER;
  hash = (hash ^ (hash >> 32)) * MULTIPLIER;
  return <u32>(hash >> 32);
}

// @ts-ignore: decorator
@inline
export function indexBase(index: u32): usize {
  return load<u32>(index & 1 ? C.COLUMNS_INDEX_B : C.COLUMNS_INDEX_A);
}

// @ts-ignore: decorator
@inline
export function indexMask(index: u32): u32 {
  return ((<u32>1) << (index >> 1)) - 1;
}

/** The code of these bytes, NO_CODE when they have none. `length` has the mark of an array. */
export function find(at: usize, length: u32): u32 {
  const hash = hashBytes(at, length & ~(<u32>C.ENTRY_ARRAY), load<u32>(C.COLUMNS_SEED));
  while (true) {
    const index = atomic.load<u32>(C.COLUMNS_INDEX);
    const code = probe(index, at, length, hash);
    if (code != C.NO_CODE || atomic.load<u32>(C.COLUMNS_INDEX) == index) return code;
  }
  return C.NO_CODE;
}

function probe(index: u32, at: usize, length: u32, hash: u32): u32 {
  const base = indexBase(index);
  const mask = indexMask(index);
  let place = hash & mask;
  for (let probes: u32 = 0; probes <= mask; probes++) {
    const held = atomic.load<u32>(base + (<usize>place << 2));
    if (held == 0) return C.NO_CODE;
    const entry = entryOf(held - 1);
    if (
      load<u32>(entry) == hash &&
      load<u32>(entry, C.ENTRY_LENGTH) == length &&
      memory.compare(addressIn(entry), at, length & ~(<u32>C.ENTRY_ARRAY)) == 0
    )
      return held - 1;
    place = (place + 1) & mask;
  }
  return C.NO_CODE;
}

/** The code of these bytes, given now if they had none; NO_CODE when the dictionary is full. */
export function intern(at: usize, length: u32): u32 {
  const bytes = length & ~(<u32>C.ENTRY_ARRAY);
  const hash = hashBytes(at, bytes, load<u32>(C.COLUMNS_SEED));
  const index = atomic.load<u32>(C.COLUMNS_INDEX);
  const known = probe(index, at, length, hash);
  if (known != C.NO_CODE) return known;
  const code = load<u32>(C.COLUMNS_ENTRIES_USED);
  if (code >= load<u32>(C.COLUMNS_ENTRIES_MAX)) return C.NO_CODE;
  const text = keepText(at, bytes);
  if (text == C.NO_CODE) return C.NO_CODE;
  const entry = entryOf(code);
  store<u32>(entry, hash);
  store<u32>(entry, text, C.ENTRY_PLACE);
  store<u32>(entry, length, C.ENTRY_LENGTH);
  markDirty(entry, C.ENTRY_BYTES);
  atomic.store<u32>(C.COLUMNS_ENTRIES_USED, code + 1);
  if ((code + 1) * 2 > indexMask(index)) renewIndex(index, code + 1);
  else enter(index, code, hash);
  return code;
}

/** Copies a name, a string or an array of lanes; returns its place, NO_CODE without room. */
export function keepText(from: usize, bytes: u32): u32 {
  const place = load<u32>(C.COLUMNS_TEXTS_USED);
  const at = textAt(place);
  const padded = (bytes + 7) & ~7;
  if (at + padded + 16 > load<u32>(C.COLUMNS_TEXTS_END)) return C.NO_CODE;
  memory.copy(at, from, bytes);
  if (padded > 0) markDirty(at, padded);
  atomic.store<u32>(C.COLUMNS_TEXTS_USED, place + padded);
  return place;
}

function enter(index: u32, code: u32, hash: u32): void {
  const base = indexBase(index);
  const mask = indexMask(index);
  let place = hash & mask;
  while (load<u32>(base + (<usize>place << 2)) != 0) place = (place + 1) & mask;
  atomic.store<u32>(base + (<usize>place << 2), code + 1);
  markDirty(base + (<usize>place << 2), 4);
}

function renewIndex(before: u32, codes: u32): void {
  const bits = min<u32>((before >> 1) + 2, load<u32>(C.COLUMNS_INDEX_BITS_MAX));
  const index = (bits << 1) | ((before & 1) ^ 1);
  memory.fill(indexBase(index), 0, <usize>4 << bits);
  markDirty(indexBase(index), <usize>4 << bits);
  for (let code: u32 = 0; code < codes; code++) enter(index, code, load<u32>(entryOf(code)));
  atomic.store<u32>(C.COLUMNS_INDEX, index);
}

/**
 * Compares two strings of UTF-8 in the order of their UTF-16 units, as JavaScript does: the same as
 * that of the bytes, but that characters beyond 16 bits (lead bytes from F0 on) come before those
 * of the lead bytes EE and EF.
 */
export function compareTexts(a: usize, aBytes: u32, b: usize, bBytes: u32): i32 {
  const shared = min(aBytes, bBytes);
  for (let i: u32 = 0; i < shared; i++) {
    let x = <u32>load<u8>(a + i);
    let y = <u32>load<u8>(b + i);
    if (x == y) continue;
    if (x >= 0xee && y >= 0xee) {
      if (x < 0xf0) x += 0x10;
      if (y < 0xf0) y += 0x10;
    }
    return x < y ? -1 : 1;
  }
  return aBytes < bBytes ? -1 : aBytes > bBytes ? 1 : 0;
}

/** Whether the bytes of `b` stand somewhere in those of `a`. */
export function contains(a: usize, aBytes: u32, b: usize, bBytes: u32): bool {
  if (bBytes == 0) return true;
  const first = load<u8>(b);
  for (let i: u32 = 0; i + bBytes <= aBytes; i++) {
    if (load<u8>(a + i) == first && memory.compare(a + i, b, bBytes) == 0) return true;
  }
  return false;
}
