/**
 * A search under way, and the rows it has found: what the ways of searching (search.ts, passing.ts)
 * have in common.
 */
import type { SearchQuery } from "./database.ts";
import type { Matched } from "./matching.ts";
import type { Plan } from "./planner.ts";
import type { Part, Searchable } from "./searchable.ts";

/** Components measured in one slice, a millisecond or two. */
const SLICE_COMPONENTS = 2_000_000;
/** A row found: where, and how far by the engine's measure (squared under l2). */
export interface Candidate {
  readonly part: Part;
  readonly slot: number;
  readonly stamp: number;
  readonly measure: number;
}

/** What a search has under way: its snapshot, plan, and what the engine counted. */
export interface Course {
  readonly query: SearchQuery;
  readonly snapshot: number;
  readonly plan: Plan;
  readonly matched?: Matched;
  distances: number;
  hasMoved: boolean;
  /** A walk ran out of rows long before the graph has. */
  isCutOff: boolean;
}

/** Reads the shard's results before the next call overwrites them. */
export function collect(part: Part, count: number, course: Course, into: Candidate[]): void {
  const { shard } = part;
  for (let i = 0; i < count; i++) {
    into.push({
      part,
      slot: shard.resultSlot(i),
      stamp: shard.resultStamp(i),
      measure: shard.resultDistance(i),
    });
  }
  course.distances += shard.distancesComputed;
  if (shard.moved > 0) course.hasMoved = true;
}

/** The k nearest of what was found, and whatever is as far as the last of them. */
export function nearest(found: Candidate[], k: number): Candidate[] {
  sortUnlessInOrder(found, (a, b) => a.measure - b.measure);
  let end = Math.min(k, found.length);
  while (end < found.length && found[end]!.measure === found[end - 1]!.measure) end++;
  found.length = end;
  return found;
}

/** Slots of a slice of an exact scan of `slots`, of which so many are measured. */
export function sliceRows(collection: Searchable, slots: number, matching = slots): number {
  const rows = Math.max(256, Math.floor(SLICE_COMPONENTS / collection.settings.dimensions));
  return matching >= slots ? rows : Math.min(slots, Math.ceil((rows * slots) / (matching + 1)));
}

/** What one shard found is in order already, as a rule. */
export function sortUnlessInOrder<Item>(
  items: Item[],
  compare: (a: Item, b: Item) => number,
): void {
  for (let i = 1; i < items.length; i++) {
    if (compare(items[i - 1]!, items[i]!) > 0) {
      items.sort(compare);
      return;
    }
  }
}
