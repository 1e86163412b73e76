/** One round over all collections: a slice of linking for each shard that has something to link. */
import type { Catalog } from "../collections/catalog.ts";
import { linkSlice } from "../engine/linking.ts";

/** Returns whether anything was done; while it is, there may be more. */
export function linkRound(catalog: Catalog, rows: number): boolean {
  let isBusy = false;
  for (const { parts, settings } of catalog.list()) {
    for (const { shard } of parts) {
      if (linkSlice(shard, rows, settings.efConstruction)) isBusy = true;
    }
  }
  return isBusy;
}
