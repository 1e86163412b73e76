/**
 * What must hold of a shard that comes from a file: of its header first, then of all that is
 * followed (assembly/graph/bounds.ts), a slice at a time. What is learned of its slots on the way
 * is kept.
 */
import * as L from "../../assembly/layout.ts";
import { nameFault } from "./graphFault.ts";
import type { Shard } from "./shard.ts";

/** Rows checked before others get the thread. */
const SLICE_ROWS = 30_000;

/** What the heads of the rows say, once they have been tried: a bit a slot. */
export interface Slots {
  /** A row is there, be it dead and on its way back. */
  readonly held: Uint8Array;
  readonly living: Uint8Array;
}

/**
 * Where a repair goes on, by the phase (assembly/graph/repair.ts) it was in: walks and bitmaps of
 * the process that was are gone, so a sweep begins anew, and so does the look for lost rows.
 */
export const RESUMED = [0, 1, 2, 2, 5, 5, 6, 6, 6, 6];

export function checkCounters(
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

export function refuseFault(
  { engine, worker }: Shard,
  words: Uint32Array,
  fault: number,
  damage: (message: string) => Error,
): void {
  if (fault === L.FAULT_NONE) return;
  const area = engine.workerBase(worker) >>> 0;
  const own = (offset: number) => words[(area + offset) >>> 2]!;
  const where = `slot ${own(L.WORKER_FAULT_SLOT)}, value ${own(L.WORKER_FAULT_VALUE)}`;
  throw damage(`${nameFault(fault)} (${where})`);
}

export async function checkShard(
  shard: Shard,
  words: Uint32Array,
  sequence: number,
  pause: () => Promise<void>,
  damage: (message: string) => Error,
): Promise<void> {
  const { engine, worker } = shard;
  const area = engine.workerBase(worker) >>> 0;
  const own = (offset: number) => words[(area + offset) >>> 2]!;
  const refuse = (fault: number) => refuseFault(shard, words, fault, damage);
  const used = words[L.HEADER_SLOTS_USED >>> 2]!;
  let [live, free, confirmed, dead] = [0, 0, 0, 0];
  for (let slot = 0; slot < used; slot += SLICE_ROWS) {
    refuse(engine.checkRows(worker, slot, slot + SLICE_ROWS, sequence));
    live += own(L.WORKER_RESULT_COUNT);
    free += own(L.WORKER_MOVED);
    confirmed += own(L.WORKER_DISTANCES);
    dead += own(L.WORKER_SCANNED);
    await pause();
  }
  refuse(engine.checkState(worker, free));
  const counted = [L.HEADER_LIVE, L.HEADER_DEAD, L.HEADER_CONFIRMED];
  if ([live, dead, confirmed].some((count, index) => count !== words[counted[index]! >>> 2])) {
    const message = `${live} live rows, ${dead} dead ones and ${confirmed} on their way back`;
    throw damage(`${message} are not as counted`);
  }
}

/** From where the check leaves them; who works there next takes it for untouched. */
export function takeSlots(words: Uint32Array, used: number): Slots {
  const at = (offset: number) => words[offset >>> 2]!;
  const stride = at(L.HEADER_BITMAP_STRIDE);
  const count = (used + 7) >>> 3;
  const bytes = new Uint8Array(words.buffer);
  const left = at(L.HEADER_REACH_BASE) + 2 * stride;
  const held = bytes.slice(left, left + count);
  bytes.fill(0, left, left + stride);
  const dead = bytes.slice(at(L.HEADER_DEAD_BASE), at(L.HEADER_DEAD_BASE) + count);
  return { held, living: held.map((bits, index) => bits & ~dead[index]!) };
}
