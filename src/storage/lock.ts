/**
 * A data path is held by one process. What holds it is a POSIX record lock of the kernel on the
 * file `lock`, so nothing has to be guessed: no pid is compared, two containers that are both pid 1
 * stay apart, and the kernel lets go when the holder dies in whatever way. Node has no call for
 * such a lock, but the SQLite inside Node takes one for `BEGIN EXCLUSIVE`; the database stays
 * empty, 0 bytes, and is never written, so a full disk is no matter.
 *
 * What is guaranteed: among the processes of one kernel (any pid, network or mount namespace) that
 * reach the same file, one holds it. Among machines that share a volume, as far as that file system
 * carries fcntl locks from one to the other: NFSv4, CephFS, EFS do; NFS mounted with `nolock` or
 * `local_lock`, and most FUSE and SMB mounts, do not, and there only the operator keeps two
 * machines apart. Whoever deletes or copies over the file `lock` of a running server breaks the
 * lock.
 *
 *   lock        the locked file, empty
 *   lock.owner  who took it last, as JSON, for the sentence of the refusal only
 *
 * A process loses its POSIX locks on a file when it closes any descriptor of that file: nobody else
 * here opens it.
 */
import { hostname } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { OmenError } from "../errors.ts";
import type { Files } from "./files.ts";

export interface Lock {
  release(): Promise<void>;
}

const LOCK_NAME = "lock";
const OWNER_NAME = "lock.owner";
const OWNER_BYTES_MAX = 4096;
const SQLITE_BUSY = 5;

/**
 * A collected database would close, and its lock would go; from here it is reachable until it is
 * released.
 */
const held = new Set<DatabaseSync>();

/**
 * Throws OmenError INVALID_SETTING where another process holds the folder, UNSUPPORTED_PLATFORM
 * without locks.
 */
export async function lockFolder(files: Files, folder: string): Promise<Lock> {
  const database = new DatabaseSync(`${folder}/${LOCK_NAME}`, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY");
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw await refusal(files, folder, error);
  }
  held.add(database);
  await writeOwner(files, folder);
  return {
    async release() {
      if (held.delete(database)) database.close();
    },
  };
}

async function refusal(files: Files, folder: string, error: unknown): Promise<OmenError> {
  if ((error as { errcode?: number }).errcode === SQLITE_BUSY) {
    const owner = await readOwner(files, folder);
    const message = `the data path ${folder} is held by another process (${owner})`;
    return new OmenError("INVALID_SETTING", message, { cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  const message = `the file ${folder}/${LOCK_NAME} cannot be locked: ${reason}`;
  return new OmenError("UNSUPPORTED_PLATFORM", message, { cause: error });
}

async function writeOwner(files: Files, folder: string): Promise<void> {
  const owner = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  try {
    const file = await files.open(`${folder}/${OWNER_NAME}`, "create");
    try {
      await file.write(0, [new TextEncoder().encode(JSON.stringify(owner))]);
    } finally {
      await file.close();
    }
  } catch {
    // It only serves a sentence; a full disk must not keep a server from starting.
  }
}

async function readOwner(files: Files, folder: string): Promise<string> {
  try {
    const file = await files.open(`${folder}/${OWNER_NAME}`, "read");
    try {
      const bytes = new Uint8Array(OWNER_BYTES_MAX);
      const length = await file.read(0, bytes);
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, length));
      const { pid, host, since } = JSON.parse(text) as Record<string, unknown>;
      return `pid ${pid} on host ${host}, since ${since}`;
    } finally {
      await file.close();
    }
  } catch {
    return "it left no name";
  }
}
