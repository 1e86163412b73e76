/**
 * How well walks do: a living row is taken for a question, as if it were not there itself, and what
 * walks of several widths find is held against the exact scan.
 *
 * A row asked for by its own vector would find itself first, and through its own links all that is
 * near: walks pass it by, so that it stands for a stranger from among the same rows. What questions
 * of another kind find may be more or less.
 *
 * The work comes in steps of a few milliseconds, between which whoever drives it may do other
 * things or stop.
 */
import { NO_SLOT } from "../../assembly/layout.ts";
import type { Collection, Part } from "./collection.ts";
import { plan } from "./planner.ts";

/** A walk to be tried. */
export interface Trial {
  readonly k: number;
  readonly ef: number;
}

/** What one walk gave. */
export interface Outcome {
  /** Of the k nearest distances, the share that was reached. */
  readonly recall: number;
  /** Whether the nearest one of all was found. */
  readonly first: boolean;
  readonly distances: number;
  readonly ms: number;
}

/** Components measured in one step. */
const STEP_COMPONENTS = 4_000_000;
/** Draws of a slot before the rows are taken to be too few. */
const DRAWS_MAX = 200;

interface Sample {
  readonly part: Part;
  readonly slot: number;
  readonly vector: Float32Array;
}

/** A living row that is in the graph and is not its door; undefined where none is found. */
export function drawRow({ parts }: Collection, random: () => number): Sample | undefined {
  const slots = parts.reduce((sum, { shard }) => sum + shard.slotsUsed, 0);
  for (let draw = 0; draw < DRAWS_MAX; draw++) {
    let slot = Math.floor(random() * slots);
    const part = parts.find(({ shard }) => {
      if (slot < shard.slotsUsed) return true;
      slot -= shard.slotsUsed;
      return false;
    });
    if (part === undefined || slot === part.shard.door) continue;
    const { shard } = part;
    const stamp = shard.stamp(slot);
    if (stamp & 1 || shard.birth(slot) === 0 || shard.death(slot) !== 0) continue;
    const vector = shard.vector(slot).slice();
    if (shard.stamp(slot) === stamp) return { part, slot, vector };
  }
  return undefined;
}

/**
 * Tries all walks with one row as the question, at a snapshot that is pinned until the last step.
 * Undefined when rows moved under it.
 */
export function* probe(
  collection: Collection,
  sample: Sample,
  trials: readonly Trial[],
  snapshot: number,
): Generator<void, Outcome[] | undefined> {
  const widest = Math.max(...trials.map(({ k }) => k));
  const truth = yield* nearest(collection, sample, widest, snapshot);
  if (truth === undefined) return undefined;
  const outcomes: Outcome[] = [];
  let measured = 0;
  for (const trial of trials) {
    const outcome = walk(collection, sample, trial, truth, snapshot);
    if (outcome === undefined) return undefined;
    outcomes.push(outcome);
    measured += outcome.distances * sample.vector.length;
    if (measured < STEP_COMPONENTS) continue;
    measured = 0;
    yield;
  }
  return outcomes;
}

/** The distances of the nearest rows but the sample, ascending, by the exact scan. */
function* nearest(
  { parts }: Collection,
  { part: own, slot, vector }: Sample,
  count: number,
  snapshot: number,
): Generator<void, number[] | undefined> {
  const step = Math.max(256, Math.floor(STEP_COMPONENTS / vector.length));
  let found: number[] = [];
  for (const part of parts) {
    const { shard } = part;
    for (let from = 0; from < shard.slotsUsed; from += step) {
      yield;
      shard.setQuery(vector);
      const hits = shard.scan(from, from + step, count + 1, snapshot);
      if (shard.moved > 0) return undefined;
      for (let hit = 0; hit < hits; hit++) {
        if (part !== own || shard.resultSlot(hit) !== slot) found.push(shard.resultDistance(hit));
      }
      found = found.sort((a, b) => a - b).slice(0, count);
    }
  }
  return found;
}

function walk(
  collection: Collection,
  { part: own, slot, vector }: Sample,
  { k, ef: wanted }: Trial,
  truth: readonly number[],
  snapshot: number,
): Outcome | undefined {
  const { live, settings } = collection;
  const question = { k, ef: wanted, exact: false, filtered: false, live, matching: live };
  const { ef, candidates } = plan({ ...question, dimensions: settings.dimensions });
  const begunAtMs = performance.now();
  const found: number[] = [];
  let distances = 0;
  for (const part of collection.parts) {
    const { shard } = part;
    shard.setQuery(vector);
    const without = part === own ? slot : NO_SLOT;
    const hits = shard.searchWithout(ef, candidates, snapshot, k, without);
    if (shard.moved > 0) return undefined;
    distances += shard.distancesComputed;
    for (let hit = 0; hit < hits; hit++) {
      if (part !== own || shard.resultSlot(hit) !== slot) found.push(shard.resultDistance(hit));
    }
  }
  const ms = performance.now() - begunAtMs;
  const owed = Math.min(k, truth.length);
  const bar = truth[owed - 1] ?? Number.POSITIVE_INFINITY;
  const reached = found.sort((a, b) => a - b).slice(0, owed);
  const recall = owed === 0 ? 1 : reached.filter((distance) => distance <= bar).length / owed;
  return { recall, first: owed === 0 || reached[0]! <= truth[0]!, distances, ms };
}
