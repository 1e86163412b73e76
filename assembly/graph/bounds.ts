/**
 * What must hold of a shard that comes from a file, where every byte may be hostile: whatever a
 * walk, the writer or a linker follows stays inside, nothing is locked, and nothing is counted that
 * is not there. It reads rows in order, so it costs about what reading them costs; the whole
 * checker (check.ts) also tries what only recall depends on.
 */
import { bayEntry, freeBay, sheds } from "../bays";
import { codebook, header, slotsUsed } from "../header";
import * as L from "../layout";
import * as Row from "../row";
import { tailEntry, tailLength } from "../tail";
import { Worker } from "../worker";
import { slotIn } from "./pool";
import { CONFIRM } from "./repair";
import { entry } from "./search";
import { visit, visitedReset } from "./visited";

const FLAGS: u32 = (L.FLAG_HASTY << 1) - 1;
/** In the graph, or passed by on the way there. */
const IN_USE: u32 = L.FLAG_LINKED | L.FLAG_PASSED;
/** As components are refused when they come in (COMPONENT_MAX); NaN is not below it either. */
const COMPONENT_MAX: f32 = 1.0000000272564224e16;
/** What a code may stand for: a component, and the steps by which a range is wider. */
const CODED_MAX: f32 = 4e16;

function fail(worker: Worker, fault: u32, slot: u32, value: u32): u32 {
  worker.fault = fault;
  worker.faultSlot = slot;
  worker.faultValue = value;
  return fault;
}

/**
 * Rows from..to, of which none may come from a write after `sequence`. Counts live rows in
 * `resultCount`, free slots in `moved`, slots on their way back in `distances`, dead rows in
 * `scanned`. Leaves a bit a
 * slot, a row is there, in the last of the three maps at reachBase, for the host to take away.
 */
export function checkRows(index: u32, from: u32, to: u32, sequence: f64): u32 {
  const worker = Worker.of(index);
  const used = slotsUsed();
  worker.resultCount = 0;
  worker.moved = 0;
  worker.distances = 0;
  worker.scanned = 0;
  if (from == 0) forgetMarks();
  for (let slot = from; slot < min(to, used); slot++) {
    if (checkHead(worker, slot, used, <u64>sequence) != L.FAULT_NONE) return worker.fault;
    if (checkLinks(worker, slot, used) != L.FAULT_NONE) return worker.fault;
  }
  return fail(worker, L.FAULT_NONE, L.NO_SLOT, 0);
}

/**
 * Marks that are kept from call to call: in the checker's queue a bit for each upper unit that is
 * somebody's, and two bits a slot, among those of the look for lost rows: it is in the graph, and
 * something links to it.
 */
function forgetMarks(): void {
  memory.fill(header().scratchBase, 0, (header().upperCapacity >> 3) + 8);
  memory.fill(header().reachBase, 0, header().bitmapStride << 1);
}

// @ts-ignore: decorator
@inline
function heldMap(): usize {
  return header().reachBase + ((<usize>header().bitmapStride) << 1);
}

// @ts-ignore: decorator
@inline
function mark(base: usize, bit: u32): void {
  const at = base + (bit >> 3);
  store<u8>(at, load<u8>(at) | <u8>(1 << (<u8>bit & 7)));
}

/** False when one of the units is somebody's already. */
function claimUnits(unit: u32, count: u32): bool {
  for (let own = unit; own < unit + count; own++) {
    if (load<u8>(header().scratchBase + (own >> 3)) & (1 << (own & 7))) return false;
    mark(header().scratchBase, own);
  }
  return true;
}

function checkHead(worker: Worker, slot: u32, used: u32, sequence: u64): u32 {
  const head = Row.headOf(slot);
  if (Row.stampOf(slot) & 1) return fail(worker, L.FAULT_STAMP, slot, Row.stampOf(slot));
  const held = load<u32>(head, L.ROW_LOCK);
  if (held != 0) return fail(worker, L.FAULT_LOCK, slot, held);
  const birth = Row.birthOf(slot);
  const death = Row.deathOf(slot);
  if (birth > sequence || death > sequence) return fail(worker, L.FAULT_SEQUENCE, slot, <u32>birth);
  if (Row.isDoomed(slot)) {
    if (death == 0) return fail(worker, L.FAULT_DEAD, slot, 0);
    if (Row.flagsOf(slot) & L.FLAG_CONFIRMED) worker.distances++;
  }
  // A slot on its way back has left the graph, and comes back once.
  const flags = Row.flagsOf(slot);
  if (flags & L.FLAG_CONFIRMED && (flags & IN_USE || !Row.isDoomed(slot)))
    return fail(worker, L.FAULT_FLAGS, slot, flags);
  if (birth == 0) {
    if (Row.isDoomed(slot) || Row.hasDied(slot)) return fail(worker, L.FAULT_DEAD, slot, 0);
    if (flags & IN_USE) return fail(worker, L.FAULT_FLAGS, slot, flags);
    worker.moved++;
  } else {
    mark(heldMap(), slot);
    if (death != 0 && death < birth) return fail(worker, L.FAULT_SEQUENCE, slot, <u32>death);
    if (Row.hasDied(slot) != (death != 0)) return fail(worker, L.FAULT_DEAD, slot, <u32>death);
    if (death == 0) worker.resultCount++;
    else worker.scanned++;
  }
  const previous = load<u32>(head, L.ROW_PREVIOUS);
  if (previous >= used && previous != L.NO_SLOT)
    return fail(worker, L.FAULT_LINK_BOUNDS, slot, previous);
  return L.FAULT_NONE;
}

function checkLinks(worker: Worker, slot: u32, used: u32): u32 {
  const level = Row.levelOf(slot);
  if (level >= <u32>L.LEVELS_MAX) return fail(worker, L.FAULT_LEVEL, slot, level);
  if (level > 0) {
    const unit = load<u32>(Row.headOf(slot), L.ROW_UPPER);
    const usedUnits = min(atomic.load<u32>(L.HEADER_UPPER_USED), header().upperCapacity);
    if (unit >= usedUnits || unit + level > usedUnits)
      return fail(worker, L.FAULT_UPPER_BOUNDS, slot, unit);
    if (!claimUnits(unit, level)) return fail(worker, L.FAULT_UPPER_TWICE, slot, unit);
  }
  const flags = Row.flagsOf(slot);
  if (flags > FLAGS) return fail(worker, L.FAULT_FLAGS, slot, flags);
  if (flags & L.FLAG_LINKED) mark(header().reachBase, slot);
  else if (level > 0 || Row.countOf(Row.listOf(slot, 0)) > 0)
    return fail(worker, L.FAULT_FLAGS, slot, flags);
  // Nobody follows these any more, and what they name may have left its levels before them.
  if (isLeaving(slot)) return L.FAULT_NONE;
  const meant = header().reachBase + header().bitmapStride;
  for (let at: u32 = 0; at <= level; at++) {
    const list = Row.listOf(slot, at);
    const count = Row.countOf(list);
    if (count > Row.degreeMax(at)) return fail(worker, L.FAULT_DEGREE, slot, count);
    for (let i: u32 = 0; i < count; i++) {
      const link = Row.linkAt(list, i);
      if (link >= used) return fail(worker, L.FAULT_LINK_BOUNDS, slot, link);
      if (at == 0) mark(meant, link);
      // Above level 0 the link's own lists are found through its head, which must have them.
      if (at > 0 && (Row.levelOf(link) < at || isLeaving(link)))
        return fail(worker, L.FAULT_LINK_LEVEL, slot, link);
    }
  }
  return L.FAULT_NONE;
}

/** Whether the row was swept out of all lists that stay, and its slot is being handed over. */
function isLeaving(slot: u32): bool {
  return load<u32>(L.HEADER_REPAIR_PHASE) == CONFIRM && Row.isDoomed(slot);
}

/**
 * Bytes of vectors up to the first component that cannot be stored; `bytes` when all can. They are
 * tried as they come in, while a cache still has them. Any bytes are halves of some code.
 */
export function soundBytes(pointer: usize, bytes: u32): u32 {
  const bar = f32x4.splat(COMPONENT_MAX);
  for (let at: u32 = 0; at < bytes; at += 16) {
    if (!i32x4.all_true(f32x4.le(f32x4.abs(v128.load(pointer + at)), bar))) return at;
  }
  return bytes;
}

/**
 * Where float32 is not kept, after rows and bays are there: each slot's bay is there and its own.
 * Bays that no slot has are free.
 */
export function checkBays(index: u32): u32 {
  const worker = Worker.of(index);
  if (!sheds()) return fail(worker, L.FAULT_NONE, L.NO_SLOT, 0);
  const taken = header().scratchBase;
  const end = load<u32>(L.HEADER_BAYS_USED);
  if (end < <u32>L.BAYS_RESERVED || end > load<u32>(L.HEADER_BAYS))
    return fail(worker, L.FAULT_BAY, L.NO_SLOT, end);
  for (let at: u32 = 0; at < 2; at++) {
    const book = codebook(at);
    if (!(abs(book.low) + <f32>L.CODE_VALUES * abs(book.scale) <= CODED_MAX))
      return fail(worker, L.FAULT_COMPONENT, L.NO_SLOT, at);
  }
  memory.fill(taken, 0, (end >> 3) + 1);
  for (let slot: u32 = 0; slot < slotsUsed(); slot++) {
    const bay = load<u32>(bayEntry(slot));
    if (bay == 0) continue;
    const at = taken + (bay >> 3);
    const bit = <u8>(1 << (<u8>bay & 7));
    if (bay <= <u32>L.BAYS_RESERVED || bay > end || Row.birthOf(slot) == 0 || load<u8>(at) & bit)
      return fail(worker, L.FAULT_BAY, slot, bay);
    store<u8>(at, load<u8>(at) | bit);
  }
  store<u32>(L.HEADER_BAY_FREE, 0);
  store<u32>(L.HEADER_BAYS_FREE, 0);
  for (let bay = end; bay > <u32>L.BAYS_RESERVED; bay--)
    if (!((load<u8>(taken + (bay >> 3)) >> (<u8>bay & 7)) & 1)) freeBay(bay);
  return fail(worker, L.FAULT_NONE, L.NO_SLOT, 0);
}

/**
 * Counters, entry point, the tail and the list of free slots. The rows have been tried before, and
 * `free` of them are free.
 */
export function checkState(index: u32, free: u32): u32 {
  const worker = Worker.of(index);
  const used = slotsUsed();
  if (used > header().capacity) return fail(worker, L.FAULT_TAIL, L.NO_SLOT, used);
  const door = entry();
  const first = slotIn(door);
  if (door != <u64>L.NO_SLOT) {
    const level = <u32>(door >> 32);
    const isThere = first < used && Row.isLinked(first) && !isLeaving(first);
    if (!isThere || Row.levelOf(first) != level)
      return fail(worker, L.FAULT_ENTRY, first, level);
  }
  const length = tailLength();
  if (length > used) return fail(worker, L.FAULT_TAIL, L.NO_SLOT, length);
  visitedReset(worker);
  for (let i: u32 = 0; i < length; i++) {
    const slot = tailEntry(i);
    if (slot >= used || Row.birthOf(slot) == 0 || Row.isLinked(slot) || !visit(worker, slot))
      return fail(worker, L.FAULT_TAIL, slot, i);
  }
  let slot = load<u32>(L.HEADER_FREE_HEAD);
  let last: u32 = L.NO_SLOT;
  let count: u32 = 0;
  for (; slot != L.NO_SLOT && count < free; count++) {
    if (slot >= used || Row.birthOf(slot) != 0) return fail(worker, L.FAULT_FREE, slot, count);
    last = slot;
    slot = load<u32>(Row.headOf(slot), L.ROW_PREVIOUS);
  }
  // A list that comes back to itself would be longer than there are free slots.
  if (slot != L.NO_SLOT || load<u32>(L.HEADER_FREE_COUNT) != count)
    return fail(worker, L.FAULT_FREE, slot, count);
  if (load<u32>(L.HEADER_FREE_TAIL) != last) return fail(worker, L.FAULT_FREE, last, count);
  if (checkUnits(worker) != L.FAULT_NONE) return worker.fault;
  return checkMeant(worker);
}

/** What is linked to is in the graph. */
function checkMeant(worker: Worker): u32 {
  const linked = header().reachBase;
  const meant = linked + header().bitmapStride;
  for (let word: u32 = 0; word < (slotsUsed() + 63) >> 6; word++) {
    const at = <usize>word << 3;
    const outside = load<u64>(meant + at) & ~load<u64>(linked + at);
    if (outside != 0)
      return fail(worker, L.FAULT_LINK_UNLINKED, (word << 6) + <u32>ctz<u64>(outside), 0);
  }
  // Who works in these places next takes them for untouched.
  forgetMarks();
  return fail(worker, L.FAULT_NONE, L.NO_SLOT, 0);
}

/** The stacks of free units of the upper region: each ends, inside the region. */
function checkUnits(worker: Worker): u32 {
  const used = min(atomic.load<u32>(L.HEADER_UPPER_USED), header().upperCapacity);
  for (let level: u32 = 1; level < <u32>L.LEVELS_MAX; level++) {
    let next = load<u32>((<usize>level << 2) + L.HEADER_UPPER_FREE);
    for (let steps: u32 = 0; next != 0; steps++) {
      const unit = next - 1;
      if (steps > used || unit >= used || unit + level > used)
        return fail(worker, L.FAULT_UPPER_BOUNDS, L.NO_SLOT, unit);
      if (!claimUnits(unit, level)) return fail(worker, L.FAULT_UPPER_TWICE, L.NO_SLOT, unit);
      next = load<u32>(header().upperBase + <usize>unit * header().upperStride);
    }
  }
  return fail(worker, L.FAULT_NONE, L.NO_SLOT, 0);
}
