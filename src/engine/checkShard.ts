/**
 * Asks assembly/graph/bounds.ts what must hold of a shard that comes from a file, a slice at a
 * time, and keeps what was learned of its slots on the way.
 */
import * as L from "../../assembly/layout.ts";
import { nameFault } from "./graphFault.ts";
import type { Shard } from "./shard.ts";

/** Rows checked before others get the thread. */
const SLICE_ROWS = 30_000;

/** What the heads of the rows say, once they have been tried: a bit a slot. */
export interface Slots {
  /** A row is there, be it dead and on its way back. */
  readonly held: Uint8Array;
  readonly living: Uint8Array;
}

export async function checkShard(
  { engine, worker }: Shard,
  words: Uint32Array,
  sequence: number,
  pause: () => Promise<void>,
  damage: (message: string) => Error,
): Promise<void> {
  const area = engine.workerBase(worker) >>> 0;
  const own = (offset: number) => words[(area + offset) >>> 2]!;
  const refuse = (fault: number) => {
    if (fault === L.FAULT_NONE) return;
    const where = `slot ${own(L.WORKER_FAULT_SLOT)}, value ${own(L.WORKER_FAULT_VALUE)}`;
    throw damage(`${nameFault(fault)} (${where})`);
  };
  const used = words[L.HEADER_SLOTS_USED >>> 2]!;
  let [live, free, confirmed, dead] = [0, 0, 0, 0];
  for (let slot = 0; slot < used; slot += SLICE_ROWS) {
    refuse(engine.checkRows(worker, slot, slot + SLICE_ROWS, sequence));
    live += own(L.WORKER_RESULT_COUNT);
    free += own(L.WORKER_MOVED);
    confirmed += own(L.WORKER_DISTANCES);
    dead += own(L.WORKER_SCANNED);
    await pause();
  }
  refuse(engine.checkState(worker, free));
  const counted = [L.HEADER_LIVE, L.HEADER_DEAD, L.HEADER_CONFIRMED];
  if ([live, dead, confirmed].some((count, index) => count !== words[counted[index]! >>> 2])) {
    const message = `${live} live rows, ${dead} dead ones and ${confirmed} on their way back`;
    throw damage(`${message} are not as counted`);
  }
}

/** From where the check leaves them; who works there next takes it for untouched. */
export function takeSlots(words: Uint32Array, used: number): Slots {
  const at = (offset: number) => words[offset >>> 2]!;
  const stride = at(L.HEADER_BITMAP_STRIDE);
  const count = (used + 7) >>> 3;
  const bytes = new Uint8Array(words.buffer);
  const left = at(L.HEADER_REACH_BASE) + 2 * stride;
  const held = bytes.slice(left, left + count);
  bytes.fill(0, left, left + stride);
  const dead = bytes.slice(at(L.HEADER_DEAD_BASE), at(L.HEADER_DEAD_BASE) + count);
  return { held, living: held.map((bits, index) => bits & ~dead[index]!) };
}
