/** Where snapshots stand, on a server or in a data path, as the commands about them see it. */
import { createReadStream, createWriteStream, openAsBlob } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Collection as ServedCollection } from "../client/collection.ts";
import type { Restored, Snapshot } from "../client/index.ts";
import { SNAPSHOT_ID } from "../collections/snapshots.ts";
import type { Collection as HeldCollection } from "../embedded/collection.ts";
import type { ByteSource } from "../storage/image.ts";
import { UsageError } from "./exit.ts";

export interface SnapshotShelf {
  create(): Promise<Snapshot>;
  list(): Promise<Snapshot[]>;
  wait(id: string, options: { onProgress: (snapshot: Snapshot) => void }): Promise<Snapshot>;
  restore(id: string): Promise<Restored>;
  delete(id: string): Promise<void>;
  /** Its bytes by range; whoever reads them closes it. */
  open(id: string): Promise<ByteSource>;
  /** Keeps the file's bytes under the id. */
  keep(id: string, file: string): Promise<Snapshot>;
  /** Writes it to the file, and gives its size. */
  fetch(id: string, file: string): Promise<number>;
}

const READ_BYTES = 1024 * 1024;

export function shelfOf(collection: ServedCollection | HeldCollection): SnapshotShelf {
  return "upload" in collection ? servedShelf(collection) : heldShelf(collection);
}

function servedShelf({ snapshots }: ServedCollection): SnapshotShelf {
  return {
    ...plainCalls(snapshots),
    async open(id) {
      const { bytes: size = 0 } = await snapshots.get(id);
      const read = async (offset: number, target: Uint8Array) => {
        const end = Math.min(size, offset + target.length);
        if (end <= offset) return 0;
        const part = await snapshots.download(id, { start: offset, end });
        const bytes = await part.bytes();
        target.set(bytes);
        return bytes.length;
      };
      return { name: id, size, read };
    },
    keep: async (id, file) => snapshots.upload(id, await openAsBlob(file)),
    async fetch(id, file) {
      const { body, headers } = await snapshots.download(id);
      await writeAside(file, Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]));
      return Number(headers.get("content-length"));
    },
  };
}

function heldShelf({ snapshots }: HeldCollection): SnapshotShelf {
  return {
    ...plainCalls(snapshots),
    open: (id) => snapshots.open(id),
    keep: (id, file) => snapshots.receive(id, createReadStream(file)),
    async fetch(id, file) {
      const source = await snapshots.open(id);
      try {
        await writeAside(file, Readable.from(partsOf(source)));
      } finally {
        await source.close?.();
      }
      return source.size;
    },
  };
}

function plainCalls(snapshots: ServedCollection["snapshots"] | HeldCollection["snapshots"]) {
  return {
    create: () => snapshots.create(),
    list: () => snapshots.list(),
    wait: (id: string, options: { onProgress: (snapshot: Snapshot) => void }) =>
      snapshots.wait(id, options),
    restore: (id: string) => snapshots.restore(id),
    delete: (id: string) => snapshots.delete(id),
  };
}

async function* partsOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < source.size; at += READ_BYTES) {
    const part = new Uint8Array(Math.min(READ_BYTES, source.size - at));
    await source.read(at, part);
    yield part;
  }
}

/** The file takes its name when it is whole. */
async function writeAside(file: string, bytes: Readable): Promise<void> {
  const part = `${file}.part`;
  try {
    await pipeline(bytes, createWriteStream(part, { flush: true }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** `songs-2026.omen` -> `songs-2026`. */
export function idOfFile(file: string): string {
  const id = basename(file)
    .toLowerCase()
    .replace(/\.[^.]*$/, "");
  if (SNAPSHOT_ID.test(id)) return id;
  throw new UsageError(
    `${file}: its name is no snapshot's id; name it a-z, 0-9, _ and - or use --id`,
  );
}
