/**
 * A row that no walk meets is searched for again, as Algorithm 1 would, and tied to what is met: it
 * keeps its own links where it has enough, and a row nearby on level 0 must link to it (splice.ts).
 */
import { MODE_CAREFUL, MODE_COARSE, MODE_CODES } from "../codebook";
import { header } from "../header";
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
import { beginWalk, endWalk } from "../readers";
import * as Row from "../row";
import { Worker } from "../worker";
import { gatherPool, link, writeList } from "./insert";
import { isMet } from "./marks";
import { DEAD, keyIn, poolEntry, slotIn } from "./pool";
import { descend, entry, searchLayer } from "./search";
import { selectOwn, sortEntries } from "./select";
import { splice } from "./splice";

const EF: u32 = 64;
const SLACK: u32 = 8;
const HOSTS: u32 = 8;

export function relink(worker: Worker, slot: u32): void {
  worker.snapshot = u64.MAX_VALUE;
  beginWalk(worker);
  prepareRow(worker, slot);
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) relinkIn<DotCoarse>(worker, slot);
    else relinkIn<L2Coarse>(worker, slot);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) relinkIn<DotCodes>(worker, slot);
    else relinkIn<L2Codes>(worker, slot);
  } else if (worker.mode == MODE_CAREFUL) relinkIn<Careful>(worker, slot);
  else if (metric == L.METRIC_L2) relinkIn<L2Floats>(worker, slot);
  else relinkIn<OtherFloats>(worker, slot);
  endWalk(worker);
}

function relinkIn<S>(worker: Worker, slot: u32): void {
  const door = entry();
  if (slotIn(door) == slot) return;
  if (slotIn(door) == L.NO_SLOT) {
    atomic.cmpxchg<u64>(L.HEADER_ENTRY, door, (<u64>Row.levelOf(slot) << 32) | slot);
    return;
  }
  const top = <u32>(door >> 32);
  const level = min<u32>(Row.levelOf(slot), top);
  let near = descend<S>(worker, slotIn(door), top, level);
  for (let at = <i32>level; at >= 0; at--) {
    // The levels above may lead where level 0 does not.
    if (at == 0 && !isMet(near)) near = slotIn(door);
    searchLayer<S>(worker, near, EF, at);
    near = slotIn(poolEntry(worker, 0));
    const met = keepMet(worker, gatherPool(worker, slot, DEAD));
    const host = met == 0 ? slotIn(door) : chooseHost<S>(worker, slot, met);
    tie<S>(worker, slot, at, met);
    if (at == 0) splice<S>(worker, host, slot);
  }
  store<u32>(L.HEADER_LAST_TIED, slot);
}

/** Of the gathered rows, those that can be reached; returns how many. */
function keepMet(worker: Worker, count: u32): u32 {
  let kept: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const found = load<u64>(worker.order + ((<usize>i) << 3));
    if (!isMet(slotIn(found))) continue;
    store<u64>(worker.order + ((<usize>kept) << 3), found);
    kept++;
  }
  return kept;
}

/**
 * The row that must link to `slot`: the nearest met that has room for it, for others are pushed out
 * of a full list. Among copies of one vector, of which a walk meets only the first, and where no
 * row met has room, it is the one tied in before: so they hang on each other.
 */
function chooseHost<S>(worker: Worker, slot: u32, met: u32): u32 {
  const last = load<u32>(L.HEADER_LAST_TIED);
  const isOpen = last != L.NO_SLOT && last != slot && Row.isSettled(last) && hasRoom(last, 0);
  if (isOpen && changetype<S>(0).one(worker, last) <= keyIn(load<u64>(worker.order))) return last;
  for (let i: u32 = 0; i < met; i++) if (hasRoom(nearAt(worker, i), 0)) return nearAt(worker, i);
  return isOpen ? last : nearAt(worker, slot % min(met, HOSTS));
}

function hasRoom(slot: u32, level: u32): bool {
  return Row.countOf(Row.listOf(slot, level)) < Row.degreeMax(level);
}

// @ts-ignore: decorator
@inline
function nearAt(worker: Worker, index: u32): u32 {
  return slotIn(load<u64>(worker.order + ((<usize>index) << 3)));
}

/**
 * Where the row has few links, chooses them anew from what was met and what it has. Rows that it
 * links to link back where they have room.
 */
function tie<S>(worker: Worker, slot: u32, level: u32, met: u32): void {
  Row.lockRow(slot);
  const list = Row.listOf(slot, level);
  const own = Row.countOf(list);
  // What it leads to may be reachable by it alone.
  if (own >= header().m >> 1) return Row.unlockRow(slot);
  let count = met;
  for (let i: u32 = 0; i < own; i++) {
    const other = Row.linkAt(list, i);
    if (Row.hasDied(other) || isAmong(worker, met, other)) continue;
    const key = changetype<S>(0).one(worker, other);
    store<u64>(worker.order + ((<usize>count) << 3), ((<u64>key) << 32) | other);
    count++;
  }
  if (count > met) sortEntries(worker.order, count);
  const chosen = selectOwn<S>(worker, slot, worker.order, count, header().m);
  writeList(worker, list, chosen);
  for (let i: u32 = 0; i < chosen; i++)
    store<u32>(worker.keys + ((<usize>i) << 2), load<u32>(worker.chosen + ((<usize>i) << 2)));
  Row.unlockRow(slot);
  for (let i: u32 = 0; i < chosen; i++) {
    const other = load<u32>(worker.keys + ((<usize>i) << 2));
    if (hasRoom(other, level)) link<S>(worker, other, slot, level, SLACK);
  }
}

function isAmong(worker: Worker, count: u32, slot: u32): bool {
  for (let i: u32 = 0; i < count; i++)
    if (nearAt(worker, i) == slot) return true;
  return false;
}
