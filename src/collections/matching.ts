/**
 * Which rows a filter lets pass, as one bit a slot, found by reading the rows' metadata in slices.
 */
import type { Bitmap } from "../engine/shard.ts";
import type { Collection, Part } from "./collection.ts";
import type { Filter } from "./filter.ts";

export interface Matched {
  readonly count: number;
  /** One a shard. */
  readonly bitmaps: readonly Bitmap[];
  /** Rows were given away while they were read: the bits are not of one snapshot. */
  readonly hasMoved: boolean;
}

const SLICE_ROWS = 2000;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export async function matchFilter(
  collection: Collection,
  filter: Filter,
  snapshot: number,
): Promise<Matched> {
  const bitmaps: Bitmap[] = [];
  let count = 0;
  let hasMoved = false;
  for (const part of collection.parts) {
    const end = part.shard.slotsUsed;
    const bitmap = new Uint8Array((end + 7) >> 3);
    for (let from = 0; from < end; from += SLICE_ROWS) {
      if (from > 0 || bitmaps.length > 0) await collection.thread.pause();
      for (let slot = from; slot < Math.min(end, from + SLICE_ROWS); slot++) {
        const verdict = matches(part, slot, filter, snapshot);
        if (verdict === "moved") hasMoved = true;
        else if (verdict) {
          bitmap[slot >> 3]! |= 1 << (slot & 7);
          count++;
        }
      }
    }
    bitmaps.push(bitmap);
  }
  return { count, bitmaps, hasMoved };
}

function matches(part: Part, slot: number, filter: Filter, snapshot: number): boolean | "moved" {
  const { shard, rows } = part;
  const stamp = shard.stamp(slot);
  if (!shard.isStillVisible(slot, stamp, snapshot)) return false;
  const metadata = rows.metadata(slot);
  // Half of another row's bytes would not parse: the stamp is asked first.
  if (!shard.isStillVisible(slot, stamp, snapshot)) return "moved";
  return filter.matches(metadata && JSON.parse(decoder.decode(metadata)));
}
