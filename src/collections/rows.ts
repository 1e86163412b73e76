/**
 * Ids and metadata of one shard, in a shared memory of their own beside the vectors. The writer
 * alone changes it (indexing.ts); readers on any thread look things up in place and take no lock.
 *
 * A row's *record* is kept exactly as its frame brought it (storage/frame.ts draws it). An id's
 * *position* is its place in the id table: it survives updates, which only turn it to another slot.
 * A scroll goes by the ids' hashes, which not even a move to another shard changes. The index finds
 * a position by the id's hash. When it fills up, a larger one is written in the other of two
 * regions and made current by one store; a reader that finds nothing looks whether that happened
 * meanwhile.
 *
 *   base        | size             | what
 *   0           | HEADER_BYTES     | header words below
 *   recordsBase | capacity x 4     | slot -> its record's place in the heap / 8 + 1, 0 for none
 *   tableBase   | capacity x 8     | position -> slot, hash of the id
 *   indexBase x2| 4 << bitsMax     | open addressing: 0 empty, 1 removed, else position + 2
 *   dirtyBase   | 2 maps           | what was changed lately, see records.ts
 *   heapBase    | to the end       | records, in size classes; a freed one's first word: the next
 */
import { DIRTY_BYTES, NO_SLOT } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { hashBytes } from "./hash.ts";
import { DIRTY_BASE, DIRTY_NOW, DIRTY_STRIDE, MAGIC, Records } from "./records.ts";

export const HEADER_BYTES = 4096;

// Header, in words; word 1 is the capacity, words 7 and 8 the heap's bounds; see also records.ts.
export const TABLE = 3;
export const INDEX_A = 4;
export const INDEX_B = 5;
export const INDEX_BITS_MAX = 6;
export const SEED = 9;
/** Which index is current: how many there have been << 6 | bits << 1 | region. */
export const INDEX = 16;
export const INDEX_FILLED = 17;
export const INDEX_TOUCHED = 18;
export const POSITIONS_USED = 19;
export const POSITION_FREE = 20;
export const IDS_LIVE = 21;

export const INDEX_BITS_MIN = 10;
export const REMOVED = 1;
/** An index is renewed when this share of it is taken, removed places included. */
export const INDEX_LOAD = 0.7;

export class Rows extends Records {
  /** Where the id table begins, in words. */
  readonly table: number;

  /** Lays out an untouched memory for `capacity` rows. */
  static format(memory: WebAssembly.Memory, capacity: number, seed: number): void {
    const words = new Uint32Array(memory.buffer);
    let bits = INDEX_BITS_MIN;
    while (2 ** bits * INDEX_LOAD < capacity + 1) bits++;
    const records = HEADER_BYTES;
    const table = align(records + capacity * 4);
    const indexA = align(table + capacity * 8);
    const indexB = indexA + 4 * 2 ** bits;
    const dirty = align(indexB + 4 * 2 ** bits);
    const dirtyBytes = memory.buffer.byteLength / DIRTY_BYTES;
    const heap = align(dirty + 2 * dirtyBytes);
    // One page is left, so that an address and a length together stay below 2^32.
    const end = memory.buffer.byteLength - 65536;
    if (heap + capacity * 16 > end) {
      throw new OmenError("MEMORY_LIMIT", `${capacity} ids do not fit a memory of ${end} bytes`);
    }
    words.set([MAGIC, capacity, records, table, indexA, indexB, bits, heap, end, seed >>> 0]);
    words[INDEX] = INDEX_BITS_MIN << 1;
    words[INDEX_TOUCHED] = 2 ** INDEX_BITS_MIN;
    words[POSITION_FREE] = NO_SLOT;
    words[DIRTY_BASE] = dirty;
    words[DIRTY_STRIDE] = dirtyBytes;
    words[DIRTY_NOW] = dirty;
  }

  constructor(memory: WebAssembly.Memory) {
    super(memory);
    this.table = this.words[TABLE]! >>> 2;
  }

  hash(id: Uint8Array, start = 0, length = id.length): number {
    return hashBytes(id, start, length, this.words[SEED]!);
  }

  /** What ids are hashed with. All shards of a collection have the same. */
  get seed(): number {
    return this.words[SEED]!;
  }

  /** Places of the index, as a power of two. */
  get indexBits(): number {
    return bitsOf(Atomics.load(this.words, INDEX));
  }

  /** Positions ever used. */
  get positionsUsed(): number {
    return Atomics.load(this.words, POSITIONS_USED);
  }

  /** The slot at a position; NO_SLOT where the id is gone. */
  slotAt(position: number): number {
    return Atomics.load(this.words, this.table + position * 2);
  }

  /** The position of an id, or -1. */
  find(id: Uint8Array, start: number, length: number, hash: number): number {
    const words = this.words;
    for (;;) {
      const index = Atomics.load(words, INDEX);
      const base = this.indexBase(index);
      const mask = maskOf(index);
      for (let at = hash & mask, probes = 0; probes <= mask; at = (at + 1) & mask, probes++) {
        const entry = Atomics.load(words, base + at);
        if (entry === 0) break;
        if (entry === REMOVED) continue;
        const position = entry - 2;
        if (words[this.table + position * 2 + 1] !== hash) continue;
        if (this.holds(this.slotAt(position), id, start, length)) return position;
      }
      if (Atomics.load(words, INDEX) === index) return -1;
    }
  }

  /**
   * Adds the positions of all ids whose hash ends in the lowest `bits` bits of `low`. Where an
   * index is smaller than that, ids of other hashes are passed over; where it has grown, several
   * of its places are looked at.
   */
  findEnding(low: number, bits: number, into: number[]): void {
    const before = into.length;
    for (;;) {
      const index = Atomics.load(this.words, INDEX);
      const step = 2 ** bits;
      const size = maskOf(index) + 1;
      let home = (low & (step - 1)) >>> 0;
      if (home >= size) home &= size - 1;
      for (; home < size; home += step) this.#findHome(index, home, low, bits, into);
      if (Atomics.load(this.words, INDEX) === index) return;
      into.length = before;
    }
  }

  /** Of the ids whose place would be `home` if nobody stood there. */
  #findHome(index: number, home: number, low: number, bits: number, into: number[]): void {
    const words = this.words;
    const base = this.indexBase(index);
    const mask = maskOf(index);
    const ending = (0xffff_ffff >>> (32 - bits)) | mask;
    const wanted = ((low & (0xffff_ffff >>> (32 - bits))) | home) >>> 0;
    for (let at = home, probes = 0; probes <= mask; at = (at + 1) & mask, probes++) {
      const entry = Atomics.load(words, base + at);
      if (entry === 0) return;
      if (entry === REMOVED) continue;
      const position = entry - 2;
      if ((words[this.table + position * 2 + 1]! & ending) >>> 0 === wanted) into.push(position);
    }
  }

  /** The hash of the id at a position, as long as the id is there. */
  hashAt(position: number): number {
    return this.words[this.table + position * 2 + 1]!;
  }

  /** Where the index begins that a value of the word INDEX names, in words. */
  indexBase(index: number): number {
    return this.words[index & 1 ? INDEX_B : INDEX_A]! >>> 2;
  }

  /** Bytes of the memory that rows have touched, by part. */
  memoryBytes(): { ids: number; metadata: number; free: number } {
    const heap = this.heapBytes();
    const table = this.positionsUsed * 12 + this.words[INDEX_TOUCHED]! * 4;
    return { ids: heap.ids + table, metadata: heap.metadata, free: heap.free + HEADER_BYTES };
  }
}

/** Of the word INDEX: the current index has so many places, as a power of two. */
export const bitsOf = (index: number) => (index >>> 1) & 31;
/** Of the same word: the bits of a hash that say where an id's place begins. */
export const maskOf = (index: number) => 2 ** bitsOf(index) - 1;

function align(value: number): number {
  return Math.ceil(value / 4096) * 4096;
}

/** Bytes of an index that has grown to so many ids, the one before it included. */
export function indexBytesFor(ids: number): number {
  let bits = INDEX_BITS_MIN;
  let places = 2 ** bits;
  while (ids > INDEX_LOAD * 2 ** bits) {
    const live = INDEX_LOAD * 2 ** bits;
    const before = bits;
    while (2 ** bits * INDEX_LOAD < live * 1.5) bits++;
    places = 2 ** bits + 2 ** before;
  }
  return 4 * places;
}
