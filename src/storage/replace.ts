/**
 * How a whole file comes to be: written aside, synced, renamed into place, its folder synced. A
 * crash leaves the old file or the new one, never a part, and perhaps a stray aside file that the
 * next start removes.
 */
import { type ErrorCode, OmenError } from "../errors.ts";
import type { Files, OpenFile } from "./files.ts";

const ASIDE_SUFFIX = ".aside";

/** As Node ends its messages. */
const QUOTED_PATHS = / '.*$/s;
/**
 * Errno names that mean there is no room; every other failure of a disk makes the path read-only.
 */
const FULL_CODES = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/**
 * When it throws, the old file stands, or (only the last step failed) the new one may stand
 * instead.
 */
export async function replaceFile(
  files: Files,
  path: string,
  write: (file: OpenFile) => Promise<void>,
): Promise<void> {
  const aside = path + ASIDE_SUFFIX;
  try {
    const file = await files.open(aside, "create");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(aside, path);
  } catch (error) {
    await files.remove(aside).catch(() => undefined);
    throw error;
  }
  await files.syncFolder(folderOf(path));
}

/** Throws unless a file of so many bytes can be written and synced in the folder now. */
export async function probeRoom(files: Files, folder: string, bytes: number): Promise<void> {
  const path = `${folder}/probe${ASIDE_SUFFIX}`;
  const file = await files.open(path, "create");
  try {
    await file.write(0, [new Uint8Array(bytes)]);
    await file.sync();
  } finally {
    await file.close();
    await files.remove(path);
  }
}

/** Removes what a crash left aside; answers the names. No one may be writing in the folder. */
export async function removeStrays(files: Files, folder: string): Promise<string[]> {
  const strays = (await files.list(folder)).filter((name) => name.endsWith(ASIDE_SUFFIX));
  for (const name of strays) await files.remove(`${folder}/${name}`);
  return strays;
}

/**
 * STORAGE_FULL or READ_ONLY, by the errno; an OmenError passes as it is. Clients read the message,
 * so it names no path; the log gets `path`, and what the system said, as the cause.
 */
export function storageError(error: unknown, doing: string, path?: string): OmenError {
  if (error instanceof OmenError) return error;
  const errno = (error as { code?: unknown }).code;
  const code: ErrorCode = FULL_CODES.has(String(errno)) ? "STORAGE_FULL" : "READ_ONLY";
  const reason = error instanceof Error ? error.message : String(error);
  const cause = path === undefined ? error : new Error(`${path}: ${reason}`, { cause: error });
  return new OmenError(code, `${doing}: ${reason.replace(QUOTED_PATHS, "")}`, { cause });
}

/** Whether it says that there is no such file. */
export function isGone(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ENOENT";
}

export function corrupt(path: string, offset: number, message: string): OmenError {
  return new OmenError("CORRUPT_FILE", `${path}, offset ${offset}: ${message}`);
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/"))) || ".";
}
