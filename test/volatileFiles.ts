/**
 * Node's file system, but for what was not synced: that stays in this process and is gone with it,
 * as it would be with the power. Names (made, renamed, removed) are durable at once. With
 * `liesAboutSync` the log's syncs answer and do nothing: the mutant that tests must catch.
 */
import { type Files, NodeFiles, type OpenFile, type OpenMode } from "../src/storage/files.ts";

interface Inode {
  bytes: Uint8Array;
  length: number;
}

export class VolatileFiles extends NodeFiles implements Files {
  readonly liesAboutSync: boolean;
  /** Files with bytes that were not synced, by path. */
  readonly #dirty = new Map<string, Inode>();

  constructor(liesAboutSync: boolean) {
    super();
    this.liesAboutSync = liesAboutSync;
  }

  override async open(path: string, mode: OpenMode): Promise<OpenFile> {
    const file = await super.open(path, mode);
    if (mode === "create") this.#dirty.delete(path);
    return new VolatileFile(file, path, this, this.#dirty);
  }

  override async rename(from: string, to: string): Promise<void> {
    await super.rename(from, to);
    const inode = this.#dirty.get(from);
    this.#dirty.delete(from);
    this.#dirty.delete(to);
    if (inode !== undefined) this.#dirty.set(to, inode);
  }

  override async remove(path: string): Promise<void> {
    this.#dirty.delete(path);
    await super.remove(path);
  }
}

class VolatileFile implements OpenFile {
  readonly path: string;
  readonly #file: OpenFile;
  readonly #files: VolatileFiles;
  readonly #dirty: Map<string, Inode>;

  constructor(file: OpenFile, path: string, files: VolatileFiles, dirty: Map<string, Inode>) {
    this.#file = file;
    this.path = path;
    this.#files = files;
    this.#dirty = dirty;
  }

  async #inode(): Promise<Inode> {
    const present = this.#dirty.get(this.path);
    if (present !== undefined) return present;
    const bytes = new Uint8Array(await this.#file.size());
    await this.#file.read(0, bytes);
    const inode = { bytes, length: bytes.length };
    this.#dirty.set(this.path, inode);
    return inode;
  }

  async size(): Promise<number> {
    return this.#dirty.get(this.path)?.length ?? (await this.#file.size());
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    const inode = this.#dirty.get(this.path);
    if (inode === undefined) return await this.#file.read(offset, target);
    const found = inode.bytes.subarray(offset, Math.min(offset + target.length, inode.length));
    target.set(found);
    return found.length;
  }

  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    const inode = await this.#inode();
    let at = offset;
    for (const buffer of buffers) {
      const end = at + buffer.length;
      if (end > inode.bytes.length) {
        const grown = new Uint8Array(Math.max(end, inode.bytes.length * 2));
        grown.set(inode.bytes.subarray(0, inode.length));
        inode.bytes = grown;
      }
      inode.bytes.set(buffer, at);
      inode.length = Math.max(inode.length, end);
      at = end;
    }
  }

  async truncate(bytes: number): Promise<void> {
    const inode = await this.#inode();
    const kept = new Uint8Array(bytes);
    kept.set(inode.bytes.subarray(0, Math.min(bytes, inode.length)));
    Object.assign(inode, { bytes: kept, length: bytes });
  }

  async sync(): Promise<void> {
    if (this.#files.liesAboutSync && this.path.endsWith(".log")) return;
    const inode = this.#dirty.get(this.path);
    if (inode === undefined) return;
    const bytes = inode.bytes.slice(0, inode.length);
    await this.#file.truncate(bytes.length);
    await this.#file.write(0, [bytes]);
    // What was written meanwhile is for the next sync; there is one writer a file.
    if (inode.length === bytes.length) this.#dirty.delete(this.path);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
