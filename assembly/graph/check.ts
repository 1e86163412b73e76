/**
 * The graph's own checker: every invariant that a walk relies on, tried row by row. It ships with
 * the engine, because a loaded image is hostile input and because an operator may ask a live shard
 * for its health.
 *
 * Bounds hold at any moment. Reachability and links to unlinked rows are judged only when no linker
 * is at work.
 */
import { header, slotsUsed } from "../header";
import * as L from "../layout";
import * as Row from "../row";
import { tailLength } from "../tail";
import { Worker } from "../worker";
import { visit, visitedReset } from "./visited";
import { slotIn } from "./pool";
import { entry } from "./search";

function fail(worker: Worker, fault: u32, slot: u32, value: u32): u32 {
  worker.fault = fault;
  worker.faultSlot = slot;
  worker.faultValue = value;
  return fault;
}

/**
 * Tries counters, entry point, every row and every list. Returns a FAULT_ number; slot and value
 * are in the worker.
 */
export function check(worker: Worker): u32 {
  const used = slotsUsed();
  if (used > header().capacity) return fail(worker, L.FAULT_TAIL, L.NO_SLOT, used);
  if (tailLength() > header().tailCapacity)
    return fail(worker, L.FAULT_TAIL, L.NO_SLOT, tailLength());
  const door = entry();
  const first = slotIn(door);
  if (first != L.NO_SLOT) {
    if (first >= used || !Row.isLinked(first)) return fail(worker, L.FAULT_ENTRY, first, 0);
    if (Row.levelOf(first) != <u32>(door >> 32))
      return fail(worker, L.FAULT_ENTRY, first, <u32>(door >> 32));
  }
  for (let slot: u32 = 0; slot < used; slot++) {
    if (checkRow(worker, slot, used) != L.FAULT_NONE) return worker.fault;
  }
  return checkReach(worker, first, used);
}

function checkRow(worker: Worker, slot: u32, used: u32): u32 {
  if (Row.stampOf(slot) & 1) return fail(worker, L.FAULT_STAMP, slot, Row.stampOf(slot));
  if (!Row.isLinked(slot)) return L.FAULT_NONE;
  const level = Row.levelOf(slot);
  if (level >= <u32>L.LEVELS_MAX) return fail(worker, L.FAULT_LEVEL, slot, level);
  if (level > 0) {
    const unit = load<u32>(Row.headOf(slot), L.ROW_UPPER);
    const usedUnits = min(atomic.load<u32>(L.HEADER_UPPER_USED), header().upperCapacity);
    if (unit >= usedUnits || unit + level > usedUnits)
      return fail(worker, L.FAULT_UPPER_BOUNDS, slot, unit);
  }
  for (let at: u32 = 0; at <= level; at++) {
    if (checkList(worker, slot, at, used) != L.FAULT_NONE) return worker.fault;
  }
  return L.FAULT_NONE;
}

function checkList(worker: Worker, slot: u32, level: u32, used: u32): u32 {
  const list = Row.listOf(slot, level);
  const count = Row.countOf(list);
  if (count > Row.degreeMax(level)) return fail(worker, L.FAULT_DEGREE, slot, count);
  for (let i: u32 = 0; i < count; i++) {
    const link = Row.linkAt(list, i);
    if (link >= used) return fail(worker, L.FAULT_LINK_BOUNDS, slot, link);
    if (link == slot) return fail(worker, L.FAULT_SELF_LINK, slot, link);
    if (!Row.isLinked(link)) return fail(worker, L.FAULT_LINK_UNLINKED, slot, link);
    if (Row.levelOf(link) < level) return fail(worker, L.FAULT_LINK_LEVEL, slot, link);
    for (let j: u32 = 0; j < i; j++) {
      if (Row.linkAt(list, j) == link) return fail(worker, L.FAULT_DUPLICATE_LINK, slot, link);
    }
  }
  return L.FAULT_NONE;
}

/**
 * Breadth first over level 0 from the entry point; `scratch` is the queue. Counts what was not met
 * in `faultValue`.
 */
function checkReach(worker: Worker, first: u32, used: u32): u32 {
  visitedReset(worker);
  const queue = header().scratchBase;
  let end: u32 = 0;
  if (first != L.NO_SLOT) {
    visit(worker, first);
    store<u32>(queue, first);
    end = 1;
  }
  for (let at: u32 = 0; at < end; at++) {
    const list = Row.listOf(load<u32>(queue + ((<usize>at) << 2)), 0);
    const count = Row.countOf(list);
    for (let i: u32 = 0; i < count; i++) {
      const link = Row.linkAt(list, i);
      if (!visit(worker, link)) continue;
      store<u32>(queue + ((<usize>end) << 2), link);
      end++;
    }
  }
  let missed: u32 = 0;
  let example: u32 = L.NO_SLOT;
  for (let slot: u32 = 0; slot < used; slot++) {
    if (!Row.isLinked(slot) || Row.deathOf(slot) != 0 || !visit(worker, slot)) continue;
    missed++;
    example = slot;
  }
  return missed
    ? fail(worker, L.FAULT_UNREACHABLE, example, missed)
    : fail(worker, L.FAULT_NONE, L.NO_SLOT, 0);
}
