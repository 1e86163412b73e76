/**
 * Loads a shard's vectors and graph from an image into an untouched memory, where they are used as
 * they lie: nothing is built. The memory is laid out for this process (its threads, its capacity);
 * what the image says of bases and capacity is not looked at, and of its header only what is named
 * here is taken over. Then everything that a walk, the writer or a linker could follow is checked
 * (assembly/graph/bounds.ts), for a file may be hostile and its checksums sound.
 */
import * as L from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import {
  checkCounters,
  checkShard,
  RESUMED,
  refuseFault,
  type Slots,
  takeSlots,
} from "./checkShard.ts";
import { address } from "./exports.ts";
import { formatShard, type ShardSettings } from "./format.ts";
import { nameFault } from "./graphFault.ts";
import { loadPart, loadRegion, type Sections, type Sum, together } from "./sections.ts";
import { Shard } from "./shard.ts";
import { sumIn } from "./sums.ts";
import type { Variant } from "./variant.ts";

/** Vectors checked before others get the thread. */
const SLICE_BYTES = 16 * 1024 * 1024;
const END = L.HEADER_END >>> 2;
/** What two headers must have in common, as settings make it. */
const SAME = [
  ...[L.HEADER_MAGIC, L.HEADER_VERSION, L.HEADER_DIMENSIONS, L.HEADER_METRIC, L.HEADER_M],
  ...[L.HEADER_QUANTIZATION, L.HEADER_CODE_BYTES, L.HEADER_CODE_STRIDE, L.HEADER_ROW_STRIDE],
  ...[L.HEADER_VECTOR_STRIDE, L.HEADER_UPPER_STRIDE, L.HEADER_KEEP],
];
const CODEBOOK_WORDS = L.CODEBOOK_BYTES / 4;
const UPPER_FREE_WORDS = 8;
/** Words that are taken over as they are. */
const KEPT = [
  ...[L.HEADER_SLOTS_USED, L.HEADER_LIVE, L.HEADER_DEAD, L.HEADER_FREE_HEAD, L.HEADER_FREE_COUNT],
  ...[L.HEADER_RECYCLED, L.HEADER_FREE_TAIL, L.HEADER_ENTRY, L.HEADER_ENTRY + 4],
  ...[L.HEADER_UPPER_USED, L.HEADER_GENERATION, L.HEADER_IRREGULAR, L.HEADER_CODES_EPOCH],
  ...[L.HEADER_ROUGH_SEEN, L.HEADER_REENCODE_NEXT, L.HEADER_LEARNED_AT],
  ...[L.HEADER_DOOMED, L.HEADER_CONFIRMED, L.HEADER_PASSES, L.HEADER_TAIL_END],
  ...[L.HEADER_SPREAD, L.HEADER_VISITS_OWED, L.HEADER_VISIT_NEXT, L.HEADER_BAYS_USED],
  ...wordsFrom(L.HEADER_CODEBOOK_A, CODEBOOK_WORDS),
  ...wordsFrom(L.HEADER_CODEBOOK_B, CODEBOOK_WORDS),
  ...wordsFrom(L.HEADER_UPPER_FREE, UPPER_FREE_WORDS),
];
/** No sweep is under way, as repair.ts says it. */
const SWEEP_OVER = 0xffff0000;

function wordsFrom(start: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => start + index * 4);
}

export interface LoadOptions {
  readonly sections: Sections;
  /** What the names of its sections begin with. */
  readonly prefix: string;
  /** Of the last write that the image holds. */
  readonly sequence: number;
  pause(): Promise<void>;
  /** Float32 rows stay where they are: nothing may read them before they are brought. */
  readonly leavesVectors?: boolean;
  /** What is loaded beside it. */
  beside?(shard: Shard, slots: Promise<Slots>): Promise<void>;
}

/** Throws what `sections` throws, and MEMORY_LIMIT when the memory is too small for the rows. */
export async function loadShard(
  variant: Variant,
  memory: WebAssembly.Memory,
  settings: ShardSettings,
  { sections, prefix, sequence, pause, leavesVectors, beside }: LoadOptions,
): Promise<Shard> {
  const stated = new Uint32Array(
    (await loadPart(sections, `${prefix}header`, L.HEADER_BYTES)).buffer,
  );
  const damage = (message: string) => sections.damage(`${prefix}header`, message);
  if (stated.length * 4 !== L.HEADER_BYTES) throw damage("a header of another length");
  const used = stated[L.HEADER_SLOTS_USED >>> 2]!;
  const bays = stated[L.HEADER_BAYS_USED >>> 2]!;
  if (used > L.NO_SLOT || bays > used + L.BAYS_RESERVED) {
    throw damage(`no shard has ${used} rows, ${bays} bays`);
  }
  const capacityMax = Math.max(settings.capacityMax, used);
  const words = new Uint32Array(memory.buffer);
  // The layout makes room for them, however few rows are to come.
  words[L.HEADER_BAYS >>> 2] = bays;
  const capacity = formatShard(variant, memory, { ...settings, capacityMax });
  const version = stated[L.HEADER_VERSION >>> 2]!;
  const opened = words[L.HEADER_VERSION >>> 2]!;
  if (stated[0] === L.LAYOUT_MAGIC && version !== opened) {
    const opens = `this build opens ${opened}`;
    throw new OmenError("UNSUPPORTED_FORMAT", `a shard of version ${version}, ${opens}`);
  }
  if (used > capacity) throw damage(`${used} rows, ${capacity} fit a memory here`);
  for (const offset of SAME) {
    if (stated[offset >>> 2] === words[offset >>> 2]) continue;
    throw damage(
      `${stated[offset >>> 2]} at ${offset}, the settings make it ${words[offset >>> 2]}`,
    );
  }
  checkCounters(stated, words[L.HEADER_UPPER_CAPACITY >>> 2]!, used, damage);
  for (const offset of KEPT) words[offset >>> 2] = stated[offset >>> 2]!;
  words[L.HEADER_REPAIR_PHASE >>> 2] = RESUMED[stated[L.HEADER_REPAIR_PHASE >>> 2]!]!;
  words[L.HEADER_SWEEP_NEXT >>> 2] = SWEEP_OVER;
  const isReached = stated[L.HEADER_REACHED_TAIL >>> 2] === stated[L.HEADER_TAIL_HEAD >>> 2];
  words[L.HEADER_LAST_TIED >>> 2] = L.NO_SLOT;

  const shard = new Shard(variant, memory, 0);
  const sum = sumIn(variant, memory, words[END]!);
  const parts = new Parts(shard, words, { prefix, sections, sum, isReached });
  // What costs most to try is read first, and tried while the rest is read.
  const headsRead = parts.heads();
  const slots = headsRead.then(async () => {
    await checkShard(shard, words, sequence, pause, parts.damageOf("rows"));
    return takeSlots(words, used);
  });
  await together([
    headsRead.then(async () => {
      const vectors = () => (leavesVectors ? undefined : parts.vectors(used, pause));
      const kept = shard.isShedding ? parts.bays(bays, pause) : vectors();
      await together([parts.codes(), kept ?? Promise.resolve()]);
    }),
    slots,
    beside?.(shard, slots) ?? Promise.resolve(),
  ]);
  if (shard.isShedding)
    refuseFault(shard, words, shard.engine.checkBays(0), parts.damageOf("bays"));
  return shard;
}

interface Source {
  readonly prefix: string;
  readonly sections: Sections;
  readonly sum: Sum | undefined;
  /** Whether all rows that were linked had been found to be reachable. */
  readonly isReached: boolean;
}

/** The regions of a shard on their way in. */
class Parts {
  readonly #shard: Shard;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #prefix: string;
  readonly #sections: Sections;
  readonly #sum: Sum | undefined;
  readonly #isReached: boolean;
  readonly #used: number;

  constructor(shard: Shard, words: Uint32Array, { prefix, sections, sum, isReached }: Source) {
    this.#shard = shard;
    this.#words = words;
    this.#bytes = new Uint8Array(words.buffer);
    this.#prefix = prefix;
    this.#sections = sections;
    this.#sum = sum;
    this.#isReached = isReached;
    this.#used = words[L.HEADER_SLOTS_USED >>> 2]!;
  }

  damageOf(name: string): (message: string) => Error {
    return (message) => this.#sections.damage(this.#prefix + name, message);
  }

  #at(offset: number): number {
    return this.#words[offset >>> 2]!;
  }

  #region(name: string, base: number, bytes: number, sum = this.#sum): Promise<void> {
    const start = this.#at(base);
    const target = this.#bytes.subarray(start, start + bytes);
    return loadRegion(this.#sections, this.#prefix + name, target, sum);
  }

  async codes(): Promise<void> {
    await together([
      this.#region("codes", L.HEADER_CODES_BASE, this.#used * this.#at(L.HEADER_CODE_STRIDE)),
      this.#region("fines", L.HEADER_FINES_BASE, (this.#used * this.#at(L.HEADER_CODE_BYTES)) / 2),
    ]);
  }

  /** Float32 of the rows that have it, and who has it. */
  async bays(count: number, pause: () => Promise<void>): Promise<void> {
    await together([
      this.vectors(count, pause),
      this.#region("bays", L.HEADER_BAYS_BASE, this.#used * 4),
    ]);
  }

  /** Each component is tried while its chunk is still in a cache. */
  async vectors(count: number, pause: () => Promise<void>): Promise<void> {
    const { engine } = this.#shard;
    const stride = this.#at(L.HEADER_VECTOR_STRIDE);
    const base = this.#at(L.HEADER_VECTORS_BASE);
    const sum = this.#sum;
    let wrong = Number.POSITIVE_INFINITY;
    const look = ({ byteOffset, length }: Uint8Array) => {
      const sound = address(engine.soundBytes(byteOffset, length));
      if (sound < length) wrong = Math.min(wrong, byteOffset + sound - base);
    };
    const lookAndSum = (bytes: Uint8Array) => {
      look(bytes);
      return sum!(bytes);
    };
    const total = count * stride;
    await this.#region("vectors", L.HEADER_VECTORS_BASE, total, sum && lookAndSum);
    for (let from = 0; sum === undefined && from < total; from += SLICE_BYTES) {
      look(this.#bytes.subarray(base + from, base + Math.min(from + SLICE_BYTES, total)));
      await pause();
    }
    if (wrong === Number.POSITIVE_INFINITY) return;
    const slot = Math.floor(wrong / stride);
    const place = this.#shard.isShedding ? "bay" : "slot";
    throw this.damageOf("vectors")(`${nameFault(L.FAULT_COMPONENT)} (${place} ${slot})`);
  }

  /** All that tells which rows there are and how they are linked. */
  async heads(): Promise<void> {
    const used = this.#used;
    const upperBytes = this.#at(L.HEADER_UPPER_USED) * this.#at(L.HEADER_UPPER_STRIDE);
    const [, , , , tail] = await together([
      this.#region("rows", L.HEADER_ROWS_BASE, used * this.#at(L.HEADER_ROW_STRIDE)),
      this.#region("upper", L.HEADER_UPPER_BASE, upperBytes),
      this.#bits("dead", L.HEADER_DEAD_BASE),
      this.#bits("doomed", L.HEADER_DOOMED_BASE),
      loadPart(this.#sections, `${this.#prefix}tail`, used * 4),
    ]);
    this.#setTail(new Uint32Array(tail.buffer, 0, tail.length >>> 2));
  }

  /** The count of rows ever written goes on: recall and the codes' range are held against it. */
  #setTail(tail: Uint32Array): void {
    const end = this.#at(L.HEADER_TAIL_END);
    const head = (end - tail.length) >>> 0;
    const ring = this.#at(L.HEADER_TAIL_BASE) >>> 2;
    const mask = this.#at(L.HEADER_TAIL_CAPACITY) - 1;
    for (const [index, slot] of tail.entries()) this.#words[ring + ((head + index) & mask)] = slot;
    this.#words[L.HEADER_TAIL_HEAD >>> 2] = head;
    this.#words[L.HEADER_TAIL_TAKEN >>> 2] = head;
    this.#words[L.HEADER_REACHED_TAIL >>> 2] = this.#isReached ? head : L.NO_SLOT;
  }

  async #bits(name: string, base: number): Promise<void> {
    const used = this.#used;
    await this.#region(name, base, (used + 7) >>> 3);
    // Rows to come would be born with such a bit, and be given away while they live.
    if (used % 8 === 0 || this.#bytes[this.#at(base) + (used >>> 3)]! >>> (used % 8) === 0) return;
    throw this.damageOf(name)("it has bits of rows that are not there");
  }
}
