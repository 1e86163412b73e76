/**
 * All memories of a collection as an image sees them. A memory that is added to a shard is added
 * here, and to loading.ts.
 */
import { type Imaged, ImagedShard } from "../engine/imaged.ts";
import type { ShardMemories } from "./collection.ts";
import { ImagedRows } from "./imagedRows.ts";

export interface NamedMemory {
  /** What its regions' names begin with in the image. */
  readonly prefix: string;
  readonly memory: Imaged;
}

/** Names of a shard's sections begin with this. */
export const shardPrefix = (shard: number) => `s${shard}.`;

export function imagedMemories(shards: readonly ShardMemories[]): NamedMemory[] {
  return shards.flatMap(({ vectors, rows }, index) => {
    const shard = new ImagedShard(vectors);
    const prefix = shardPrefix(index);
    return [
      { prefix, memory: shard },
      { prefix, memory: new ImagedRows(rows, () => shard.slotsUsed) },
    ];
  });
}
