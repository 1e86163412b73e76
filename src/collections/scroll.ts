/**
 * All rows, a page at a time, in the order of their ids' hashes (cursor.ts). The order of a row is
 * its id's alone: no update, move to another shard, growth of an index or restart changes it. So a
 * page is a stretch of the order, and a row that is there throughout comes with one page only.
 *
 * Within a shard an index place holds a stretch of the order, so a page visits places, not all ids.
 * What it takes from the same place of all shards is of one snapshot: if a write is published
 * meanwhile, the place is visited again, for the write may have moved a row from a shard that is
 * still to come to one that was passed.
 */
import { OmenError } from "../errors.ts";
import type { Collection } from "./collection.ts";
import { placeOf, readCursor, writeCursor } from "./cursor.ts";
import type { Row, ScrollQuery } from "./database.ts";
import { readAt } from "./reading.ts";

/** How long a page is worked on before others get the thread. */
const SLICE_MS = 4;
/** Index places between two looks at the clock. */
const LOOK_PLACES = 32;
/** A place whose rows are written again and again is given up at this many visits. */
const VISITS_MAX = 1000;
const PLACES_END = 2 ** 32;

interface Placed {
  readonly place: number;
  readonly row: Row;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** As CollectionView says it. */
export async function scroll(
  collection: Collection,
  query: ScrollQuery,
  onRow: (row: Row) => void,
): Promise<string | undefined> {
  const { seed } = collection.parts[0]!.rows;
  const { cursor, limit, filter } = query;
  const from = cursor === undefined ? { place: 0, after: "" } : readCursor(cursor, seed);
  const bits = Math.max(...collection.parts.map(({ rows }) => rows.indexBits));
  const step = 2 ** (32 - bits);
  let last: Placed | undefined;
  let count = 0;
  let sliceBeganAt = performance.now();
  const first = Math.floor(from.place / step);
  for (let index = first; index * step < PLACES_END; index++) {
    for (const placed of visit(collection, index * step, bits)) {
      const { place, row } = placed;
      if (place < from.place || (place === from.place && !isAfter(row.id, from.after))) continue;
      if (filter !== undefined && !filter.matches(parse(row.metadata))) continue;
      if (count === limit) {
        const after = last !== undefined && last.place === place ? last.row.id : "";
        return writeCursor({ place, after }, seed);
      }
      onRow(row);
      last = placed;
      count++;
    }
    if (index % LOOK_PLACES !== 0 || performance.now() - sliceBeganAt < SLICE_MS) continue;
    await collection.thread.pause();
    if (query.isAbandoned?.()) return undefined;
    sliceBeganAt = performance.now();
  }
  return undefined;
}

/** The rows of one stretch of the order, sorted, as they were at one moment. */
function visit(collection: Collection, place: number, bits: number): readonly Placed[] {
  // The stretch's first bits are the hash's last ones.
  const low = placeOf(place);
  for (let visits = 0; visits < VISITS_MAX; visits++) {
    const snapshot = collection.sequence;
    const found = visitOnce(collection, low, bits, snapshot);
    if (found !== undefined && collection.sequence === snapshot) return found;
  }
  throw new OmenError("OVERLOADED", "rows are written faster than a page can read them", {
    retryAfterSeconds: 1,
  });
}

const positions: number[] = [];

/** Undefined when a row was given away while it was read. */
function visitOnce(
  { parts }: Collection,
  low: number,
  bits: number,
  snapshot: number,
): Placed[] | undefined {
  const found: Placed[] = [];
  for (const part of parts) {
    positions.length = 0;
    part.rows.findEnding(low, bits, positions);
    for (const position of positions) {
      const row = readAt(part, position, snapshot);
      if (row === "moved") return undefined;
      if (row !== undefined) found.push({ place: placeOf(part.rows.hashAt(position)), row });
    }
  }
  return found.length > 1 ? found.sort(compare) : found;
}

/** Two ids may have one hash; then they decide. */
function compare(a: Placed, b: Placed): number {
  return a.place - b.place || (isAfter(a.row.id, b.row.id) ? 1 : -1);
}

const isAfter = (id: string, other: string) => id > other;

function parse(metadata: Uint8Array | undefined): unknown {
  return metadata && JSON.parse(decoder.decode(metadata));
}
