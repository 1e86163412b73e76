/** A collection's snapshots in this process, by the client's names (src/client/snapshots.ts). */
import type { Restored, Snapshot } from "../client/snapshots.ts";
import type { Database } from "../collections/database.ts";
import type { ByteSource, Snapshot as Inner } from "../collections/snapshots.ts";
import { OmenError } from "../errors.ts";

const POLL_MS = 20;

export class Snapshots {
  readonly #database: Database;
  readonly #collection: string;

  constructor(database: Database, collection: string) {
    this.#database = database;
    this.#collection = collection;
  }

  /** Begins one; `wait` tells when it is ready. Throws NO_DATA_PATH without a path. */
  async create(): Promise<Snapshot> {
    return shown(await this.#database.snapshots.create(this.#collection));
  }

  async list(): Promise<Snapshot[]> {
    return (await this.#database.snapshots.list(this.#collection)).map(shown);
  }

  async get(id: string): Promise<Snapshot> {
    return shown(await this.#database.snapshots.get(this.#collection, id));
  }

  /** Resolves when it is ready; throws when it failed. */
  async wait(
    id: string,
    { onProgress }: { onProgress?: (snapshot: Snapshot) => void } = {},
  ): Promise<Snapshot> {
    for (;;) {
      const snapshot = await this.get(id);
      onProgress?.(snapshot);
      if (snapshot.status === "ready") return snapshot;
      if (snapshot.status === "failed") {
        throw new OmenError("INTERNAL", snapshot.reason ?? `the snapshot ${id} failed`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Its bytes, by range; the caller closes it. */
  open(id: string): Promise<ByteSource> {
    return this.#database.snapshots.open(this.#collection, id);
  }

  /** Keeps the bytes of a snapshot, once all of them are there and sound. */
  async receive(id: string, chunks: AsyncIterable<Uint8Array>): Promise<Snapshot> {
    return shown(await this.#database.snapshots.receive(this.#collection, id, chunks));
  }

  /** Puts the collection back to it, after it was checked. The sequence goes on. */
  async restore(id: string): Promise<Restored> {
    const restored = await this.#database.snapshots.restore(this.#collection, id);
    return { status: "ok", ...restored };
  }

  delete(id: string): Promise<void> {
    return this.#database.snapshots.delete(this.#collection, id);
  }
}

function shown({ createdAt, settings, ...snapshot }: Inner): Snapshot {
  const { dimensions, metric } = settings ?? {};
  return { ...snapshot, dimensions, metric, created_at: createdAt };
}
