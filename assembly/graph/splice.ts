/**
 * A link that must be: into a list with room it goes as it is; in a full one it takes the place of
 * the farthest, which the row then links to instead. So nobody is cut off for it.
 */
import * as L from "../layout";
import * as Row from "../row";
import { Worker } from "../worker";

/** Sees to it that `host` links to `slot` on level 0. No lock is held by the caller. */
export function splice<S>(worker: Worker, host: u32, slot: u32): void {
  const behind = put<S>(worker, host, slot);
  if (behind == L.NO_SLOT || behind == slot) return;
  // The sweep that takes it out of all lists may have passed ours.
  if (!Row.isDoomed(behind)) put<S>(worker, slot, behind);
}

/** Links `from` to `to`; returns what was replaced for it, or NO_SLOT. */
function put<S>(worker: Worker, from: u32, to: u32): u32 {
  Row.lockRow(from);
  const behind = putLocked<S>(worker, from, to);
  Row.unlockRow(from);
  return behind;
}

function putLocked<S>(worker: Worker, from: u32, to: u32): u32 {
  const list = Row.listOf(from, 0);
  const count = Row.countOf(list);
  for (let i: u32 = 0; i < count; i++) if (Row.linkAt(list, i) == to) return L.NO_SLOT;
  if (count < Row.degreeMax(0)) {
    Row.setLink(list, count, to);
    Row.setCount(list, count + 1);
    return L.NO_SLOT;
  }
  changetype<S>(0).hold(worker, from);
  let farthest: u32 = 0;
  let most: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const key = changetype<S>(0).fromHeld(worker, Row.linkAt(list, i));
    if (key < most) continue;
    most = key;
    farthest = i;
  }
  const behind = Row.linkAt(list, farthest);
  Row.setLink(list, farthest, to);
  return behind;
}
