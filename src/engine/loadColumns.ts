/**
 * Loads a shard's columns from an image into an untouched memory, where they are used as they lie.
 * As with the graph (loadShard.ts) the memory is this process's own, laid out for its capacity and
 * threads, and a file may be hostile: assembly/columns/check.ts tries what it brings.
 *
 * A memory that is smaller than the one that the image was taken of (a page has such) may have no
 * room for all of it. Then false is answered, before anything is read but the header.
 */
import * as C from "../../assembly/columns.ts";
import { OmenError } from "../errors.ts";
import type { Slots } from "./checkShard.ts";
import { Columns, type Schema } from "./columns.ts";
import type { EngineExports } from "./exports.ts";
import { COLUMNS_PART_BYTES } from "./imagedColumns.ts";
import { loadPart, loadRegion, type Sections, together } from "./sections.ts";
import { sumIn } from "./sums.ts";
import { instantiate, type Variant } from "./variant.ts";

export interface ColumnsToLoad {
  readonly sections: Sections;
  readonly prefix: string;
  readonly capacity: number;
  readonly workers: number;
  readonly schema: Schema | undefined;
  /** Slots that have held rows. */
  readonly used: number;
  readonly slots: Promise<Slots>;
  pause(): Promise<void>;
}

/** Entries of the dictionary, and chunks of lanes, that are tried before others get the thread. */
const SLICE_ENTRIES = 50_000;
const SLICE_CHUNKS = 200;
/** Words that are taken over as they are. */
const KEPT = [
  ...[C.COLUMNS_COUNT, C.COLUMNS_AUTO_COUNT, C.COLUMNS_ENTRIES_USED],
  ...[C.COLUMNS_TEXTS_USED, C.COLUMNS_CHUNKS_USED],
];
/** Texts are read by whole vectors. */
const TEXTS_SLACK = 16;
/** Each begins at such a place. */
const TEXT_ALIGNMENT = 8;

const FAULTS: Record<number, string> = {
  [C.COLUMNS_FAULT_ENTRY]: "no string or array can be entry",
  [C.COLUMNS_FAULT_TWICE]: "it is there twice:",
  [C.COLUMNS_FAULT_COLUMN]: "no column can be column",
  [C.COLUMNS_FAULT_PALETTE]: "no palette can be that of column",
  [C.COLUMNS_FAULT_LANE]: "no metadata can have the lane of slot",
};

/** Throws what the sections throw, and MEMORY_LIMIT when the memory is too small for anything. */
export async function loadColumns(
  variant: Variant,
  memory: WebAssembly.Memory,
  wanted: ColumnsToLoad,
): Promise<boolean> {
  const { sections, prefix, capacity, workers, schema, used } = wanted;
  const part = await loadPart(sections, `${prefix}columns`, COLUMNS_PART_BYTES);
  const damage = (name: string, message: string) => sections.damage(prefix + name, message);
  if (part.length !== COLUMNS_PART_BYTES) throw damage("columns", "a header of another length");
  const stated = new Uint32Array(part.buffer);
  const at = (offset: number) => stated[offset >>> 2]!;
  if (at(C.COLUMNS_HEADER_MAGIC) !== C.COLUMNS_MAGIC) throw damage("columns", "these are none");
  if (at(C.COLUMNS_HEADER_VERSION) !== C.COLUMNS_VERSION) {
    const message = `columns of version ${at(C.COLUMNS_HEADER_VERSION)}`;
    throw new OmenError("UNSUPPORTED_FORMAT", `${message}, this build opens ${C.COLUMNS_VERSION}`);
  }
  Columns.format(variant, memory, capacity, workers, schema, at(C.COLUMNS_SEED));
  const words = new Uint32Array(memory.buffer);
  const own = (offset: number) => words[offset >>> 2]!;
  const pinned = own(C.COLUMNS_COUNT);
  const count = at(C.COLUMNS_COUNT);
  const isCounted = count <= C.COLUMNS_MAX && count === pinned + at(C.COLUMNS_AUTO_COUNT);
  if (!isCounted || at(C.COLUMNS_AUTO_COUNT) > C.COLUMNS_AUTO_MAX) {
    throw damage("columns", `${count} columns, of which the schema makes ${pinned}`);
  }
  // The next one would begin in the middle of a word, where no reader would have it.
  if (at(C.COLUMNS_TEXTS_USED) % TEXT_ALIGNMENT !== 0)
    throw damage("columns", "texts end in a word");
  refuseOtherSchema(stated, words, pinned, (message) => damage("columns", message));
  if (!hasRoom(stated, words)) return false;

  const bytes = new Uint8Array(memory.buffer);
  const sum = sumIn(variant, memory, own(C.COLUMNS_END));
  const region = (name: string, base: number, length: number) =>
    loadRegion(sections, prefix + name, bytes.subarray(own(base), own(base) + length), sum);
  const pinnedTexts = bytes.slice(
    own(C.COLUMNS_TEXTS_BASE),
    own(C.COLUMNS_TEXTS_BASE) + own(C.COLUMNS_TEXTS_USED),
  );
  const tableBytes = count * at(C.COLUMNS_CHUNKS_EACH) * 4;
  const table = await loadTable(sections, `${prefix}chunks`, tableBytes);
  for (const offset of KEPT) words[offset >>> 2] = at(offset);
  words.set(
    stated.subarray(C.COLUMNS_TABLE >>> 2, (C.COLUMNS_TABLE + count * C.COLUMN_BYTES) >>> 2),
    C.COLUMNS_TABLE >>> 2,
  );
  const [{ held }] = await together([
    wanted.slots,
    region("texts", C.COLUMNS_TEXTS_BASE, at(C.COLUMNS_TEXTS_USED)),
    region("entries", C.COLUMNS_ENTRIES_BASE, at(C.COLUMNS_ENTRIES_USED) * C.ENTRY_BYTES),
    region("palettes", C.COLUMNS_PALETTES_BASE, count * C.PALETTE_BYTES),
    region("lanes", C.COLUMNS_CHUNKS_BASE, at(C.COLUMNS_CHUNKS_USED) * C.CHUNK_BYTES),
  ]);
  const texts = own(C.COLUMNS_TEXTS_BASE);
  if (pinnedTexts.some((byte, index) => bytes[texts + index] !== byte)) {
    throw damage("texts", "they do not begin with the names of the schema");
  }
  spreadChunks(table, at(C.COLUMNS_CHUNKS_EACH), used, words, (message) =>
    damage("chunks", message),
  );
  words[C.COLUMNS_HIGH_SLOT >>> 2] = used;
  bytes.set(held, own(C.COLUMNS_PRESENT_BASE));
  await check(instantiate(variant, memory), words, pinned, wanted);
  return true;
}

/** The schema's columns come first, and are as it makes them. */
function refuseOtherSchema(
  stated: Uint32Array,
  words: Uint32Array,
  pinned: number,
  damage: (message: string) => Error,
): void {
  const same = [C.COLUMN_PARENT, C.COLUMN_NAME, C.COLUMN_NAME_BYTES, C.COLUMN_HASH, C.COLUMN_KIND];
  for (let column = 0; column < pinned; column++) {
    const at = C.COLUMNS_TABLE + column * C.COLUMN_BYTES;
    if (same.every((offset) => stated[(at + offset) >>> 2] === words[(at + offset) >>> 2]))
      continue;
    throw damage(`column ${column} is not the one that the schema makes`);
  }
}

function hasRoom(stated: Uint32Array, words: Uint32Array): boolean {
  const at = (offset: number) => stated[offset >>> 2]!;
  const own = (offset: number) => words[offset >>> 2]!;
  const textsMax = own(C.COLUMNS_TEXTS_END) - own(C.COLUMNS_TEXTS_BASE) - TEXTS_SLACK;
  const lanesMax = own(C.COLUMNS_END) - own(C.COLUMNS_CHUNKS_BASE);
  return (
    at(C.COLUMNS_ENTRIES_USED) <= own(C.COLUMNS_ENTRIES_MAX) &&
    at(C.COLUMNS_TEXTS_USED) <= textsMax &&
    at(C.COLUMNS_CHUNKS_USED) * C.CHUNK_BYTES <= lanesMax
  );
}

/** Which chunk is whose, for a capacity that need not be this memory's. */
async function loadTable(sections: Sections, name: string, bytes: number): Promise<Uint32Array> {
  // Memory is made for what the file has, not for what its header says.
  let held = 0;
  for (let part = name, index = 1; ; part = `${name}.${index++}`) {
    const length = sections.lengthOf(part);
    if (length === undefined) break;
    held += length;
  }
  if (held !== bytes) throw sections.damage(name, `${held} bytes, not ${bytes}`);
  const table = new Uint32Array(bytes / 4);
  await loadRegion(sections, name, new Uint8Array(table.buffer));
  return table;
}

function spreadChunks(
  table: Uint32Array,
  statedEach: number,
  used: number,
  words: Uint32Array,
  damage: (message: string) => Error,
): void {
  const each = words[C.COLUMNS_CHUNKS_EACH >>> 2]!;
  const target = words[C.COLUMNS_TABLES_BASE >>> 2]! >>> 2;
  const taken = new Uint8Array(words[C.COLUMNS_CHUNKS_USED >>> 2]!);
  const needed = Math.ceil(used / C.CHUNK_ROWS);
  for (let place = 0; place < table.length; place++) {
    const held = table[place]!;
    if (held === 0) continue;
    const chunk = place % statedEach;
    if (chunk >= needed) throw damage(`chunk ${chunk} has lanes and no rows`);
    if (held >= C.CHUNK_FIRST) {
      if (taken[held - C.CHUNK_FIRST] !== 0) throw damage(`chunk ${chunk} has no lanes of its own`);
      taken[held - C.CHUNK_FIRST] = 1;
    }
    words[target + Math.floor(place / statedEach) * each + chunk] = held;
  }
}

async function check(
  engine: EngineExports,
  words: Uint32Array,
  pinned: number,
  { sections, prefix, used, pause }: ColumnsToLoad,
): Promise<void> {
  const refuse = (name: string, fault: number) => {
    if (fault === C.COLUMNS_FAULT_NONE) return;
    const place = words[C.COLUMNS_FAULT_PLACE >>> 2];
    throw sections.damage(prefix + name, `${FAULTS[fault]} ${place}`);
  };
  const entries = words[C.COLUMNS_ENTRIES_USED >>> 2]!;
  engine.beginEntries();
  for (let from = 0; from < entries; from += SLICE_ENTRIES) {
    refuse("entries", engine.adoptEntries(from, Math.min(from + SLICE_ENTRIES, entries)));
    await pause();
  }
  refuse("columns", engine.adoptTables(pinned));
  const count = words[C.COLUMNS_COUNT >>> 2]!;
  let checked = 0;
  for (let column = 0; column < count; column++) {
    for (let chunk = 0; chunk * C.CHUNK_ROWS < used; chunk++) {
      const rows = Math.min(C.CHUNK_ROWS, used - chunk * C.CHUNK_ROWS);
      refuse("lanes", engine.checkChunk(column, chunk, rows));
      if (++checked % SLICE_CHUNKS === 0) await pause();
    }
  }
}
