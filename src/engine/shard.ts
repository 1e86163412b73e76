/**
 * A shard as one thread holds it: the thread's own instance of the engine over the shard's memory,
 * and its worker area in it. Only queries in and results out are copied; rows stay where they lie.
 */
import * as L from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { address, type EngineExports } from "./exports.ts";
import { type Footprint, footprintOf, rowBytesOf, upperBytesOf } from "./footprint.ts";
import { type GraphFault, nameFault } from "./graphFault.ts";
import { instantiate, type Variant } from "./variant.ts";

export { formatShard, type ShardSettings } from "./format.ts";
export const NO_SLOT = L.NO_SLOT;

/** A filter's bits, one a slot; the version changes whenever they do. */
export interface Bitmap {
  readonly bytes: Uint8Array;
  readonly version: number;
}

export class Shard {
  readonly memory: WebAssembly.Memory;
  readonly engine: EngineExports;
  readonly worker: number;
  readonly dimensions: number;
  readonly capacity: number;
  readonly #u32: Uint32Array;
  readonly #f32: Float32Array;
  readonly #bytes: Uint8Array;
  readonly #area: number;
  readonly #query: Float32Array;
  readonly #results: number;
  readonly #vectorsBase: number;
  readonly #vectorStride: number;
  /** Only rows that codes cannot hold keep their float32 (assembly/bays.ts). */
  readonly isShedding: boolean;
  /** The bitmap that lies in the worker's area now. */
  #held: { bytes?: Uint8Array; version: number } = { version: 0 };

  /** `worker` is this thread's index, below the workers the shard was formatted for. */
  constructor(variant: Variant, memory: WebAssembly.Memory, worker: number) {
    this.memory = memory;
    this.engine = instantiate(variant, memory);
    this.worker = worker;
    this.#u32 = new Uint32Array(memory.buffer);
    this.#f32 = new Float32Array(memory.buffer);
    this.#bytes = new Uint8Array(memory.buffer);
    if (this.#header(L.HEADER_MAGIC) !== L.LAYOUT_MAGIC) {
      throw new OmenError("ENGINE_FAULT", "the memory holds no shard");
    }
    this.dimensions = this.#header(L.HEADER_DIMENSIONS);
    this.capacity = this.#header(L.HEADER_CAPACITY);
    this.#vectorsBase = this.#header(L.HEADER_VECTORS_BASE);
    this.#vectorStride = this.#header(L.HEADER_VECTOR_STRIDE);
    this.isShedding = this.#header(L.HEADER_KEEP) !== L.KEEP_ALL;
    this.#area = address(this.engine.workerBase(worker));
    const query = this.#u32[(this.#area + L.WORKER_QUERY) >>> 2]!;
    this.#query = this.#f32.subarray(query >>> 2, (query >>> 2) + this.dimensions);
    this.#results = this.#u32[(this.#area + L.WORKER_RESULTS) >>> 2]!;
  }

  #header(offset: number): number {
    return this.#u32[offset >>> 2]!;
  }

  #own(offset: number): number {
    return this.#u32[(this.#area + offset) >>> 2]!;
  }

  /** Slots ever taken: rows live at 0 <= slot < slotsUsed. */
  get slotsUsed(): number {
    return Atomics.load(this.#u32, L.HEADER_SLOTS_USED >>> 2);
  }

  get live(): number {
    return Atomics.load(this.#u32, L.HEADER_LIVE >>> 2);
  }

  get dead(): number {
    return Atomics.load(this.#u32, L.HEADER_DEAD >>> 2);
  }

  get slotsLeft(): number {
    return this.engine.slotsLeft();
  }

  /** Rows that are not in the graph yet. */
  get tail(): number {
    return address(this.engine.tailLength());
  }

  /**
   * A view of the row's vector in place; where float32 is not kept, of what its code stands for,
   * until this thread's next call.
   */
  vector(slot: number): Float32Array {
    const at = this.isShedding
      ? address(this.engine.vectorAddress(this.worker, slot))
      : this.#vectorsBase + slot * this.#vectorStride;
    return this.#f32.subarray(at >>> 2, (at >>> 2) + this.dimensions);
  }

  /** A row's birth: the sequence that wrote it, 0 while the slot is free. */
  birth(slot: number): number {
    return this.#sequenceAt(address(this.engine.headAddress(slot)) + L.ROW_BIRTH);
  }

  /** The sequence that removed the row, 0 while it lives. */
  death(slot: number): number {
    return this.#sequenceAt(address(this.engine.headAddress(slot)) + L.ROW_DEATH);
  }

  #sequenceAt(at: number): number {
    const low = Atomics.load(this.#u32, at >>> 2);
    return Atomics.load(this.#u32, (at >>> 2) + 1) * 4294967296 + low;
  }

  /** The slot that this row replaced, or NO_SLOT. */
  previous(slot: number): number {
    return this.#u32[(address(this.engine.headAddress(slot)) + L.ROW_PREVIOUS) >>> 2]!;
  }

  stamp(slot: number): number {
    return Atomics.load(this.#u32, (address(this.engine.headAddress(slot)) + L.ROW_STAMP) >>> 2);
  }

  /** Whether a reader at `snapshot` sees the slot's row, be it moving or not. */
  isVisible(slot: number, snapshot: number): boolean {
    return this.engine.isVisible(slot, snapshot) !== 0;
  }

  /**
   * Whether a reader at `snapshot` sees the row and the slot has not been given away since `stamp`
   * was read.
   */
  isStillVisible(slot: number, stamp: number, snapshot: number): boolean {
    return this.engine.isStillVisible(slot, stamp, snapshot) !== 0;
  }

  setQuery(query: Float32Array): void {
    this.#query.set(query);
  }

  /**
   * The nearest rows to the query by a walk of width `ef`: the best k among `candidates` by code,
   * rescored on float32, and what is as far as the last of them. Returns how many; `resultSlot` and
   * the like read them, nearest first, until the next call.
   */
  search(ef: number, candidates: number, snapshot: number, k = candidates): number {
    return this.engine.search(this.worker, ef, candidates, snapshot, k);
  }

  /** The same, as if the row in the slot `without` were not there. */
  searchWithout(
    ef: number,
    candidates: number,
    snapshot: number,
    k: number,
    without: number,
  ): number {
    return this.engine.searchWithout(this.worker, ef, candidates, snapshot, k, without);
  }

  /** Exact scan of slots from..to; with a bitmap, of the slots whose bit is set. */
  scan(from: number, to: number, k: number, snapshot: number, bitmap?: Bitmap): number {
    if (bitmap) this.hold(bitmap);
    return this.engine.scan(this.worker, from, to, k, bitmap ? 1 : 0, snapshot);
  }

  /** Puts a filter's bits into the worker's area, if they are not there already. */
  hold({ bytes, version }: Bitmap): void {
    if (this.#held.bytes === bytes && this.#held.version === version) return;
    const room = this.#header(L.HEADER_BITMAP_STRIDE);
    this.#bytes.set(
      bytes.length > room ? bytes.subarray(0, room) : bytes,
      this.#own(L.WORKER_BITMAP),
    );
    this.#held = { bytes, version };
  }

  /** After `scan`: rows as far as the last one of the answer were turned away. */
  get hasTies(): boolean {
    return this.#own(L.WORKER_TIES) !== 0;
  }

  /** Slots of from..to at exactly `distance` as results; `scanned` tells where it stopped. */
  scanTies(from: number, to: number, distance: number, snapshot: number, bitmap?: Bitmap): number {
    if (bitmap) this.hold(bitmap);
    return this.engine.scanTies(this.worker, from, to, distance, bitmap ? 1 : 0, snapshot);
  }

  get scanned(): number {
    return this.#own(L.WORKER_SCANNED);
  }

  /** After a walk under a filter: it was cut short, see passing.ts. */
  get gaveUp(): boolean {
    return this.#own(L.WORKER_GAVE_UP) !== 0;
  }

  /**
   * After `search`: how many rows the walk met when it ran out of rows before `ef`; 0 when it did
   * not. Fewer than the graph holds means that a part of the graph cannot be reached from here.
   */
  get exhausted(): number {
    return this.#own(L.WORKER_EXHAUSTED);
  }

  /** Rows that the last call lost because their slots were given away under it. */
  get moved(): number {
    return this.#own(L.WORKER_MOVED);
  }

  get distancesComputed(): number {
    return this.#own(L.WORKER_DISTANCES);
  }

  /** The engine's distance: squared under l2. */
  resultDistance(index: number): number {
    return this.#f32[(this.#results + index * L.RESULT_BYTES + L.RESULT_DISTANCE) >>> 2]!;
  }

  resultSlot(index: number): number {
    return this.#u32[(this.#results + index * L.RESULT_BYTES + L.RESULT_SLOT) >>> 2]!;
  }

  resultStamp(index: number): number {
    return this.#u32[(this.#results + index * L.RESULT_BYTES + L.RESULT_STAMP) >>> 2]!;
  }

  /**
   * This thread's oldest reader is at `snapshot`, 0 for none. False when rows that it would see may
   * be gone already: take a newer one and pin that.
   */
  pin(snapshot: number): boolean {
    return this.engine.pin(this.worker, snapshot) !== 0;
  }

  /** The slot that walks begin at; NO_SLOT while the graph is empty. */
  get door(): number {
    return Atomics.load(this.#u32, L.HEADER_ENTRY >>> 2);
  }

  /** The same with links above level 0, and what threads keep for a row. */
  get meanRowBytes(): number {
    return rowBytesOf(this.#u32) + upperBytesOf(this.#u32) + 4 + this.#header(L.HEADER_WORKERS);
  }

  /** Bytes that one more row takes in this memory, the share of upper levels left out. */
  get rowBytes(): number {
    return rowBytesOf(this.#u32);
  }

  /** Tries every invariant of the graph. Call it when no linker is at work. */
  check(): GraphFault | undefined {
    const fault = this.engine.check(this.worker);
    if (fault === L.FAULT_NONE) return undefined;
    return {
      fault: nameFault(fault),
      slot: this.#own(L.WORKER_FAULT_SLOT),
      value: this.#own(L.WORKER_FAULT_VALUE),
    };
  }

  /** Bytes of the memory that rows have touched, by part. */
  memoryBytes(): Footprint {
    return footprintOf(this.#u32);
  }
}
