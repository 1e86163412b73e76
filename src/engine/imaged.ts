/**
 * A memory as an image sees it: which stretches of it are in use, and which parts of them the
 * writer changed since it was asked last. Regions are stated by their use, not by the memory's
 * capacity, so that what was copied here can be loaded into a memory of another size.
 */
import * as L from "../../assembly/layout.ts";

export interface Region {
  readonly name: string;
  readonly base: number;
  readonly bytes: number;
  /** Linkers change it too, and mark nothing: it is copied while they are held. */
  readonly linked: boolean;
  /** When it is another one than before, the region has to be copied anew. */
  readonly version: number;
}

type Place = (
  name: string,
  base: number,
  bytes: number,
  linked?: boolean,
  version?: number,
) => Region;

/** A small part that is copied as it is, when everything stands still. */
export interface Part {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Imaged {
  readonly bytes: Uint8Array;
  /** Everything but the parts. May be called while writes go on: then it is what was in use. */
  regions(): Region[];
  /** While everything stands still. */
  parts(): Part[];
  /** On the writer's thread: from here on changes are marked in the other map. */
  turn(): void;
  /** The map that is not marked now, one byte for each DIRTY_BYTES; whoever read it clears it. */
  changes(): Uint8Array;
}

/** The memory of a shard's vectors and graph. */
export class ImagedShard implements Imaged {
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;

  constructor(memory: WebAssembly.Memory) {
    this.bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
  }

  #header(offset: number): number {
    return Atomics.load(this.#words, offset >>> 2);
  }

  get slotsUsed(): number {
    return this.#header(L.HEADER_SLOTS_USED);
  }

  regions(): Region[] {
    const used = this.slotsUsed;
    const place = (name: string, base: number, bytes: number, linked = false, version = 0) => {
      return { name, base: this.#header(base), bytes, linked, version };
    };
    const stride = (offset: number) => used * this.#header(offset);
    // Codes move to a new generation on a linker's thread; the writer's own are marked.
    const next = this.#header(L.HEADER_REENCODE_NEXT);
    const codes = this.#header(L.HEADER_GENERATION) * 2 ** 32 + next;
    return [
      ...this.#vectors(used, codes, place),
      place("codes", L.HEADER_CODES_BASE, stride(L.HEADER_CODE_STRIDE), false, codes),
      place(
        "fines",
        L.HEADER_FINES_BASE,
        (used * this.#header(L.HEADER_CODE_BYTES)) / 2,
        false,
        codes,
      ),
      place("dead", L.HEADER_DEAD_BASE, (used + 7) >>> 3),
      place("doomed", L.HEADER_DOOMED_BASE, (used + 7) >>> 3, true),
      place("rows", L.HEADER_ROWS_BASE, stride(L.HEADER_ROW_STRIDE), true),
      place("upper", L.HEADER_UPPER_BASE, upperUnits(this.#words) * this.#upperStride, true),
    ];
  }

  /** Where float32 is not kept, bays and what lies in them change as codes do. */
  #vectors(used: number, codes: number, place: Place): Region[] {
    const stride = this.#header(L.HEADER_VECTOR_STRIDE);
    if (this.#header(L.HEADER_KEEP) === L.KEEP_ALL) {
      return [place("vectors", L.HEADER_VECTORS_BASE, used * stride)];
    }
    const bays = this.#header(L.HEADER_BAYS_USED);
    return [
      place("vectors", L.HEADER_VECTORS_BASE, bays * stride, false, codes),
      place("bays", L.HEADER_BAYS_BASE, used * 4, false, codes),
    ];
  }

  get #upperStride(): number {
    return this.#header(L.HEADER_UPPER_STRIDE);
  }

  /** The header as it is, and the slots of the tail in their order. */
  parts(): Part[] {
    const head = this.#header(L.HEADER_TAIL_HEAD);
    const tail = new Uint32Array((this.#header(L.HEADER_TAIL_END) - head) >>> 0);
    const ring = this.#header(L.HEADER_TAIL_BASE) >>> 2;
    const mask = this.#header(L.HEADER_TAIL_CAPACITY) - 1;
    for (let i = 0; i < tail.length; i++) tail[i] = this.#words[ring + ((head + i) & mask)]!;
    return [
      { name: "header", bytes: this.bytes.slice(0, L.HEADER_BYTES) },
      { name: "tail", bytes: new Uint8Array(tail.buffer) },
    ];
  }

  turn(): void {
    turnMap(this.#words);
  }

  changes(): Uint8Array {
    return closedMap(this.bytes, this.#words);
  }
}

/** The engine's memories have their maps of changes at the same offsets. */
export function turnMap(words: Uint32Array): void {
  const at = (offset: number) => Atomics.load(words, offset >>> 2);
  const base = at(L.HEADER_DIRTY_BASE);
  const isFirst = at(L.HEADER_DIRTY_NOW) === base;
  const next = isFirst ? base + at(L.HEADER_DIRTY_STRIDE) : base;
  Atomics.store(words, L.HEADER_DIRTY_NOW >>> 2, next);
}

export function closedMap(bytes: Uint8Array, words: Uint32Array): Uint8Array {
  const at = (offset: number) => Atomics.load(words, offset >>> 2);
  const base = at(L.HEADER_DIRTY_BASE);
  const isFirst = at(L.HEADER_DIRTY_NOW) === base;
  const start = isFirst ? base + at(L.HEADER_DIRTY_STRIDE) : base;
  return bytes.subarray(start, start + Math.ceil(bytes.length / L.DIRTY_BYTES));
}

/** The counter goes past the capacity when linkers find no room there. */
export function upperUnits(words: Uint32Array): number {
  const used = Atomics.load(words, L.HEADER_UPPER_USED >>> 2);
  return Math.min(used, words[L.HEADER_UPPER_CAPACITY >>> 2]!);
}
