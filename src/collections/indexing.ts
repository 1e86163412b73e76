/**
 * What the writer does to the ids of a shard (rows.ts draws the table and the index). Whatever a
 * reader follows meanwhile is whole: a place is filled by one store, and a renewed index made
 * current by one.
 */
import { NO_SLOT } from "../../assembly/layout.ts";
import {
  bitsOf,
  IDS_LIVE,
  INDEX,
  INDEX_BITS_MAX,
  INDEX_BITS_MIN,
  INDEX_FILLED,
  INDEX_LOAD,
  INDEX_TOUCHED,
  maskOf,
  POSITION_FREE,
  POSITIONS_USED,
  REMOVED,
  type Rows,
} from "./rows.ts";

/** A new id for a slot whose record is stored. */
export function insertId(rows: Rows, hash: number, slot: number): void {
  const { words, table } = rows;
  let position = words[POSITION_FREE]!;
  const isNew = position === NO_SLOT;
  if (isNew) position = words[POSITIONS_USED]!;
  else words[POSITION_FREE] = words[table + position * 2 + 1]!;
  words[table + position * 2 + 1] = hash;
  turnId(rows, position, slot);
  if (isNew) Atomics.store(words, POSITIONS_USED, position + 1);
  words[IDS_LIVE]!++;
  const index = words[INDEX]!;
  if (words[INDEX_FILLED]! + 1 > INDEX_LOAD * (maskOf(index) + 1)) renewIndex(rows);
  else enter(rows, index, position, hash);
}

/** An id's row has moved to another slot. */
export function turnId(rows: Rows, position: number, slot: number): void {
  const at = rows.table + position * 2;
  Atomics.store(rows.words, at, slot);
  rows.mark(at * 4, 8);
}

/** An id is gone; its position may be given to another one. */
export function removeId(rows: Rows, position: number): void {
  const { words, table } = rows;
  const index = words[INDEX]!;
  const base = rows.indexBase(index);
  const mask = maskOf(index);
  let at = words[table + position * 2 + 1]! & mask;
  while (words[base + at] !== position + 2) at = (at + 1) & mask;
  Atomics.store(words, base + at, REMOVED);
  rows.mark((base + at) * 4, 4);
  turnId(rows, position, NO_SLOT);
  words[table + position * 2 + 1] = words[POSITION_FREE]!;
  words[POSITION_FREE] = position;
  words[IDS_LIVE]!--;
}

function enter(rows: Rows, index: number, position: number, hash: number): void {
  const { words } = rows;
  const base = rows.indexBase(index);
  const mask = maskOf(index);
  let at = hash & mask;
  while (words[base + at]! > REMOVED) at = (at + 1) & mask;
  if (words[base + at] === 0) words[INDEX_FILLED]!++;
  Atomics.store(words, base + at, position + 2);
  rows.mark((base + at) * 4, 4);
}

/** Writes the live positions into the other region, with room to grow, and makes it current. */
function renewIndex(rows: Rows): void {
  const { words, table } = rows;
  const before = words[INDEX]!;
  const live = words[IDS_LIVE]!;
  let bits = INDEX_BITS_MIN;
  while (2 ** bits * INDEX_LOAD < live * 1.5) bits++;
  bits = Math.min(bits, words[INDEX_BITS_MAX]!);
  // A reader on the way through the one before last must not take this one for it.
  const count = ((before >>> 6) + 1) << 6;
  const index = (count | (bits << 1) | ((before & 1) ^ 1)) >>> 0;
  const base = rows.indexBase(index);
  words.fill(0, base, base + 2 ** bits);
  rows.mark(base * 4, 4 * 2 ** bits);
  words[INDEX_FILLED] = 0;
  words[INDEX_TOUCHED] = Math.max(words[INDEX_TOUCHED]!, 2 ** bits + 2 ** bitsOf(before));
  const used = words[POSITIONS_USED]!;
  for (let position = 0; position < used; position++) {
    if (rows.slotAt(position) !== NO_SLOT) {
      enter(rows, index, position, words[table + position * 2 + 1]!);
    }
  }
  Atomics.store(words, INDEX, index);
}
