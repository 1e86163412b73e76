/**
 * What becomes of dead rows: mark, repair, confirm, reuse, in the steps that pgvector's vacuum
 * goes, but a slice at a time, while others search, link and write.
 *
 *   MARK      dead rows that no reader is owed (readers.ts) are doomed: nobody links to them anew
 *   SETTLE    wait until every walk that began before that has ended; move the entry point
 *   SWEEP     each row's list loses its doomed links and gets others (sweep.ts); linkers share this
 *   GRACE     wait until no walk stands on a doomed row any more
 *   CONFIRM   give their upper units back and hand the slots to the writer (slots.takeFreed)
 *   NOTE, SPREAD, TIE   find living rows that cannot be reached, and tie them in (reach.ts)
 *   THICKEN   rows that few links lead to get more (thin.ts)
 *
 * One linker at a time takes a step, under the repair lock; only a sweep is shared. Where it stands
 * is in the header, so a pass survives the thread that drove it.
 */
import { fence, header, slotsUsed } from "../header";
import * as L from "../layout";
import { forgotten, isQuiet, lookAround } from "../readers";
import * as Row from "../row";
import { tailLength } from "../tail";
import { Worker } from "../worker";
import { slotIn } from "./pool";
import { noteDue, spread, tieNext } from "./reach";
import { oweVisits } from "./revisit";
import { entry } from "./search";
import { sweep } from "./sweep";
import { thicken } from "./thin";
import { giveUnits } from "./upper";

const IDLE: u32 = 0;
const MARK: u32 = 1;
const SETTLE: u32 = 2;
const SWEEP: u32 = 3;
const GRACE: u32 = 4;
export const CONFIRM: u32 = 5;
const NOTE: u32 = 6;
const SPREAD: u32 = 7;
const TIE: u32 = 8;
const THICKEN: u32 = 9;

/** What a step says: nothing to do, done some, or held up by a walk or by another linker. */
const REST: u32 = 0;
const WORKED: u32 = 1;
const WAITS: u32 = 2;

/** A pass begins when one row in so many is dead, or when linkers have nothing else to do. */
const DEAD_SHARE: u32 = 64;
const DEAD_MIN: u32 = 64;
/**
 * With nothing else to do, passes rest so many times as long as the last one took, a second at
 * least.
 */
const REST_FACTOR: u32 = 100;
const REST_MS: u32 = 1000;
/** When readers held on to all that was dead. */
const FRUITLESS_MS: u32 = 50;
/** Slots looked at while the price is a bit or a head each, for one that is mended. */
const LIGHT: u32 = 16;
const SWEEP_SLOTS: u32 = 16;
/** Where the next stretch begins while no sweep is under way. */
const SWEEP_OVER: u32 = 0xffff0000;
/** Rounds of looking for unreachable rows after a pass. */
const ROUNDS_MAX: u32 = 8;

// @ts-ignore: decorator
@inline
function phase(): u32 {
  return atomic.load<u32>(L.HEADER_REPAIR_PHASE);
}

function enter(next: u32): void {
  store<u32>(L.HEADER_REPAIR_CURSOR, 0);
  atomic.store<u32>(L.HEADER_REPAIR_PHASE, next);
}

/** Dead rows whose slots are not on their way back yet. */
export function unrepaired(): u32 {
  const confirmed = atomic.load<u32>(L.HEADER_CONFIRMED);
  const dead = atomic.load<u32>(L.HEADER_DEAD);
  return dead > confirmed ? dead - confirmed : 0;
}

/** Whether a pass is under way or should begin; `now` is any clock in milliseconds. */
export function isDue(now: u32): bool {
  if (phase() != IDLE) return true;
  const rested = now - load<u32>(L.HEADER_REPAIR_ENDED);
  const dead = unrepaired();
  if (load<u32>(L.HEADER_FRUITLESS)) return dead > 0 && rested >= FRUITLESS_MS;
  if (dead >= max<u32>(DEAD_MIN, slotsUsed() / DEAD_SHARE)) return true;
  if (tailLength() > 0) return false;
  if (rested < max<u32>(REST_MS, REST_FACTOR * load<u32>(L.HEADER_REPAIR_TOOK))) return false;
  return dead > 0 || load<u32>(L.HEADER_REACHED_TAIL) != atomic.load<u32>(L.HEADER_TAIL_HEAD);
}

/** Takes a step of about `budget` rows' worth. */
export function repair(worker: Worker, budget: u32, now: u32): u32 {
  if (!isDue(now)) return REST;
  if (phase() == SWEEP && sweepSome(worker, budget)) return WORKED;
  if (atomic.cmpxchg<u32>(L.HEADER_REPAIR_LOCK, 0, 1) != 0) return WAITS;
  const did = step(worker, budget, now);
  atomic.store<u32>(L.HEADER_REPAIR_LOCK, 0);
  return did;
}

function step(worker: Worker, budget: u32, now: u32): u32 {
  switch (phase()) {
    case IDLE: {
      store<u32>(L.HEADER_REPAIR_BEGAN, now);
      store<u32>(L.HEADER_DOOMED, 0);
      store<u32>(L.HEADER_REACH_ROUND, 0);
      enter(unrepaired() > 0 ? MARK : NOTE);
      return WORKED;
    }
    case MARK: {
      if (!mark(budget * LIGHT)) return WORKED;
      const doomed = load<u32>(L.HEADER_DOOMED);
      store<u32>(L.HEADER_FRUITLESS, doomed == 0 ? 1 : 0);
      if (doomed == 0) return end(now);
      lookAround();
      enter(SETTLE);
      return WORKED;
    }
    case SETTLE: {
      if (!isQuiet()) return WAITS;
      moveEntry();
      store<u32>(L.HEADER_SWEEP_DONE, 0);
      store<u32>(L.HEADER_SWEEP_END, slotsUsed());
      atomic.store<u32>(L.HEADER_SWEEP_NEXT, 0);
      enter(SWEEP);
      return WORKED;
    }
    case SWEEP: {
      if (atomic.load<u32>(L.HEADER_SWEEP_DONE) < load<u32>(L.HEADER_SWEEP_END)) return WAITS;
      atomic.store<u32>(L.HEADER_SWEEP_NEXT, SWEEP_OVER);
      lookAround();
      enter(GRACE);
      return WORKED;
    }
    case GRACE: {
      if (!isQuiet()) return WAITS;
      enter(CONFIRM);
      return WORKED;
    }
    case CONFIRM: {
      if (confirm(budget * LIGHT)) enter(NOTE);
      return WORKED;
    }
    case NOTE: {
      if (load<u32>(L.HEADER_REPAIR_CURSOR) == 0)
        store<u32>(L.HEADER_REACHED_TAIL, atomic.load<u32>(L.HEADER_TAIL_HEAD));
      if (!noteDue(budget * LIGHT)) return WORKED;
      store<u32>(L.HEADER_RELINKED, 0);
      store<u32>(L.HEADER_LAST_TIED, L.NO_SLOT);
      // Not `enter`: the spread begins at the entry point.
      atomic.store<u32>(L.HEADER_REPAIR_PHASE, SPREAD);
      return WORKED;
    }
    case SPREAD: {
      if (spread(budget * LIGHT)) enter(TIE);
      return WORKED;
    }
    case TIE:
      return tie(worker, now);
    default:
      return thicken(worker, budget, budget) ? end(now) : WORKED;
  }
}

function tie(worker: Worker, now: u32): u32 {
  if (tieNext(worker)) {
    store<u32>(L.HEADER_RELINKED, load<u32>(L.HEADER_RELINKED) + 1);
    atomic.store<u32>(L.HEADER_REPAIR_PHASE, SPREAD);
    return WORKED;
  }
  // What was pushed out for them may be unreachable now.
  const round = load<u32>(L.HEADER_REACH_ROUND) + 1;
  store<u32>(L.HEADER_REACH_ROUND, round);
  if (load<u32>(L.HEADER_RELINKED) == 0 || round >= ROUNDS_MAX) {
    enter(THICKEN);
    return WORKED;
  }
  enter(NOTE);
  return WORKED;
}

function end(now: u32): u32 {
  store<u32>(L.HEADER_REPAIR_TOOK, now - load<u32>(L.HEADER_REPAIR_BEGAN));
  store<u32>(L.HEADER_REPAIR_ENDED, now);
  store<u32>(L.HEADER_PASSES, load<u32>(L.HEADER_PASSES) + 1);
  enter(IDLE);
  return WORKED;
}

/** Dooms what is dead and owed to nobody, in up to `budget` slots; true when all have been seen. */
function mark(budget: u32): bool {
  const bound = forgotten();
  const used = slotsUsed();
  let slot = load<u32>(L.HEADER_REPAIR_CURSOR);
  const stop = min(slot + budget, used);
  let doomed: u32 = 0;
  for (; slot < stop; slot++) {
    if (!Row.hasDied(slot)) continue;
    if (Row.isDoomed(slot)) {
      // By a pass that a restart cut off, unless the writer has yet to take the slot.
      doomed += <u32>!(Row.flagsOf(slot) & L.FLAG_CONFIRMED);
      continue;
    }
    const death = Row.deathOf(slot);
    if (death == 0 || death > bound) continue;
    if (!(Row.flagsOf(slot) & (L.FLAG_LINKED | L.FLAG_PASSED))) continue;
    Row.setDoomed(slot, true);
    doomed++;
  }
  store<u32>(L.HEADER_DOOMED, load<u32>(L.HEADER_DOOMED) + doomed);
  store<u32>(L.HEADER_REPAIR_CURSOR, slot);
  return slot >= used;
}

/**
 * A doomed entry point gives way to the highest row that lives; where none does, the graph is
 * empty.
 */
function moveEntry(): void {
  const door = slotIn(entry());
  if (door == L.NO_SLOT || !Row.isDoomed(door)) return;
  let best: u32 = L.NO_SLOT;
  let level: u32 = 0;
  const used = slotsUsed();
  for (let slot: u32 = 0; slot < used; slot++) {
    if (!Row.isSettled(slot) || (best != L.NO_SLOT && Row.levelOf(slot) <= level)) continue;
    best = slot;
    level = Row.levelOf(slot);
  }
  Row.lock(L.HEADER_GRAPH_LOCK);
  const now = entry();
  // A linker may have raised a new row meanwhile.
  if (slotIn(now) != L.NO_SLOT && Row.isDoomed(slotIn(now)))
    atomic.store<u64>(L.HEADER_ENTRY, ((<u64>level) << 32) | best);
  Row.unlock(L.HEADER_GRAPH_LOCK);
}

/** Sweeps until about `budget` lists were mended; false when there is nothing left to take. */
function sweepSome(worker: Worker, budget: u32): bool {
  let mended: u32 = 0;
  let taken: u32 = 0;
  while (mended < budget && taken < budget * LIGHT) {
    if (atomic.load<u32>(L.HEADER_SWEEP_NEXT) >= load<u32>(L.HEADER_SWEEP_END)) break;
    const from = atomic.add<u32>(L.HEADER_SWEEP_NEXT, SWEEP_SLOTS);
    // Read anew: it may be the next pass that we have taken a stretch of.
    const end = load<u32>(L.HEADER_SWEEP_END);
    if (from >= end) break;
    const to = min(from + SWEEP_SLOTS, end);
    mended += sweep(worker, from, to);
    fence();
    atomic.add<u32>(L.HEADER_SWEEP_DONE, to - from);
    taken += to - from;
  }
  return taken > 0;
}

/** Hands doomed slots over, looking at up to `budget` of all; true when all have been. */
function confirm(budget: u32): bool {
  const used = slotsUsed();
  let slot = load<u32>(L.HEADER_REPAIR_CURSOR);
  const stop = min(slot + budget, used);
  for (; slot < stop; slot++) {
    if (!Row.isDoomed(slot) || Row.flagsOf(slot) & L.FLAG_CONFIRMED) continue;
    const head = Row.headOf(slot);
    const level = Row.levelOf(slot);
    if (level > 0) giveUnits(load<u32>(head, L.ROW_UPPER), level);
    store<u8>(head, 0, L.ROW_LEVEL);
    Row.setCount(head + L.ROW_COUNT, 0);
    atomic.and<u16>(head, ~(<u16>(L.FLAG_LINKED | L.FLAG_PASSED)), L.ROW_FLAGS);
    atomic.or<u16>(head, <u16>L.FLAG_CONFIRMED, L.ROW_FLAGS);
    atomic.add<u32>(L.HEADER_CONFIRMED, 1);
    oweVisits(1);
  }
  store<u32>(L.HEADER_REPAIR_CURSOR, slot);
  return slot >= used;
}
