/**
 * What a linker does with a shard: learn the codes' range, re-encode after a new one, repair the
 * graph around dead rows, and put waiting rows into it, a slice at a time. The longer the tail, the
 * more hastily rows are linked.
 */
import * as L from "../../assembly/layout.ts";
import { address } from "./exports.ts";
import type { Shard } from "./shard.ts";

/**
 * Walk width and slack by the length of the tail: a long tail costs every search, a hasty link
 * costs a little recall.
 */
export interface LinkProfile {
  readonly ef: number;
  readonly slack: number;
}

/** A long tail's; `npm run bench:bulk` measures it. */
export const HASTY: LinkProfile = { ef: 24, slack: 4 };
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
  const hasty = profile === HASTY ? 1 : 0;
  const linked = shard.engine.linkTail(shard.worker, rows, profile.ef, profile.slack, hasty);
  return linked > 0 || maintained;
}

export type Tended = "busy" | "waiting" | "idle";

/** From this share of dead rows on they are repaired around before new rows are linked. */
const DEAD_SHARE_MAX = 32;
const DEAD_MIN = 1000;
const REPAIR: readonly Tended[] = ["idle", "busy", "waiting"];

/**
 * One slice of all work on a shard of a collection whose writes up to `published` readers see;
 * `now` is a clock in milliseconds. "waiting": other threads must move first, which takes
 * milliseconds.
 */
export function tend(
  shard: Shard,
  rows: number,
  efConstruction: number,
  published: number,
  now = Date.now(),
): Tended {
  const { engine } = shard;
  const waiting = unrepaired(shard);
  if (waiting > 0) engine.forget(published);
  const repaired = REPAIR[engine.repair(shard.worker, rows, now % 2 ** 32)]!;
  const isHeavy = waiting > Math.max(DEAD_MIN, shard.slotsUsed / DEAD_SHARE_MAX);
  if (isHeavy && repaired !== "idle") return repaired;
  if (linkSlice(shard, rows, efConstruction)) return "busy";
  if (repaired !== "idle") return repaired;
  // Nothing else to do: rows that were linked in haste are brought up to the others, and some rows
  // are looked for.
  return engine.refine(shard.worker, rows, efConstruction) !== 0 ? "busy" : "idle";
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

/** Whether no row waits to be linked, linked better, repaired around, or found reachable. */
export function isSettled(shard: Shard): boolean {
  const word = (offset: number) => wordOf(shard, offset);
  if (shard.tail > 0 || unrepaired(shard) > 0) return false;
  if (word(L.HEADER_REPAIR_PHASE) !== 0) return false;
  if ((word(L.HEADER_VISITS_OWED) | 0) > 0) return false;
  if (word(L.HEADER_HASTY) !== word(L.HEADER_HASTY_DONE)) return false;
  return word(L.HEADER_REACHED_TAIL) === word(L.HEADER_TAIL_HEAD);
}

/** Dead rows that the graph still has to be repaired around. */
export function unrepaired({ engine }: Shard): number {
  return address(engine.unrepaired());
}

/** Rows ever written, modulo 2^32. */
export function written(shard: Shard): number {
  return wordOf(shard, L.HEADER_TAIL_END);
}

function wordOf({ memory }: Shard, offset: number): number {
  return Atomics.load(new Uint32Array(memory.buffer, offset, 1), 0);
}
