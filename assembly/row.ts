/**
 * A row's block: its head, then the links of level 0. Its code lies apart in two regions, dense,
 * because a walk measures a dozen rows for each one whose links it follows; its vector lies in a
 * fourth.
 *
 *   offset | size   | name
 *   0      | 8      | birth: sequence of the write that made the row; 0 while the slot is free
 *   8      | 8      | death: sequence of the write that removed it, 0 while it lives
 *   16     | 4      | stamp: odd while the row is written; a reader that sees it move drops the row
 *   20     | 4      | lock of the links
 *   24     | 4      | upper: first unit of the links above level 0
 *   28     | 4      | previous: the slot that this row replaced; next free slot while free
 *   32     | 2      | flags: linked, rough, passed, confirmed
 *   34     | 1      | level
 *   35     | 1      | generation of the code, low bits
 *   36     | 4      | count of links
 *   40     | 4 x 2M | links
 *
 * A code is its unsigned 7-bit components, zero padded to 32. It is kept in halves of 4 bits a
 * component: which of 16 cells the component falls in (coarse: enough to walk by), and its place
 * in that cell (fine: with it, the code is whole). Byte i of each 16 holds component i of 32 in its
 * low bits and component i + 16 in its high ones.
 *
 * A level above 0 is a unit in the upper region: count (4), then 4 x M links. Links are written
 * before their count is stored, so a reader without the lock walks ids that are all valid, old or
 * new.
 */
import { header } from "./header";
import * as L from "./layout";

/** The coarse half of the row's code. */
// @ts-ignore: decorator
@inline
export function codeOf(slot: u32): usize {
  return header().codesBase + <usize>slot * header().codeStride;
}

// @ts-ignore: decorator
@inline
export function fineOf(slot: u32): usize {
  return load<usize>(L.HEADER_FINES_BASE) + <usize>slot * (header().codeBytes >> 1);
}

// @ts-ignore: decorator
@inline
export function headOf(slot: u32): usize {
  return header().rowsBase + <usize>slot * header().rowStride;
}

// @ts-ignore: decorator
@inline
export function vectorOf(slot: u32): usize {
  return header().vectorsBase + <usize>slot * header().vectorStride;
}

// @ts-ignore: decorator
@inline
export function stampOf(slot: u32): u32 {
  return atomic.load<u32>(headOf(slot), L.ROW_STAMP);
}

// @ts-ignore: decorator
@inline
export function birthOf(slot: u32): u64 {
  return atomic.load<u64>(headOf(slot), L.ROW_BIRTH);
}

// @ts-ignore: decorator
@inline
export function deathOf(slot: u32): u64 {
  return atomic.load<u64>(headOf(slot), L.ROW_DEATH);
}

/**
 * Whether the row died, for whatever snapshot: one bit, so that a walk need not touch the row for
 * it.
 */
// @ts-ignore: decorator
@inline
export function hasDied(slot: u32): bool {
  return ((<u32>load<u8>(header().deadBase + (slot >> 3)) >> (slot & 7)) & 1) != 0;
}

/** Whether a repair is taking the row out of the graph: from here on nothing may link to it. */
// @ts-ignore: decorator
@inline
export function isDoomed(slot: u32): bool {
  return ((<u32>load<u8>(header().doomedBase + (slot >> 3)) >> (slot & 7)) & 1) != 0;
}

/** By the linker that marks and by the writer that frees, so atomically. */
export function setDoomed(slot: u32, doomed: bool): void {
  const at = header().doomedBase + (slot >> 3);
  const bit = <u8>(1 << (<u8>slot & 7));
  if (doomed) atomic.or<u8>(at, bit);
  else atomic.and<u8>(at, ~bit);
}

/** Whether a row of the graph lives and stays. */
// @ts-ignore: decorator
@inline
export function isSettled(slot: u32): bool {
  return isLinked(slot) && !hasDied(slot);
}

/** Writer only. */
export function setDied(slot: u32, died: bool): void {
  const at = header().deadBase + (slot >> 3);
  const bit = <u8>(1 << (<u8>slot & 7));
  atomic.store<u8>(at, died ? load<u8>(at) | bit : load<u8>(at) & ~bit);
}

/** Whether a reader whose snapshot is `sequence` sees the row. */
// @ts-ignore: decorator
@inline
export function isVisible(slot: u32, sequence: u64): bool {
  const birth = birthOf(slot);
  if (birth == 0 || birth > sequence) return false;
  const death = deathOf(slot);
  return death == 0 || death > sequence;
}

// @ts-ignore: decorator
@inline
export function flagsOf(slot: u32): u32 {
  return <u32>atomic.load<u16>(headOf(slot), L.ROW_FLAGS);
}

// @ts-ignore: decorator
@inline
export function isLinked(slot: u32): bool {
  return (flagsOf(slot) & L.FLAG_LINKED) != 0;
}

// @ts-ignore: decorator
@inline
export function levelOf(slot: u32): u32 {
  return load<u8>(headOf(slot), L.ROW_LEVEL);
}

// @ts-ignore: decorator
@inline
export function generationOf(slot: u32): u32 {
  return load<u8>(headOf(slot), L.ROW_GENERATION);
}

/** Address of a list: its count, and the links 4 bytes behind it. */
// @ts-ignore: decorator
@inline
export function listOf(slot: u32, level: u32): usize {
  if (level == 0) return headOf(slot) + L.ROW_COUNT;
  const unit = load<u32>(headOf(slot), L.ROW_UPPER) + level - 1;
  return header().upperBase + <usize>unit * header().upperStride;
}

// @ts-ignore: decorator
@inline
export function countOf(list: usize): u32 {
  return atomic.load<u32>(list);
}

// @ts-ignore: decorator
@inline
export function linkAt(list: usize, index: u32): u32 {
  return load<u32>(list + ((<usize>index) << 2), 4);
}

// @ts-ignore: decorator
@inline
export function setLink(list: usize, index: u32, slot: u32): void {
  atomic.store<u32>(list + ((<usize>index) << 2), slot, 4);
}

// @ts-ignore: decorator
@inline
export function setCount(list: usize, count: u32): void {
  atomic.store<u32>(list, count);
}

/** How many links a list of that level may hold: 2M at level 0, M above. */
// @ts-ignore: decorator
@inline
export function degreeMax(level: u32): u32 {
  return level == 0 ? header().m << 1 : header().m;
}

/**
 * Spins this often before it sleeps: a holder is gone within a few hundred nanoseconds unless it
 * lost its core.
 */
const SPINS = 200;
const SLEEP_NS: i64 = 1000000;

/** Takes the row's lock. Never called on a thread that serves requests: it may sleep. */
export function lockRow(slot: u32): void {
  lock(headOf(slot) + L.ROW_LOCK);
}

export function unlockRow(slot: u32): void {
  unlock(headOf(slot) + L.ROW_LOCK);
}

/** 0 free, 1 held, 2 held and somebody sleeps. */
export function lock(address: usize): void {
  for (let spin = 0; spin < SPINS; spin++) {
    if (atomic.load<u32>(address) == 0 && atomic.cmpxchg<u32>(address, 0, 1) == 0) return;
  }
  while (atomic.xchg<u32>(address, 2) != 0) atomic.wait<i32>(address, 2, SLEEP_NS);
}

export function unlock(address: usize): void {
  if (atomic.xchg<u32>(address, 0) == 2) atomic.notify(address, 1);
}
