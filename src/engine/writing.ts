/** What the writer alone does to a shard: takes slots, fills, publishes and retires them. */
import { address } from "./exports.ts";
import type { Shard } from "./shard.ts";

/** NO_SLOT when none is left. */
export function takeSlot(shard: Shard): number {
  if (shard.isShedding && shard.engine.baysLeft() === 0) emptyBays(shard);
  return shard.engine.takeSlot();
}

/** Rows move to a range that holds them, so that others find a bay (assembly/bays.ts). */
function emptyBays({ engine, worker }: Shard): void {
  engine.awaitMaintenance();
  try {
    engine.emptyBays(worker);
  } finally {
    engine.endMaintenance();
  }
}

/** Where the vector goes of the slot that was taken last. */
export function stagedVector(shard: Shard, slot: number): Float32Array {
  if (!shard.isShedding) return shard.vector(slot);
  const at = address(shard.engine.stagedVector(slot));
  return new Float32Array(shard.memory.buffer, at, shard.dimensions);
}

/** The slot's vector is in place; `previous` is the slot it replaces, or NO_SLOT. */
export function publish(shard: Shard, slot: number, previous: number, sequence: number): void {
  shard.engine.publishRow(slot, previous, sequence);
}

/** Readers from `sequence` on no longer see the row. */
export function retire(shard: Shard, slot: number, sequence: number): void {
  shard.engine.retireRow(slot, sequence);
}

/** A slot that came back, to be used again; NO_SLOT when none did. */
export function takeFreed(shard: Shard): number {
  return shard.engine.takeFreed();
}
