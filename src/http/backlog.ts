/**
 * Where readers wait when more come than a listener can answer at once. Each search of the graph
 * takes less time than it would take to judge, but all that arrive in one turn of the event loop
 * would be done before the loop turns again; and it takes up one new connection a turn. So a turn
 * answers readers for SLICE_MS; the others stand in line for the next turns, and probes and new
 * connections get through between.
 *
 * New connections come first, for GIVEN_MS at a time: they stand in the kernel, where nobody can
 * refuse them, and a reader that comes on one of them in each turn would let the others pile up.
 *
 * The line is short: whoever would wait for more than `waitMs`, by the pace at which it has lately
 * moved, is refused at once, before the body is read, which costs a fraction of an answer. Writes
 * do not stand here: they wait for the graph and the disk (gateway.ts), for a bounded time.
 *
 * A burst is not an overload: until there has been a line for BURST_MS, BURST_WAIT_MS holds, unless
 * somebody was refused within REST_MS. Searches that read whole collections are turnstile.ts's.
 */
import { OmenError } from "../errors.ts";
import type { Control } from "./meters.ts";

const SLICE_MS = 4;
/** So few never bury a listener, however long each of their requests takes. */
const READERS_MIN = 48;
/** Let in from the line in one turn, if the slice is not over before. */
const TURN_READERS_MAX = 16;
/** Of turns that take up connections, before readers have one again. */
const GIVEN_MS = 20;
const BURST_MS = 250;
export const BURST_WAIT_MS = 400;
const REST_MS = 1000;
/** What the last reader counts for in the pace. */
const SHARE = 0.05;
/** Before the line has first moved. */
const FIRST_PACE_MS = 1;
const RETRY_SECONDS = 1;

export interface Clock {
  nowMs(): number;
  /** Calls back when what has arrived is done; those asked for in one turn come in the same. */
  afterTurn(callback: () => void): void;
}

const CLOCK: Clock = {
  nowMs: () => performance.now(),
  afterTurn: (callback) => void setImmediate(callback),
};

/** Since when somebody waits, and when one was refused last. */
export interface Waiting {
  readonly sinceMs: number;
  readonly refusedAtMs: number;
}

/**
 * How long one may wait who may wait `waitMs` at any time: in a burst, when too much has come for a
 * moment only and nobody had to be refused for a while, BURST_WAIT_MS at least.
 */
export function allowedWaitMs(waitMs: number, nowMs: number, waiting: Waiting): number {
  const inBurst = nowMs - waiting.sinceMs < BURST_MS && nowMs - waiting.refusedAtMs > REST_MS;
  return inBurst ? Math.max(waitMs, BURST_WAIT_MS) : waitMs;
}

export class Backlog {
  readonly #control: Control;
  readonly #waitMs: number;
  readonly #clock: Clock;
  /** Made once: each would cost as much as an answer. */
  readonly #refusal = new OmenError(
    "OVERLOADED",
    "more requests have come than this thread can do in time",
    { retryAfterSeconds: RETRY_SECONDS },
  );
  #line: (() => void)[] = [];
  #isInTurn = false;
  #turnBegunAtMs = 0;
  #lineSinceMs = 0;
  #movedAtMs = 0;
  #paceMs = FIRST_PACE_MS;
  #refusedAtMs = Number.NEGATIVE_INFINITY;
  /** Connections taken up so far, and those of them that readers have given way to. */
  #connections = 0;
  #connectionsSeen = 0;
  #givenSinceMs: number | undefined;

  constructor(control: Control, waitMs: number, clock = CLOCK) {
    this.#control = control;
    this.#waitMs = waitMs;
    this.#clock = clock;
  }

  /** A connection was taken up: others may wait behind it. */
  connected(): void {
    this.#connections++;
  }

  /** Goes on now or in a later turn, or throws OVERLOADED. */
  enter(goOn: () => void): void {
    const nowMs = this.#clock.nowMs();
    if (this.#line.length > 0) {
      this.#refuseLate(nowMs);
      this.#line.push(goOn);
      return;
    }
    if (!this.#isInTurn) {
      this.#isInTurn = true;
      this.#turnBegunAtMs = nowMs;
      this.#clock.afterTurn(() => {
        this.#isInTurn = false;
      });
    }
    const areOthersComing = this.#connections !== this.#connectionsSeen;
    if (nowMs - this.#turnBegunAtMs < SLICE_MS && !areOthersComing) {
      goOn();
      return;
    }
    this.#lineSinceMs = nowMs;
    this.#movedAtMs = nowMs;
    this.#line.push(goOn);
    this.#ask();
  }

  #refuseLate(nowMs: number): void {
    const waiting = { sinceMs: this.#lineSinceMs, refusedAtMs: this.#refusedAtMs };
    const allowedMs = allowedWaitMs(this.#waitMs, nowMs, waiting);
    const { length } = this.#line;
    if (length < READERS_MIN || length * this.#paceMs <= allowedMs) return;
    this.#refusedAtMs = nowMs;
    this.#control.count("requestsRefused");
    throw this.#refusal;
  }

  /**
   * One callback for each that may be let in: what a reader does runs between two of them, and its
   * time with it.
   */
  #ask(): void {
    let first: number | undefined;
    let givesWay = false;
    let left = Math.min(this.#line.length, TURN_READERS_MAX);
    for (let reader = left; reader > 0; reader--) {
      this.#clock.afterTurn(() => {
        const nowMs = this.#clock.nowMs();
        if (first === undefined) {
          first = nowMs;
          givesWay = this.#givesWay(nowMs);
        }
        if (!givesWay && nowMs - first < SLICE_MS) this.#letIn(nowMs);
        if (--left === 0 && this.#line.length > 0) this.#ask();
      });
    }
  }

  #givesWay(nowMs: number): boolean {
    const areOthersComing = this.#connections !== this.#connectionsSeen;
    this.#connectionsSeen = this.#connections;
    const sinceMs = this.#givenSinceMs ?? nowMs;
    const isGiven = areOthersComing && nowMs - sinceMs < GIVEN_MS;
    this.#givenSinceMs = isGiven ? sinceMs : undefined;
    return isGiven;
  }

  #letIn(nowMs: number): void {
    this.#paceMs += SHARE * (nowMs - this.#movedAtMs - this.#paceMs);
    this.#movedAtMs = nowMs;
    this.#line.shift()!();
  }
}
