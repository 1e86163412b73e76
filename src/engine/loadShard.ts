/**
 * Loads a shard's vectors and graph from an image into an untouched memory, where they are used as
 * they lie: nothing is built. The memory is laid out for this process (its threads, its capacity);
 * what the image says of bases and capacity is not looked at, and of its header only what is named
 * here is taken over. Then everything that a walk, the writer or a linker could follow is checked
 * (assembly/graph/bounds.ts), for a file may be hostile and its checksums sound.
 */
import * as L from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { formatShard, type ShardSettings } from "./format.ts";
import { nameFault } from "./graphFault.ts";
import { loadPart, loadRegion, type Sections } from "./sections.ts";
import { Shard } from "./shard.ts";
import { sumIn } from "./sums.ts";
import type { Variant } from "./variant.ts";

/** Rows checked before others get the thread. */
const SLICE_COMPONENTS = 4_000_000;
/** What two headers must have in common, as settings make it. */
const SAME = [
  ...[L.HEADER_MAGIC, L.HEADER_VERSION, L.HEADER_DIMENSIONS, L.HEADER_METRIC, L.HEADER_M],
  ...[L.HEADER_QUANTIZATION, L.HEADER_CODE_BYTES, L.HEADER_CODE_STRIDE, L.HEADER_ROW_STRIDE],
  ...[L.HEADER_VECTOR_STRIDE, L.HEADER_UPPER_STRIDE],
];
const CODEBOOK_WORDS = L.CODEBOOK_BYTES / 4;
const UPPER_FREE_WORDS = 8;
/** Words that are taken over as they are. */
const KEPT = [
  ...[L.HEADER_SLOTS_USED, L.HEADER_LIVE, L.HEADER_DEAD, L.HEADER_FREE_HEAD, L.HEADER_FREE_COUNT],
  ...[L.HEADER_RECYCLED, L.HEADER_FREE_TAIL, L.HEADER_ENTRY, L.HEADER_ENTRY + 4],
  ...[L.HEADER_UPPER_USED, L.HEADER_GENERATION, L.HEADER_IRREGULAR, L.HEADER_CODES_EPOCH],
  ...[L.HEADER_ROUGH_SEEN, L.HEADER_REENCODE_NEXT, L.HEADER_LEARNED_AT],
  ...[L.HEADER_DOOMED, L.HEADER_CONFIRMED, L.HEADER_PASSES],
  ...wordsFrom(L.HEADER_CODEBOOK_A, CODEBOOK_WORDS),
  ...wordsFrom(L.HEADER_CODEBOOK_B, CODEBOOK_WORDS),
  ...wordsFrom(L.HEADER_UPPER_FREE, UPPER_FREE_WORDS),
];
/**
 * Where a repair goes on, by the phase (assembly/graph/repair.ts) it was in: walks and bitmaps of
 * the process that was are gone, so a sweep begins anew, and so does the look for lost rows.
 */
const RESUMED = [0, 1, 2, 2, 5, 5, 6, 6, 6];
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
  /** What may be loaded while the rows are being checked. */
  beside?(shard: Shard): Promise<void>;
}

/** Throws what `sections` throws, and MEMORY_LIMIT when the memory is too small for the rows. */
export async function loadShard(
  variant: Variant,
  memory: WebAssembly.Memory,
  settings: ShardSettings,
  { sections, prefix, sequence, pause, beside }: LoadOptions,
): Promise<Shard> {
  const stated = new Uint32Array(
    (await loadPart(sections, `${prefix}header`, L.HEADER_BYTES)).buffer,
  );
  const damage = (message: string) => sections.damage(`${prefix}header`, message);
  if (stated.length * 4 !== L.HEADER_BYTES) throw damage("a header of another length");
  const used = stated[L.HEADER_SLOTS_USED >>> 2]!;
  if (used > L.NO_SLOT) throw damage(`no shard has ${used} rows`);
  const capacityMax = Math.max(settings.capacityMax, used);
  const capacity = formatShard(variant, memory, { ...settings, capacityMax });
  if (used > capacity) throw damage(`${used} rows, ${capacity} fit a memory here`);
  const words = new Uint32Array(memory.buffer);
  const version = stated[L.HEADER_VERSION >>> 2]!;
  if (stated[0] === L.LAYOUT_MAGIC && version !== L.LAYOUT_VERSION) {
    const opens = `this build opens ${L.LAYOUT_VERSION}`;
    throw new OmenError("UNSUPPORTED_FORMAT", `a shard of version ${version}, ${opens}`);
  }
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
  words[L.HEADER_REACHED_TAIL >>> 2] = isReached ? 0 : L.NO_SLOT;
  words[L.HEADER_LAST_TIED >>> 2] = L.NO_SLOT;
  // Rows that were linked in haste are still to be linked better, by a pass over all.
  const isHasty = stated[L.HEADER_HASTY >>> 2] !== stated[L.HEADER_HASTY_DONE >>> 2];
  words[L.HEADER_HASTY >>> 2] = isHasty ? 1 : 0;

  const bytes = new Uint8Array(memory.buffer);
  const at = (offset: number) => words[offset >>> 2]!;
  const sum = sumIn(variant, memory, at(L.HEADER_END));
  const region = (name: string, base: number, length: number) =>
    loadRegion(sections, prefix + name, bytes.subarray(at(base), at(base) + length), sum);
  await Promise.all([
    region("vectors", L.HEADER_VECTORS_BASE, used * at(L.HEADER_VECTOR_STRIDE)),
    region("codes", L.HEADER_CODES_BASE, used * at(L.HEADER_CODE_STRIDE)),
    region("fines", L.HEADER_FINES_BASE, (used * at(L.HEADER_CODE_BYTES)) / 2),
    region("rows", L.HEADER_ROWS_BASE, used * at(L.HEADER_ROW_STRIDE)),
    region("upper", L.HEADER_UPPER_BASE, at(L.HEADER_UPPER_USED) * at(L.HEADER_UPPER_STRIDE)),
    region("dead", L.HEADER_DEAD_BASE, (used + 7) >>> 3),
    region("doomed", L.HEADER_DOOMED_BASE, (used + 7) >>> 3),
  ]);
  for (const [name, base] of [
    ["dead", L.HEADER_DEAD_BASE],
    ["doomed", L.HEADER_DOOMED_BASE],
  ] as const) {
    // Rows to come would be born with such a bit, and be given away while they live.
    if (used % 8 === 0 || bytes[at(base) + (used >>> 3)]! >>> (used % 8) === 0) continue;
    throw sections.damage(prefix + name, "it has bits of rows that are not there");
  }
  const tail = await loadPart(sections, `${prefix}tail`, used * 4);
  bytes.set(tail, at(L.HEADER_TAIL_BASE));
  words[L.HEADER_TAIL_END >>> 2] = tail.length >>> 2;

  const shard = new Shard(variant, memory, 0);
  const check = checkShard(shard, words, sequence, pause, (message) =>
    sections.damage(`${prefix}rows`, message),
  );
  // Both are waited for, so that after an error no one reads the image any more.
  for (const result of await Promise.allSettled([check, beside?.(shard)])) {
    if (result.status === "rejected") throw result.reason;
  }
  return shard;
}

function checkCounters(
  stated: Uint32Array,
  upperCapacity: number,
  used: number,
  damage: (message: string) => Error,
): void {
  const at = (offset: number) => stated[offset >>> 2]!;
  const upper = Math.min(at(L.HEADER_UPPER_USED), at(L.HEADER_UPPER_CAPACITY));
  if (upper > upperCapacity) throw damage(`${upper} upper lists, ${upperCapacity} fit here`);
  stated[L.HEADER_UPPER_USED >>> 2] = upper;
  if (at(L.HEADER_REPAIR_PHASE) >= RESUMED.length)
    throw damage("no phase of repair has its number");
  if (at(L.HEADER_REENCODE_NEXT) > used + 1) throw damage("codes move beyond the rows");
  if (at(L.HEADER_DEAD) > used) throw damage(`${at(L.HEADER_DEAD)} dead rows of ${used}`);
  for (const book of [L.HEADER_CODEBOOK_A, L.HEADER_CODEBOOK_B]) checkBook(stated, book, damage);
}

/** A range is finite, and cells and their levels are values of a code. */
function checkBook(stated: Uint32Array, book: number, damage: (message: string) => Error): void {
  const floats = new Float32Array(stated.buffer);
  const parts = [L.CODEBOOK_LOW, L.CODEBOOK_SCALE, L.CODEBOOK_INVERSE];
  if (!parts.every((offset) => Number.isFinite(floats[(book + offset) >>> 2]))) {
    throw damage("a range of codes is not finite");
  }
  const bytes = new Uint8Array(stated.buffer);
  for (const table of [L.CODEBOOK_STARTS, L.CODEBOOK_LEVELS]) {
    const cells = bytes.subarray(book + table, book + table + L.CELLS);
    if (cells.some((value) => value >= L.CODE_VALUES)) throw damage("a cell is outside the codes");
    const mask = bytes.subarray(book + table + L.CELLS, book + table + 2 * L.CELLS);
    if (mask.some((value) => value !== L.CELLS - 1 && value !== 0)) {
      throw damage("the mask behind a table is another");
    }
  }
}

async function checkShard(
  { engine, dimensions, worker }: Shard,
  words: Uint32Array,
  sequence: number,
  pause: () => Promise<void>,
  damage: (message: string) => Error,
): Promise<void> {
  const area = engine.workerBase(worker) >>> 0;
  const own = (offset: number) => words[(area + offset) >>> 2]!;
  const refuse = (fault: number) => {
    if (fault === L.FAULT_NONE) return;
    const where = `slot ${own(L.WORKER_FAULT_SLOT)}, value ${own(L.WORKER_FAULT_VALUE)}`;
    throw damage(`${nameFault(fault)} (${where})`);
  };
  const used = words[L.HEADER_SLOTS_USED >>> 2]!;
  const step = Math.max(64, Math.floor(SLICE_COMPONENTS / dimensions));
  let [live, free, confirmed] = [0, 0, 0];
  for (let slot = 0; slot < used; slot += step) {
    refuse(engine.checkRows(worker, slot, slot + step, sequence));
    live += own(L.WORKER_RESULT_COUNT);
    free += own(L.WORKER_MOVED);
    confirmed += own(L.WORKER_DISTANCES);
    await pause();
  }
  refuse(engine.checkState(worker, free));
  if (live !== words[L.HEADER_LIVE >>> 2] || confirmed !== words[L.HEADER_CONFIRMED >>> 2]) {
    throw damage(`${live} live rows and ${confirmed} on their way back are not as counted`);
  }
}
