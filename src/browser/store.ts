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
 * by a lock of the origin, so that nothing is taken away while it is read. An opening takes the
 * newest generation whose head is sound.
 */
import { OmenError } from "../errors.ts";
import type { ByteSource } from "../storage/image.ts";
import { blobSource } from "./blob.ts";

const FOLDER = "omendb";
const TABLE = "images";
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export interface Store {
  /** The images under the name, the newest first; most often one or none. */
  list(name: string): Promise<(() => Promise<ByteSource>)[]>;
}

export function checkName(name: string): void {
  if (NAME.test(name)) return;
  const expected = "1 to 64 of A-Z a-z 0-9 _ -";
  throw new OmenError("INVALID_REQUEST", `the store's name must be ${expected}, got "${name}"`);
}

/** The store of this origin. Throws OmenError UNSUPPORTED_PLATFORM where it keeps nothing. */
export async function openStore(): Promise<FileStore | TableStore> {
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

/**
 * Tabs that write have the name for themselves, tabs that read it share it; where there are no
 * locks there is one agent to a store.
 */
export async function inTurn<T>(name: string, mode: LockMode, work: () => Promise<T>): Promise<T> {
  if (navigator.locks === undefined) return await work();
  return await navigator.locks.request(`omendb:${name}`, { mode }, async () => await work());
}

/** What workers have: reads go from the file into the memory without a turn of the event loop. */
interface SyncAccess {
  getSize(): number;
  read(target: Uint8Array, options: { at: number }): number;
  close(): void;
}
interface SyncFile {
  createSyncAccessHandle?(options: { mode: "read-only" }): Promise<SyncAccess>;
}

async function fileSource(name: string, handle: FileSystemFileHandle): Promise<ByteSource> {
  let access: SyncAccess | undefined;
  try {
    access = await (handle as SyncFile).createSyncAccessHandle?.({ mode: "read-only" });
  } catch {
    // A browser that knows exclusive access alone, or a file that is held: a Blob reads it too.
  }
  if (access === undefined) return blobSource(name, await handle.getFile());
  const { read, close } = { read: access.read.bind(access), close: access.close.bind(access) };
  return {
    name,
    size: access.getSize(),
    read: async (at, target) => read(target, { at }),
    close: async () => close(),
  };
}

export class FileStore implements Store {
  readonly folder: FileSystemDirectoryHandle;

  constructor(folder: FileSystemDirectoryHandle) {
    this.folder = folder;
  }

  async list(name: string): Promise<(() => Promise<ByteSource>)[]> {
    return (await this.generations(name)).map((generation) => async () => {
      const handle = await this.folder.getFileHandle(fileName(name, generation));
      return fileSource(`${name} on this device`, handle);
    });
  }

  /** Newest first. A file that never was closed is empty: `create` had made its name. */
  async generations(name: string): Promise<number[]> {
    const found: number[] = [];
    for await (const entry of this.folder.keys()) {
      const [owner, generation] = entry.split(".");
      if (owner === name && /^\d+$/.test(generation ?? "")) found.push(Number(generation));
    }
    return found.sort((a, b) => b - a);
  }
}

export const fileName = (name: string, generation: number) => `${name}.${generation}`;

export class TableStore implements Store {
  async list(name: string): Promise<(() => Promise<ByteSource>)[]> {
    const blob = await this.request("readonly", (table) => table.get(name));
    return blob instanceof Blob ? [async () => blobSource(`${name} on this device`, blob)] : [];
  }

  async request(
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
