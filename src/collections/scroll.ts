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
import { NO_SLOT } from "../../assembly/layout.ts";
import type { Bitmap } from "../engine/shard.ts";
import { OmenError } from "../errors.ts";
import type { Collection, Part } from "./collection.ts";
import { placeOf, readCursor, writeCursor } from "./cursor.ts";
import type { Row, ScrollQuery } from "./database.ts";
import type { Filter } from "./filter.ts";
import { readAt, slotFor } from "./reading.ts";

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
  const sieve = filter && new Sieve(collection, filter);
  await sieve?.renew();
  const from = cursor === undefined ? { place: 0, after: "" } : readCursor(cursor, seed);
  const bits = Math.max(...collection.parts.map(({ rows }) => rows.indexBits));
  const step = 2 ** (32 - bits);
  let last: Placed | undefined;
  let count = 0;
  let sliceBeganAt = performance.now();
  const first = Math.floor(from.place / step);
  for (let index = first; index * step < PLACES_END; index++) {
    for (const placed of visit(collection, index * step, bits, sieve)) {
      const { place, row } = placed;
      if (place < from.place || (place === from.place && !isAfter(row.id, from.after))) continue;
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
    await sieve?.renew();
  }
  return undefined;
}

/** Which rows a filter lets pass: by its bits where they speak of the row, else by its JSON. */
class Sieve {
  readonly #collection: Collection;
  readonly #filter: Filter;
  #bitmaps: readonly Bitmap[] = [];
  #sequence = 0;

  constructor(collection: Collection, filter: Filter) {
    this.#collection = collection;
    this.#filter = filter;
  }

  async renew(): Promise<void> {
    const { sequence } = this.#collection;
    this.#bitmaps = (await this.#collection.matcher.match(this.#filter)).bitmaps;
    this.#sequence = sequence;
  }

  /** Whether the slot's row is known not to match. */
  isOut(part: number, slot: number, birth: number): boolean {
    const bytes = this.#bitmaps[part]?.bytes;
    if (bytes === undefined || birth > this.#sequence) return false;
    return ((bytes[slot >> 3]! >> (slot & 7)) & 1) === 0;
  }

  passes(part: number, { version, metadata }: Row): boolean {
    const isKnown = this.#bitmaps[part] !== undefined && version <= this.#sequence;
    return isKnown || this.#filter.matches(parse(metadata));
  }
}

/** The rows of one stretch of the order, sorted, as they were at one moment. */
function visit(
  collection: Collection,
  place: number,
  bits: number,
  sieve?: Sieve,
): readonly Placed[] {
  // The stretch's first bits are the hash's last ones.
  const low = placeOf(place);
  for (let visits = 0; visits < VISITS_MAX; visits++) {
    const snapshot = collection.sequence;
    const found = visitOnce(collection, low, bits, snapshot, sieve);
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
  sieve?: Sieve,
): Placed[] | undefined {
  const found: Placed[] = [];
  for (const [index, part] of parts.entries()) {
    positions.length = 0;
    part.rows.findEnding(low, bits, positions);
    for (const position of positions) {
      if (sieve !== undefined && isOut(sieve, index, part, position, snapshot)) continue;
      const row = readAt(part, position, snapshot);
      if (row === "moved") return undefined;
      if (row === undefined || sieve?.passes(index, row) === false) continue;
      found.push({ place: placeOf(part.rows.hashAt(position)), row });
    }
  }
  return found.length > 1 ? found.sort(compare) : found;
}

/** Before a row is read: whether the filter's bits say that it does not match. */
function isOut(
  sieve: Sieve,
  index: number,
  part: Part,
  position: number,
  snapshot: number,
): boolean {
  const slot = slotFor(part, position, snapshot);
  if (slot === NO_SLOT) return true;
  const { shard } = part;
  const stamp = shard.stamp(slot);
  const isKnown = sieve.isOut(index, slot, shard.birth(slot));
  return isKnown && shard.isStillVisible(slot, stamp, snapshot);
}

/** Two ids may have one hash; then they decide. */
function compare(a: Placed, b: Placed): number {
  return a.place - b.place || (isAfter(a.row.id, b.row.id) ? 1 : -1);
}

const isAfter = (id: string, other: string) => id > other;

function parse(metadata: Uint8Array | undefined): unknown {
  return metadata && JSON.parse(decoder.decode(metadata));
}
