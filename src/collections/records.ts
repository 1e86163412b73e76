/**
 * The records of one shard's rows: a heap in the row store's memory, and where each slot's record
 * lies in it. rows.ts draws the memory and adds the ids; storage/frame.ts draws a record.
 */
import { METADATA_BYTES_MAX } from "../../assembly/desk.ts";
import { DIRTY_SHIFT, ID_BYTES_MAX, NO_SLOT } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { RECORD_HEADER_BYTES, recordBytes } from "../storage/frame.ts";
import { classBytes, classOf } from "./classes.ts";

// Header, in words.
export const MAGIC = 0x53574f52;
export const MAGIC_WORD = 0;
export const RECORDS = 2;
export const HEAP = 7;
export const HEAP_END = 8;
export const HEAP_USED = 22;
export const CLASSES = 64;
/** Classes that any record can be of. */
export const CLASSES_MAX = classOf(recordBytes(ID_BYTES_MAX, METADATA_BYTES_MAX)) + 1;
// Two maps of changes, one byte for each DIRTY_BYTES of the memory (assembly/dirty.ts): where they
// lie, the bytes of one, and which one is marked now, all in bytes.
export const DIRTY_BASE = 32;
export const DIRTY_STRIDE = 33;
export const DIRTY_NOW = 34;

// Byte counts live in the header as float64: ids, metadata, free in the heap.
export const IDS_BYTES = 96 / 8;
export const METADATA_BYTES = 104 / 8;
export const FREE_BYTES = 112 / 8;

export class Records {
  protected readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly #counts: Float64Array;
  readonly #records: number;
  readonly #heap: number;

  constructor(memory: WebAssembly.Memory) {
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    this.#counts = new Float64Array(memory.buffer);
    if (this.words[MAGIC_WORD] !== MAGIC) {
      throw new OmenError("ENGINE_FAULT", "the memory holds no rows");
    }
    this.#records = this.words[RECORDS]! >>> 2;
    this.#heap = this.words[HEAP]!;
  }

  /** Whether the slot's record carries this id. */
  protected holds(slot: number, id: Uint8Array, start: number, length: number): boolean {
    if (slot === NO_SLOT) return false;
    const record = this.#recordOf(slot);
    const bytes = this.bytes;
    if (record === 0 || idBytesAt(bytes, record) !== length) return false;
    const at = record + RECORD_HEADER_BYTES;
    for (let i = 0; i < length; i++) if (bytes[at + i] !== id[start + i]) return false;
    return true;
  }

  /** The address of the slot's record; 0 when it has none. */
  #recordOf(slot: number): number {
    const place = Atomics.load(this.words, this.#records + slot);
    return place === 0 ? 0 : this.#heap + (place - 1) * 8;
  }

  /** Writer only: an image that is being taken has to copy these bytes (again). */
  mark(address: number, bytes: number): void {
    const map = this.words[DIRTY_NOW]!;
    const last = (address + bytes - 1) >>> DIRTY_SHIFT;
    for (let at = address >>> DIRTY_SHIFT; at <= last; at++) this.bytes[map + at] = 1;
  }

  /**
   * Id of the slot's row. What a reader gets here holds only if the slot's stamp has not moved by
   * then.
   */
  id(slot: number): string {
    const record = this.#recordOf(slot);
    return decode(this.bytes, record + RECORD_HEADER_BYTES, idBytesAt(this.bytes, record));
  }

  /** The slot's id as bytes, a copy. */
  idBytes(slot: number): Uint8Array {
    const record = this.#recordOf(slot);
    const at = record + RECORD_HEADER_BYTES;
    return this.bytes.slice(at, at + idBytesAt(this.bytes, record));
  }

  /** A copy of the metadata's UTF-8 JSON, undefined where the row has none. */
  metadata(slot: number): Uint8Array | undefined {
    const record = this.#recordOf(slot);
    const length = this.words[(record >>> 2) + 1]!;
    if (length === 0) return undefined;
    const at = record + RECORD_HEADER_BYTES + idBytesAt(this.bytes, record);
    return this.bytes.slice(at, at + length);
  }

  /** Bytes that can still be written to the heap without reusing freed records. */
  get heapLeft(): number {
    return this.words[HEAP_END]! - this.#heap - this.words[HEAP_USED]! * 8;
  }

  /** Bytes the heap takes for a record of that size. */
  static heapBytes(idBytes: number, metadataBytes: number): number {
    return classBytes(classOf(recordBytes(idBytes, metadataBytes)));
  }

  /** Writer only: keeps a record for a slot. The caller has seen that it fits. */
  store(slot: number, frame: Uint8Array, offset: number, idBytes: number, metadata: number): void {
    const length = recordBytes(idBytes, metadata);
    const at = this.#allocate(length);
    this.bytes.set(frame.subarray(offset, offset + length), at);
    this.#counts[IDS_BYTES]! += length - metadata;
    this.#counts[METADATA_BYTES]! += metadata;
    const entry = this.#records + slot;
    Atomics.store(this.words, entry, (at - this.#heap) / 8 + 1);
    this.mark(at, length);
    this.mark(entry * 4, 4);
  }

  /** Writer only: the slot's row is gone, and no reader looks at its record any more. */
  free(slot: number): void {
    const words = this.words;
    const record = this.#recordOf(slot);
    if (record === 0) return;
    const metadata = words[(record >>> 2) + 1]!;
    const length = recordBytes(idBytesAt(this.bytes, record), metadata);
    const size = classOf(length);
    Atomics.store(words, this.#records + slot, 0);
    this.#counts[IDS_BYTES]! -= length - metadata;
    this.#counts[METADATA_BYTES]! -= metadata;
    this.#counts[FREE_BYTES]! += classBytes(size);
    words[record >>> 2] = words[CLASSES + size]!;
    words[CLASSES + size] = (record - this.#heap) / 8 + 1;
    this.mark(record, 4);
    this.mark((this.#records + slot) * 4, 4);
  }

  #allocate(length: number): number {
    const words = this.words;
    const size = classOf(length);
    const free = words[CLASSES + size]!;
    if (free !== 0) {
      const at = this.#heap + (free - 1) * 8;
      words[CLASSES + size] = words[at >>> 2]!;
      this.#counts[FREE_BYTES]! -= classBytes(size);
      return at;
    }
    const used = words[HEAP_USED]! * 8;
    const at = this.#heap + used;
    const bytes = classBytes(size);
    if (at + bytes > words[HEAP_END]!) {
      throw new OmenError("ENGINE_FAULT", "a record was stored past the end of its memory");
    }
    words[HEAP_USED] = (used + bytes) / 8;
    return at;
  }

  /** Bytes of records, live ones and those that readers of older snapshots may still want. */
  protected heapBytes(): { ids: number; metadata: number; free: number } {
    const counts = this.#counts;
    return {
      ids: counts[IDS_BYTES]!,
      metadata: counts[METADATA_BYTES]!,
      free: counts[FREE_BYTES]!,
    };
  }
}

function idBytesAt(bytes: Uint8Array, record: number): number {
  return bytes[record]! | (bytes[record + 1]! << 8);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Short ASCII, which most ids are, is read by hand: the decoder takes no shared bytes and costs a
 * copy.
 */
function decode(bytes: Uint8Array, start: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (byte >= 128 || i > 64) return decoder.decode(bytes.slice(start, start + length));
    text += String.fromCharCode(byte);
  }
  return text;
}
