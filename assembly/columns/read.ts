/**
 * From a row's metadata to its lanes: one pass over the JSON text, which builds nothing. The text
 * has been found valid when it came in (../json.ts); still no step goes past its end.
 *
 * Each path that a filter can name has a column, also where an object stands. What cannot be a lane
 * is tagged JSON: long strings and arrays, strings the dictionary has no room for, numbers of more
 * than 18 digits or far exponents, values not of the column's kind, and everything below an array's
 * objects. A path that finds no column marks the row as overflowing. Members whose names hold a
 * dot, and paths of too many steps, no filter can name; they are passed over.
 */
import * as C from "../columns";
import { markDirty } from "../dirty";
import { hashBytes, intern, keepText, textAt } from "./dictionary";
import { clearRow, columnAt, columnCount, markSeen, setLane, setPresent } from "./lanes";
import { numberLane, tagged } from "./lanes";
import { readNumber } from "./numbers";
import { isSimple, skipString, skipValue, spaceEnd, unescape } from "./text";

const QUOTE: u32 = 0x22;
const OPEN_OBJECT: u32 = 0x7b;
const CLOSE_OBJECT: u32 = 0x7d;
const OPEN_ARRAY: u32 = 0x5b;
const CLOSE_ARRAY: u32 = 0x5d;
const COMMA: u32 = 0x2c;
const LETTER_F: u32 = 0x66;
const LETTER_N: u32 = 0x6e;
const LETTER_T: u32 = 0x74;
const DOT: u32 = 0x2e;

const NO_COLUMN: u32 = 0xffffffff;
const JSON_LANE: u64 = (<u64>C.TAG_JSON) << 32;

/**
 * Writes the lanes of a slot from the `bytes` of metadata that lie in the scratch; none for a row
 * without. The caller logs the slot when the row is published.
 */
export function putRow(slot: u32, bytes: u32): void {
  if (slot < load<u32>(C.COLUMNS_HIGH_SLOT)) clearRow(slot);
  else store<u32>(C.COLUMNS_HIGH_SLOT, slot + 1);
  setPresent(slot, true);
  if (bytes == 0) return;
  const end = <usize>C.SCRATCH_TEXT + bytes;
  memory.fill(end, 0, 32);
  store<u32>(C.COLUMNS_ROW_FLAGS, C.ROW_FLAG_METADATA);
  const start = spaceEnd(C.SCRATCH_TEXT);
  if (<u32>load<u8>(start) == OPEN_OBJECT) readObject(slot, start + 1, end, 0, 1, false);
  const flags = load<u32>(C.COLUMNS_ROW_FLAGS);
  if (flags & C.ROW_FLAG_OVERFLOW) markSeen(0, C.SEEN_JSON);
  setLane(0, slot, tagged(C.TAG_ROW, flags));
}

// @ts-ignore: decorator
@inline
function overflow(): void {
  store<u32>(C.COLUMNS_ROW_FLAGS, load<u32>(C.COLUMNS_ROW_FLAGS) | C.ROW_FLAG_OVERFLOW);
}

/** Reads members up to the closing brace; returns the address after it. */
function readObject(
  slot: u32,
  from: usize,
  end: usize,
  parent: u32,
  depth: u32,
  inArray: bool,
): usize {
  let at = spaceEnd(from);
  while (at < end && <u32>load<u8>(at) != CLOSE_OBJECT) {
    if (<u32>load<u8>(at) == COMMA) at = spaceEnd(at + 1);
    const name = at + 1;
    const nameEnd = skipString(name, end);
    at = spaceEnd(spaceEnd(nameEnd + 1) + 1);
    const column = depth > <u32>C.PATH_STEPS_MAX ? NO_COLUMN : columnOf(parent, name, nameEnd);
    if (column == NO_COLUMN || load<u32>(columnAt(column), C.COLUMN_KIND) == C.KIND_NONE)
      at = skipValue(at, end);
    else at = readValue(slot, at, end, column, depth, inArray);
    at = spaceEnd(at);
  }
  return at + 1;
}

function readValue(
  slot: u32,
  at: usize,
  end: usize,
  column: u32,
  depth: u32,
  inArray: bool,
): usize {
  const first = <u32>load<u8>(at);
  if (first == OPEN_OBJECT) {
    setValue(slot, column, tagged(C.TAG_OBJECT, 0), inArray);
    return readObject(slot, at + 1, end, column, depth + 1, inArray);
  }
  if (first == OPEN_ARRAY) return readArray(slot, at + 1, end, column, depth, inArray);
  if (inArray) {
    setValue(slot, column, JSON_LANE, true);
    return skipValue(at, end);
  }
  const kind = load<u32>(columnAt(column), C.COLUMN_KIND);
  if (first == QUOTE) {
    const textEnd = skipString(at + 1, end);
    setValue(slot, column, textLane(at + 1, textEnd, kind), false);
    return textEnd + 1;
  }
  setValue(slot, column, plainLane(at, first), false);
  return skipValue(at, end);
}

// @ts-ignore: decorator
@inline
function setValue(slot: u32, column: u32, lane: u64, inArray: bool): void {
  const kept = inArray ? JSON_LANE : lane;
  const tag = kept >> 32;
  if (tag == C.TAG_JSON) markSeen(column, C.SEEN_JSON);
  else if (tag == C.TAG_TEXT) markSeen(column, C.SEEN_TEXT);
  else if (tag == C.TAG_ARRAY) markSeen(column, C.SEEN_ARRAY);
  setLane(column, slot, kept);
}

/** null, true, false or a number. */
function plainLane(at: usize, first: u32): u64 {
  if (first == LETTER_N) return tagged(C.TAG_NULL, 0);
  if (first == LETTER_T) return tagged(C.TAG_BOOLEAN, 1);
  if (first == LETTER_F) return tagged(C.TAG_BOOLEAN, 0);
  const value = readNumber(at);
  return value == value ? numberLane(value) : JSON_LANE;
}

function textLane(start: usize, end: usize, kind: u32): u64 {
  if (kind == C.KIND_NUMBER || kind == C.KIND_BOOLEAN) return JSON_LANE;
  let text = start;
  let bytes = <u32>(end - start);
  if (!isSimple(start, end)) {
    if (!unescape(start, end)) return JSON_LANE;
    text = C.SCRATCH_UNESCAPED;
    bytes = load<u32>(C.COLUMNS_UNESCAPED);
  }
  if (bytes > <u32>C.COLUMN_TEXT_BYTES_MAX) return JSON_LANE;
  const code = intern(text, bytes);
  return code == C.NO_CODE ? JSON_LANE : tagged(C.TAG_TEXT, code);
}

/**
 * Scalars are gathered as lanes and interned as one array; objects are read for their paths; arrays
 * in arrays meet no condition.
 */
function readArray(
  slot: u32,
  from: usize,
  end: usize,
  column: u32,
  depth: u32,
  inArray: bool,
): usize {
  const kind = load<u32>(columnAt(column), C.COLUMN_KIND);
  let count: u32 = 0;
  let isWhole = !inArray;
  let at = spaceEnd(from);
  while (at < end && <u32>load<u8>(at) != CLOSE_ARRAY) {
    if (<u32>load<u8>(at) == COMMA) at = spaceEnd(at + 1);
    const first = <u32>load<u8>(at);
    if (first == OPEN_OBJECT) at = readObject(slot, at + 1, end, column, depth + 1, true);
    else {
      if (first != OPEN_ARRAY && isWhole) {
        const lane =
          first == QUOTE ? textLane(at + 1, skipString(at + 1, end), kind) : plainLane(at, first);
        isWhole = lane != JSON_LANE && count < <u32>C.COLUMN_ARRAY_MAX;
        if (isWhole) {
          store<u64>(<usize>C.SCRATCH_ARRAY + ((<usize>count) << 3), lane);
          count++;
        }
      }
      const after = skipValue(at, end);
      // Only text that is no JSON stands still.
      at = after > at ? after : end;
    }
    at = spaceEnd(at);
  }
  let lane = JSON_LANE;
  if (isWhole) {
    const code = intern(C.SCRATCH_ARRAY, (count << 3) | C.ENTRY_ARRAY);
    if (code != C.NO_CODE) lane = tagged(C.TAG_ARRAY, code);
  }
  setValue(slot, column, lane, inArray);
  return at + 1;
}

/** The column of a member, made now if there is room; NO_COLUMN for a name no filter can have. */
function columnOf(parent: u32, start: usize, end: usize): u32 {
  let name = start;
  let bytes = <u32>(end - start);
  if (!isSimple(start, end)) {
    if (!unescape(start, end)) {
      overflow();
      return NO_COLUMN;
    }
    name = C.SCRATCH_UNESCAPED;
    bytes = load<u32>(C.COLUMNS_UNESCAPED);
  }
  const hash = hashBytes(name, bytes, load<u32>(C.COLUMNS_SEED) ^ parent);
  const place = placeOf(parent, name, bytes, hash);
  const held = load<u32>(place);
  if (held != 0) return held - 1;
  for (let i: u32 = 0; i < bytes; i++) if (<u32>load<u8>(name + i) == DOT) return NO_COLUMN;
  if (load<u32>(C.COLUMNS_AUTO_COUNT) < <u32>C.COLUMNS_AUTO_MAX) {
    const column = makeColumn(parent, name, bytes, hash, C.KIND_AUTO, place);
    if (column != NO_COLUMN) {
      store<u32>(C.COLUMNS_AUTO_COUNT, load<u32>(C.COLUMNS_AUTO_COUNT) + 1);
      return column;
    }
  }
  overflow();
  return NO_COLUMN;
}

/** Where in the table of names a column is, or would be. */
export function placeOf(parent: u32, name: usize, bytes: u32, hash: u32): usize {
  let slot = hash & (C.NAMES_SLOTS - 1);
  while (true) {
    const place = <usize>C.COLUMNS_NAMES + (<usize>slot << 2);
    const held = load<u32>(place);
    if (held == 0) return place;
    const column = columnAt(held - 1);
    if (
      load<u32>(column, C.COLUMN_HASH) == hash &&
      load<u32>(column, C.COLUMN_PARENT) == parent &&
      load<u32>(column, C.COLUMN_NAME_BYTES) == bytes &&
      memory.compare(textAt(load<u32>(column, C.COLUMN_NAME)), name, bytes) == 0
    )
      return place;
    slot = (slot + 1) & (C.NAMES_SLOTS - 1);
  }
  return 0;
}

function makeColumn(
  parent: u32,
  name: usize,
  bytes: u32,
  hash: u32,
  kind: u32,
  place: usize,
): u32 {
  const column = columnCount();
  if (column >= <u32>C.COLUMNS_MAX || bytes > <u32>C.COLUMN_NAME_BYTES_MAX) return NO_COLUMN;
  const text = keepText(name, bytes);
  if (text == C.NO_CODE) return NO_COLUMN;
  const at = columnAt(column);
  store<u32>(at, parent, C.COLUMN_PARENT);
  store<u32>(at, text, C.COLUMN_NAME);
  store<u32>(at, bytes, C.COLUMN_NAME_BYTES);
  store<u32>(at, hash, C.COLUMN_HASH);
  store<u32>(at, kind, C.COLUMN_KIND);
  store<u32>(place, column + 1);
  markDirty(at, C.COLUMN_BYTES);
  markDirty(place, 4);
  atomic.store<u32>(C.COLUMNS_COUNT, column + 1);
  return column;
}

/**
 * Pins a column below `parent` by the `bytes` of its name in the scratch, before any row comes. One
 * that is there keeps its kind unless that was automatic.
 */
export function pinColumn(parent: u32, bytes: u32, kind: u32): u32 {
  const hash = hashBytes(C.SCRATCH_TEXT, bytes, load<u32>(C.COLUMNS_SEED) ^ parent);
  const place = placeOf(parent, C.SCRATCH_TEXT, bytes, hash);
  const held = load<u32>(place);
  if (held == 0) return makeColumn(parent, C.SCRATCH_TEXT, bytes, hash, kind, place);
  if (kind != C.KIND_AUTO) store<u32>(columnAt(held - 1), kind, C.COLUMN_KIND);
  return held - 1;
}
