/**
 * Algorithm 1 of Malkov and Yashunin: a row is put into the graph.
 *
 * Several linkers work on one graph at once. First the row's own lists are searched and written on
 * all its levels; it cannot be reached yet, so nobody else touches them. Then the reverse links are
 * published, each under the lock of the row that gets it. A linker that stops in between leaves a
 * row with links but without some reverse links: the checker calls that unreachable at worst, and
 * no list is ever half written.
 */
import { MODE_CAREFUL, MODE_COARSE, MODE_CODES } from "../codebook";
import { header, slotsUsed } from "../header";
import {
  Careful,
  DotCoarse,
  DotCodes,
  L2Coarse,
  L2Codes,
  L2Floats,
  OtherFloats,
} from "../kernels/metric";
import * as L from "../layout";
import { prepareRow } from "../query";
import * as Row from "../row";
import { beginWalk, endWalk } from "../readers";
import { Worker } from "../worker";
import { DEAD, poolEntry, slotIn } from "./pool";
import { hang, hostOf, isCopy } from "./copies";
import { descend, entry, searchLayer } from "./search";
import { select, selectOwn, sortEntries } from "./select";
import { splice } from "./splice";
import { takeUnits } from "./upper";
import { noteSpread } from "./width";

/** Puts a row, whose vector and code are there, into the graph. */
export function insert(worker: Worker, slot: u32, ef: u32, slack: u32): void {
  worker.snapshot = u64.MAX_VALUE;
  beginWalk(worker);
  prepareRow(worker, slot);
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) insertIn<DotCoarse>(worker, slot, ef, slack);
    else insertIn<L2Coarse>(worker, slot, ef, slack);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) insertIn<DotCodes>(worker, slot, ef, slack);
    else insertIn<L2Codes>(worker, slot, ef, slack);
  } else if (worker.mode == MODE_CAREFUL) insertIn<Careful>(worker, slot, ef, slack);
  else if (metric == L.METRIC_L2) insertIn<L2Floats>(worker, slot, ef, slack);
  else insertIn<OtherFloats>(worker, slot, ef, slack);
  endWalk(worker);
}

function insertIn<S>(worker: Worker, slot: u32, ef: u32, slack: u32): void {
  const level = drawLevel(slot);
  let door = entry();
  if (slotIn(door) == L.NO_SLOT) {
    const first = atomic.cmpxchg<u64>(L.HEADER_ENTRY, <u64>L.NO_SLOT, ((<u64>level) << 32) | slot);
    if (first == <u64>L.NO_SLOT) return markLinked(slot);
    door = first;
  }
  const top = <u32>(door >> 32);
  let near = descend<S>(worker, slotIn(door), top, level);
  for (let at = <i32>min(level, top); at >= 0; at--) {
    searchLayer<S>(worker, near, ef, at);
    near = slotIn(poolEntry(worker, 0));
    if (at == 0) noteSpread(worker);
    writeOwn<S>(worker, slot, at);
  }
  for (let at = <i32>min(level, top); at >= 0; at--) publish<S>(worker, slot, at, slack);
  markLinked(slot);
  if (level > top) raiseEntry(slot, level);
  if (Row.countOf(Row.listOf(slot, 0)) == 0) join<S>(worker, slot);
}

/**
 * A row whose walk met nothing that stays: it is tied to any row that lives, until the next repair
 * finds it better neighbours. Where nobody lives, it is the graph's door.
 */
function join<S>(worker: Worker, slot: u32): void {
  const used = slotsUsed();
  for (let step: u32 = 1; step < used; step++) {
    const other = slot >= step ? slot - step : slot + used - step;
    if (!Row.isSettled(other)) continue;
    splice<S>(worker, slot, other);
    splice<S>(worker, other, slot);
    return;
  }
  Row.lock(L.HEADER_GRAPH_LOCK);
  const door = slotIn(entry());
  if (door == L.NO_SLOT || Row.hasDied(door))
    atomic.store<u64>(L.HEADER_ENTRY, (<u64>Row.levelOf(slot) << 32) | slot);
  Row.unlock(L.HEADER_GRAPH_LOCK);
}

function markLinked(slot: u32): void {
  atomic.or<u16>(Row.headOf(slot) + L.ROW_FLAGS, <u16>L.FLAG_LINKED);
}

/**
 * Draws the row's level (geometric, factor 1/M) and takes its units; without room above it stays on
 * level 0.
 */
function drawLevel(slot: u32): u32 {
  const head = Row.headOf(slot);
  let level: u32 = 0;
  const draw = scramble(slot ^ (<u32>Row.birthOf(slot) * 0x9e3779b9));
  let bar: u32 = u32.MAX_VALUE / header().m;
  while (draw < bar && level < <u32>(L.LEVELS_MAX - 1)) {
    level++;
    bar /= header().m;
  }
  if (level > 0) {
    const unit = takeUnits(level);
    if (unit < 0) level = 0;
    else store<u32>(head, <u32>unit, L.ROW_UPPER);
  }
  store<u8>(head, <u8>level, L.ROW_LEVEL);
  Row.setCount(head + L.ROW_COUNT, 0);
  return level;
}

function scramble(value: u32): u32 {
  let x = value;
  x = (x ^ (x >> 16)) * 0x7feb352d;
  x = (x ^ (x >> 15)) * 0x846ca68b;
  return x ^ (x >> 16);
}

/** Chooses the row's neighbours on a level from the pool and writes them into its own list. */
function writeOwn<S>(worker: Worker, slot: u32, level: u32): void {
  const host = hostOf<S>(worker, slot);
  let count = gatherPool(worker, slot, DEAD);
  // Where little lives, dead rows keep the graph in one piece.
  if (count < header().m / 2) count = gatherPool(worker, slot, 0);
  if (host == L.NO_SLOT) {
    const chosen = selectOwn<S>(worker, slot, worker.order, count, header().m);
    return writeList(worker, Row.listOf(slot, level), chosen);
  }
  writeBehind<S>(worker, slot, host, level, count);
}

/** The list of a row that hangs on a copy: the host first, and no other copy yet. */
function writeBehind<S>(worker: Worker, slot: u32, host: u32, level: u32, count: u32): void {
  let others: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const found = load<u64>(worker.order + ((<usize>i) << 3));
    if (isCopy(worker, slot, slotIn(found))) continue;
    store<u64>(worker.order + ((<usize>others) << 3), found);
    others++;
  }
  const chosen = selectOwn<S>(worker, slot, worker.order, others, header().m - 1);
  const list = Row.listOf(slot, level);
  Row.setLink(list, 0, host);
  for (let i: u32 = 0; i < chosen; i++)
    Row.setLink(list, i + 1, load<u32>(worker.chosen + ((<usize>i) << 2)));
  Row.setCount(list, chosen + 1);
}

/**
 * Copies the pool's entries, but for `slot`, rows that a repair takes out, and what bears a mark of
 * `without`, into `order`. A row that died after it was met cannot be doomed before this walk ends.
 */
export function gatherPool(worker: Worker, slot: u32, without: u64): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < worker.poolSize; i++) {
    const found = poolEntry(worker, i);
    // Copies of others bear the mark too.
    if (found & without && Row.hasDied(slotIn(found))) continue;
    if (slotIn(found) == slot) continue;
    if (found & DEAD && Row.isDoomed(slotIn(found))) continue;
    store<u64>(worker.order + ((<usize>count) << 3), found);
    count++;
  }
  return count;
}

export function writeList(worker: Worker, list: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++)
    Row.setLink(list, i, load<u32>(worker.chosen + ((<usize>i) << 2)));
  Row.setCount(list, count);
}

/** Gives each neighbour of the row on a level its link back; of a copy, only the host. */
function publish<S>(worker: Worker, slot: u32, level: u32, slack: u32): void {
  const list = Row.listOf(slot, level);
  const count = Row.countOf(list);
  if (count > 0 && isCopy(worker, slot, Row.linkAt(list, 0))) {
    const host = Row.linkAt(list, 0);
    if (!hang(worker, host, slot, level)) link<S>(worker, host, slot, level, slack);
    return;
  }
  // The list may change under us as soon as the first link back is there: we go by a copy.
  const copy = worker.keys;
  for (let i: u32 = 0; i < count; i++) store<u32>(copy + ((<usize>i) << 2), Row.linkAt(list, i));
  for (let i: u32 = 0; i < count; i++) {
    const target = load<u32>(copy + ((<usize>i) << 2));
    link<S>(worker, target, slot, level, slack);
  }
}

/** Adds a link from `target` to `slot`, under the target's lock. */
export function link<S>(worker: Worker, target: u32, slot: u32, level: u32, slack: u32): void {
  Row.lockRow(target);
  addLink<S>(worker, target, slot, level, slack);
  Row.unlockRow(target);
}

/**
 * Adds a link to a locked row's list; a full list is pruned below its limit by `slack`, so that
 * this stays rare.
 */
function addLink<S>(worker: Worker, target: u32, slot: u32, level: u32, slack: u32): void {
  const list = Row.listOf(target, level);
  const count = Row.countOf(list);
  const bound = Row.degreeMax(level);
  for (let i: u32 = 0; i < count; i++) if (Row.linkAt(list, i) == slot) return;
  if (count < bound) {
    Row.setLink(list, count, slot);
    Row.setCount(list, count + 1);
    return;
  }
  const entries = worker.order;
  changetype<S>(0).hold(worker, target);
  let kept = gatherList<S>(worker, entries, target, slot, level, false);
  // Where few neighbours live, dead ones may be the only way to the others.
  if (kept < bound / 4) kept = gatherList<S>(worker, entries, target, slot, level, true);
  sortEntries(entries, kept);
  writeList(
    worker,
    list,
    select<S>(worker, target, entries, kept, max<u32>(bound - min(slack, bound / 2), 1)),
  );
}

/** A list's rows and `slot` as entries, by their distance from the list's own row. */
function gatherList<S>(
  worker: Worker,
  entries: usize,
  target: u32,
  slot: u32,
  level: u32,
  withDead: bool,
): u32 {
  const list = Row.listOf(target, level);
  const count = Row.countOf(list);
  let kept: u32 = 0;
  for (let i: u32 = 0; i <= count; i++) {
    const other = i < count ? Row.linkAt(list, i) : slot;
    if (!withDead && Row.hasDied(other)) continue;
    // Copies hang on each other: no larger product pushes them out.
    const isOwn = header().metric == L.METRIC_DOT && isCopy(worker, target, other);
    const key = isOwn ? 0 : changetype<S>(0).fromHeld(worker, other);
    store<u64>(entries + ((<usize>kept) << 3), ((<u64>key) << 32) | other);
    kept++;
  }
  return kept;
}

function raiseEntry(slot: u32, level: u32): void {
  Row.lock(L.HEADER_GRAPH_LOCK);
  if (level > <u32>(entry() >> 32)) atomic.store<u64>(L.HEADER_ENTRY, ((<u64>level) << 32) | slot);
  Row.unlock(L.HEADER_GRAPH_LOCK);
}
