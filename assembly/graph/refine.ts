/**
 * Rows that were linked in haste, while the tail was long, are linked once more by a wider walk
 * when linkers have nothing else to do. A pass goes over all slots; several linkers share it. A
 * pass is due when rows were linked in haste since the last one began.
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
import { beginWalk, endWalk } from "../readers";
import * as Row from "../row";
import { Worker } from "../worker";
import { gatherPool, link } from "./insert";
import { hostOf } from "./copies";
import { DEAD, slotIn } from "./pool";
import { descend, entry, searchLayer } from "./search";
import { selectOwn } from "./select";

/** Slots looked at for one that is linked. */
const LIGHT: u32 = 64;
const SLACK: u32 = 8;

export function noteHaste(slot: u32): void {
  atomic.or<u16>(Row.headOf(slot) + L.ROW_FLAGS, <u16>L.FLAG_HASTY);
  atomic.add<u32>(L.HEADER_HASTY, 1);
}

function isDue(): bool {
  return atomic.load<u32>(L.HEADER_HASTY) != atomic.load<u32>(L.HEADER_HASTY_DONE);
}

/** Links up to `count` rows anew by walks of width `ef`. Returns whether a pass was under way. */
export function refine(worker: Worker, count: u32, ef: u32): bool {
  if (!isDue()) return false;
  let left: i32 = count * LIGHT;
  while (left > 0) {
    const slot = atomic.add<u32>(L.HEADER_REFINE_NEXT, 1);
    if (slot == 0) atomic.store<u32>(L.HEADER_HASTY_PASS, atomic.load<u32>(L.HEADER_HASTY));
    if (slot >= slotsUsed()) {
      atomic.store<u32>(L.HEADER_HASTY_DONE, atomic.load<u32>(L.HEADER_HASTY_PASS));
      atomic.store<u32>(L.HEADER_REFINE_NEXT, 0);
      // Who was pushed out of a full list may be unreachable now: a repair looks for such rows.
      atomic.store<u32>(L.HEADER_REACHED_TAIL, atomic.load<u32>(L.HEADER_TAIL_HEAD) - 1);
      break;
    }
    left--;
    const flags = Row.headOf(slot) + L.ROW_FLAGS;
    if (!(<u32>atomic.load<u16>(flags) & L.FLAG_HASTY)) continue;
    atomic.and<u16>(flags, ~(<u16>L.FLAG_HASTY));
    if (!Row.isLinked(slot) || Row.hasDied(slot)) continue;
    linkBetter(worker, slot, ef);
    left -= LIGHT;
  }
  return true;
}

function linkBetter(worker: Worker, slot: u32, ef: u32): void {
  worker.snapshot = u64.MAX_VALUE;
  beginWalk(worker);
  prepareRow(worker, slot);
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) linkIn<DotCoarse>(worker, slot, ef);
    else linkIn<L2Coarse>(worker, slot, ef);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) linkIn<DotCodes>(worker, slot, ef);
    else linkIn<L2Codes>(worker, slot, ef);
  } else if (worker.mode == MODE_CAREFUL) linkIn<Careful>(worker, slot, ef);
  else if (metric == L.METRIC_L2) linkIn<L2Floats>(worker, slot, ef);
  else linkIn<OtherFloats>(worker, slot, ef);
  endWalk(worker);
}

/**
 * Adds links to and from the neighbours that the row would choose now, on level 0. None is taken
 * away but where a list is full, as by any insertion: what a row leads to may be reachable by it
 * alone.
 */
function linkIn<S>(worker: Worker, slot: u32, ef: u32): void {
  const door = entry();
  if (slotIn(door) == L.NO_SLOT) return;
  searchLayer<S>(worker, descend<S>(worker, slotIn(door), <u32>(door >> 32), 0), ef, 0);
  // Where a copy of it leads to the row, nobody else does.
  const host = hostOf<S>(worker, slot);
  const met = gatherPool(worker, slot, DEAD);
  const chosen = selectOwn<S>(worker, slot, worker.order, met, header().m);
  const copy = worker.keys;
  memory.copy(copy, worker.chosen, (<usize>chosen) << 2);
  for (let i: u32 = 0; i < chosen; i++) {
    const other = load<u32>(copy + ((<usize>i) << 2));
    link<S>(worker, slot, other, 0, SLACK);
    if (host == L.NO_SLOT) link<S>(worker, other, slot, 0, SLACK);
  }
}
