/** New shards in a page: memories made for the rows that come, and no larger than it takes. */
import { type ShardMemories, shardSettings } from "../collections/collection.ts";
import type { CollectionSettings } from "../collections/database.ts";
import { Rows } from "../collections/rows.ts";
import { Columns } from "../engine/columns.ts";
import { PAGES_MAX } from "../engine/memory.ts";
import { formatShard } from "../engine/shard.ts";
import { OmenError } from "../errors.ts";
import { capacityFor, GROWTH, type PageRoom, pagesOf, refusal } from "./room.ts";

/** What a shard must hold; the rest of its room is for rows to come. */
export interface Load {
  readonly rows: number;
  /** Of ids and metadata as the row store keeps them. */
  readonly recordBytes: number;
  /** Of the columns' memory as it was. */
  readonly columnBytes: number;
}

/** Memories with room for a load and more. Throws OmenError MEMORY_LIMIT. */
export function newShard(
  room: PageRoom,
  settings: CollectionSettings,
  seed: number,
  load: Load,
): ShardMemories {
  const { variant, workers } = room;
  const capacity = capacityFor(load.rows);
  const wanted = shardSettings(settings, workers, capacity);
  const bytes = room.bytesFor(settings, capacity, load.recordBytes, load.columnBytes);
  const vectors = fitted(room, bytes.vectors, (memory) => {
    return formatShard(variant, memory, wanted) >= capacity;
  });
  const rows = fitted(room, bytes.rows, (memory) => {
    Rows.format(memory, capacity, seed);
    return true;
  });
  const columns = fitted(room, bytes.columns, (memory) => {
    Columns.format(variant, memory, capacity, workers, settings.schema);
    return true;
  });
  return { vectors, rows, columns };
}

/** The smallest of a few sizes that `lay` can work with. */
function fitted(
  room: PageRoom,
  bytes: number,
  lay: (memory: WebAssembly.Memory) => boolean,
): WebAssembly.Memory {
  for (let size = bytes; ; size *= GROWTH) {
    const pages = pagesOf(size);
    const memory = room.reservePages(pages);
    try {
      if (lay(memory)) return memory;
    } catch (error) {
      const isTooSmall = error instanceof OmenError && error.code === "MEMORY_LIMIT";
      if (!isTooSmall || pages >= PAGES_MAX) throw error;
    }
    if (pages >= PAGES_MAX) throw refusal(pages);
  }
}
