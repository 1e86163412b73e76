/**
 * Snapshots as plainly as they can be kept: JSON of a collection's rows, in a Map. The HTTP tests run
 * over it.
 */
import type { Row } from "../src/collections/database.ts";
import type { ByteSource, Snapshot, Snapshots } from "../src/collections/snapshots.ts";
import { OmenError } from "../src/errors.ts";
import type { MemoryCollection, MemoryDatabase } from "./memoryDatabase.ts";

interface Kept {
  snapshot: Snapshot;
  bytes: Buffer;
}

export class MemorySnapshots implements Snapshots {
  readonly #database: MemoryDatabase;
  readonly #kept = new Map<string, Kept>();
  #count = 0;

  constructor(database: MemoryDatabase) {
    this.#database = database;
  }

  /** It is ready only when it is asked for again. */
  async create(name: string): Promise<Snapshot> {
    const collection = this.#collection(name);
    const rows = [...collection.rows.values()].map((row) => [
      ...[row.id, [...row.vector], row.version, row.metadata && [...row.metadata]],
    ]);
    const bytes = Buffer.from(JSON.stringify({ settings: collection.settings, rows }));
    const id = `s${++this.#count}`;
    const begun = { id, createdAt: new Date().toISOString() };
    const { settings, sequence } = collection;
    const more = { settings, sequence, bytes: bytes.length, vectors: rows.length };
    const snapshot: Snapshot = { ...begun, status: "ready", progress: 1, ...more };
    this.#kept.set(`${name}/${id}`, { snapshot, bytes });
    return { ...begun, status: "creating", progress: 0 };
  }

  async list(name: string): Promise<Snapshot[]> {
    this.#collection(name);
    const ofIt = [...this.#kept].filter(([key]) => key.startsWith(`${name}/`));
    return ofIt.map(([, { snapshot }]) => snapshot);
  }

  async get(name: string, id: string): Promise<Snapshot> {
    return this.#find(name, id).snapshot;
  }

  async open(name: string, id: string): Promise<ByteSource> {
    const { bytes } = this.#find(name, id);
    const read = async (offset: number, target: Uint8Array) => {
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    };
    return { name: id, size: bytes.length, read };
  }

  async receive(name: string, id: string, chunks: AsyncIterable<Uint8Array>): Promise<Snapshot> {
    if (this.#kept.has(`${name}/${id}`)) throw new OmenError("SNAPSHOT_EXISTS", `${id} exists`);
    const parts: Buffer[] = [];
    for await (const chunk of chunks) parts.push(Buffer.from(chunk));
    const bytes = Buffer.concat(parts);
    const { settings, rows } = parse(bytes);
    if (!this.#database.collection(name)) await this.#database.create(name, settings);
    const snapshot: Snapshot = {
      ...{ id, status: "ready", progress: 1, createdAt: new Date().toISOString() },
      ...{ sequence: 1, bytes: bytes.length, vectors: rows.length, settings },
    };
    this.#kept.set(`${name}/${id}`, { snapshot, bytes });
    return snapshot;
  }

  async restore(name: string, id: string): Promise<{ sequence: number; vectors: number }> {
    const collection = this.#collection(name);
    const { rows } = parse(this.#find(name, id).bytes);
    collection.rows.clear();
    for (const row of rows) collection.rows.set(row.id, row);
    return { sequence: ++collection.sequence, vectors: rows.length };
  }

  async delete(name: string, id: string): Promise<void> {
    this.#find(name, id);
    this.#kept.delete(`${name}/${id}`);
  }

  #collection(name: string): MemoryCollection {
    const collection = this.#database.collection(name);
    if (collection) return collection;
    throw new OmenError("COLLECTION_NOT_FOUND", `no collection is named "${name}"`);
  }

  #find(name: string, id: string): Kept {
    this.#collection(name);
    const kept = this.#kept.get(`${name}/${id}`);
    if (kept) return kept;
    throw new OmenError("SNAPSHOT_NOT_FOUND", `no snapshot is named "${id}"`);
  }
}

interface Parsed {
  readonly settings: MemoryCollection["settings"];
  readonly rows: Row[];
}

function parse(bytes: Buffer): Parsed {
  try {
    const { settings, rows } = JSON.parse(bytes.toString());
    return {
      settings,
      rows: rows.map(([id, vector, version, metadata]: [string, number[], number, number[]?]) => ({
        ...{ id, vector: Float32Array.from(vector), version },
        metadata: metadata ? Uint8Array.from(metadata) : undefined,
      })),
    };
  } catch (cause) {
    throw new OmenError("INVALID_SNAPSHOT", "the bytes are no snapshot", { cause });
  }
}
