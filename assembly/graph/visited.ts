/**
 * Which slots a walk has met: one byte a slot holding the walk's epoch, so that starting anew costs
 * nothing.
 */
import { slotsUsed } from "../header";
import { linkAt } from "../row";
import { Worker } from "../worker";

/** Begins a walk. The stamps are cleared once in 255 walks. */
export function visitedReset(worker: Worker): void {
  worker.epoch++;
  worker.walk++;
  if (worker.epoch > 255) {
    memory.fill(worker.visited, 0, slotsUsed());
    worker.epoch = 1;
  }
}

/** Marks a slot; true when it had not been met. */
// @ts-ignore: decorator
@inline
export function visit(worker: Worker, slot: u32): bool {
  const at = worker.visited + slot;
  const epoch = worker.epoch;
  if (<u32>load<u8>(at) == epoch) return false;
  store<u8>(at, <u8>epoch);
  return true;
}

/**
 * Marks the list's first `count` links and copies those that had not been met to `target`; returns
 * how many. No branch hangs on what was met: half of a list is, in no order that a processor could
 * foresee.
 */
export function visitList(worker: Worker, list: usize, count: u32, target: usize): u32 {
  const visited = worker.visited;
  const epoch = <u32>worker.epoch;
  let met: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const link = linkAt(list, i);
    const at = visited + link;
    const before = <u32>load<u8>(at);
    store<u8>(at, <u8>epoch);
    store<u32>(target + ((<usize>met) << 2), link);
    met += <u32>(before != epoch);
  }
  return met;
}
