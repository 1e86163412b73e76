/**
 * All of a collection that an image holds: its memories, and what lies beside them. What is added
 * here is added to loading.ts.
 */
import { type Imaged, ImagedShard, type Part } from "../engine/imaged.ts";
import { ImagedColumns } from "../engine/imagedColumns.ts";
import { curvesToBytes } from "./calibration.ts";
import type { Collection, ShardMemories } from "./collection.ts";
import { ImagedRows } from "./imagedRows.ts";

export interface NamedMemory {
  /** What its regions' names begin with in the image. */
  readonly prefix: string;
  readonly memory: Imaged;
}

/** Names of a shard's sections begin with this. */
export const shardPrefix = (shard: number) => `s${shard}.`;

export function imagedMemories(shards: readonly ShardMemories[]): NamedMemory[] {
  return shards.flatMap(({ vectors, rows, columns }, index) => {
    const shard = new ImagedShard(vectors);
    const prefix = shardPrefix(index);
    return [
      { prefix, memory: shard },
      { prefix, memory: new ImagedRows(rows, () => shard.slotsUsed) },
      { prefix, memory: new ImagedColumns(columns) },
    ];
  });
}

export const LEDGER = "ledger";
export const RECALL = "recall";

/** Of the collection as a whole, while it stands still. */
export function partsBeside({ ledger, calibration }: Collection): Part[] {
  return [
    { name: LEDGER, bytes: ledger.toBytes() },
    { name: RECALL, bytes: curvesToBytes(calibration.curves) },
  ];
}
