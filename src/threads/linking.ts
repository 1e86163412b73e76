/**
 * One round over all collections: a slice of linking and repairing for each shard that has
 * something to link or to repair; and where nothing has, recall is measured.
 */
import type { Catalog } from "../collections/catalog.ts";
import { type Tended, tend, unrepaired } from "../engine/linking.ts";

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
/** Where nobody waits for rows to be linked, others that are at work have so much more time. */
const OTHERS_FACTOR = 4;
const OTHERS_MS = 0.5;
/** What is left for quieter times, as repairs are, is looked for this often. */
const LOOK_MS = 1000;

/**
 * Linking in the only thread, between events, whenever it rings. What only betters the graph, or
 * measures it, rests after each slice while somebody else has work for the thread.
 */
export function linkBetweenEvents(catalog: Catalog): { ring(): void; stop(): void } {
  let isLinking = false;

  function link(dueAtMs?: number): void {
    const begunAtMs = performance.now();
    isLinking = linkRound(catalog, INLINE_ROWS) !== "idle";
    if (!isLinking) return;
    const endedAtMs = performance.now();
    const isHeldUp = dueAtMs !== undefined && begunAtMs - dueAtMs > OTHERS_MS;
    const restMs = isHeldUp && !isAwaited(catalog) ? OTHERS_FACTOR * (endedAtMs - begunAtMs) : 0;
    if (restMs === 0) setImmediate(link, endedAtMs);
    else setTimeout(link, restMs, endedAtMs + restMs);
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

/** Whether rows are in no graph yet, or dead ones still in it. */
function isAwaited(catalog: Catalog): boolean {
  const parts = catalog.list().flatMap((collection) => collection.parts);
  return parts.some(({ shard }) => shard.tail > 0 || unrepaired(shard) > 0);
}
