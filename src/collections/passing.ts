/**
 * Searching under a filter where many rows match: a walk that looks through those that do not, and
 * the floor under it, a scan of the codes of all that do. Where the walk is cut short, because what
 * matches lies far from the query, the scan answers; so recall does not hang on the filter.
 */
import { scanPassing as scanCodes, searchPassing } from "../engine/passing.ts";
import { type Candidate, type Course, collect, nearest } from "./course.ts";
import { walkCost } from "./planner.ts";
import type { Searchable } from "./searchable.ts";

/** Rows whose codes are measured in one slice, a few milliseconds' worth at 128 dimensions. */
const SLICE_COMPONENTS = 32_000_000;
/** New rows that match, looked for around each row of a walk, in the graph's m. */
const WANTED_SHARE = 1.5;

/**
 * Walks every shard's graph and scans its tail, but scans where little matches. `course.isCutOff`
 * says that a walk was given up: then nothing was found.
 */
export function walkPassing(collection: Searchable, course: Course): Candidate[] {
  const { plan, query, snapshot } = course;
  const { bitmaps, counts } = course.matched!;
  const { ef, candidates } = plan;
  const wanted = Math.ceil(collection.settings.m * WANTED_SHARE);
  const found: Candidate[] = [];
  for (const [index, bitmap] of bitmaps.entries()) {
    const part = collection.parts[index]!;
    const { shard } = part;
    const budget = counts[index]!;
    shard.setQuery(query.vector);
    const isDearer = budget > walkCost(ef, budget, shard.live);
    const count = isDearer
      ? searchPassing(shard, bitmap, { ef, candidates, wanted, budget }, snapshot, query.k)
      : scanCodes(shard, bitmap, { from: 0, to: shard.slotsUsed }, candidates, snapshot, query.k);
    collect(part, Math.min(count, candidates), course, found);
    if (isDearer && shard.gaveUp) course.isCutOff = true;
    if (course.isCutOff) break;
  }
  return nearest(found, query.k);
}

/** Measures all rows that match by their codes, in slices; float32 decides among the best. */
export async function scanPassing(collection: Searchable, course: Course): Promise<Candidate[]> {
  const { plan, query, snapshot } = course;
  const { bitmaps, counts } = course.matched!;
  const rows = Math.ceil(SLICE_COMPONENTS / collection.settings.dimensions);
  let found: Candidate[] = [];
  let measured = 0;
  for (const [index, bitmap] of bitmaps.entries()) {
    const part = collection.parts[index]!;
    const { shard } = part;
    const end = shard.slotsUsed;
    const step = Math.min(end, Math.ceil((rows / counts[index]!) * end));
    for (let from = 0; from < end; from += step) {
      if (measured > 0) await collection.thread.pause();
      shard.setQuery(query.vector);
      const range = { from, to: from + step };
      const { scanCandidates } = plan;
      const scanOnce = () => scanCodes(shard, bitmap, range, scanCandidates, snapshot, query.k);
      let count = scanOnce();
      while (collection.absent && (await collection.absent.bring([part], query.k))) {
        shard.setQuery(query.vector);
        count = scanOnce();
      }
      measured += shard.distancesComputed;
      collect(part, Math.min(count, scanCandidates), course, found);
      found = nearest(found, query.k);
    }
  }
  return found;
}
