/**
 * Loads a shard's ids and metadata from an image into an untouched memory, where they are used as
 * they lie. As with the graph (engine/loadShard.ts) a file may be hostile: after this every record
 * lies inside the heap and overlaps no other, each id is found by its hash, metadata is JSON, and
 * no list of free places comes back to itself.
 */
import { NO_SLOT } from "../../assembly/layout.ts";
import { address, type EngineExports } from "../engine/exports.ts";
import type { LoadOptions } from "../engine/loadShard.ts";
import { loadPart, loadRegion, together } from "../engine/sections.ts";
import { sumIn } from "../engine/sums.ts";
import { instantiate, type Variant } from "../engine/variant.ts";
import { classBytes, classOf } from "./classes.ts";
import {
  CLASSES,
  CLASSES_MAX,
  FREE_BYTES,
  HEAP,
  HEAP_END,
  HEAP_USED,
  IDS_BYTES,
  MAGIC,
  MAGIC_WORD,
  METADATA_BYTES,
  measureRecord,
  RECORDS,
} from "./records.ts";
import {
  bitsOf,
  HEADER_BYTES,
  IDS_LIVE,
  INDEX,
  INDEX_A,
  INDEX_BITS_MAX,
  INDEX_FILLED,
  INDEX_TOUCHED,
  POSITION_FREE,
  POSITIONS_USED,
  REMOVED,
  Rows,
  SEED,
  TABLE,
} from "./rows.ts";

/** Rows checked before others get the thread. */
const SLICE_ROWS = 20_000;
/** Places of the index passed over on the way to all ids: about, for an id, and some more. */
const PROBES_EACH = 32;
const PROBES_FREE = 100_000;

/** What the shard beside knows of its slots. */
export interface Slots {
  readonly used: number;
  readonly live: number;
  /** Free slots and those on their way back need no record. */
  isLive(slot: number): boolean;
  isFree(slot: number): boolean;
}

/** Throws what the sections throw, and MEMORY_LIMIT when the memory is too small. */
export async function loadRows(
  variant: Variant,
  memory: WebAssembly.Memory,
  capacity: number,
  slots: Slots,
  headsRead: Promise<void>,
  { sections, prefix, pause }: LoadOptions,
): Promise<Rows> {
  const name = `${prefix}store`;
  const header = await loadPart(sections, name, HEADER_BYTES);
  const damage = (message: string) => sections.damage(name, message);
  if (header.length !== HEADER_BYTES) throw damage("a header of another length");
  const stated = new Uint32Array(header.buffer);
  if (stated[MAGIC_WORD] !== MAGIC) throw damage("these are no rows");
  Rows.format(memory, capacity, stated[SEED]!);
  const words = new Uint32Array(memory.buffer);
  const heap = words[HEAP]!;
  const heapBytes = stated[HEAP_USED]! * 8;
  const positions = stated[POSITIONS_USED]!;
  const bits = bitsOf(stated[INDEX]!);
  if (heapBytes > words[HEAP_END]! - heap) throw damage(`a heap of ${heapBytes} bytes has no room`);
  if (positions > capacity) throw damage(`${positions} positions, ${capacity} fit`);
  if (bits > words[INDEX_BITS_MAX]!) throw damage(`an index of 2^${bits} places has no room`);
  const bytes = new Uint8Array(memory.buffer);
  const sum = sumIn(variant, memory, words[HEAP_END]!);
  const region = (part: string, base: number, length: number) =>
    loadRegion(sections, prefix + part, bytes.subarray(base, base + length), sum);
  await together([
    region("heap", heap, heapBytes),
    region("records", words[RECORDS]!, slots.used * 4),
    region("table", words[TABLE]!, positions * 8),
    region("index", words[INDEX_A]!, 4 * 2 ** bits),
    headsRead,
  ]);
  words[HEAP_USED] = stated[HEAP_USED]!;
  words[POSITIONS_USED] = positions;
  words[INDEX] = bits << 1;
  words[INDEX_TOUCHED] = 2 ** bits;
  words[POSITION_FREE] = stated[POSITION_FREE]!;
  const check = new Check(words, bytes, slots, damage);
  await check.run(stated, pause);
  await checkTexts(instantiate(variant, memory), words, slots, pause, damage);
  return new Rows(memory);
}

/** What the records say, which costs as much as reading them. */
async function checkTexts(
  engine: EngineExports,
  words: Uint32Array,
  { used }: Slots,
  pause: () => Promise<void>,
  damage: (message: string) => Error,
): Promise<void> {
  const [heap, records, table, seed] = [HEAP, RECORDS, TABLE, SEED].map((word) => words[word]!);
  const positions = words[POSITIONS_USED]!;
  for (let from = 0; from < positions; from += SLICE_ROWS) {
    const to = Math.min(from + SLICE_ROWS, positions);
    const position = address(engine.checkIds(heap!, records!, table!, from, to, seed!));
    if (position < to) throw damage(`position ${position} has not the hash of an id that is text`);
    await pause();
  }
  for (let from = 0; from < used; from += SLICE_ROWS) {
    const to = Math.min(from + SLICE_ROWS, used);
    const slot = address(engine.checkMetadata(heap!, records!, from, to));
    if (slot < to) throw damage(`slot ${slot}: its metadata is no JSON object`);
    await pause();
  }
}

class Check {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #slots: Slots;
  readonly #damage: (message: string) => Error;
  /** One bit for 8 bytes of the heap: whose they are is known. */
  readonly #taken: Uint8Array;
  readonly #heapUnits: number;

  constructor(
    words: Uint32Array,
    bytes: Uint8Array,
    slots: Slots,
    damage: (message: string) => Error,
  ) {
    this.#words = words;
    this.#bytes = bytes;
    this.#slots = slots;
    this.#damage = damage;
    this.#heapUnits = words[HEAP_USED]!;
    this.#taken = new Uint8Array((this.#heapUnits >>> 3) + 1);
  }

  async run(stated: Uint32Array, pause: () => Promise<void>): Promise<void> {
    await this.#records(pause);
    this.#freeRecords(stated);
    await this.#positions(pause);
    await this.#index(pause);
  }

  async #records(pause: () => Promise<void>): Promise<void> {
    const words = this.#words;
    const records = words[RECORDS]! >>> 2;
    let [ids, metadata] = [0, 0];
    for (let slot = 0; slot < this.#slots.used; slot++) {
      if (slot % SLICE_ROWS === SLICE_ROWS - 1) await pause();
      const place = words[records + slot]!;
      if (place === 0) {
        if (this.#slots.isFree(slot)) continue;
        throw this.#damage(`slot ${slot} has a row and no record`);
      }
      if (place > this.#heapUnits) throw this.#damage(`slot ${slot}: a record outside the heap`);
      const record = words[HEAP]! + (place - 1) * 8;
      const size = measureRecord(this.#bytes, record);
      if (size === undefined) throw this.#damage(`slot ${slot}: no record has such a header`);
      this.#take(place - 1, classBytes(classOf(size.bytes)) / 8);
      ids += size.bytes - size.metadataBytes;
      metadata += size.metadataBytes;
    }
    const counts = new Float64Array(words.buffer);
    counts[IDS_BYTES] = ids;
    counts[METADATA_BYTES] = metadata;
  }

  #take(first: number, units: number): void {
    if (first + units > this.#heapUnits) throw this.#damage("a record ends outside the heap");
    for (let unit = first; unit < first + units; unit++) {
      if ((this.#taken[unit >>> 3]! >>> (unit & 7)) & 1) throw this.#damage("two records overlap");
      this.#taken[unit >>> 3]! |= 1 << (unit & 7);
    }
  }

  /** A list that came back to itself would take the same bytes twice. */
  #freeRecords(stated: Uint32Array): void {
    const words = this.#words;
    let free = 0;
    for (let size = 0; size < CLASSES_MAX; size++) {
      const bytes = classBytes(size);
      let place = stated[CLASSES + size]!;
      words[CLASSES + size] = place;
      while (place !== 0) {
        if (place > this.#heapUnits) throw this.#damage("a free record outside the heap");
        this.#take(place - 1, bytes / 8);
        free += bytes;
        place = words[(words[HEAP]! + (place - 1) * 8) >>> 2]!;
      }
    }
    new Float64Array(words.buffer)[FREE_BYTES] = free;
  }

  /** Each live row has one position, with the hash of its id. */
  async #positions(pause: () => Promise<void>): Promise<void> {
    const words = this.#words;
    const table = words[TABLE]! >>> 2;
    const used = words[POSITIONS_USED]!;
    const met = new Uint8Array((this.#slots.used >>> 3) + 1);
    let live = 0;
    for (let position = 0; position < used; position++) {
      if (position % SLICE_ROWS === SLICE_ROWS - 1) await pause();
      const slot = words[table + position * 2]!;
      if (slot === NO_SLOT) continue;
      const isMet = slot < this.#slots.used && (met[slot >>> 3]! >>> (slot & 7)) & 1;
      if (slot >= this.#slots.used || isMet || !this.#slots.isLive(slot)) {
        throw this.#damage(`position ${position} has no row of its own`);
      }
      met[slot >>> 3]! |= 1 << (slot & 7);
      live++;
    }
    if (live !== this.#slots.live) {
      throw this.#damage(`${live} ids of ${this.#slots.live} live rows`);
    }
    words[IDS_LIVE] = live;
    let free = words[POSITION_FREE]!;
    for (let count = 0; free !== NO_SLOT; count++) {
      if (free >= used || count >= used - live || words[table + free * 2] !== NO_SLOT) {
        throw this.#damage("the list of free positions is broken");
      }
      free = words[table + free * 2 + 1]!;
    }
  }

  /** Every id is found where its hash leads, and the index has a place left to end a search at. */
  async #index(pause: () => Promise<void>): Promise<void> {
    const words = this.#words;
    const base = words[INDEX_A]! >>> 2;
    const mask = 2 ** bitsOf(words[INDEX]!) - 1;
    const table = words[TABLE]! >>> 2;
    const used = words[POSITIONS_USED]!;
    let filled = 0;
    for (let at = 0; at <= mask; at++) {
      const entry = words[base + at]!;
      if (entry !== 0) filled++;
      if (entry > REMOVED && entry - 2 >= used) throw this.#damage("an index beyond the ids");
    }
    if (filled > mask) throw this.#damage("an index without an empty place");
    words[INDEX_FILLED] = filled;
    // Honest ids lie where their hash leads or a few places on; a long way is somebody's work.
    let stepsLeft = PROBES_FREE + PROBES_EACH * used;
    for (let position = 0; position < used; position++) {
      if (position % SLICE_ROWS === SLICE_ROWS - 1) await pause();
      if (words[table + position * 2] === NO_SLOT) continue;
      let at = words[table + position * 2 + 1]! & mask;
      while (words[base + at] !== position + 2) {
        if (words[base + at] === 0 || --stepsLeft < 0) {
          throw this.#damage(`position ${position} is not found where its hash leads`);
        }
        at = (at + 1) & mask;
      }
    }
  }
}
