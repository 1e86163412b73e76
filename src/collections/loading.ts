/**
 * Makes a collection of an image: fresh memories of this process's shape, filled region by region
 * and checked before anyone sees them. Where the image comes from (a file, an upload, a page's
 * fetch) is the caller's business, and so is whether memory is shared.
 *
 * All is used as it lies. Only where a memory is too small for the columns as they are, they get a
 * larger one, or where all memories have one size, are put again from the rows' metadata.
 */

import type { Slots } from "../engine/checkShard.ts";
import { Columns } from "../engine/columns.ts";
import { loadColumns } from "../engine/loadColumns.ts";
import { loadShard } from "../engine/loadShard.ts";
import { reserveMemory } from "../engine/memory.ts";
import { loadPart, type Sections, together } from "../engine/sections.ts";
import type { Shard } from "../engine/shard.ts";
import type { Variant } from "../engine/variant.ts";
import { Calibration, CURVES_JSON_BYTES_MAX, curvesFromBytes } from "./calibration.ts";
import { type CollectionParts, type ShardMemories, shardSettings } from "./collection.ts";
import type { CollectionSettings } from "./database.ts";
import { LEDGER, RECALL, shardPrefix } from "./imaged.ts";
import { LEDGER_BYTES_MAX } from "./ledger.ts";
import { loadRows } from "./loadRows.ts";
import type { Rows } from "./rows.ts";
import { readSettings } from "./settings.ts";
import { newState, State } from "./state.ts";

/** An image as it is opened: its head, and its sections to be read. */
export interface OpenedImage extends Sections {
  readonly sequence: number;
  /** What stands in its head beside the sections. */
  readonly title: Record<string, unknown>;
  readonly file: string;
  /** Bytes of a chunk; the last one of a section may be shorter. */
  readonly chunkBytes: number;
  /** Fills `target` with one chunk of a section, its checksum checked. */
  loadChunk(name: string, chunk: number, target: Uint8Array): Promise<void>;
}

export interface Surroundings {
  readonly variant: Variant;
  /** Threads that will ever hold the collection. */
  readonly workers: number;
  readonly shardRows: number;
  /** Float32 rows are left where the image is, to be brought when they are needed (absent.ts). */
  readonly leavesVectors?: boolean;
  pause(): Promise<void>;
  /** Untouched memories for a shard; at their full size where it is left out. */
  reserve?(settings: CollectionSettings, sizes: ShardSizes): ShardMemories;
  /** A larger memory in place of one that turned out to be too small; with `reserve`. */
  enlarge?(memory: WebAssembly.Memory): WebAssembly.Memory;
}

/** Bytes that a shard has in the image. */
export interface ShardSizes {
  readonly vectors: number;
  /** How many slots it used. */
  readonly slots: number;
  /** Of ids and metadata. */
  readonly records: number;
  /** Of the columns' lanes. */
  readonly lanes: number;
}

export interface Loaded {
  readonly parts: CollectionParts;
  /** Of idempotency keys, for the writer's thread. */
  readonly ledger: Uint8Array;
}

const SHARDS_MAX = 4096;
/** Rows whose columns are put before others get the thread. */
const SLICE_ROWS = 5000;

/** Throws OmenError CORRUPT_FILE, MEMORY_LIMIT. */
export async function loadImage(image: OpenedImage, around: Surroundings): Promise<Loaded> {
  const { title, file, sequence } = image;
  const { name, settings: stated, shards: count } = title;
  if (typeof name !== "string" || !isShardCount(count)) {
    throw image.damage("the head", "it states no collection");
  }
  const settings = readSettings(stated, file);
  const { variant, workers, shardRows, leavesVectors = false, pause } = around;
  const shards: ShardMemories[] = [];
  for (let index = 0; index < count; index++) {
    const prefix = shardPrefix(index);
    const options = { sections: image, prefix, sequence, leavesVectors, pause };
    const reserve = around.reserve ?? (() => fullMemories(variant));
    const sizes = {
      vectors: regionBytes(image, `${prefix}vectors`),
      slots: regionBytes(image, `${prefix}records`) / 4,
      records: regionBytes(image, `${prefix}heap`),
      lanes: regionBytes(image, `${prefix}lanes`),
    };
    const memories = reserve(settings, sizes);
    const { vectors, rows: rowsMemory } = memories;
    let { columns } = memories;
    const wanted = shardSettings(settings, workers, shardRows);
    const beside = async (shard: Shard, slots: Promise<Slots>) => {
      const { capacity, live, slotsUsed: used } = shard;
      const { schema } = settings;
      const wantedRows = { ...options, capacity, used, live, slots };
      const wantedColumns = { ...options, capacity, used, workers, schema, slots };
      const loadFitting = async () => {
        let isLoaded = await loadColumns(variant, columns, wantedColumns);
        while (!isLoaded && around.enlarge !== undefined) {
          columns = around.enlarge(columns);
          isLoaded = await loadColumns(variant, columns, wantedColumns);
        }
        return isLoaded;
      };
      const [rows, isLoaded] = await together([
        loadRows(variant, rowsMemory, wantedRows),
        loadFitting(),
      ]);
      if (isLoaded) return;
      const { held } = await slots;
      await putColumns(new Columns(variant, columns, 0), { held, used }, rows, pause);
    };
    await loadShard(variant, vectors, wanted, { ...options, beside });
    shards.push({ vectors, rows: rowsMemory, columns });
  }
  const state = newState(variant.shared);
  new State(state).sequence = sequence;
  const ledger = await loadPart(image, LEDGER, LEDGER_BYTES_MAX);
  const recall = await loadPart(image, RECALL, CURVES_JSON_BYTES_MAX);
  if (recall.length > 0) {
    const curves = curvesFromBytes(recall, Date.now());
    if (curves === undefined) throw image.damage(RECALL, "these are no curves of recall");
    if (curves !== "others") new Calibration(state).publish(curves);
  }
  return { parts: { name, settings, state, shards }, ledger };
}

function fullMemories({ shared }: Variant): ShardMemories {
  const [vectors, rows, columns] = [1, 2, 3].map(() => reserveMemory(undefined, shared));
  return { vectors: vectors!, rows: rows!, columns: columns! };
}

/** A region that grew while it was copied lies in several sections. */
function regionBytes(image: OpenedImage, name: string): number {
  let total = 0;
  let bytes = image.lengthOf(name);
  for (let at = 1; bytes !== undefined; at++) {
    total += bytes;
    bytes = image.lengthOf(`${name}.${at}`);
  }
  return total;
}

function isShardCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= SHARDS_MAX;
}

const NOTHING = new Uint8Array(0);

async function putColumns(
  columns: Columns,
  { held, used }: { held: Uint8Array; used: number },
  rows: Rows,
  pause: () => Promise<void>,
): Promise<void> {
  for (let slot = 0; slot < used; slot++) {
    if (slot % SLICE_ROWS === SLICE_ROWS - 1) await pause();
    if (((held[slot >>> 3]! >>> (slot & 7)) & 1) === 0) continue;
    const metadata = rows.metadata(slot) ?? NOTHING;
    columns.put(slot, metadata, 0, metadata.length);
    columns.log(slot);
  }
}
