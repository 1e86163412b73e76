/** What a search has read of float32 rows: the candidates that it measured. */
import * as L from "../../assembly/layout.ts";
import { address } from "./exports.ts";
import type { Shard } from "./shard.ts";

/** An entry of `order`: slot, and a key or stamp. */
const ENTRY_WORDS = 2;

/**
 * After a search of the shard by this thread: the slots whose float32 it measured, nearest by code
 * first. undefined when the walk itself went by float32, of rows that nobody has kept count of.
 */
export function measuredSlots({ engine, memory, worker }: Shard): number[] | undefined {
  const area = address(engine.workerBase(worker));
  const words = new Uint32Array(memory.buffer);
  const own = (offset: number) => words[(area + offset) >>> 2]!;
  if (own(L.WORKER_MODE) > L.MODE_BY_CODES_MAX) return undefined;
  const order = own(L.WORKER_ORDER) >>> 2;
  const count = own(L.WORKER_SCANNED);
  return Array.from({ length: count }, (_, index) => words[order + index * ENTRY_WORDS]!);
}
