/**
 * What a soak has seen, and what of it is not as promised. Memory is judged when garbage has been
 * collected: V8 lets young heaps grow for minutes and collects old ones when it likes, so that what
 * is resident at a moment tells of its habits, while a leak is what remains.
 */
import type { Collected } from "./collecting.ts";
import { median } from "./measure.ts";
import type { Tally } from "./soakWork.ts";
import type { Vitals } from "./vitals.ts";

export const K = 10;
export const RECALL_QUERIES = 100;
/** What is asked for; answers of so many samples together must not fall below it by the slack. */
export const RECALL_TARGET = 0.95;
const RECALL_SLACK = 0.005;
const RECALL_POOL = 20;
/** Of searches for a row's own vector while rows come and go: those that do not find it. */
const MISSED_MAX = 0.01;
/** Rows may be missed as often as in a fresh index of the same rows, give or take chance. */
const STANDARD_ERRORS = 3;
const RESIDENT_GROWTH_MAX = 0.05;
const HEAP_GROWTH_MAX = 4 * 1024 * 1024;
const OWN_GROWTH_MAX = 0.02;
const HANDLES_MAX = 16;
const RESTART_SECONDS_MAX = 10;

export interface Sample extends Vitals {
  readonly atSeconds: number;
  readonly recall: number;
}

export interface Collection extends Collected {
  readonly atSeconds: number;
}

export interface Restart {
  readonly stopSeconds: number;
  readonly readySeconds: number;
}

/** Rows that do not find themselves at default settings: in the old index, and in a fresh one. */
export interface Selves {
  readonly rows: number;
  readonly missed: number;
  readonly missedFresh: number;
}

export interface Seen {
  readonly tally: Tally;
  readonly samples: readonly Sample[];
  readonly collections: readonly Collection[];
  readonly restarts: readonly Restart[];
  readonly selves: Selves;
}

/** From the third quarter of the time to the last, by medians. */
export function growth<T extends { readonly atSeconds: number }>(
  all: readonly T[],
  of: (one: T) => number,
): { readonly before: number; readonly after: number } {
  const end = all.at(-1)?.atSeconds ?? 0;
  const within = (from: number, to: number) =>
    median(all.filter(({ atSeconds }) => atSeconds >= from && atSeconds < to).map(of));
  return {
    before: within(end / 2, (end * 3) / 4),
    after: within((end * 3) / 4, Number.POSITIVE_INFINITY),
  };
}

/** Recall over each run of so many samples. */
export function pooledRecalls(samples: readonly Sample[]): number[] {
  const pools: number[] = [];
  for (let at = 0; at < samples.length; at += RECALL_POOL) {
    const pool = samples.slice(at, at + RECALL_POOL);
    // What is left over at the end goes with the pool before it.
    if (pool.length < RECALL_POOL && pools.length > 0) break;
    pools.push(pool.reduce((sum, { recall }) => sum + recall, 0) / pool.length);
  }
  return pools;
}

/** What is not as promised, in words; nothing when all is well. */
export function judge({ tally, samples, collections, restarts, selves }: Seen): string[] {
  // The last sample was taken after the last restart.
  const steady = samples.slice(0, -1);
  const faults = tally.wrong.map((what) => `wrong: ${what}`);
  const blame = (isBad: boolean, what: string) => {
    if (isBad) faults.push(what);
  };
  const resident = growth(collections, ({ residentBytes }) => residentBytes);
  const grown = resident.after / resident.before - 1;
  blame(grown > RESIDENT_GROWTH_MAX, `resident memory grew by ${percent(grown)} %`);
  const heap = growth(collections, (one) => one.heapBytes + one.externalBytes);
  const more = heap.after - heap.before;
  blame(more > HEAP_GROWTH_MAX, `heaps hold ${mib(more)} MiB more after a collection`);
  const own = growth(steady, ({ memoryBytes, vectors }) => memoryBytes / vectors);
  const fatter = own.after / own.before - 1;
  blame(fatter > OWN_GROWTH_MAX, `a row takes ${percent(fatter)} % more of the server's memories`);
  const handles = growth(steady, ({ handles: count }) => count);
  const opened = handles.after - handles.before;
  blame(opened > HANDLES_MAX, `${opened} more handles`);
  const recall = Math.min(...pooledRecalls(samples));
  blame(recall < RECALL_TARGET - RECALL_SLACK, `recall fell to ${recall.toFixed(4)}`);
  const missed = tally.missed / Math.max(1, tally.searches);
  blame(missed > MISSED_MAX, `${percent(missed)} % of searches for a row's own vector missed it`);
  const excess = selves.missed - selves.missedFresh;
  const chance = STANDARD_ERRORS * Math.sqrt(selves.missed + selves.missedFresh);
  blame(
    excess > chance,
    `${selves.missed} of ${selves.rows} rows do not find themselves, ${selves.missedFresh} of a fresh index`,
  );
  const slowest = Math.max(...restarts.map(({ readySeconds }) => readySeconds));
  blame(slowest > RESTART_SECONDS_MAX, `a restart took ${slowest.toFixed(1)} s`);
  return faults;
}

export const mib = (bytes: number) => Math.round(bytes / 1048576);
export const percent = (share: number) => (share * 100).toFixed(2);
