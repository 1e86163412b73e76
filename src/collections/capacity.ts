/**
 * What a collection of so many rows will take, before there is one: the shard's strides are asked
 * of the engine itself, which lays out a memory for them; the row store's parts follow rows.ts.
 *
 * Ids and metadata are taken at their mean length; texts in columns are not known beforehand and
 * left out. test/collections/capacity.test.ts holds it to what collections then say they take.
 */
import * as C from "../../assembly/columns.ts";
import * as L from "../../assembly/layout.ts";
import { codeBytesOf, keptBytesOf, upperBytesOf } from "../engine/footprint.ts";
import { formatShard } from "../engine/format.ts";
import { PAGE_BYTES, reserveMemory } from "../engine/memory.ts";
import type { Variant } from "../engine/variant.ts";
import { shardSettings } from "./collection.ts";
import type { CollectionSettings, MemoryBytes } from "./database.ts";
import { indexBytesFor, Rows } from "./rows.ts";

export interface CapacityQuestion {
  readonly settings: CollectionSettings;
  readonly rows: number;
  /** Threads that hold the collection: listeners, linkers, and the writer. */
  readonly threads: number;
  /** OMENDB_SHARD_ROWS, where it is set. */
  readonly shardRows?: number;
  /** Bytes of an id and of a row's metadata, on average. */
  readonly idBytes?: number;
  readonly metadataBytes?: number;
  /** Metadata fields that become columns. */
  readonly columns?: number;
}

export interface CapacityPlan {
  readonly rowsPerShard: number;
  readonly shards: number;
  readonly memory: MemoryBytes;
  readonly memoryBytes: number;
  readonly bytesPerRow: number;
}

const ID_BYTES = 16;
const COUNTERS_BYTES = 4096;

/** Throws OmenError MEMORY_LIMIT when not one row fits a shard. */
export function planCapacity(variant: Variant, question: CapacityQuestion): CapacityPlan {
  const { settings, rows, threads, shardRows = Number.MAX_SAFE_INTEGER } = question;
  const { idBytes = ID_BYTES, metadataBytes = 0, columns = 0 } = question;
  const memory = reserveMemory(65536, variant.shared);
  const rowsPerShard = formatShard(variant, memory, shardSettings(settings, threads, shardRows));
  const words = new Uint32Array(memory.buffer, 0, PAGE_BYTES / 4);
  const at = (offset: number) => words[offset >>> 2]!;
  // An open shard keeps one slot in 64 for updates.
  const shards = Math.max(1, Math.ceil(rows / (rowsPerShard - Math.ceil(rowsPerShard / 64))));
  const each = rows / shards;
  const index = shards * indexBytesFor(each);
  const chunks = Math.ceil(each / C.CHUNK_ROWS) * columns;
  const parts: MemoryBytes = {
    vectors: rows * keptBytesOf(words),
    codes: rows * codeBytesOf(words),
    graph: Math.round(rows * (at(L.HEADER_ROW_STRIDE) + upperBytesOf(words))),
    ids: rows * (Rows.heapBytes(idBytes, metadataBytes) - metadataBytes + 12) + index,
    metadata: rows * metadataBytes,
    columns: shards * chunks * C.CHUNK_BYTES,
    free: rows * (4 + threads) + shards * (L.HEADER_BYTES + COUNTERS_BYTES),
  };
  const memoryBytes = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  const bytesPerRow = memoryBytes / Math.max(1, rows);
  return { rowsPerShard, shards, memory: parts, memoryBytes, bytesPerRow };
}
