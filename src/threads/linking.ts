/**
 * One round over all collections: a slice of linking and repairing for each shard that has
 * something to link or to repair; and where nothing has, recall is measured.
 */
import type { Catalog } from "../collections/catalog.ts";
import { type Tended, tend } from "../engine/linking.ts";

/** While anything was done there may be more; "waiting" is over within milliseconds. */
export function linkRound(catalog: Catalog, rows: number): Tended {
  let found: Tended = "idle";
  for (const collection of catalog.list()) {
    const { efConstruction } = collection.settings;
    for (const { shard } of collection.parts) {
      // While linkers are held (an image is being taken), there is nothing to do here.
      if (!collection.state.enter()) continue;
      try {
        const tended = tend(shard, rows, efConstruction, collection.sequence);
        if (tended === "busy" || found === "idle") found = tended;
      } finally {
        collection.state.leave();
      }
    }
  }
  return calibrate(catalog, found === "idle") ? "busy" : found;
}

/** What can wait longest: one step for one collection, when there is nothing else to do. */
function calibrate(catalog: Catalog, isIdle: boolean): boolean {
  for (const { calibrator } of catalog.list()) {
    if (!isIdle) calibrator.rest();
    else if (calibrator.step()) return true;
  }
  return false;
}

/** Without other threads: rows linked before the next event. */
const INLINE_ROWS = 32;
/** What is left for quieter times, as repairs are, is looked for this often. */
const LOOK_MS = 1000;

/** Linking in the only thread, between events, whenever it rings. */
export function linkBetweenEvents(catalog: Catalog): { ring(): void; stop(): void } {
  let isLinking = false;

  function link(): void {
    isLinking = linkRound(catalog, INLINE_ROWS) !== "idle";
    if (isLinking) setImmediate(link);
  }
  const look = setInterval(() => {
    if (!isLinking) link();
  }, LOOK_MS).unref();
  return {
    ring() {
      if (isLinking) return;
      isLinking = true;
      setImmediate(link);
    },
    stop: () => clearInterval(look),
  };
}
