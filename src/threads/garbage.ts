/**
 * Memories that nobody reaches any more. To a thread's collector a wasm memory is a small object,
 * however many pages it holds, so a thread that has little else to do would keep those of a dropped
 * or replaced collection for good. Whoever lets one go says so here; a moment later, once for all
 * that went until then, the thread collects.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Reads under way may hold on to a memory for a while. */
const DELAY_MS = 1000;

let dueAtMs: number | undefined;
let collector: (() => void) | undefined;

/** In a thread that never returns to its events nothing happens before it calls `collectDue`. */
export function letGo(): void {
  if (dueAtMs !== undefined) return;
  dueAtMs = performance.now() + DELAY_MS;
  setTimeout(collectDue, DELAY_MS + 1).unref();
}

export function collectDue(): void {
  if (dueAtMs === undefined || performance.now() < dueAtMs) return;
  dueAtMs = undefined;
  collector ??= findCollector();
  collector();
}

/** The flag holds for contexts that are made from here on, and this one is made for it. */
function findCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
