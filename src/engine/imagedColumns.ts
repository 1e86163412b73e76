/**
 * The memory of a shard's columns as an image sees it (imaged.ts, where this is explained). What is
 * quickly made of the rest is not in it: the tables that lead from a name, a string or a lane to
 * its number, and which slots hold rows.
 */
import * as C from "../../assembly/columns.ts";
import { closedMap, type Imaged, type Part, type Region, turnMap } from "./imaged.ts";

/** Header and columns, up to the table of names. */
export const COLUMNS_PART_BYTES = C.COLUMNS_NAMES;

export class ImagedColumns implements Imaged {
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;

  constructor(memory: WebAssembly.Memory) {
    this.bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
  }

  #word(offset: number): number {
    return Atomics.load(this.#words, offset >>> 2);
  }

  regions(): Region[] {
    const place = (name: string, base: number, bytes: number) => {
      return { name, base: this.#word(base), bytes, linked: false, version: 0 };
    };
    const count = this.#word(C.COLUMNS_COUNT);
    const chunks = this.#word(C.COLUMNS_CHUNKS_USED);
    const entries = this.#word(C.COLUMNS_ENTRIES_USED);
    return [
      place("texts", C.COLUMNS_TEXTS_BASE, this.#word(C.COLUMNS_TEXTS_USED)),
      place("entries", C.COLUMNS_ENTRIES_BASE, entries * C.ENTRY_BYTES),
      place("palettes", C.COLUMNS_PALETTES_BASE, count * C.PALETTE_BYTES),
      place("chunks", C.COLUMNS_TABLES_BASE, count * this.#word(C.COLUMNS_CHUNKS_EACH) * 4),
      place("lanes", C.COLUMNS_CHUNKS_BASE, chunks * C.CHUNK_BYTES),
    ];
  }

  parts(): Part[] {
    return [{ name: "columns", bytes: this.bytes.slice(0, COLUMNS_PART_BYTES) }];
  }

  turn(): void {
    turnMap(this.#words);
  }

  changes(): Uint8Array {
    return closedMap(this.bytes, this.#words);
  }
}
