/** Where everything lies in a memory of columns: computed once, kept in its header. */
import * as C from "../columns";
import * as L from "../layout";
import { columnAt } from "./lanes";

// @ts-ignore: decorator
@inline
function align(value: u64, to: u64): u64 {
  return (value + to - 1) & ~(to - 1);
}

if (C.COLUMNS_DIRTY_NOW != L.HEADER_DIRTY_NOW) ERROR("Columns drifted from layout.ts");

/**
 * Lays out an untouched memory of `memoryBytes` bytes for `capacity` rows. The dictionary gets an
 * eighth of it for texts and an entry for every 2 KiB; the chunks get what is left. Returns false
 * when nothing would be.
 */
export function formatColumns(capacity: u32, workers: u32, seed: u32, memoryBytes: f64): bool {
  const bytes = <u64>memoryBytes;
  const chunksEach = (<u64>capacity + C.CHUNK_ROWS - 1) / C.CHUNK_ROWS;
  const entriesMax = bytes >> 11;
  let indexBits: u64 = C.INDEX_BITS_MIN;
  while ((<u64>1) << indexBits < entriesMax * 2) indexBits++;
  const workersBase = align(C.COLUMNS_FIXED_END + C.LOG_SLOTS * 4, 4096);
  const tablesBase = align(workersBase + <u64>workers * C.COLUMNS_WORKER_BYTES, 4096);
  const entriesBase = align(tablesBase + C.COLUMNS_MAX * chunksEach * 4, 4096);
  const indexA = align(entriesBase + entriesMax * C.ENTRY_BYTES, 4096);
  const indexB = indexA + ((<u64>4) << indexBits);
  const presentBase = indexB + ((<u64>4) << indexBits);
  const dirtyBase = align(presentBase + (capacity >> 3) + 8, 4096);
  const dirtyStride = bytes >> L.DIRTY_SHIFT;
  const textsBase = align(dirtyBase + dirtyStride * 2, 4096);
  const textsEnd = textsBase + (bytes >> 3);
  const palettesBase = align(textsEnd, 4096);
  const chunksBase = palettesBase + C.COLUMNS_MAX * C.PALETTE_BYTES;
  // The last page is left, so that an address and a length together stay below 2^32.
  const end = bytes - 65536;
  if (chunksBase + C.CHUNK_BYTES > end) return false;
  store<u32>(C.COLUMNS_CAPACITY, capacity);
  store<u32>(C.COLUMNS_WORKERS, workers);
  store<u32>(C.COLUMNS_SEED, seed);
  store<u32>(C.COLUMNS_LOG_BASE, C.COLUMNS_FIXED_END);
  store<u32>(C.COLUMNS_WORKERS_BASE, <u32>workersBase);
  store<u32>(C.COLUMNS_TABLES_BASE, <u32>tablesBase);
  store<u32>(C.COLUMNS_CHUNKS_EACH, <u32>chunksEach);
  store<u32>(C.COLUMNS_ENTRIES_BASE, <u32>entriesBase);
  store<u32>(C.COLUMNS_ENTRIES_MAX, <u32>entriesMax);
  store<u32>(C.COLUMNS_INDEX_A, <u32>indexA);
  store<u32>(C.COLUMNS_INDEX_B, <u32>indexB);
  store<u32>(C.COLUMNS_INDEX_BITS_MAX, <u32>indexBits);
  store<u32>(C.COLUMNS_TEXTS_BASE, <u32>textsBase);
  store<u32>(C.COLUMNS_TEXTS_END, <u32>textsEnd);
  store<u32>(C.COLUMNS_CHUNKS_BASE, <u32>chunksBase);
  store<u32>(C.COLUMNS_END, <u32>end);
  store<u32>(C.COLUMNS_PRESENT_BASE, <u32>presentBase);
  store<u32>(C.COLUMNS_PALETTES_BASE, <u32>palettesBase);
  store<u32>(C.COLUMNS_DIRTY_BASE, <u32>dirtyBase);
  store<u32>(C.COLUMNS_DIRTY_STRIDE, <u32>dirtyStride);
  store<u32>(C.COLUMNS_DIRTY_NOW, <u32>dirtyBase);
  store<u32>(C.COLUMNS_INDEX, C.INDEX_BITS_MIN << 1);
  // Column 0 is the metadata itself.
  store<u32>(columnAt(0), C.KIND_AUTO, C.COLUMN_KIND);
  store<u32>(C.COLUMNS_COUNT, 1);
  store<u32>(C.COLUMNS_HEADER_VERSION, C.COLUMNS_VERSION);
  store<u32>(C.COLUMNS_HEADER_MAGIC, C.COLUMNS_MAGIC);
  return true;
}
