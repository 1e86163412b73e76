/**
 * A file system in memory that does what disks do: what is not synced may be lost, whole or in part, in any order.
 * It implements the same interface as Node's, so the storage under test knows no difference. All its choices come
 * from one seed.
 *
 * A file has two contents: what the page cache shows and what the disk holds; between them lie dirty sectors of 512
 * bytes. A folder has two lists of names; between them lie the steps (made, renamed, removed) since its last sync.
 * crash() is a power loss: of every file some dirty sectors reach the disk, some do not, some tear, bytes past the
 * durable size may be zeros or garbage, and of every folder some steps happened. kill() ends the process only.
 * Folders themselves are durable at once.
 *
 * `fault` is asked before every operation and may name an errno. A write that fails still writes a part; a sync
 * that fails brings some sectors to the disk and then forgets which ones were dirty, as Linux does, so that the next
 * sync answers well without having written them.
 */
import type { Files, OpenFile, OpenMode } from "../src/storage/files.ts";
import type { Lock } from "../src/storage/lock.ts";

export type Operation =
  | "open"
  | "create"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "rename"
  | "remove"
  | "list"
  | "syncFolder";

export type Errno = "EIO" | "ENOSPC";

/** mulberry32: small, seeded, good enough to choose faults. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= result < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** 0 <= result < limit, whole. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

/** From SEED in the environment, else from the clock; the test prints it. */
export function takeSeed(): number {
  const given = process.env.SEED;
  return given === undefined ? Date.now() % 2 ** 31 : Number(given);
}

const SECTOR_BYTES = 512;

interface Inode {
  current: Uint8Array;
  /** As long as it was at the last sync; what lies past it on the disk is nobody's. */
  durable: Uint8Array;
  dirty: Set<number>;
}

type Step = readonly (readonly [name: string, inode: Inode | undefined])[];

interface Folder {
  current: Map<string, Inode>;
  durable: Map<string, Inode>;
  steps: Step[];
}

export class FaultyFiles implements Files {
  readonly random: Random;
  /** Operations so far. */
  operations = 0;
  /** The operation that is cut short by the end of the process; crash() or kill() says which end it was. */
  dieAt = Number.POSITIVE_INFINITY;
  fault: (operation: Operation, path: string) => Errno | undefined = () => undefined;
  /** A mutant: sync answers and does nothing. */
  liesAboutSync = false;
  /** Room on the disk. */
  spaceBytes = Number.POSITIVE_INFINITY;
  generation = 0;
  /** The most that one read asked for: what a start needs of memory. */
  readBytesMax = 0;
  readonly #folders = new Map<string, Folder>();
  readonly #locks = new Set<string>();

  constructor(random: Random) {
    this.random = random;
  }

  get isDead(): boolean {
    return this.operations >= this.dieAt;
  }

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    this.check(mode === "create" ? "create" : "open", path);
    const { folder, name } = this.#place(path);
    let inode = folder.current.get(name);
    if (mode === "create") {
      if (inode === undefined) {
        inode = newInode(new Uint8Array(0));
        this.#step(folder, [[name, inode]]);
      } else {
        inode.current = new Uint8Array(0);
      }
    }
    if (inode === undefined) throw errno("ENOENT", `no file ${path}`);
    return new FaultyFile(this, path, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    this.check("rename", from);
    const { folder, name } = this.#place(from);
    const inode = folder.current.get(name);
    if (inode === undefined) throw errno("ENOENT", `no file ${from}`);
    this.#step(folder, [
      [this.#place(to).name, inode],
      [name, undefined],
    ]);
  }

  async remove(path: string): Promise<void> {
    this.check("remove", path);
    const { folder, name } = this.#place(path);
    if (!folder.current.has(name)) throw errno("ENOENT", `no file ${path}`);
    this.#step(folder, [[name, undefined]]);
  }

  async list(path: string): Promise<string[]> {
    this.check("list", path);
    return [...this.#folder(path).current.keys()];
  }

  async makeFolder(path: string): Promise<void> {
    if (!this.#folders.has(path)) {
      this.#folders.set(path, { current: new Map(), durable: new Map(), steps: [] });
    }
  }

  async removeFolder(path: string): Promise<void> {
    this.#folders.delete(path);
  }

  async syncFolder(path: string): Promise<void> {
    this.check("syncFolder", path);
    if (this.liesAboutSync) return;
    const folder = this.#folder(path);
    folder.durable = new Map(folder.current);
    folder.steps = [];
  }

  async lock(path: string): Promise<Lock> {
    if (this.#locks.has(path)) throw errno("EAGAIN", `${path} is locked`);
    this.#locks.add(path);
    return { release: async () => void this.#locks.delete(path) };
  }

  /** The process ends; the page cache stays. */
  kill(): void {
    this.generation++;
    this.#locks.clear();
    this.dieAt = Number.POSITIVE_INFINITY;
  }

  /** The power goes. */
  crash(): void {
    this.kill();
    for (const folder of this.#folders.values()) {
      const names = folder.durable;
      for (const step of this.#survivors(folder.steps)) take(names, step);
      folder.current = new Map(names);
      folder.steps = [];
    }
    const inodes = new Set(
      [...this.#folders.values()].flatMap(({ current }) => [...current.values()]),
    );
    for (const inode of inodes) this.#settle(inode);
  }

  /** The bytes as a reader sees them; for tests that look or damage. */
  bytesOf(path: string): Uint8Array {
    const { folder, name } = this.#place(path);
    return folder.current.get(name)!.current;
  }

  /** Puts a durable file in place. */
  put(path: string, bytes: Uint8Array): void {
    const { folder, name } = this.#place(path);
    const inode = newInode(bytes.slice());
    inode.durable = bytes.slice();
    folder.current.set(name, inode);
    folder.durable.set(name, inode);
  }

  usedBytes(): number {
    const inodes = [...this.#folders.values()].flatMap(({ current }) => [...current.values()]);
    return inodes.reduce((sum, { current }) => sum + current.length, 0);
  }

  /** Counts the operation; throws when it is to fail or when the process is no more. */
  check(operation: Operation, path: string): void {
    const code = this.begin(operation, path);
    if (code !== undefined) throw errno(code, `${operation} ${path}`);
  }

  /** Like check, for operations that leave something behind when they fail. */
  begin(operation: Operation, path: string): Errno | undefined {
    if (this.isDead) throw errno("EDEAD", "the process has ended");
    this.operations++;
    return this.isDead ? "EIO" : this.fault(operation, path);
  }

  /** How much of a list of unsynced steps reaches the disk: all, none, a first part, or any of them. */
  #survivors<T>(items: readonly T[]): T[] {
    const kind = this.random.below(4);
    if (kind === 0) return [...items];
    if (kind === 1) return [];
    if (kind === 2) return items.slice(0, this.random.below(items.length + 1));
    return items.filter(() => this.random.chance(0.5));
  }

  /** What the disk holds of a file after the power went. */
  #settle(inode: Inode): void {
    const { current, durable } = inode;
    const low = Math.min(current.length, durable.length);
    const high = Math.max(current.length, durable.length);
    const sizes = [current.length, durable.length, low + this.random.below(high - low + 1)];
    const bytes = new Uint8Array(sizes[this.random.below(3)]!);
    bytes.set(durable.subarray(0, bytes.length));
    if (this.random.chance(0.2)) {
      bytes.set(
        this.random.bytes(Math.max(0, bytes.length - durable.length)),
        Math.min(durable.length, bytes.length),
      );
    }
    for (const sector of this.#survivors([...inode.dirty])) {
      const start = sector * SECTOR_BYTES;
      const torn = this.random.chance(0.1) ? this.random.below(SECTOR_BYTES) : SECTOR_BYTES;
      const end = Math.min(start + torn, current.length, bytes.length);
      if (end > start) bytes.set(current.subarray(start, end), start);
    }
    inode.current = bytes;
    inode.durable = bytes.slice();
    inode.dirty.clear();
  }

  #step(folder: Folder, step: Step): void {
    take(folder.current, step);
    folder.steps.push(step);
  }

  #place(path: string): { folder: Folder; name: string } {
    const slash = path.lastIndexOf("/");
    return { folder: this.#folder(path.slice(0, slash)), name: path.slice(slash + 1) };
  }

  #folder(path: string): Folder {
    const folder = this.#folders.get(path);
    if (folder === undefined) throw errno("ENOENT", `no folder ${path}`);
    return folder;
  }
}

class FaultyFile implements OpenFile {
  readonly path: string;
  readonly #files: FaultyFiles;
  readonly #inode: Inode;
  readonly #generation: number;

  constructor(files: FaultyFiles, path: string, inode: Inode) {
    this.path = path;
    this.#files = files;
    this.#inode = inode;
    this.#generation = files.generation;
  }

  async size(): Promise<number> {
    return this.#inode.current.length;
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    this.#files.check("read", this.path);
    this.#files.readBytesMax = Math.max(this.#files.readBytesMax, target.length);
    const bytes = this.#inode.current.subarray(offset, offset + target.length);
    target.set(bytes);
    return bytes.length;
  }

  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    const code = this.#begin("write");
    const bytes = new Uint8Array(buffers.reduce((sum, { length }) => sum + length, 0));
    let filled = 0;
    for (const buffer of buffers) {
      bytes.set(buffer, filled);
      filled += buffer.length;
    }
    const growth = Math.max(0, offset + bytes.length - this.#inode.current.length);
    const isFull = this.#files.usedBytes() + growth > this.#files.spaceBytes;
    const fails = code ?? (isFull ? "ENOSPC" : undefined);
    const length = fails === undefined ? bytes.length : this.#files.random.below(bytes.length + 1);
    this.#put(offset, bytes.subarray(0, length));
    if (fails !== undefined) throw errno(fails, `write ${this.path}`);
  }

  async sync(): Promise<void> {
    const code = this.#begin("sync");
    const inode = this.#inode;
    if (this.#files.liesAboutSync) return;
    const { random } = this.#files;
    const reaching =
      code === undefined ? [...inode.dirty] : [...inode.dirty].filter(() => random.chance(0.5));
    const isSized = code === undefined || random.chance(0.5);
    const durable = resized(inode.durable, isSized ? inode.current.length : inode.durable.length);
    for (const sector of reaching) {
      const start = sector * SECTOR_BYTES;
      const end = Math.min(start + SECTOR_BYTES, inode.current.length, durable.length);
      if (end > start) durable.set(inode.current.subarray(start, end), start);
    }
    inode.durable = durable;
    // The end of the process leaves the sectors dirty; a disk's error makes Linux forget that they are.
    if (!this.#files.isDead) inode.dirty.clear();
    if (code !== undefined) throw errno(code, `sync ${this.path}`);
  }

  async truncate(bytes: number): Promise<void> {
    const code = this.#begin("truncate");
    if (code !== undefined) throw errno(code, `truncate ${this.path}`);
    const before = this.#inode.current.length;
    this.#inode.current = resized(this.#inode.current, bytes);
    // The kernel zeroes the rest of the last page, so that sector is dirty as well.
    this.#soil(Math.min(before, bytes), bytes + 1);
  }

  async close(): Promise<void> {}

  #begin(operation: Operation): Errno | undefined {
    if (this.#generation !== this.#files.generation) throw errno("EBADF", `${this.path} is closed`);
    return this.#files.begin(operation, this.path);
  }

  #put(offset: number, bytes: Uint8Array): void {
    const inode = this.#inode;
    const end = offset + bytes.length;
    if (end > inode.current.length) inode.current = resized(inode.current, end);
    inode.current.set(bytes, offset);
    this.#soil(offset, end);
  }

  #soil(start: number, end: number): void {
    const last = Math.floor((end - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(start / SECTOR_BYTES); sector <= last; sector++) {
      this.#inode.dirty.add(sector);
    }
  }
}

function newInode(current: Uint8Array): Inode {
  return { current, durable: new Uint8Array(0), dirty: new Set() };
}

function take(names: Map<string, Inode>, step: Step): void {
  for (const [name, inode] of step) {
    if (inode === undefined) names.delete(name);
    else names.set(name, inode);
  }
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const fresh = new Uint8Array(length);
  fresh.set(bytes.subarray(0, length));
  return fresh;
}

function errno(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
