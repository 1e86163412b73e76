/**
 * Units of the upper region: the links of a row's levels above 0, one behind the other. Fresh ones
 * are taken in order, given back ones from a stack for each number of levels. Few rows have any,
 * so one lock does.
 */
import { header } from "../header";
import * as L from "../layout";
import { lock, unlock } from "../row";

// @ts-ignore: decorator
@inline
function stackOf(count: u32): usize {
  return <usize>L.HEADER_UPPER_FREE + ((<usize>count) << 2);
}

// @ts-ignore: decorator
@inline
function unitAt(unit: u32): usize {
  return header().upperBase + <usize>unit * header().upperStride;
}

/** `count` units in a row, their lists empty; -1 when none are left. */
export function takeUnits(count: u32): i32 {
  lock(L.HEADER_GRAPH_LOCK);
  let unit = <i32>load<u32>(stackOf(count)) - 1;
  if (unit >= 0) store<u32>(stackOf(count), load<u32>(unitAt(unit)));
  else {
    const used = atomic.load<u32>(L.HEADER_UPPER_USED);
    if (used + count <= header().upperCapacity) {
      unit = <i32>used;
      atomic.store<u32>(L.HEADER_UPPER_USED, used + count);
    }
  }
  unlock(L.HEADER_GRAPH_LOCK);
  if (unit < 0) return -1;
  for (let at: u32 = 0; at < count; at++) atomic.store<u32>(unitAt(<u32>unit + at), 0);
  return unit;
}

/** Gives units back that no walk can stand on any more. */
export function giveUnits(unit: u32, count: u32): void {
  lock(L.HEADER_GRAPH_LOCK);
  store<u32>(unitAt(unit), load<u32>(stackOf(count)));
  store<u32>(stackOf(count), unit + 1);
  unlock(L.HEADER_GRAPH_LOCK);
}
