/**
 * What a door may ask about snapshots: images of a collection that have names of their own and stay
 * until they are deleted, or the collection is dropped. Types only; who keeps them is the business
 * of threads/.
 */
import type { ByteSource } from "../storage/image.ts";
import type { CollectionSettings } from "./database.ts";

export type { ByteSource } from "../storage/image.ts";

export interface Snapshot {
  /** 1 to 64 of a-z 0-9 _ -, a letter or digit first. */
  readonly id: string;
  readonly status: "creating" | "ready" | "failed";
  /** 0..1 of what is being done; 1 when it is ready. */
  readonly progress: number;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** Of the last write that it holds; from here on only when it is ready. */
  readonly sequence?: number;
  readonly bytes?: number;
  /** Live rows. */
  readonly vectors?: number;
  readonly settings?: CollectionSettings;
  /** Why it failed. */
  readonly reason?: string;
}

export const SNAPSHOT_ID = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/**
 * Every call throws NO_DATA_PATH when everything is in memory only, INVALID_REQUEST for an id that
 * is not one, SNAPSHOT_NOT_FOUND where none has it, STORAGE_FULL and READ_ONLY when the disk fails.
 */
export interface Snapshots {
  /**
   * Begins one and resolves at once, while it is `creating`; reads and writes go on. Throws
   * COLLECTION_NOT_FOUND.
   */
  create(collection: string): Promise<Snapshot>;
  /** Oldest first. Throws COLLECTION_NOT_FOUND. */
  list(collection: string): Promise<Snapshot[]>;
  get(collection: string, id: string): Promise<Snapshot>;
  /**
   * Its bytes, which stay what they are even when it is deleted meanwhile; the caller closes it.
   * Throws SNAPSHOT_BUSY when it is not ready.
   */
  open(collection: string, id: string): Promise<ByteSource>;
  /**
   * Keeps an uploaded snapshot, once all its bytes are there and every checksum holds; before that
   * nobody sees it. Where there is no collection of the name, an empty one is made with the
   * snapshot's settings. Chunks may be reused after the iterator is asked for the next. Throws
   * SNAPSHOT_EXISTS, INVALID_SNAPSHOT.
   */
  receive(collection: string, id: string, chunks: AsyncIterable<Uint8Array>): Promise<Snapshot>;
  /**
   * Replaces the collection's rows by the snapshot's, after it was loaded aside, its checksums and
   * its graph were checked and sample searches answered. It is a write: its sequence is that of the
   * snapshot or the collection's next, whichever is higher. Throws SNAPSHOT_BUSY, INVALID_SNAPSHOT,
   * COLLECTION_EXISTS when dimensions or metric are others, MEMORY_LIMIT.
   */
  restore(collection: string, id: string): Promise<{ sequence: number; vectors: number }>;
  /** Throws SNAPSHOT_BUSY while it is being created or restored. */
  delete(collection: string, id: string): Promise<void>;
}

/** When, as an id that was given here says; one that a client chose does not tell. */
export function createdBy(id: string): string {
  const [, day, hours, minutes, seconds] =
    /^(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)-/.exec(id) ?? [];
  const time = Date.parse(`${day}T${hours}:${minutes}:${seconds}Z`);
  return new Date(Number.isNaN(time) ? 0 : time).toISOString();
}
