/**
 * Rows that the graph has turned away from. While others come and go, a row may lose one by one the
 * links of those around it and keep links from afar: it is reachable, many rows lead to it, and no
 * walk that looks for it passes by any of them. No count of links tells such rows; only looking for
 * them does. So for each dead row that was repaired around a few rows are owed a visit, in the
 * order of their slots, whenever linkers have nothing else to do: those that a walk does not find
 * get links from the nearest rows that it found instead (thin.ts).
 */
import { slotsUsed } from "../header";
import * as L from "../layout";
import * as Row from "../row";
import { Worker } from "../worker";
import { leadToLost } from "./thin";

/** Visits that are owed for a dead row; all rows' at most. */
const VISITS: u32 = 4;
/** Slots looked at for one that is visited. */
const LIGHT: u32 = 64;

/** So many dead rows are gone from the graph. */
export function oweVisits(dead: u32): void {
  atomic.add<u32>(L.HEADER_VISITS_OWED, VISITS * dead);
}

/** Visits up to `count` rows; several linkers may at once. Returns whether any were owed. */
export function revisit(worker: Worker, count: u32): bool {
  const used = slotsUsed();
  const owed = atomic.load<u32>(L.HEADER_VISITS_OWED);
  // Linkers that race may take a few too many.
  if (<i32>owed <= 0) return false;
  if (owed > used) atomic.store<u32>(L.HEADER_VISITS_OWED, used);
  for (let left = <i32>(count * LIGHT); left > 0; left--) {
    const slot = atomic.add<u32>(L.HEADER_VISIT_NEXT, 1);
    if (slot >= used) {
      atomic.store<u32>(L.HEADER_VISIT_NEXT, 0);
      // Where no row is left to visit, nothing is owed.
      if (load<u32>(L.HEADER_LIVE) == 0) atomic.store<u32>(L.HEADER_VISITS_OWED, 0);
      break;
    }
    if (!Row.isSettled(slot)) continue;
    leadToLost(worker, slot);
    left -= LIGHT;
    if (<i32>atomic.sub<u32>(L.HEADER_VISITS_OWED, 1) <= 1) break;
  }
  return true;
}
