/** A collection as the server's writer and linkers make it, in this thread and without files. */
import { Catalog } from "../src/collections/catalog.ts";
import type { Collection } from "../src/collections/collection.ts";
import type { CollectionSettings } from "../src/collections/database.ts";
import type { Variant } from "../src/engine/variant.ts";
import { encodePut } from "../src/storage/frame.ts";
import { linkRound } from "../src/threads/linking.ts";
import { threadOf } from "../src/threads/messages.ts";
import { Room } from "../src/threads/room.ts";
import { Writer } from "../src/threads/writer.ts";
import type { Metric, Rows } from "./exact.ts";

const BATCH_ROWS = 1000;

/** With default settings beside those given; its rows are called by their index, and linked. */
export async function built(
  variant: Variant,
  { base, metric }: { readonly base: Rows; readonly metric: Metric },
  others: Partial<CollectionSettings> = {},
): Promise<{ readonly collection: Collection; readonly catalog: Catalog }> {
  const catalog = new Catalog(threadOf(variant, 0));
  const announce = async () => {};
  const room = new Room({ catalog, workers: 1, shardRows: 2 * base.count, announce });
  const writer = new Writer({ catalog, room, announce, ring: () => {} });
  const { dimensions } = base;
  const settings: CollectionSettings = {
    ...{ dimensions, metric, quantization: "sq8", m: 16, efConstruction: 64, efSearch: 96 },
    ...others,
  };
  await writer.handle({ kind: "create", name: "set", settings });
  const collection = catalog.get("set")!;
  for (let row = 0; row < base.count; row += BATCH_ROWS) {
    const count = Math.min(BATCH_ROWS, base.count - row);
    const ids = Array.from({ length: count }, (_, at) => String(row + at));
    const vectors = base.values.subarray(row * dimensions, (row + count) * dimensions);
    const frame = encodePut({ ids, vectors, dimensions, metadata: ids.map(() => undefined) });
    await writer.handle({ kind: "write", name: "set", frame, mode: "upsert" });
    while (collection.backlog > 0) linkRound(catalog, 500);
  }
  return { collection, catalog };
}
