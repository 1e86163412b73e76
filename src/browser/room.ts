/**
 * Memory for a page: a tab cannot reserve 4 GiB, so a shard's memories are made for the rows that
 * it is to hold and some more. When they are full another shard opens, as on a server; when the tab
 * gives no more, the write is refused in words.
 */
import * as L from "../../assembly/layout.ts";
import type { ShardMemories } from "../collections/collection.ts";
import type { CollectionSettings } from "../collections/database.ts";
import type { ShardSizes } from "../collections/loading.ts";
import { PAGE_BYTES, PAGES_MAX } from "../engine/memory.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";

/** Rows that a shard has room for at least. */
export const ROWS_MIN = 4096;
/** A shard is made for so many times the rows that are there. */
const HEAD_ROOM = 1.25;
/** What turned out to be too small is made so many times larger. */
export const GROWTH = 1.3;
/** What threads need of a shard to search it, each. */
const WORKER_BYTES = 2 * 1024 * 1024;
const SHARD_BYTES = 1024 * 1024;
/** Beside vector, code and links of level 0: upper links, tail, bits, the checker's queue. */
const ROW_EXTRA_BYTES = 40;
/** Of a row in the id table and both indexes. */
const ID_BYTES = 44;
const RECORD_BYTES = 256;
const COLUMN_BYTES = 8 * 16;
const COLUMNS_BYTES = 6 * 1024 * 1024;

export class PageRoom {
  readonly variant: Variant;
  readonly workers: number;

  constructor(variant: Variant, workers: number) {
    this.variant = variant;
    this.workers = workers;
  }

  /** Untouched memories for a shard that is loaded. Throws OmenError MEMORY_LIMIT. */
  reserve(settings: CollectionSettings, sizes: ShardSizes): ShardMemories {
    const { vectors, slots, records, lanes } = sizes;
    const capacity = capacityFor(slots);
    // Where float32 is not kept, it may still be of more rows than is foreseen.
    const more = settings.vectors === "none" ? vectors : 0;
    // An eighth of it is for texts.
    const bytes = this.bytesFor(settings, capacity, records, lanes * 1.25);
    return {
      vectors: this.reservePages(pagesOf(bytes.vectors + more)),
      rows: this.reservePages(pagesOf(bytes.rows)),
      columns: this.reservePages(pagesOf(bytes.columns)),
    };
  }

  /** Of each memory of a shard that has so much of ids and metadata, and of columns, already. */
  bytesFor(
    { dimensions, m, vectors }: CollectionSettings,
    capacity: number,
    recordBytes: number,
    columnBytes: number,
  ): Record<keyof ShardMemories, number> {
    const row = dimensions + 64 + 8 * m + ROW_EXTRA_BYTES + this.workers * 2;
    const kept = vectors === "none" ? keptAtMost(capacity) : capacity;
    const rows = capacity * row + kept * dimensions * 4;
    const records = Math.max(recordBytes * HEAD_ROOM, capacity * RECORD_BYTES);
    return {
      vectors: SHARD_BYTES + this.workers * WORKER_BYTES + rows,
      rows: SHARD_BYTES + capacity * ID_BYTES + records,
      columns: COLUMNS_BYTES + Math.max(columnBytes * HEAD_ROOM, capacity * COLUMN_BYTES),
    };
  }

  /** A larger one than a memory that was too small. Throws OmenError MEMORY_LIMIT. */
  enlarge({ buffer }: WebAssembly.Memory): WebAssembly.Memory {
    const pages = pagesOf(buffer.byteLength * GROWTH);
    if (buffer.byteLength / PAGE_BYTES >= pages) throw refusal(pages);
    return this.reservePages(pages);
  }

  reservePages(pages: number): WebAssembly.Memory {
    const { shared } = this.variant;
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    } catch (cause) {
      throw refusal(pages, cause);
    }
  }
}

export const capacityFor = (rows: number) => Math.ceil(Math.max(ROWS_MIN, rows * HEAD_ROOM));
/** Rows whose float32 finds room where it is not kept, as assembly/bays.ts has it. */
const keptAtMost = (capacity: number) =>
  Math.min(capacity, Math.max(L.BAYS_MIN, capacity / L.BAYS_SHARE)) + L.BAYS_RESERVED + 1;
export const pagesOf = (bytes: number) => Math.min(Math.ceil(bytes / PAGE_BYTES), PAGES_MAX);

export function refusal(pages: number, cause?: unknown): OmenError {
  const mib = Math.ceil((pages * PAGE_BYTES) / 1048576);
  const message = `this tab gives no memory of ${mib} MiB: fewer rows, or another tab closed, help`;
  return new OmenError("MEMORY_LIMIT", message, { cause });
}
