/**
 * Images that a page keeps on its device: in the origin's private file system, or in IndexedDB
 * where that is missing. A name holds one image at a time.
 *
 *   private files   omendb/<name>.<generation>   a file appears whole or not at all: the browser
 *                                                writes it aside and moves it in when it is closed
 *   IndexedDB       omendb, images, <name>       one record, put in one transaction
 *
 * A new image is written as the next generation, read back and checked, and only then is the one
 * before removed: a tab that closes in between leaves the old state or the new one. Tabs take turns
 * by a lock of the origin. An opening takes the newest generation whose head is sound.
 */
import { OmenError } from "../errors.ts";
import type { OpenFile } from "../storage/files.ts";
import type { ByteSource } from "../storage/image.ts";

const FOLDER = "omendb";
const TABLE = "images";
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Writes an image, in whatever order its parts come. */
export type Write = (file: OpenFile) => Promise<void>;
/** Throws where an image that was written cannot be read back. */
export type Verify = (source: ByteSource) => Promise<void>;

export interface Store {
  /** Sources of the images under the name, the newest first; most often one or none. */
  list(name: string): Promise<ByteSource[]>;
  replace(name: string, write: Write, verify: Verify): Promise<void>;
  remove(name: string): Promise<void>;
}

export function checkName(name: string): void {
  if (NAME.test(name)) return;
  const expected = "1 to 64 of A-Z a-z 0-9 _ -";
  throw new OmenError("INVALID_REQUEST", `the store's name must be ${expected}, got "${name}"`);
}

/** The store of this origin. Throws OmenError UNSUPPORTED_PLATFORM where it keeps nothing. */
export async function openStore(): Promise<Store> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    // Safari has had private files without a way to write them from a page.
    if ("createWritable" in FileSystemFileHandle.prototype) return new FileStore(folder);
  } catch {
    // An opaque origin or a private window: IndexedDB may still be there.
  }
  if (typeof indexedDB === "undefined") {
    const message = "this page may keep nothing: no private files and no IndexedDB";
    throw new OmenError("UNSUPPORTED_PLATFORM", message);
  }
  return new TableStore();
}

/** One tab at a time; where there are no locks there is one agent to a store. */
async function alone<T>(name: string, work: () => Promise<T>): Promise<T> {
  if (navigator.locks === undefined) return await work();
  return await navigator.locks.request(`omendb:${name}`, async () => await work());
}

export function blobSource(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, target) {
      const part = await blob.slice(offset, offset + target.length).arrayBuffer();
      target.set(new Uint8Array(part));
      return part.byteLength;
    },
  };
}

class FileStore implements Store {
  readonly #folder: FileSystemDirectoryHandle;

  constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  async list(name: string): Promise<ByteSource[]> {
    const sources: ByteSource[] = [];
    for (const file of await this.#generations(name)) {
      const handle = await this.#folder.getFileHandle(fileName(name, file));
      sources.push(blobSource(`${name} on this device`, await handle.getFile()));
    }
    return sources;
  }

  replace(name: string, write: Write, verify: Verify): Promise<void> {
    return alone(name, async () => {
      const before = await this.#generations(name);
      const file = fileName(name, (before[0] ?? 0) + 1);
      try {
        const handle = await this.#folder.getFileHandle(file, { create: true });
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
        await this.#folder.removeEntry(file).catch(() => undefined);
        throw storeError(name, error);
      }
      for (const old of before) await this.#folder.removeEntry(fileName(name, old));
    });
  }

  remove(name: string): Promise<void> {
    return alone(name, async () => {
      // The oldest first: whoever looks meanwhile finds the newest or nothing.
      for (const generation of (await this.#generations(name)).reverse()) {
        await this.#folder.removeEntry(fileName(name, generation));
      }
    });
  }

  /** Newest first. A file that never was closed is empty: `create` had made its name. */
  async #generations(name: string): Promise<number[]> {
    const found: number[] = [];
    for await (const entry of this.#folder.keys()) {
      const [owner, generation] = entry.split(".");
      if (owner === name && /^\d+$/.test(generation ?? "")) found.push(Number(generation));
    }
    return found.sort((a, b) => b - a);
  }
}

const fileName = (name: string, generation: number) => `${name}.${generation}`;

class TableStore implements Store {
  async list(name: string): Promise<ByteSource[]> {
    const blob = await this.#request("readonly", (table) => table.get(name));
    return blob instanceof Blob ? [blobSource(`${name} on this device`, blob)] : [];
  }

  replace(name: string, write: Write, verify: Verify): Promise<void> {
    return alone(name, async () => {
      try {
        const blob = await collectBlob(write);
        await verify(blobSource(name, blob));
        await this.#request("readwrite", (table) => table.put(blob, name));
      } catch (error) {
        throw storeError(name, error);
      }
    });
  }

  async remove(name: string): Promise<void> {
    await alone(name, () => this.#request("readwrite", (table) => table.delete(name)));
  }

  async #request(
    mode: IDBTransactionMode,
    ask: (table: IDBObjectStore) => IDBRequest,
  ): Promise<unknown> {
    const database = await this.#open();
    try {
      const transaction = database.transaction(TABLE, mode);
      const request = ask(transaction.objectStore(TABLE));
      return await new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      database.close();
    }
  }

  #open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const opening = indexedDB.open(FOLDER, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
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
