/**
 * A row that no walk meets is searched for again, as Algorithm 1 would, and tied to what is met: it
 * keeps its own links where they are good, and the nearest row on level 0 must link to it, whatever
 * that pushes out.
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
import { DEAD, poolEntry, slotIn } from "./pool";
import { descend, entry, searchLayer } from "./search";
import { selectOwn, sortEntries } from "./select";

const EF: u32 = 64;
const SLACK: u32 = 8;

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
    searchLayer<S>(worker, near, EF, at);
    near = slotIn(poolEntry(worker, 0));
    const met = gatherPool(worker, slot, DEAD);
    if (met == 0) continue;
    const nearest = <u32>load<u64>(worker.order) & L.NO_SLOT;
    tie<S>(worker, slot, at, met);
    if (at == 0) link<S>(worker, nearest, slot, 0, SLACK, true);
  }
}

/** Chooses the row's links anew from what was met and what it has, and asks for links back. */
function tie<S>(worker: Worker, slot: u32, level: u32, met: u32): void {
  Row.lockRow(slot);
  const list = Row.listOf(slot, level);
  const own = Row.countOf(list);
  let count = met;
  for (let i: u32 = 0; i < own; i++) {
    const other = Row.linkAt(list, i);
    if (Row.hasDied(other) || isAmong(worker, met, other)) continue;
    const key = changetype<S>(0).one(worker, other);
    store<u64>(worker.order + ((<usize>count) << 3), ((<u64>key) << 32) | other);
    count++;
  }
  if (count > met) sortEntries(worker.order, count);
  const chosen = selectOwn<S>(worker, worker.order, count, header().m);
  writeList(worker, list, chosen);
  for (let i: u32 = 0; i < chosen; i++)
    store<u32>(worker.keys + ((<usize>i) << 2), load<u32>(worker.chosen + ((<usize>i) << 2)));
  Row.unlockRow(slot);
  for (let i: u32 = 0; i < chosen; i++)
    link<S>(worker, load<u32>(worker.keys + ((<usize>i) << 2)), slot, level, SLACK, false);
}

function isAmong(worker: Worker, count: u32, slot: u32): bool {
  for (let i: u32 = 0; i < count; i++)
    if (slotIn(load<u64>(worker.order + ((<usize>i) << 3))) == slot) return true;
  return false;
}
