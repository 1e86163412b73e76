/**
 * Keeps images on this device, and takes them away (store.ts draws where they lie). A new image is
 * written beside the one before, read back and checked, and only then is that removed.
 */
import { OmenError } from "../errors.ts";
import type { OpenFile } from "../storage/files.ts";
import type { ByteSource } from "../storage/image.ts";
import { blobSource } from "./blob.ts";
import { type FileStore, fileName, inTurn, openStore, type TableStore } from "./store.ts";

/** Writes an image, in whatever order its parts come. */
export type Write = (file: OpenFile) => Promise<void>;
/** Throws where an image that was written cannot be read back. */
export type Verify = (source: ByteSource) => Promise<void>;

export interface Keeper {
  replace(name: string, write: Write, verify: Verify): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Throws as `openStore` does. */
export async function openKeeper(): Promise<Keeper> {
  const store = await openStore();
  return "folder" in store ? new FileKeeper(store) : new TableKeeper(store);
}

class FileKeeper implements Keeper {
  readonly #store: FileStore;

  constructor(store: FileStore) {
    this.#store = store;
  }

  replace(name: string, write: Write, verify: Verify): Promise<void> {
    return inTurn(name, "exclusive", async () => {
      const before = await this.#store.generations(name);
      const file = fileName(name, (before[0] ?? 0) + 1);
      try {
        const handle = await this.#store.folder.getFileHandle(file, { create: true });
        const writable = await handle.createWritable();
        try {
          await write(new WritableFile(file, writable));
        } catch (error) {
          await writable.abort();
          throw error;
        }
        await writable.close();
        await verify(blobSource(`${name} on this device`, await handle.getFile()));
      } catch (error) {
        await this.#store.folder.removeEntry(file).catch(() => undefined);
        throw storeError(name, error);
      }
      for (const old of before) await this.#store.folder.removeEntry(fileName(name, old));
    });
  }

  remove(name: string): Promise<void> {
    return inTurn(name, "exclusive", async () => {
      // The oldest first: whoever looks meanwhile finds the newest or nothing.
      for (const generation of (await this.#store.generations(name)).reverse()) {
        await this.#store.folder.removeEntry(fileName(name, generation));
      }
    });
  }
}

class TableKeeper implements Keeper {
  readonly #store: TableStore;

  constructor(store: TableStore) {
    this.#store = store;
  }

  replace(name: string, write: Write, verify: Verify): Promise<void> {
    return inTurn(name, "exclusive", async () => {
      try {
        const blob = await collectBlob(write);
        await verify(blobSource(name, blob));
        await this.#store.request("readwrite", (table) => table.put(blob, name));
      } catch (error) {
        throw storeError(name, error);
      }
    });
  }

  async remove(name: string): Promise<void> {
    await inTurn(name, "exclusive", () =>
      this.#store.request("readwrite", (table) => table.delete(name)),
    );
  }
}

function storeError(name: string, error: unknown): OmenError {
  if (error instanceof OmenError) return error;
  const isFull = error instanceof DOMException && error.name === "QuotaExceededError";
  const reason = error instanceof Error ? error.message : String(error);
  const message = isFull ? "this origin's quota is used up" : reason;
  const code = isFull ? "STORAGE_FULL" : "READ_ONLY";
  return new OmenError(code, `keeping ${name} on this device: ${message}`, { cause: error });
}

/** What imaging writes to, over a file of the origin. It cannot be read before it is closed. */
class WritableFile implements OpenFile {
  readonly path: string;
  readonly #writable: FileSystemWritableFileStream;

  constructor(path: string, writable: FileSystemWritableFileStream) {
    this.path = path;
    this.#writable = writable;
  }

  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    let position = offset;
    for (const buffer of buffers) {
      // The browser takes no view of shared memory.
      await this.#writable.write({ type: "write", position, data: buffer.slice() });
      position += buffer.length;
    }
  }

  async truncate(bytes: number): Promise<void> {
    await this.#writable.truncate(bytes);
  }

  async sync(): Promise<void> {}
  async close(): Promise<void> {}
  size = refuseReading;
  read = refuseReading;
}

async function refuseReading(): Promise<never> {
  throw new OmenError("INTERNAL", "an image that is being written was read");
}

/** An image as one blob. */
export async function collectBlob(write: Write): Promise<Blob> {
  const pieces = new Map<number, Uint8Array<ArrayBuffer>>();
  let end = Number.POSITIVE_INFINITY;
  await write({
    path: "image",
    async write(offset, buffers) {
      let position = offset;
      for (const buffer of buffers) {
        pieces.set(position, buffer.slice());
        position += buffer.length;
      }
    },
    async truncate(bytes) {
      end = bytes;
    },
    async sync() {},
    async close() {},
    size: refuseReading,
    read: refuseReading,
  });
  return joined(pieces, end);
}

/** Pieces by their places, zeros between them. */
function joined(pieces: ReadonlyMap<number, Uint8Array<ArrayBuffer>>, end: number): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  for (const [offset, bytes] of [...pieces].sort(([a], [b]) => a - b)) {
    if (offset > at) parts.push(new Uint8Array(offset - at));
    parts.push(bytes);
    at = offset + bytes.length;
  }
  return new Blob(parts).slice(0, end);
}
