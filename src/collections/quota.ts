/**
 * What a collection may hold, where it was made with a quota: so many rows, so many bytes of memory
 * as its stats count them. The writer asks before a write is given its sequence, a group at a time.
 * Rows that are replaced and rows that go are never refused for their number.
 */
import { OmenError } from "../errors.ts";
import { FRAME_PUT, FRAME_REMOVE, readHeader } from "../storage/frame.ts";
import { hasRoom } from "./changes.ts";
import type { Collection } from "./collection.ts";

/** Of an id's place in tables and index, of the tail and of visited stamps: about, for a row. */
const ROW_EXTRA_BYTES = 32;
/** What a shard takes before it has a row: headers, and what threads need to search it. */
export const SHARD_BYTES = 256 * 1024;

export interface Quota {
  readonly vectors?: number;
  readonly bytes?: number;
}

/** What a frame's rows will take of memory. */
export function bytesFor(collection: Collection, frame: Uint8Array): number {
  const { kind, count, recordsBytes } = readHeader(frame);
  if (kind !== FRAME_PUT) return 0;
  const rowBytes = (collection.parts.at(-1)?.shard.rowBytes ?? 0) + ROW_EXTRA_BYTES;
  const shardBytes = hasRoom(collection, [frame]) ? 0 : SHARD_BYTES;
  return recordsBytes + count * rowBytes + shardBytes;
}

/** The quota of one collection over one group of writes. */
export class Allowance {
  readonly #collection: Collection;
  readonly #quota: Quota;
  #rows: number;
  #bytes: number;

  constructor(collection: Collection, quota: Quota) {
    this.#collection = collection;
    this.#quota = quota;
    this.#rows = collection.live;
    this.#bytes = quota.bytes === undefined ? 0 : collection.stats().memoryBytes;
  }

  /** `present` of the frame's ids have a row. Throws QUOTA_EXCEEDED, and counts nothing then. */
  spend(frame: Uint8Array, present: number): void {
    const { kind, count } = readHeader(frame);
    if (kind === FRAME_REMOVE) this.#rows -= present;
    if (kind !== FRAME_PUT) return;
    const { vectors = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = this.#quota;
    const added = count - present;
    if (added > 0 && this.#rows + added > vectors) {
      const message = `the write would bring the collection to ${this.#rows + added} rows`;
      throw new OmenError("QUOTA_EXCEEDED", `${message}, its quota is ${vectors}`);
    }
    const needed = bytes === Number.POSITIVE_INFINITY ? 0 : bytesFor(this.#collection, frame);
    if (this.#bytes + needed > bytes) {
      const message = `the write would bring the collection to ${this.#bytes + needed} bytes`;
      throw new OmenError("QUOTA_EXCEEDED", `${message}, its quota is ${bytes}`);
    }
    this.#rows += added;
    this.#bytes += needed;
  }
}
