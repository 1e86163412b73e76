/**
 * The few things the storage asks of a file system, and Node's file system behind them. Nothing
 * else in the tree touches node:fs, so the tests put a faulty file system in its place
 * (test/faultyFiles.ts) and every byte that reaches a disk passes through here.
 *
 * Promises, not the sync calls, so that a slow disk never holds the thread that serves. Errors come
 * through as Node makes them, with the errno name in `code`; replace.ts turns them into an
 * OmenError.
 */
import fs from "node:fs";
import { promisify } from "node:util";
import { type Lock, lockFolder } from "./lock.ts";

/**
 * read: as it is. change: an existing file, to read and write. create: an empty one, whatever was
 * there.
 */
export type OpenMode = "read" | "change" | "create";

export interface OpenFile {
  readonly path: string;
  size(): Promise<number>;
  /** Fills `target`, which may be a view of shared memory; fewer bytes only where the file ends. */
  read(offset: number, target: Uint8Array): Promise<number>;
  /** Writes the buffers one after the other; when it throws, any part of them may have gone in. */
  write(offset: number, buffers: readonly Uint8Array[]): Promise<void>;
  /** Returns when the bytes and the size would survive a power loss (fdatasync). */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface Files {
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Takes the place of what is at `to`, in one step. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** The names in the folder, in no order. */
  list(folder: string): Promise<string[]>;
  /** With its parents; no error when it is there. */
  makeFolder(folder: string): Promise<void>;
  /** With all that is in it; no error when it is not there. */
  removeFolder(folder: string): Promise<void>;
  /** Returns when the folder's names (made, renamed, removed) would survive a power loss. */
  syncFolder(folder: string): Promise<void>;
  /** One process holds a folder at a time: see lock.ts. */
  lock(folder: string): Promise<Lock>;
}

const open = promisify(fs.open);
const close = promisify(fs.close);
const read = promisify(fs.read);
const writev = promisify(fs.writev);
const fdatasync = promisify(fs.fdatasync);
const fsync = promisify(fs.fsync);
const ftruncate = promisify(fs.ftruncate);
const fstat = promisify(fs.fstat);

const FLAGS: Record<OpenMode, string> = { read: "r", change: "r+", create: "w+" };

/** One read call is asked for at most this much: the kernel moves under 2 GiB at a time. */
const READ_BYTES_MAX = 1 << 30;

export class NodeFiles implements Files {
  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    return new NodeFile(path, await open(path, FLAGS[mode]));
  }

  async rename(from: string, to: string): Promise<void> {
    await fs.promises.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await fs.promises.unlink(path);
  }

  async list(folder: string): Promise<string[]> {
    return await fs.promises.readdir(folder);
  }

  async makeFolder(folder: string): Promise<void> {
    await fs.promises.mkdir(folder, { recursive: true });
  }

  async removeFolder(folder: string): Promise<void> {
    await fs.promises.rm(folder, { recursive: true, force: true });
  }

  async syncFolder(folder: string): Promise<void> {
    const descriptor = await open(folder, "r");
    try {
      await fsync(descriptor);
    } finally {
      await close(descriptor);
    }
  }

  async lock(folder: string): Promise<Lock> {
    return await lockFolder(this, folder);
  }
}

class NodeFile implements OpenFile {
  readonly path: string;
  readonly #descriptor: number;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  async size(): Promise<number> {
    return (await fstat(this.#descriptor)).size;
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const length = Math.min(target.length - done, READ_BYTES_MAX);
      const { bytesRead } = await read(this.#descriptor, target, done, length, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    let left = buffers.filter((buffer) => buffer.length > 0);
    let position = offset;
    while (left.length > 0) {
      const { bytesWritten } = await writev(this.#descriptor, left, position);
      // A disk that fills up takes a part; asking again for the rest brings out the error.
      position += bytesWritten;
      left = withoutFirst(left, bytesWritten);
    }
  }

  async sync(): Promise<void> {
    await fdatasync(this.#descriptor);
  }

  async truncate(bytes: number): Promise<void> {
    await ftruncate(this.#descriptor, bytes);
  }

  async close(): Promise<void> {
    await close(this.#descriptor);
  }
}

function withoutFirst(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  const rest: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (skip < buffer.length) rest.push(skip > 0 ? buffer.subarray(skip) : buffer);
    skip = Math.max(0, skip - buffer.length);
  }
  return rest;
}
