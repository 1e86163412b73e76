/**
 * Removing what matches a filter: on the writer's thread, in the collection's turn, so that no
 * write comes between the rows being found and their going. What the log gets is their ids.
 */
import { encodeRemove } from "../storage/frame.ts";
import type { Collection } from "./collection.ts";
import type { Filter } from "./filter.ts";
import type { Once } from "./ledger.ts";

/** Rows that one frame removes, which go at once; more go in several frames, one after another. */
export const REMOVED_ROWS_MAX = 1_000_000;
/** Ids gathered before others get the thread. */
const SLICE_ROWS = 5000;

/** Frames that remove all rows that match now; none when there are none and nothing to remember. */
export async function framesRemoving(
  collection: Collection,
  filter: Filter,
  once?: Once,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const ids = await idsMatching(collection, filter);
  if (ids.length === 0) return once ? [encodeRemove([absentId(collection, once)], once)] : [];
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let from = 0; from < ids.length; from += REMOVED_ROWS_MAX) {
    const isLast = from + REMOVED_ROWS_MAX >= ids.length;
    frames.push(encodeRemove(ids.slice(from, from + REMOVED_ROWS_MAX), isLast ? once : undefined));
    await collection.thread.pause();
  }
  return frames;
}

async function idsMatching(collection: Collection, filter: Filter): Promise<string[]> {
  const { bitmaps } = await collection.matcher.match(filter);
  const { sequence } = collection;
  const ids: string[] = [];
  let looked = 0;
  for (const [index, { bytes }] of bitmaps.entries()) {
    const { shard, rows } = collection.parts[index]!;
    for (let byte = 0; byte < bytes.length; byte++) {
      for (let rest = bytes[byte]!; rest !== 0; rest &= rest - 1) {
        const slot = byte * 8 + 31 - Math.clz32(rest & -rest);
        if (shard.isVisible(slot, sequence)) ids.push(rows.id(slot));
        if (++looked % SLICE_ROWS === 0) await collection.thread.pause();
      }
    }
  }
  return ids;
}

/** A frame names a row at least: to remember a request that found none, one that is not there. */
function absentId(collection: Collection, { key }: Once): string {
  let id = key;
  while (collection.get(id) !== undefined) id += "-";
  return id;
}
