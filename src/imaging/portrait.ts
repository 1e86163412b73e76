/**
 * What has been copied of a collection's memories so far, and where it went. A region lies in one
 * section of the image, or in several when it grew while it was copied.
 */
import { DIRTY_BYTES } from "../../assembly/layout.ts";
import type { NamedMemory } from "../collections/imaged.ts";
import type { Imaged, Part, Region } from "../engine/imaged.ts";
import { CHUNK_BYTES, chunkCount } from "../storage/head.ts";
import type { ImageDraft } from "../storage/imaging.ts";

/** Written at once. */
const RUN_BYTES = 1024 * 1024;

/** A stretch of a region that one section of the file holds. */
interface Extent {
  readonly section: string;
  readonly start: number;
  readonly bytesMax: number;
}

interface Copied {
  readonly extents: Extent[];
  /** Region and version that were copied; what has another is copied anew. */
  base: number;
  version: number;
  bytes: number;
}

interface Kept {
  readonly name: string;
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** What has been copied of all memories so far. */
export class Portrait {
  readonly #draft: ImageDraft;
  readonly #onBytes: (done: number) => void;
  readonly #memories: NamedMemory[] = [];
  readonly #copied = new Map<string, Copied>();
  readonly #kept: Kept[] = [];
  readonly #parts: Part[] = [];
  #done = 0;

  constructor(draft: ImageDraft, onBytes: (done: number) => void) {
    this.#draft = draft;
    this.#onBytes = onBytes;
  }

  /** Takes up memories that came since; those known keep their place. */
  meet(memories: readonly NamedMemory[]): void {
    for (const { prefix, memory } of memories.slice(this.#memories.length)) {
      // What is marked from before does not count: all of it will be copied.
      memory.changes().fill(0);
      this.#memories.push({ prefix, memory });
    }
  }

  async copyWhole(linked: boolean): Promise<void> {
    for (const { prefix, memory } of this.#memories) {
      for (const region of memory.regions()) {
        if (region.linked === linked) await this.#copyRegion(prefix, memory, region);
      }
    }
  }

  async #copyRegion(prefix: string, memory: Imaged, region: Region): Promise<void> {
    this.#begin(prefix, region);
    for (let at = 0; at < region.bytes; at += RUN_BYTES) {
      const end = Math.min(at + RUN_BYTES, region.bytes);
      await this.#write(prefix, memory, region, at, end);
      this.#onBytes((this.#done += end - at));
    }
  }

  #begin(prefix: string, { name, base, version, bytes }: Region): void {
    const copied = this.#copied.get(prefix + name);
    if (copied !== undefined) Object.assign(copied, { base, version });
    else this.#copied.set(prefix + name, { extents: [], base, version, bytes });
  }

  /** Copies what the closed map says, and what is not there yet; answers how much that was. */
  async copyChanges(): Promise<number> {
    let bytes = 0;
    for (const { prefix, memory } of this.#memories) {
      for (const region of memory.regions()) {
        if (this.#isStale(prefix, region)) {
          bytes += region.bytes;
          await this.#copyRegion(prefix, memory, region);
          continue;
        }
        for (const [start, end] of changesOf(memory, region)) {
          bytes += end - start;
          await this.#write(prefix, memory, region, start, end);
        }
      }
      memory.changes().fill(0);
    }
    return bytes;
  }

  /** While everything stands still: what is left goes to memory of our own. */
  keepChanges(beside: readonly Part[]): void {
    for (const { prefix, memory } of this.#memories) {
      for (const region of memory.regions()) {
        const isStale = this.#isStale(prefix, region);
        if (isStale) this.#begin(prefix, region);
        const copied = this.#copied.get(prefix + region.name)!;
        copied.bytes = region.bytes;
        const runs = isStale ? [[0, region.bytes] as const] : changesOf(memory, region);
        for (const [start, end] of runs) this.#keep(prefix, memory, region, start, end);
      }
      for (const { name, bytes } of memory.parts()) {
        this.#parts.push({ name: prefix + name, bytes });
      }
      memory.changes().fill(0);
    }
    this.#parts.push(...beside);
  }

  #keep(prefix: string, memory: Imaged, region: Region, start: number, end: number): void {
    const bytes = memory.bytes.slice(region.base + start, region.base + end);
    this.#kept.push({ name: prefix + region.name, start, bytes });
  }

  /** Writes what was kept; answers how much it was. */
  async finish(): Promise<number> {
    let bytes = 0;
    for (const { name, start, bytes: kept } of this.#kept) {
      bytes += kept.length;
      await this.#put(name, start, kept);
    }
    for (const [name, { extents, bytes: length }] of this.#copied) {
      if (extents.length === 0) this.#extend(name, 1);
      for (const { section, start, bytesMax } of extents) {
        this.#draft.setLength(section, Math.max(0, Math.min(length - start, bytesMax)));
      }
    }
    for (const { name, bytes: part } of this.#parts) {
      bytes += part.length;
      this.#draft.add(name, part.length);
      await this.#draft.write(name, 0, part);
    }
    return bytes;
  }

  #isStale(prefix: string, { name, base, version }: Region): boolean {
    const copied = this.#copied.get(prefix + name);
    return copied === undefined || copied.base !== base || copied.version !== version;
  }

  async #write(
    prefix: string,
    memory: Imaged,
    { name, base }: Region,
    start: number,
    end: number,
  ): Promise<void> {
    await this.#put(prefix + name, start, memory.bytes.subarray(base + start, base + end));
  }

  /** Bytes of a region go to the sections that hold it, of which there may have to be one more. */
  async #put(name: string, start: number, bytes: Uint8Array): Promise<void> {
    const end = start + bytes.length;
    this.#extend(name, end);
    for (const extent of this.#copied.get(name)!.extents) {
      const from = Math.max(start, extent.start);
      const to = Math.min(end, extent.start + extent.bytesMax);
      if (from >= to) continue;
      const piece = bytes.subarray(from - start, to - start);
      await this.#draft.write(extent.section, from - extent.start, piece);
    }
  }

  #extend(name: string, end: number): void {
    const { extents, bytes } = this.#copied.get(name)!;
    const last = extents.at(-1);
    const covered = last === undefined ? 0 : last.start + last.bytesMax;
    if (end <= covered) return;
    const wanted = last === undefined ? Math.max(end, bytes) : Math.max(end - covered, RUN_BYTES);
    const bytesMax = chunkCount(wanted) * CHUNK_BYTES;
    const section = last === undefined ? name : `${name}.${extents.length}`;
    this.#draft.add(section, bytesMax);
    extents.push({ section, start: covered, bytesMax });
  }
}

/** Runs of a region, in bytes from its base, whose byte in the closed map is set. */
function* changesOf(memory: Imaged, { base, bytes }: Region): Generator<[number, number]> {
  const changes = memory.changes();
  const first = base / DIRTY_BYTES;
  const count = Math.ceil(bytes / DIRTY_BYTES);
  for (let at = 0; at < count; at++) {
    if (changes[first + at] === 0) continue;
    const start = at;
    while (at < count && changes[first + at] !== 0 && at - start < RUN_BYTES / DIRTY_BYTES) at++;
    yield [start * DIRTY_BYTES, Math.min(at * DIRTY_BYTES, bytes)];
    at--;
  }
}
