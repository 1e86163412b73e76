/** The exports about rows that go: by index.ts's rules. */
import * as Repair from "./graph/repair";
import * as Readers from "./readers";
import * as Slots from "./slots";
import { Worker } from "./worker";

/** Writer only: a slot that came back, NO_SLOT when none did; the caller frees its record. */
export function takeFreed(): u32 {
  return Slots.takeFreed();
}

/**
 * The thread's oldest reader is at `snapshot`, 0 for none. False: too old, take a newer one and pin
 * that.
 */
export function pin(worker: u32, snapshot: f64): bool {
  return Readers.pin(Worker.of(worker), <u64>snapshot);
}

/** Linkers: `published` is the collection's sequence; what no reader is owed may be repaired. */
export function forget(published: f64): void {
  Readers.forget(<u64>published);
}

/** Dead rows that the graph still has to be repaired around. */
export function unrepaired(): u32 {
  return Repair.unrepaired();
}

/**
 * Linkers: a step of repairing around dead rows, about `budget` rows' worth; `now` is a clock in
 * milliseconds. Returns 0 when there is nothing to do, 1 when something was done, 2 when the step
 * waits for other threads.
 */
export function repair(worker: u32, budget: u32, now: u32): u32 {
  return Repair.repair(Worker.of(worker), budget, now);
}
