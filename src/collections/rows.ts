/**
 * Ids and metadata of one shard, in a shared memory of their own beside the vectors. The writer alone changes it;
 * readers on any thread look things up in place and take no lock.
 *
 * A row's *record* is kept exactly as its frame brought it (storage/frame.ts draws it). An id's *position* is its place
 * in the id table: it survives updates, which only turn it to another slot, so a scroll walks positions. The index
 * finds a position by the id's hash. When it fills up, a larger one is written in the other of two regions and made
 * current by one store; a reader that finds nothing looks whether that happened meanwhile.
 *
 *   base        | size             | what
 *   0           | HEADER_BYTES     | header words below
 *   recordsBase | capacity x 4     | slot -> its record's address / 8, 0 for none
 *   tableBase   | capacity x 8     | position -> slot, hash of the id
 *   indexBase x2| 4 << bitsMax     | open addressing: 0 empty, 1 removed, else position + 2
 *   heapBase    | to the end       | records, in size classes; a freed one's first word is the next of its class
 */
import { NO_SLOT } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { RECORD_HEADER_BYTES, recordBytes } from "../storage/frame.ts";
import { classBytes, classOf } from "./classes.ts";
import { hashBytes } from "./hash.ts";

const MAGIC = 0x53574f52;
const HEADER_BYTES = 4096;

// Header, in words; word 1 is the capacity, word 7 the base of the heap.
const MAGIC_WORD = 0;
const RECORDS = 2;
const TABLE = 3;
const INDEX_A = 4;
const INDEX_B = 5;
const INDEX_BITS_MAX = 6;
const HEAP_END = 8;
const SEED = 9;
/** Which index is current, and its size: bits << 1 | region. */
const INDEX = 16;
const INDEX_FILLED = 17;
const INDEX_TOUCHED = 18;
const POSITIONS_USED = 19;
const POSITION_FREE = 20;
const IDS_LIVE = 21;
const HEAP_USED = 22;
const CLASSES = 64;

// Byte counts live in the header as float64, from this byte on: ids, metadata, free in the heap.
const IDS_BYTES = 96 / 8;
const METADATA_BYTES = 104 / 8;
const FREE_BYTES = 112 / 8;

const INDEX_BITS_MIN = 10;
const REMOVED = 1;
/** An index is renewed when this share of it is taken, removed places included. */
const INDEX_LOAD = 0.7;

export class Rows {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #counts: Float64Array;
  readonly #records: number;
  readonly #table: number;

  /** Lays out an untouched memory for `capacity` rows. */
  static format(memory: WebAssembly.Memory, capacity: number, seed: number): void {
    const words = new Uint32Array(memory.buffer);
    let bits = INDEX_BITS_MIN;
    while (2 ** bits * INDEX_LOAD < capacity + 1) bits++;
    const records = HEADER_BYTES;
    const table = align(records + capacity * 4);
    const indexA = align(table + capacity * 8);
    const indexB = indexA + 4 * 2 ** bits;
    const heap = align(indexB + 4 * 2 ** bits);
    // One page is left, so that an address and a length together stay below 2^32.
    const end = memory.buffer.byteLength - 65536;
    if (heap + capacity * 16 > end) {
      throw new OmenError("MEMORY_LIMIT", `${capacity} ids do not fit a memory of ${end} bytes`);
    }
    words.set([MAGIC, capacity, records, table, indexA, indexB, bits, heap, end, seed >>> 0]);
    words[INDEX] = INDEX_BITS_MIN << 1;
    words[INDEX_TOUCHED] = 2 ** INDEX_BITS_MIN;
    words[POSITION_FREE] = NO_SLOT;
    words[HEAP_USED] = heap / 8;
  }

  constructor(memory: WebAssembly.Memory) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#counts = new Float64Array(memory.buffer);
    if (this.#words[MAGIC_WORD] !== MAGIC) {
      throw new OmenError("ENGINE_FAULT", "the memory holds no rows");
    }
    this.#records = this.#words[RECORDS]! >>> 2;
    this.#table = this.#words[TABLE]! >>> 2;
  }

  hash(id: Uint8Array, start = 0, length = id.length): number {
    return hashBytes(id, start, length, this.#words[SEED]!);
  }

  /** Positions ever used: a scroll goes from 0 up to here. */
  get positionsUsed(): number {
    return Atomics.load(this.#words, POSITIONS_USED);
  }

  /** The slot at a position; NO_SLOT where the id is gone. */
  slotAt(position: number): number {
    return Atomics.load(this.#words, this.#table + position * 2);
  }

  /** The position of an id, or -1. */
  find(id: Uint8Array, start: number, length: number, hash: number): number {
    const words = this.#words;
    for (;;) {
      const index = Atomics.load(words, INDEX);
      const base = this.#indexBase(index);
      const mask = (1 << (index >>> 1)) - 1;
      for (let at = hash & mask, probes = 0; probes <= mask; at = (at + 1) & mask, probes++) {
        const entry = Atomics.load(words, base + at);
        if (entry === 0) break;
        if (entry === REMOVED) continue;
        const position = entry - 2;
        if (words[this.#table + position * 2 + 1] !== hash) continue;
        if (this.#holds(this.slotAt(position), id, start, length)) return position;
      }
      if (Atomics.load(words, INDEX) === index) return -1;
    }
  }

  #indexBase(index: number): number {
    return this.#words[index & 1 ? INDEX_B : INDEX_A]! >>> 2;
  }

  /** Whether the slot's record carries this id. */
  #holds(slot: number, id: Uint8Array, start: number, length: number): boolean {
    if (slot === NO_SLOT) return false;
    const record = this.#recordOf(slot);
    const bytes = this.#bytes;
    if (record === 0 || idBytesAt(bytes, record) !== length) return false;
    const at = record + RECORD_HEADER_BYTES;
    for (let i = 0; i < length; i++) if (bytes[at + i] !== id[start + i]) return false;
    return true;
  }

  #recordOf(slot: number): number {
    return Atomics.load(this.#words, this.#records + slot) * 8;
  }

  /** Id of the slot's row. What a reader gets here holds only if the slot's stamp has not moved by then. */
  id(slot: number): string {
    const record = this.#recordOf(slot);
    return decode(this.#bytes, record + RECORD_HEADER_BYTES, idBytesAt(this.#bytes, record));
  }

  /** The slot's id as bytes, a copy. */
  idBytes(slot: number): Uint8Array {
    const record = this.#recordOf(slot);
    const at = record + RECORD_HEADER_BYTES;
    return this.#bytes.slice(at, at + idBytesAt(this.#bytes, record));
  }

  /** A copy of the metadata's UTF-8 JSON, undefined where the row has none. */
  metadata(slot: number): Uint8Array | undefined {
    const record = this.#recordOf(slot);
    const length = this.#words[(record >>> 2) + 1]!;
    if (length === 0) return undefined;
    const at = record + RECORD_HEADER_BYTES + idBytesAt(this.#bytes, record);
    return this.#bytes.slice(at, at + length);
  }

  /** Bytes that can still be written to the heap without reusing freed records. */
  get heapLeft(): number {
    return this.#words[HEAP_END]! - this.#words[HEAP_USED]! * 8;
  }

  /** Bytes the heap takes for a record of that size. */
  static heapBytes(idBytes: number, metadataBytes: number): number {
    return classBytes(classOf(recordBytes(idBytes, metadataBytes)));
  }

  /** Writer only: keeps a record for a slot. The caller has seen that it fits. */
  store(slot: number, frame: Uint8Array, offset: number, idBytes: number, metadata: number): void {
    const length = recordBytes(idBytes, metadata);
    const at = this.#allocate(length);
    this.#bytes.set(frame.subarray(offset, offset + length), at);
    this.#counts[IDS_BYTES]! += length - metadata;
    this.#counts[METADATA_BYTES]! += metadata;
    Atomics.store(this.#words, this.#records + slot, at / 8);
  }

  #allocate(length: number): number {
    const words = this.#words;
    const size = classOf(length);
    const free = words[CLASSES + size]!;
    if (free !== 0) {
      words[CLASSES + size] = words[free * 2]!;
      this.#counts[FREE_BYTES]! -= classBytes(size);
      return free * 8;
    }
    const at = words[HEAP_USED]! * 8;
    const bytes = classBytes(size);
    if (at + bytes > words[HEAP_END]!) {
      throw new OmenError("ENGINE_FAULT", "a record was stored past the end of its memory");
    }
    words[HEAP_USED] = (at + bytes) / 8;
    return at;
  }

  /** Writer only: a new id for a slot whose record is stored. */
  insert(hash: number, slot: number): void {
    const words = this.#words;
    let position = words[POSITION_FREE]!;
    if (position === NO_SLOT) {
      position = words[POSITIONS_USED]!;
      this.#place(position, hash, slot);
      Atomics.store(words, POSITIONS_USED, position + 1);
    } else {
      words[POSITION_FREE] = words[this.#table + position * 2 + 1]!;
      this.#place(position, hash, slot);
    }
    words[IDS_LIVE]!++;
    const index = words[INDEX]!;
    if (words[INDEX_FILLED]! + 1 > INDEX_LOAD * 2 ** (index >>> 1)) this.#renewIndex(position);
    else this.#enter(index, position, hash);
  }

  #place(position: number, hash: number, slot: number): void {
    this.#words[this.#table + position * 2 + 1] = hash;
    Atomics.store(this.#words, this.#table + position * 2, slot);
  }

  #enter(index: number, position: number, hash: number): void {
    const words = this.#words;
    const base = this.#indexBase(index);
    const mask = (1 << (index >>> 1)) - 1;
    let at = hash & mask;
    while (words[base + at]! > REMOVED) at = (at + 1) & mask;
    if (words[base + at] === 0) words[INDEX_FILLED]!++;
    Atomics.store(words, base + at, position + 2);
  }

  /** Writes the live positions into the other region, with room to grow, and makes it current. */
  #renewIndex(extra: number): void {
    const words = this.#words;
    const before = words[INDEX]!;
    const live = words[IDS_LIVE]!;
    let bits = INDEX_BITS_MIN;
    while (2 ** bits * INDEX_LOAD < live * 1.5) bits++;
    bits = Math.min(bits, words[INDEX_BITS_MAX]!);
    const index = (bits << 1) | ((before & 1) ^ 1);
    const base = this.#indexBase(index);
    words.fill(0, base, base + 2 ** bits);
    words[INDEX_FILLED] = 0;
    words[INDEX_TOUCHED] = Math.max(words[INDEX_TOUCHED]!, 2 ** bits + 2 ** (before >>> 1));
    const used = Math.max(words[POSITIONS_USED]!, extra + 1);
    for (let position = 0; position < used; position++) {
      if (this.slotAt(position) !== NO_SLOT) {
        this.#enter(index, position, words[this.#table + position * 2 + 1]!);
      }
    }
    Atomics.store(words, INDEX, index);
  }

  /** Writer only: an id's row has moved to another slot. */
  turn(position: number, slot: number): void {
    Atomics.store(this.#words, this.#table + position * 2, slot);
  }

  /** Writer only: an id is gone; its position may be given to another one. */
  remove(position: number): void {
    const words = this.#words;
    const index = words[INDEX]!;
    const base = this.#indexBase(index);
    const mask = (1 << (index >>> 1)) - 1;
    let at = words[this.#table + position * 2 + 1]! & mask;
    while (words[base + at] !== position + 2) at = (at + 1) & mask;
    Atomics.store(words, base + at, REMOVED);
    this.turn(position, NO_SLOT);
    words[this.#table + position * 2 + 1] = words[POSITION_FREE]!;
    words[POSITION_FREE] = position;
    words[IDS_LIVE]!--;
  }

  /** Bytes of the memory that rows have touched, by part. */
  memoryBytes(): { ids: number; metadata: number; free: number } {
    const positions = this.positionsUsed;
    return {
      ids: this.#counts[IDS_BYTES]! + positions * 12 + this.#words[INDEX_TOUCHED]! * 4,
      metadata: this.#counts[METADATA_BYTES]!,
      free: this.#counts[FREE_BYTES]! + HEADER_BYTES,
    };
  }
}

function align(value: number): number {
  return Math.ceil(value / 4096) * 4096;
}

function idBytesAt(bytes: Uint8Array, record: number): number {
  return bytes[record]! | (bytes[record + 1]! << 8);
}

const decoder = new TextDecoder();

/** Short ASCII, which most ids are, is read by hand: the decoder takes no shared bytes and costs a copy. */
function decode(bytes: Uint8Array, start: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (byte >= 128 || i > 64) return decoder.decode(bytes.slice(start, start + length));
    text += String.fromCharCode(byte);
  }
  return text;
}
