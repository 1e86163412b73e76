/**
 * Which slots a walk has met: one byte a slot holding the walk's epoch, so that starting anew costs
 * nothing.
 */
import { slotsUsed } from "../header";
import { Worker } from "../worker";

/** Begins a walk. The stamps are cleared once in 255 walks. */
export function visitedReset(worker: Worker): void {
  worker.epoch++;
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
