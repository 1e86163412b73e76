/**
 * Columns that come from a file, where every byte may be hostile: afterwards each lane is one that
 * `read` could have written, each code leads to an entry inside the texts, and each name, string
 * and array is there once. The small tables that lead to them (names, the dictionary's index, a
 * palette's codes) are not in a file: whoever tries what they lead to can as well enter it.
 *
 * The host has put the parts where they lie in this memory, and the header's counters with them.
 */
import * as C from "../columns";
import { bytesIn, entryOf, hashBytes, indexBase, indexMask, textAt } from "./dictionary";
import { chunkOf, columnAt, columnCount, LANE_MASK, tagOf } from "./lanes";
import { codeCount, enterCode, laneOfCode } from "./palette";
import { placeOf } from "./read";

const DOT: u32 = 0x2e;
/** Places passed over on the way to an entry's own: about, for each, and some more. */
const PROBES_EACH: u32 = 32;
const PROBES_FREE: u32 = 100_000;

function fail(fault: u32, place: u32): u32 {
  store<u32>(C.COLUMNS_FAULT_PLACE, place);
  return fault;
}

/** Whether so many bytes at a place lie inside the texts, at the start of a word. */
// @ts-ignore: decorator
@inline
function isText(place: u32, bytes: u32): bool {
  const used = load<u32>(C.COLUMNS_TEXTS_USED);
  return place % 8 == 0 && place <= used && bytes <= used - place;
}

/** Before any entry: an empty index that is large enough for all of them. */
export function beginEntries(): void {
  const used = load<u32>(C.COLUMNS_ENTRIES_USED);
  let bits: u32 = C.INDEX_BITS_MIN;
  while (used * 2 >= (<u32>1) << bits) bits += 2;
  atomic.store<u32>(C.COLUMNS_INDEX, min(bits, load<u32>(C.COLUMNS_INDEX_BITS_MAX)) << 1);
}

/** Entries from..to of the dictionary; those before them have been tried. */
export function adoptEntries(from: u32, to: u32): u32 {
  const index = load<u32>(C.COLUMNS_INDEX);
  const mask = indexMask(index);
  const seed = load<u32>(C.COLUMNS_SEED);
  let probesLeft = PROBES_FREE + (to - from) * PROBES_EACH;
  for (let code = from; code < to; code++) {
    const entry = entryOf(code);
    const length = load<u32>(entry, C.ENTRY_LENGTH);
    const bytes = bytesIn(entry);
    const isArray = (length & <u32>C.ENTRY_ARRAY) != 0;
    const bytesMax: u32 = isArray ? C.COLUMN_ARRAY_MAX * 8 : C.COLUMN_TEXT_BYTES_MAX;
    const text = load<u32>(entry, C.ENTRY_PLACE);
    if (bytes > bytesMax || !isText(text, bytes)) return fail(C.COLUMNS_FAULT_ENTRY, code);
    if (isArray && !isArraySound(text, bytes, code)) return fail(C.COLUMNS_FAULT_ENTRY, code);
    const hash = hashBytes(textAt(text), bytes, seed);
    if (load<u32>(entry, C.ENTRY_HASH) != hash) return fail(C.COLUMNS_FAULT_ENTRY, code);
    let place = hash & mask;
    while (true) {
      const at = indexBase(index) + (<usize>place << 2);
      const held = load<u32>(at);
      if (held == 0) {
        store<u32>(at, code + 1);
        break;
      }
      if (probesLeft-- == 0 || isSame(entryOf(held - 1), entry, bytes))
        return fail(C.COLUMNS_FAULT_TWICE, code);
      place = (place + 1) & mask;
    }
  }
  return C.COLUMNS_FAULT_NONE;
}

function isSame(a: usize, b: usize, bytes: u32): bool {
  return (
    load<u32>(a, C.ENTRY_HASH) == load<u32>(b, C.ENTRY_HASH) &&
    load<u32>(a, C.ENTRY_LENGTH) == load<u32>(b, C.ENTRY_LENGTH) &&
    memory.compare(
      textAt(load<u32>(a, C.ENTRY_PLACE)),
      textAt(load<u32>(b, C.ENTRY_PLACE)),
      bytes,
    ) == 0
  );
}

/** An array has scalars, and of strings only such as were given their codes before it. */
function isArraySound(text: u32, bytes: u32, code: u32): bool {
  if (bytes % 8 != 0) return false;
  for (let at: u32 = 0; at < bytes; at += 8) {
    const lane = load<u64>(textAt(text + at));
    const tag = tagOf(lane);
    if (tag == C.TAG_TEXT) {
      if (<u32>lane >= code || isArrayEntry(<u32>lane)) return false;
    } else if (!isPlain(lane, tag)) return false;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function isArrayEntry(code: u32): bool {
  return (load<u32>(entryOf(code), C.ENTRY_LENGTH) & <u32>C.ENTRY_ARRAY) != 0;
}

/** A number, true, false or null. */
function isPlain(lane: u64, tag: u32): bool {
  if (tag == C.TAG_NULL) return <u32>lane == 0;
  if (tag == C.TAG_BOOLEAN) return <u32>lane <= 1;
  if (lane >> 48 == 0) return false;
  const value = reinterpret<f64>(lane ^ LANE_MASK);
  // Zero has one lane, and what is no number has none.
  return value == value && (lane ^ LANE_MASK) != 0x8000000000000000;
}

/** The columns behind the first `pinned`, which a schema has made: their names and palettes. */
export function adoptTables(pinned: u32): u32 {
  memory.fill(C.COLUMNS_NAMES, 0, C.NAMES_SLOTS * 4);
  const seed = load<u32>(C.COLUMNS_SEED);
  for (let column: u32 = 0; column < columnCount(); column++) {
    const at = columnAt(column);
    if (column > 0 && !isColumn(at, column, pinned)) return fail(C.COLUMNS_FAULT_COLUMN, column);
    if (load<u32>(at, C.COLUMN_SEEN) > <u32>(C.SEEN_TEXT | C.SEEN_ARRAY | C.SEEN_JSON))
      return fail(C.COLUMNS_FAULT_COLUMN, column);
    if (column > 0) {
      const name = textAt(load<u32>(at, C.COLUMN_NAME));
      const bytes = load<u32>(at, C.COLUMN_NAME_BYTES);
      const parent = load<u32>(at, C.COLUMN_PARENT);
      const hash = hashBytes(name, bytes, seed ^ parent);
      if (load<u32>(at, C.COLUMN_HASH) != hash) return fail(C.COLUMNS_FAULT_COLUMN, column);
      const place = placeOf(parent, name, bytes, hash);
      if (load<u32>(place) != 0) return fail(C.COLUMNS_FAULT_TWICE, column);
      store<u32>(place, column + 1);
    }
    if (!adoptPalette(column)) return fail(C.COLUMNS_FAULT_PALETTE, column);
  }
  return C.COLUMNS_FAULT_NONE;
}

function isColumn(at: usize, column: u32, pinned: u32): bool {
  const kind = load<u32>(at, C.COLUMN_KIND);
  if (load<u32>(at, C.COLUMN_PARENT) >= column || kind > <u32>C.KIND_NONE) return false;
  if (column >= pinned && kind != C.KIND_AUTO) return false;
  const bytes = load<u32>(at, C.COLUMN_NAME_BYTES);
  const place = load<u32>(at, C.COLUMN_NAME);
  if (bytes > <u32>C.COLUMN_NAME_BYTES_MAX || !isText(place, bytes)) return false;
  const name = textAt(place);
  for (let i: u32 = 0; i < bytes; i++) if (<u32>load<u8>(name + i) == DOT) return false;
  return true;
}

function adoptPalette(column: u32): bool {
  const count = codeCount(column);
  if (count > <u32>C.PALETTE_CODE_MAX) return false;
  const palette = <usize>load<u32>(C.COLUMNS_PALETTES_BASE) + <usize>column * C.PALETTE_BYTES;
  memory.fill(palette + C.PALETTE_TABLE, 0, C.PALETTE_PLACES);
  for (let code: u32 = 1; code <= count; code++) {
    const lane = laneOfCode(column, code);
    if (lane >> 32 == C.TAG_JSON || !isLane(column, lane)) return false;
    if (!enterCode(column, code, lane)) return false;
  }
  return true;
}

/** Whether a row of the column can have the lane, which is not that of a missing value. */
function isLane(column: u32, lane: u64): bool {
  const seen = load<u32>(columnAt(column), C.COLUMN_SEEN);
  const tag = tagOf(lane);
  if (column == 0) {
    if (tag != C.TAG_ROW || !(<u32>lane & C.ROW_FLAG_METADATA)) return false;
    if (<u32>lane == C.ROW_FLAG_METADATA) return true;
    return <u32>lane == (C.ROW_FLAG_METADATA | C.ROW_FLAG_OVERFLOW) && (seen & C.SEEN_JSON) != 0;
  }
  if (load<u32>(columnAt(column), C.COLUMN_KIND) == C.KIND_NONE) return false;
  if (tag == C.TAG_OBJECT) return <u32>lane == 0;
  if (tag == C.TAG_JSON) return <u32>lane == 0 && (seen & C.SEEN_JSON) != 0;
  if (tag != C.TAG_TEXT && tag != C.TAG_ARRAY) return isPlain(lane, tag);
  if (<u32>lane >= load<u32>(C.COLUMNS_ENTRIES_USED)) return false;
  const isArray = isArrayEntry(<u32>lane);
  if (tag == C.TAG_ARRAY) return isArray && (seen & C.SEEN_ARRAY) != 0;
  return !isArray && (seen & C.SEEN_TEXT) != 0;
}

/** A column's lanes of one chunk, of which the first `rows` slots have held rows. */
export function checkChunk(column: u32, chunk: u32, rows: u32): u32 {
  const lanes = chunkOf(column, chunk);
  if (lanes <= <usize>C.CHUNK_NO_ROOM) return C.COLUMNS_FAULT_NONE;
  const count = codeCount(column);
  for (let row: u32 = 0; row < <u32>C.CHUNK_ROWS; row++) {
    const lane = load<u64>(lanes + (<usize>row << 3));
    const code = <u32>load<u8>(lanes + C.CHUNK_CODES + row);
    let isSound: bool;
    if (code == 0) isSound = lane == 0;
    else if (code <= count) isSound = lane == laneOfCode(column, code);
    else isSound = code == C.CODE_OTHER && lane != 0 && isLane(column, lane);
    // A slot that is given out for the first time is not cleared before.
    if (!isSound || (row >= rows && lane != 0))
      return fail(C.COLUMNS_FAULT_LANE, chunk * C.CHUNK_ROWS + row);
  }
  return C.COLUMNS_FAULT_NONE;
}
