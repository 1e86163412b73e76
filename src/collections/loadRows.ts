/**
 * Loads a shard's ids and metadata from an image into an untouched memory, where they are used as
 * they lie. As with the graph (engine/loadShard.ts) a file may be hostile: after this every record
 * lies inside the heap and overlaps no other, each id is found by its hash, metadata is JSON, and
 * no list of free places comes back to itself.
 */
import * as L from "../../assembly/layout.ts";
import type { Slots } from "../engine/checkShard.ts";
import type { EngineExports } from "../engine/exports.ts";
import type { LoadOptions } from "../engine/loadShard.ts";
import { loadPart, loadRegion, together } from "../engine/sections.ts";
import { sumIn } from "../engine/sums.ts";
import { instantiate, type Variant } from "../engine/variant.ts";
import { classBytes } from "./classes.ts";
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
  RECORDS,
} from "./records.ts";
import {
  bitsOf,
  HEADER_BYTES,
  IDS_LIVE,
  INDEX,
  INDEX_A,
  INDEX_B,
  INDEX_BITS_MAX,
  INDEX_FILLED,
  INDEX_TOUCHED,
  POSITION_FREE,
  POSITIONS_USED,
  Rows,
  SEED,
  TABLE,
} from "./rows.ts";

/** Rows, or places of the index, that are tried before others get the thread. */
const SLICE = 20_000;
/** Places of the index passed over on the way to all ids: about, for an id, and some more. */
const PROBES_EACH = 32;
const PROBES_FREE = 100_000;

const FAULTS: Record<number, string> = {
  [L.TRIAL_NO_RECORD]: "no record of slot",
  [L.TRIAL_RECORD_OUTSIDE]: "a record outside the heap: slot",
  [L.TRIAL_RECORD_HEADER]: "no record has such a header: slot",
  [L.TRIAL_RECORD_OVERLAP]: "two records overlap: slot",
  [L.TRIAL_FREE_RECORD]: "no record can be free there: place",
  [L.TRIAL_POSITION]: "no row of its own: position",
  [L.TRIAL_INDEX_ENTRY]: "no position is that of the index: place",
  [L.TRIAL_NOT_FOUND]: "an id is not where its hash leads: position",
  [L.TRIAL_METADATA]: "metadata is no JSON object: slot",
  [L.TRIAL_ID]: "no id that is text has that hash: position",
};

export interface RowsToLoad extends Pick<LoadOptions, "sections" | "prefix" | "pause"> {
  readonly capacity: number;
  /** Slots that have held rows, and rows that live, as the shard beside counts them. */
  readonly used: number;
  readonly live: number;
  readonly slots: Promise<Slots>;
}

/** Throws what the sections throw, and MEMORY_LIMIT when the memory is too small. */
export async function loadRows(
  variant: Variant,
  memory: WebAssembly.Memory,
  wanted: RowsToLoad,
): Promise<Rows> {
  const { sections, prefix, capacity, used } = wanted;
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
  const [slots] = await together([
    wanted.slots,
    region("heap", heap, heapBytes),
    region("records", words[RECORDS]!, used * 4),
    region("table", words[TABLE]!, positions * 8),
    region("index", words[INDEX_A]!, 4 * 2 ** bits),
  ]);
  words[HEAP_USED] = stated[HEAP_USED]!;
  words[POSITIONS_USED] = positions;
  words[INDEX] = bits << 1;
  words[INDEX_TOUCHED] = 2 ** bits;
  words[POSITION_FREE] = stated[POSITION_FREE]!;
  const trial = new Trial(instantiate(variant, memory), bytes, wanted, damage);
  await trial.run(stated, slots);
  return new Rows(memory);
}

/** What assembly/trial.ts asks, a slice at a time. */
class Trial {
  readonly #engine: EngineExports;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #wanted: RowsToLoad;
  readonly #damage: (message: string) => Error;
  /** In the place of the other index, which nobody has used yet; its maps are behind it. */
  readonly #at: number;

  constructor(
    engine: EngineExports,
    bytes: Uint8Array,
    wanted: RowsToLoad,
    damage: (message: string) => Error,
  ) {
    this.#engine = engine;
    this.#bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer);
    this.#wanted = wanted;
    this.#damage = damage;
    this.#at = this.#words[INDEX_B]!;
  }

  async run(stated: Uint32Array, slots: Slots): Promise<void> {
    await this.#records(stated, this.#lay(slots));
    await this.#index();
    await this.#ids();
  }

  /** Answers where the map of the heap may begin. */
  #lay({ held, living }: Slots): number {
    const words = this.#words;
    const mapBytes = Math.ceil(held.length / 8) * 8;
    const heldMap = this.#at + L.TRIAL_BYTES;
    this.#bytes.fill(0, this.#at, heldMap);
    this.#bytes.set(held, heldMap);
    this.#bytes.set(living, heldMap + mapBytes);
    const claimed = heldMap + 2 * mapBytes;
    const positions = words[POSITIONS_USED]!;
    // In the order of the layout.
    words.set(
      [
        ...[words[HEAP]!, words[RECORDS]!, words[TABLE]!, words[INDEX_A]!, words[HEAP_USED]!],
        ...[this.#wanted.used, positions, words[INDEX_TOUCHED]! - 1],
        ...[heldMap, heldMap + mapBytes, claimed],
      ],
      this.#at >>> 2,
    );
    this.#set(L.TRIAL_SEED, words[SEED]!);
    this.#set(L.TRIAL_PROBES_LEFT, Math.min(PROBES_FREE + PROBES_EACH * positions, 2 ** 32 - 1));
    return claimed;
  }

  /** The whole heap at once where its map has room, else a stretch at a time. */
  async #records(stated: Uint32Array, claimed: number): Promise<void> {
    const words = this.#words;
    const units = words[HEAP_USED]!;
    const room = this.#at + 4 * 2 ** words[INDEX_BITS_MAX]! - claimed;
    for (let first = 0; first === 0 || first < units; first += room * 8) {
      const end = Math.min(first + room * 8, units);
      this.#bytes.fill(0, claimed, claimed + Math.ceil((end - first) / 64) * 8);
      this.#set(L.TRIAL_FIRST_UNIT, first);
      this.#set(L.TRIAL_END_UNIT, end);
      this.#set(L.TRIAL_FREE_RECORDS, 0);
      await this.#slices(this.#wanted.used, this.#engine.tryRecords);
      for (let size = 0; size < CLASSES_MAX; size++) {
        const place = stated[CLASSES + size]!;
        words[CLASSES + size] = place;
        this.#refuse(this.#engine.tryFree(this.#at, place, classBytes(size) / 8));
      }
    }
    const counts = new Float64Array(words.buffer);
    counts[IDS_BYTES] = counts[(this.#at + L.TRIAL_ID_BYTES) / 8]!;
    counts[METADATA_BYTES] = counts[(this.#at + L.TRIAL_METADATA_BYTES) / 8]!;
    counts[FREE_BYTES] = counts[(this.#at + L.TRIAL_FREE_BYTES) / 8]!;
  }

  async #index(): Promise<void> {
    const words = this.#words;
    const places = words[INDEX_TOUCHED]!;
    await this.#slices(places, this.#engine.tryIndex);
    const filled = this.#get(L.TRIAL_FILLED);
    if (filled === places) throw this.#damage("an index without an empty place");
    words[INDEX_FILLED] = filled;
  }

  async #ids(): Promise<void> {
    const words = this.#words;
    const table = words[TABLE]! >>> 2;
    const used = words[POSITIONS_USED]!;
    await this.#slices(used, this.#engine.tryIds);
    const live = this.#get(L.TRIAL_LIVE);
    if (live !== this.#wanted.live) {
      throw this.#damage(`${live} ids of ${this.#wanted.live} live rows`);
    }
    words[IDS_LIVE] = live;
    let free = words[POSITION_FREE]!;
    for (let count = 0; free !== L.NO_SLOT; count++) {
      if (free >= used || count >= used - live || words[table + free * 2] !== L.NO_SLOT) {
        throw this.#damage("the list of free positions is broken");
      }
      free = words[table + free * 2 + 1]!;
    }
  }

  async #slices(
    count: number,
    attempt: (trial: number, from: number, to: number) => number,
  ): Promise<void> {
    for (let from = 0; from < count; from += SLICE) {
      this.#refuse(attempt(this.#at, from, Math.min(from + SLICE, count)));
      await this.#wanted.pause();
    }
  }

  #refuse(fault: number): void {
    if (fault === L.TRIAL_SOUND) return;
    throw this.#damage(`${FAULTS[fault]} ${this.#get(L.TRIAL_PLACE)}`);
  }

  #get(offset: number): number {
    return this.#words[(this.#at + offset) >>> 2]!;
  }

  #set(offset: number, value: number): void {
    this.#words[(this.#at + offset) >>> 2] = value;
  }
}
