/** The memory of a shard's rows as an image sees it (engine/imaged.ts, where this is explained). */
import { DIRTY_BYTES } from "../../assembly/layout.ts";
import type { Imaged, Part, Region } from "../engine/imaged.ts";
import { DIRTY_BASE, DIRTY_NOW, DIRTY_STRIDE, HEAP, HEAP_USED, RECORDS } from "./records.ts";
import { bitsOf, HEADER_BYTES, INDEX, INDEX_A, INDEX_B, POSITIONS_USED, TABLE } from "./rows.ts";

export class ImagedRows implements Imaged {
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  /** How many slots the shard beside it uses. */
  readonly #slotsUsed: () => number;

  constructor(memory: WebAssembly.Memory, slotsUsed: () => number) {
    this.bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#slotsUsed = slotsUsed;
  }

  #word(index: number): number {
    return Atomics.load(this.#words, index);
  }

  regions(): Region[] {
    const index = this.#word(INDEX);
    const place = (name: string, base: number, bytes: number, version = 0) => {
      return { name, base: this.#word(base), bytes, linked: false, version };
    };
    return [
      place("heap", HEAP, this.#word(HEAP_USED) * 8),
      place("records", RECORDS, this.#slotsUsed() * 4),
      place("table", TABLE, this.#word(POSITIONS_USED) * 8),
      // A renewed index lies elsewhere.
      place("index", index & 1 ? INDEX_B : INDEX_A, 4 * 2 ** bitsOf(index), index),
    ];
  }

  parts(): Part[] {
    return [{ name: "store", bytes: this.bytes.slice(0, HEADER_BYTES) }];
  }

  turn(): void {
    const base = this.#word(DIRTY_BASE);
    const next = this.#word(DIRTY_NOW) === base ? base + this.#word(DIRTY_STRIDE) : base;
    Atomics.store(this.#words, DIRTY_NOW, next);
  }

  changes(): Uint8Array {
    const base = this.#word(DIRTY_BASE);
    const start = this.#word(DIRTY_NOW) === base ? base + this.#word(DIRTY_STRIDE) : base;
    return this.bytes.subarray(start, start + Math.ceil(this.bytes.length / DIRTY_BYTES));
  }
}
