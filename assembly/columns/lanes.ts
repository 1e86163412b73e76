/**
 * Lanes and the chunks they lie in. One thread writes; readers take a row's lanes for whole once
 * the log names its slot. The picture of the memory is in ../columns.ts.
 */
import * as C from "../columns";
import { markDirty } from "../dirty";
import { codeOfLane } from "./palette";

/** What turns a lane as it is kept into its value's bits, and back. */
export const LANE_MASK: u64 = 0x7ff8000000000000;
export const MISSING: u64 = 0;

// @ts-ignore: decorator
@inline
export function tagged(tag: u32, payload: u32): u64 {
  return ((<u64>tag) << 32) | payload;
}

/** A lane's tag; for a number, something larger than every tag. */
// @ts-ignore: decorator
@inline
export function tagOf(lane: u64): u32 {
  return <u32>min<u64>(lane >> 32, 0xffff);
}

/** The lane of a number; -0 is 0, as comparisons have it. */
// @ts-ignore: decorator
@inline
export function numberLane(value: f64): u64 {
  return reinterpret<u64>(value + 0.0) ^ LANE_MASK;
}

// @ts-ignore: decorator
@inline
export function numberIn(lane: u64): f64 {
  return reinterpret<f64>(lane ^ LANE_MASK);
}

// @ts-ignore: decorator
@inline
export function columnAt(column: u32): usize {
  return <usize>C.COLUMNS_TABLE + <usize>column * C.COLUMN_BYTES;
}

// @ts-ignore: decorator
@inline
export function columnCount(): u32 {
  return atomic.load<u32>(C.COLUMNS_COUNT);
}

// @ts-ignore: decorator
@inline
function chunkEntry(column: u32, chunk: u32): usize {
  const each = load<u32>(C.COLUMNS_CHUNKS_EACH);
  return <usize>load<u32>(C.COLUMNS_TABLES_BASE) + ((<usize>(column * each + chunk)) << 2);
}

/** Address of a chunk's lanes, 0 while there are none, CHUNK_NO_ROOM when none could be had. */
// @ts-ignore: decorator
@inline
export function chunkOf(column: u32, chunk: u32): usize {
  const held = atomic.load<u32>(chunkEntry(column, chunk));
  return held < <u32>C.CHUNK_FIRST ? <usize>held : chunkAddress(held - C.CHUNK_FIRST);
}

// @ts-ignore: decorator
@inline
function chunkAddress(number: u32): usize {
  return <usize>load<u32>(C.COLUMNS_CHUNKS_BASE) + <usize>number * C.CHUNK_BYTES;
}

/** Says that lanes of the column may be so. The writer, before it stores the first such lane. */
// @ts-ignore: decorator
@inline
export function markSeen(column: u32, seen: u32): void {
  const at = columnAt(column);
  const before = load<u32>(at, C.COLUMN_SEEN);
  if ((before & seen) == seen) return;
  atomic.store<u32>(at, before | seen, C.COLUMN_SEEN);
  markDirty(at, C.COLUMN_BYTES);
}

export function setLane(column: u32, slot: u32, lane: u64): void {
  const chunk = slot / C.CHUNK_ROWS;
  let lanes = chunkOf(column, chunk);
  if (lanes <= <usize>C.CHUNK_NO_ROOM) {
    if (lanes == C.CHUNK_NO_ROOM) return;
    lanes = takeChunk(chunkEntry(column, chunk));
    if (lanes == C.CHUNK_NO_ROOM) return;
  }
  writeLane(lanes, slot, lane, codeOfLane(column, lane));
}

// @ts-ignore: decorator
@inline
function writeLane(lanes: usize, slot: u32, lane: u64, code: u32): void {
  const row = <usize>(slot % C.CHUNK_ROWS);
  const at = lanes + (row << 3);
  const codeAt = lanes + C.CHUNK_CODES + row;
  store<u64>(at, lane);
  store<u8>(codeAt, <u8>code);
  markDirty(at, 8);
  markDirty(codeAt, 1);
}

function takeChunk(entry: usize): usize {
  const number = atomic.load<u32>(C.COLUMNS_CHUNKS_USED);
  const at = chunkAddress(number);
  const isFull = at + C.CHUNK_BYTES > load<u32>(C.COLUMNS_END);
  if (!isFull) atomic.store<u32>(C.COLUMNS_CHUNKS_USED, number + 1);
  atomic.store<u32>(entry, isFull ? C.CHUNK_NO_ROOM : number + C.CHUNK_FIRST);
  markDirty(entry, 4);
  return isFull ? <usize>C.CHUNK_NO_ROOM : at;
}

/** The bits of a group of slots that hold a row. */
// @ts-ignore: decorator
@inline
export function presentIn(group: u32): u64 {
  return load<u64>(<usize>load<u32>(C.COLUMNS_PRESENT_BASE) + (<usize>group << 3));
}

export function setPresent(slot: u32, present: bool): void {
  const at = <usize>load<u32>(C.COLUMNS_PRESENT_BASE) + (slot >> 3);
  const bit = <u8>(1 << (<u8>slot & 7));
  store<u8>(at, present ? load<u8>(at) | bit : load<u8>(at) & ~bit);
  markDirty(at, 1);
}

/** Before a slot is given to another row: all its lanes become missing. */
export function clearRow(slot: u32): void {
  const chunk = slot / C.CHUNK_ROWS;
  const count = columnCount();
  for (let column: u32 = 0; column < count; column++) {
    const lanes = chunkOf(column, chunk);
    if (lanes <= <usize>C.CHUNK_NO_ROOM) continue;
    writeLane(lanes, slot, MISSING, 0);
  }
}
