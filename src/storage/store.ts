/**
 * The data path: one folder a collection, held by one process at a time (lock.ts).
 *
 *   <data path>/lock, lock.owner
 *   <data path>/collections/<name, upper case as =x>.<8 hex digits>/
 *     collection       one SETTINGS frame: {"name", "settings"}; the collection is there exactly
 *                      while this file is
 *     dropped          what `collection` is renamed to by a drop; the rest is being removed
 *     wal-*.log        the log, segment.ts
 *     image-*.img      images, by the sequence of their last write
 *     snapshots/       images with names of their own
 *
 * The digits keep a collection apart from a dropped one of the same name, and `=x` keeps `Songs`
 * and `songs` apart where file names have no case. Making a collection ends with its file
 * `collection` being written aside and renamed, dropping it begins with that file being renamed: a
 * crash anywhere leaves the collection there whole or gone, and perhaps a stray folder that the
 * next start removes.
 */
import { OmenError } from "../errors.ts";
import { parseJsonObject } from "./bytes.ts";
import { checkFrame } from "./check.ts";
import type { Files } from "./files.ts";
import {
  type Crc32c,
  encodeSettings,
  FRAME_SETTINGS,
  readHeader,
  seal,
  settingsText,
} from "./frame.ts";
import type { Lock } from "./lock.ts";
import { withFile } from "./recovery.ts";
import { corrupt, replaceFile, storageError } from "./replace.ts";

const COLLECTIONS = "collections";
const HOLDER = "collection";
const DROPPED = "dropped";
const HOLDER_BYTES_MAX = 128 * 1024;
const FOLDER_DIGITS = 8;

/** A collection as its folder states it. */
export interface Stored {
  readonly name: string;
  readonly folder: string;
  readonly settings: Record<string, unknown>;
}

export class Store {
  readonly files: Files;
  readonly path: string;
  /** Folders that a crash had left half made or half dropped, removed at the start. */
  readonly strays: readonly string[];
  readonly #crc32c: Crc32c;
  readonly #lock: Lock;

  private constructor(files: Files, path: string, crc32c: Crc32c, lock: Lock, strays: string[]) {
    this.files = files;
    this.path = path;
    this.strays = strays;
    this.#crc32c = crc32c;
    this.#lock = lock;
  }

  /**
   * Makes the folder, takes its lock and clears strays away. Throws OmenError INVALID_SETTING when
   * another process holds it, CORRUPT_FILE, STORAGE_FULL, READ_ONLY.
   */
  static async open(files: Files, path: string, crc32c: Crc32c): Promise<Store> {
    try {
      await files.makeFolder(`${path}/${COLLECTIONS}`);
      await files.syncFolder(path);
      const lock = await files.lock(path);
      try {
        const strays = await removeStrayFolders(files, `${path}/${COLLECTIONS}`);
        return new Store(files, path, crc32c, lock, strays);
      } catch (error) {
        await lock.release();
        throw error;
      }
    } catch (error) {
      throw storageError(error, `opening the data path ${path}`);
    }
  }

  /** Every collection on disk, by name. Throws OmenError CORRUPT_FILE. */
  async list(): Promise<Stored[]> {
    const found = new Map<string, Stored>();
    for (const folder of await this.files.list(this.#root)) {
      const stored = await this.#read(`${this.#root}/${folder}`);
      const other = found.get(stored.name);
      if (other !== undefined) {
        throw corrupt(stored.folder, 0, `holds ${stored.name}, and so does ${other.folder}`);
      }
      found.set(stored.name, stored);
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** When it returns, the collection is there after any crash. Throws STORAGE_FULL, READ_ONLY. */
  async create(name: string, settings: object): Promise<Stored> {
    const folder = `${this.#root}/${folderName(name)}`;
    try {
      await this.files.makeFolder(folder);
      await this.files.syncFolder(this.#root);
      await this.save({ name, folder, settings: { ...settings } });
    } catch (error) {
      await this.files.removeFolder(folder).catch(() => undefined);
      throw storageError(error, `making the collection ${name}`, folder);
    }
    return { name, folder, settings: { ...settings } };
  }

  /** Replaces what the collection's file states. */
  async save({ name, folder, settings }: Stored): Promise<void> {
    const frame = encodeSettings({ name, settings });
    seal(frame, 1, this.#crc32c);
    await replaceFile(this.files, `${folder}/${HOLDER}`, (file) => file.write(0, [frame]));
  }

  /**
   * When it returns, the collection is gone after any crash; nobody may have a file of it open.
   * What cannot be removed now the next start removes. When it throws, the collection is there as
   * before; where not even that can be had, `forsake` is called first: a crash may find it there or
   * gone, so no write may come any more.
   */
  async drop({ name, folder }: Stored, forsake: () => Promise<void>): Promise<void> {
    const [holder, dropped] = [`${folder}/${HOLDER}`, `${folder}/${DROPPED}`];
    try {
      await this.files.rename(holder, dropped);
      try {
        await this.files.syncFolder(folder);
      } catch (error) {
        const back = this.files.rename(dropped, holder);
        await back.then(() => this.files.syncFolder(folder)).catch(forsake);
        throw error;
      }
    } catch (error) {
      throw storageError(error, `dropping the collection ${name}`, folder);
    }
    await removeDropped(this.files, folder).catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#lock.release();
  }

  get #root(): string {
    return `${this.path}/${COLLECTIONS}`;
  }

  async #read(folder: string): Promise<Stored> {
    const path = `${folder}/${HOLDER}`;
    const bytes = await withFile(this.files, path, async (file) => {
      const buffer = new Uint8Array(Math.min(await file.size(), HOLDER_BYTES_MAX));
      return buffer.subarray(0, await file.read(0, buffer));
    });
    const fault = checkFrame(bytes, 0, this.#crc32c);
    if (fault !== undefined) throw corrupt(path, fault.offset, fault.message);
    const isSettings = readHeader(bytes).kind === FRAME_SETTINGS;
    const { name, settings } = (isSettings && parseJsonObject(settingsText(bytes))) || {};
    if (typeof name !== "string" || typeof settings !== "object" || settings === null) {
      throw corrupt(path, 0, "this states no collection");
    }
    return { name, folder, settings: settings as Record<string, unknown> };
  }
}

function folderName(name: string): string {
  const digits = crypto.getRandomValues(new Uint32Array(1))[0]!.toString(16);
  const plain = name.replaceAll(/[A-Z]/g, (letter) => `=${letter.toLowerCase()}`);
  return `${plain}.${digits.padStart(FOLDER_DIGITS, "0")}`;
}

async function removeStrayFolders(files: Files, root: string): Promise<string[]> {
  const strays: string[] = [];
  for (const name of await files.list(root)) {
    const folder = `${root}/${name}`;
    const names = await files.list(folder);
    if (names.includes(HOLDER)) continue;
    const isDropped = names.includes(DROPPED);
    // Nothing is written beside the holder before it is there; more means that somebody took it.
    if (!isDropped && names.some((other) => !other.startsWith(HOLDER))) {
      const message = `the file ${HOLDER} is missing, which states name and settings`;
      throw new OmenError("CORRUPT_FILE", `${folder}, offset 0: ${message}`);
    }
    await (isDropped ? removeDropped(files, folder) : files.removeFolder(folder));
    strays.push(folder);
  }
  if (strays.length > 0) await files.syncFolder(root);
  return strays;
}

/** The mark goes last, so that a crash in between leaves a folder that says what it is. */
async function removeDropped(files: Files, folder: string): Promise<void> {
  for (const name of await files.list(folder)) {
    if (name !== DROPPED) await files.removeFolder(`${folder}/${name}`);
  }
  await files.syncFolder(folder);
  await files.removeFolder(folder);
}
