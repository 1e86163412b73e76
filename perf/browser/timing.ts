/** Recall and speed by the wall clock, for Node and pages alike: a page has no other clock. */
import { distance, type Rows, rowAt } from "../exact.ts";
import type { Peer } from "../peers/peer.ts";

export const K = 10;
export const M = 16;
const EFS = [16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 384, 512];

export interface Trial {
  readonly base: Rows;
  readonly queries: Rows;
  /** For each query: the squared distance of its K-th nearest row. */
  readonly bounds: Float64Array;
}

export interface Reached {
  /** Undefined where no width reaches the target. */
  readonly ef: number | undefined;
  readonly recall: number;
}

export function recallAt(peer: Peer, { base, queries, bounds }: Trial, ef: number): number {
  let right = 0;
  for (let index = 0; index < queries.count; index++) {
    const query = rowAt(queries, index);
    for (const row of Array.from(peer.search(query, K, ef))) {
      const far = distance("l2", query, rowAt(base, row));
      if (far <= bounds[index]! * (1 + 1e-6)) right++;
    }
  }
  return right / (K * queries.count);
}

export function leastEf(peer: Peer, trial: Trial, target: number, efs = EFS): Reached {
  let recall = 0;
  for (const ef of efs) {
    recall = recallAt(peer, trial, ef);
    if (recall >= target) return { ef, recall };
  }
  return { ef: undefined, recall };
}

export function secondsOf(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

/** Searches a second, over all queries again and again for about so many seconds. */
export function searchRate(peer: Peer, { queries }: Trial, ef: number, seconds: number): number {
  const end = performance.now() + seconds * 1000;
  const start = performance.now();
  let count = 0;
  do {
    for (let index = 0; index < queries.count; index++) peer.search(rowAt(queries, index), K, ef);
    count += queries.count;
  } while (performance.now() < end);
  return count / ((performance.now() - start) / 1000);
}
