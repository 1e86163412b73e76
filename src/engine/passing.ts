/** What a shard is asked under a filter, whose bits say which slots pass. */
import { address } from "./exports.ts";
import type { Bitmap, Shard } from "./shard.ts";

export interface PassingWalk {
  readonly ef: number;
  /** Rows that float32 decides among. */
  readonly candidates: number;
  /** New rows that pass, to be looked for around each row. */
  readonly wanted: number;
  /** What the walk may cost, in rows whose codes a scan measures. */
  readonly budget: number;
}

/** How many slots below `end` pass and have not died. */
export function countPassing(shard: Shard, bitmap: Bitmap, end: number): number {
  shard.hold(bitmap);
  return address(shard.engine.countPassing(shard.worker, end));
}

/**
 * As `search`, of rows that pass. When the walk would have cost more than its budget, or met fewer
 * than `ef`, `shard.gaveUp` says so and the results are void.
 */
export function searchPassing(
  shard: Shard,
  bitmap: Bitmap,
  walk: PassingWalk,
  snapshot: number,
  k: number,
): number {
  shard.hold(bitmap);
  const { ef, candidates, wanted, budget } = walk;
  const { engine, worker } = shard;
  return engine.searchFiltered(worker, ef, candidates, snapshot, k, wanted, budget);
}

/**
 * Measures the codes of all slots from..to that pass: the best k of `candidates` by float32, and
 * what is as far as the last of them.
 */
export function scanPassing(
  shard: Shard,
  bitmap: Bitmap,
  range: { readonly from: number; readonly to: number },
  candidates: number,
  snapshot: number,
  k: number,
): number {
  shard.hold(bitmap);
  const { engine, worker } = shard;
  return engine.scanPassing(worker, range.from, range.to, candidates, snapshot, k);
}

/**
 * How many rows of the slots from..to a reader at `snapshot` sees; with bits, of those that pass.
 */
export function countVisible(
  shard: Shard,
  bitmap: Bitmap | undefined,
  range: { readonly from: number; readonly to: number },
  snapshot: number,
): number {
  if (bitmap) shard.hold(bitmap);
  const { engine, worker } = shard;
  return engine.countVisible(worker, range.from, range.to, bitmap ? 1 : 0, snapshot);
}
