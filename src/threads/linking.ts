/**
 * One round over all collections: a slice of linking and repairing for each shard that has
 * something to link or to repair.
 */
import type { Catalog } from "../collections/catalog.ts";
import { type Tended, tend } from "../engine/linking.ts";

/** While anything was done there may be more; "waiting" is over within milliseconds. */
export function linkRound(catalog: Catalog, rows: number): Tended {
  let found: Tended = "idle";
  for (const collection of catalog.list()) {
    const { efConstruction } = collection.settings;
    for (const { shard } of collection.parts) {
      const tended = tend(shard, rows, efConstruction, collection.sequence);
      if (tended === "busy" || found === "idle") found = tended;
    }
  }
  return found;
}
