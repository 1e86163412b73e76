/**
 * Room for rows: makes shards and sees to it that every thread holds one before a row goes there.
 * The writer and the start make room by the same rules.
 */
import type { Catalog } from "../collections/catalog.ts";
import { hasRoom } from "../collections/changes.ts";
import {
  type Collection,
  type CollectionParts,
  type ShardMemories,
  shardSettings,
} from "../collections/collection.ts";
import type { CollectionSettings } from "../collections/database.ts";
import { Rows } from "../collections/rows.ts";
import { newState } from "../collections/state.ts";
import { Columns } from "../engine/columns.ts";
import { reserveMemory } from "../engine/memory.ts";
import { formatShard } from "../engine/shard.ts";
import type { Notice } from "./messages.ts";

export interface RoomOptions {
  readonly catalog: Catalog;
  /** Threads that hold every shard. */
  readonly workers: number;
  readonly shardRows: number;
  /** Resolves when every other thread has taken the notice up. */
  announce(notice: Notice): Promise<void>;
}

export class Room {
  readonly #options: RoomOptions;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** A collection without rows, which nobody holds yet. Throws OmenError MEMORY_LIMIT. */
  newCollection(name: string, settings: CollectionSettings): CollectionParts {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const shards = [this.newShard(settings, seed)];
    return { name, settings, state: newState(), shards };
  }

  /** All shards of a collection hash ids with the same seed: a scroll goes by the hashes. */
  newShard(settings: CollectionSettings, seed: number): ShardMemories {
    const { workers, shardRows, catalog } = this.#options;
    const vectors = reserveMemory();
    const wanted = shardSettings(settings, workers, shardRows);
    const capacity = formatShard(catalog.thread.variant, vectors, wanted);
    const rows = reserveMemory();
    Rows.format(rows, capacity, seed);
    const columns = reserveMemory();
    Columns.format(catalog.thread.variant, columns, capacity, workers, settings.schema);
    return { vectors, rows, columns };
  }

  /** Opens shards until the collection takes all these frames. Throws OmenError MEMORY_LIMIT. */
  async make(collection: Collection, frames: readonly Uint8Array[]): Promise<void> {
    while (!hasRoom(collection, frames)) {
      const memories = this.newShard(collection.settings, collection.parts[0]!.rows.seed);
      const { name } = collection;
      await this.#options.announce({ kind: "attachShard", name, memories });
      collection.attach(memories);
    }
  }
}
