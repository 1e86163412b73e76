/**
 * Where a listener turns heavy searches away before it is buried by them. An exact scan, or a
 * filter, whatever it is for, reads a whole collection; scans under way take turns, slice by slice,
 * so each that is let in makes all of them slower. Nobody waits in a queue here: a search is let in
 * when it can be expected to end in time, else it is refused at once, with nothing done for it.
 *
 * What a search will take is its work (components to read) over the rate at which this listener
 * has lately read them. The searches under way delay it by their work or by its own, whichever is
 * less, since they take turns. In time means within `waitMs`, or within WAITS times what it would
 * take alone: a long scan may wait long, a short one not.
 *
 * A burst is not an overload: for BURST_MS after the listener had none of them, BURST_WAIT_MS
 * holds, unless one was refused within REST_MS; else searches that end together would make room
 * for the next burst, again and again.
 */
import type { CollectionView } from "../collections/database.ts";
import { FILTER_COMPONENTS } from "../collections/search.ts";
import { OmenError } from "../errors.ts";
import { allowedWaitMs } from "./backlog.ts";
import type { Control } from "./meters.ts";

/** A search that takes less is cheaper to do than to judge. */
const LIGHT_COMPONENTS = 262_144;
const WAITS = 4;
/**
 * How long the listener remembers its rate. By time, not by searches: those that take turns end
 * together, and a long wait with nothing done would be forgotten at once.
 */
const MEMORY_MS = 2000;
/** Before the first search has ended. */
const FIRST_COMPONENTS_PER_MS = 1_000_000;
const UNDER_WAY_MAX = 512;
const RETRY_SECONDS = 1;

/** What trying a filter on all rows will read at most, in components. */
export function filterWork(collection: CollectionView | undefined): number {
  return (collection?.live ?? 0) * FILTER_COMPONENTS;
}

export class Turnstile {
  readonly #control: Control;
  readonly #waitMs: number;
  readonly #underWay = new Set<{ readonly work: number }>();
  #workDone = FIRST_COMPONENTS_PER_MS;
  #msTaken = 1;
  /** Since when there has always been one under way. */
  #busySinceMs = 0;
  #measuredAtMs = 0;
  #refusedAtMs = Number.NEGATIVE_INFINITY;

  constructor(control: Control, waitMs: number) {
    this.#control = control;
    this.#waitMs = waitMs;
  }

  /** Runs the search, or throws OVERLOADED. `work` is in components to read. */
  async pass<Answer>(work: number, search: () => Promise<Answer>): Promise<Answer> {
    if (work < LIGHT_COMPONENTS) return await search();
    const now = performance.now();
    if (this.#underWay.size === 0) {
      this.#busySinceMs = now;
      this.#measuredAtMs = now;
    } else {
      this.#refuseLate(work, now);
    }
    const entry = { work };
    this.#underWay.add(entry);
    try {
      return await search();
    } finally {
      this.#underWay.delete(entry);
      this.#measure(work);
    }
  }

  #refuseLate(work: number, now: number): void {
    let ahead = work;
    for (const other of this.#underWay) ahead += Math.min(other.work, work);
    const perMs = this.#workDone / this.#msTaken;
    const waiting = { sinceMs: this.#busySinceMs, refusedAtMs: this.#refusedAtMs };
    const allowedMs = Math.max(allowedWaitMs(this.#waitMs, now, waiting), (WAITS * work) / perMs);
    if (ahead / perMs <= allowedMs && this.#underWay.size < UNDER_WAY_MAX) return;
    this.#refusedAtMs = now;
    this.#control.count("searchesRefused");
    const message = `${this.#underWay.size} searches that read whole collections are under way`;
    throw new OmenError("OVERLOADED", `${message}; this one would come too late`, {
      retryAfterSeconds: RETRY_SECONDS,
    });
  }

  #measure(work: number): void {
    const now = performance.now();
    const tookMs = now - this.#measuredAtMs;
    const kept = Math.exp(-tookMs / MEMORY_MS);
    this.#workDone = this.#workDone * kept + work;
    this.#msTaken = this.#msTaken * kept + tookMs;
    this.#measuredAtMs = now;
  }
}
