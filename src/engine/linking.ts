/**
 * What a linker does with a shard: learn the codes' range, re-encode after a new one, and put
 * waiting rows into the graph, a slice at a time. The longer the tail, the more hastily rows are
 * linked.
 */
import type { Shard } from "./shard.ts";

/**
 * Walk width and slack by the length of the tail: a long tail costs every search, a hasty link
 * costs a little recall.
 */
export interface LinkProfile {
  readonly ef: number;
  readonly slack: number;
}

const HASTY: LinkProfile = { ef: 32, slack: 4 };
const SLACK = 8;
/** From this tail on rows are linked hastily. */
export const HASTY_TAIL_ROWS = 4000;
const REENCODE_ROWS = 2000;

/**
 * Does one slice of work on a shard: about `rows` rows. Returns whether there was anything to do.
 */
export function linkSlice(shard: Shard, rows: number, efConstruction: number): boolean {
  const maintained = maintain(shard);
  const profile =
    shard.tail > HASTY_TAIL_ROWS && efConstruction > HASTY.ef
      ? HASTY
      : { ef: efConstruction, slack: SLACK };
  const linked = shard.engine.linkTail(shard.worker, rows, profile.ef, profile.slack);
  return linked > 0 || maintained;
}

/** One linker at a time looks after the codes; the others go on linking. */
function maintain(shard: Shard): boolean {
  const { engine } = shard;
  const isDue = engine.needsLearning() !== 0 || engine.isReencoding() !== 0;
  if (!isDue || engine.tryMaintenance() === 0) return false;
  try {
    if (engine.isReencoding() === 0 && engine.needsLearning() !== 0) engine.learn(shard.worker);
    if (engine.isReencoding() !== 0) engine.reencode(REENCODE_ROWS);
  } finally {
    engine.endMaintenance();
  }
  return true;
}
