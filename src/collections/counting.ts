/** How many rows there are, of those that match a filter: exact, at one snapshot. */
import { countVisible } from "../engine/passing.ts";
import type { Filter } from "./filter.ts";
import type { Searchable } from "./searchable.ts";

/** Slots looked at before others get the thread. */
const SLICE_SLOTS = 100_000;

export async function count(collection: Searchable, filter?: Filter): Promise<number> {
  const snapshot = collection.readings.begin();
  try {
    const bitmaps = filter && (await collection.matcher.match(filter)).bitmaps;
    let total = 0;
    for (const [index, { shard }] of collection.parts.entries()) {
      const bitmap = bitmaps?.[index];
      // A shard opened since holds only rows that this snapshot does not see.
      if (bitmaps && !bitmap) break;
      for (let from = 0; from < shard.slotsUsed; from += SLICE_SLOTS) {
        if (from > 0) await collection.thread.pause();
        total += countVisible(shard, bitmap, { from, to: from + SLICE_SLOTS }, snapshot);
      }
    }
    return total;
  } finally {
    collection.readings.end(snapshot);
  }
}
