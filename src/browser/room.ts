/**
 * Memory for a page: a tab cannot reserve 4 GiB, so a shard's memories are made for the rows that
 * it is to hold and some more. When they are full another shard opens, as on a server; when the tab
 * gives no more, the write is refused in words.
 */
import { hasRoom } from "../collections/changes.ts";
import { type Collection, type ShardMemories, shardSettings } from "../collections/collection.ts";
import type { CollectionSettings } from "../collections/database.ts";
import type { ShardSizes } from "../collections/loading.ts";
import { Rows } from "../collections/rows.ts";
import { Columns } from "../engine/columns.ts";
import { PAGE_BYTES, PAGES_MAX } from "../engine/memory.ts";
import { formatShard } from "../engine/shard.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";

/** Rows that a shard has room for at least. */
const ROWS_MIN = 4096;
/** A shard is made for so many times the rows that are there. */
const HEAD_ROOM = 1.25;
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
const GROWTH = 1.3;

/** What a shard must hold; the rest of its room is for rows to come. */
export interface Load {
  readonly rows: number;
  /** Of ids and metadata as the row store keeps them. */
  readonly recordBytes: number;
  /** Of the columns' memory as it was. */
  readonly columnBytes: number;
}

export class PageRoom {
  readonly #variant: Variant;
  readonly #workers: number;

  constructor(variant: Variant, workers: number) {
    this.#variant = variant;
    this.#workers = workers;
  }

  /** Untouched memories for a shard that is loaded. Throws OmenError MEMORY_LIMIT. */
  reserve(settings: CollectionSettings, { vectors, records, lanes }: ShardSizes): ShardMemories {
    const stride = Math.ceil(settings.dimensions / 4) * 16;
    const capacity = capacityFor(vectors / stride);
    const recordBytes = Math.max(records * HEAD_ROOM, capacity * RECORD_BYTES);
    // An eighth of it is for texts.
    const columnBytes = Math.max(lanes * HEAD_ROOM * 1.25, capacity * COLUMN_BYTES);
    return {
      vectors: this.#reserve(pagesOf(this.#shardBytes(settings, capacity))),
      rows: this.#reserve(pagesOf(SHARD_BYTES + capacity * ID_BYTES + recordBytes)),
      columns: this.#reserve(pagesOf(COLUMNS_BYTES + columnBytes)),
    };
  }

  /** Memories with room for a load and more. Throws OmenError MEMORY_LIMIT. */
  newShard(settings: CollectionSettings, seed: number, load: Load): ShardMemories {
    const capacity = capacityFor(load.rows);
    const wanted = shardSettings(settings, this.#workers, capacity);
    const vectors = this.#fitted(this.#shardBytes(settings, capacity), (memory) => {
      return formatShard(this.#variant, memory, wanted) >= capacity;
    });
    const recordBytes = Math.max(load.recordBytes * HEAD_ROOM, capacity * RECORD_BYTES);
    const rows = this.#fitted(SHARD_BYTES + capacity * ID_BYTES + recordBytes, (memory) => {
      Rows.format(memory, capacity, seed);
      return true;
    });
    const columnBytes = Math.max(load.columnBytes * HEAD_ROOM, capacity * COLUMN_BYTES);
    const columns = this.#fitted(COLUMNS_BYTES + columnBytes, (memory) => {
      Columns.format(this.#variant, memory, capacity, this.#workers, settings.schema);
      return true;
    });
    return { vectors, rows, columns };
  }

  /** Opens shards until the collection takes the frame. Throws OmenError MEMORY_LIMIT. */
  make(collection: Collection, frame: Uint8Array): void {
    while (!hasRoom(collection, [frame])) {
      const { settings, parts } = collection;
      const rows = Math.max(ROWS_MIN, Math.ceil(collection.live / 2));
      const load = { rows, recordBytes: frame.length, columnBytes: 0 };
      collection.attach(this.newShard(settings, parts[0]!.rows.seed, load));
    }
  }

  #shardBytes({ dimensions, m }: CollectionSettings, capacity: number): number {
    const row = dimensions * 5 + 64 + 8 * m + ROW_EXTRA_BYTES + this.#workers * 2;
    return SHARD_BYTES + this.#workers * WORKER_BYTES + capacity * row;
  }

  /** The smallest of a few sizes that `lay` can work with. */
  #fitted(bytes: number, lay: (memory: WebAssembly.Memory) => boolean): WebAssembly.Memory {
    for (let size = bytes; ; size *= GROWTH) {
      const pages = pagesOf(size);
      const memory = this.#reserve(pages);
      try {
        if (lay(memory)) return memory;
      } catch (error) {
        const isTooSmall = error instanceof OmenError && error.code === "MEMORY_LIMIT";
        if (!isTooSmall || pages >= PAGES_MAX) throw error;
      }
      if (pages >= PAGES_MAX) throw refusal(pages);
    }
  }

  #reserve(pages: number): WebAssembly.Memory {
    const { shared } = this.#variant;
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    } catch (cause) {
      throw refusal(pages, cause);
    }
  }
}

const capacityFor = (rows: number) => Math.ceil(Math.max(ROWS_MIN, rows * HEAD_ROOM));
const pagesOf = (bytes: number) => Math.min(Math.ceil(bytes / PAGE_BYTES), PAGES_MAX);

function refusal(pages: number, cause?: unknown): OmenError {
  const mib = Math.ceil((pages * PAGE_BYTES) / 1048576);
  const message = `this tab gives no memory of ${mib} MiB: fewer rows, or another tab closed, help`;
  return new OmenError("MEMORY_LIMIT", message, { cause });
}
