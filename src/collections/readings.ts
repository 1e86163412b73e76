/**
 * The snapshots that this thread reads a collection at. Each shard is told the oldest of them, and
 * nothing that a reader at it may still find is taken out of the graph or written over meanwhile.
 *
 * A snapshot is pinned first and looked at then: had the linkers just gone past it, the shard says
 * so, and a newer one is taken.
 */
import type { Shard } from "../engine/shard.ts";

export interface Readable {
  readonly sequence: number;
  readonly parts: readonly { readonly shard: Shard }[];
}

export class Readings {
  readonly #from: Readable;
  readonly #open: number[] = [];
  #pinned = 0;
  /** How many shards know it: one that opened since does not. */
  #told = 0;

  constructor(from: Readable) {
    this.#from = from;
  }

  /** A snapshot to read at; `end` it when the answer is made. */
  begin(): number {
    for (;;) {
      const snapshot = this.#from.sequence;
      this.#open.push(snapshot);
      if (this.#pin()) return snapshot;
      this.#open.pop();
    }
  }

  end(snapshot: number): void {
    this.#open.splice(this.#open.indexOf(snapshot), 1);
    this.#pin();
  }

  /** Tells the shards the oldest snapshot; false when one of them is past the newest. */
  #pin(): boolean {
    const oldest = this.#open.length > 0 ? Math.min(...this.#open) : 0;
    // An older reader has pinned already what a newer one needs.
    const { parts } = this.#from;
    if (oldest === this.#pinned && oldest !== 0 && parts.length === this.#told) return true;
    this.#pinned = oldest;
    this.#told = parts.length;
    let isHeld = true;
    for (const { shard } of parts) if (!shard.pin(oldest)) isHeld = false;
    return isHeld;
  }
}
