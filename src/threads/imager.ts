/**
 * Takes an image of a collection while writes and searches go on.
 *
 *   1. The writer turns to a clean map of changes. What linkers do not touch (vectors, codes, ids,
 *      metadata) is copied while everything goes on.
 *   2. Linkers are held; writes go on, into the tail. The graph is copied.
 *   3. What the writer has changed meanwhile is copied again, a map of changes at a time, until
 *      little is left.
 *   4. The writer stands still between two frames. The last changes are copied, in memory, with
 *      the headers and the tail. Then everything goes on.
 *   5. What was kept in memory goes to the file, chunks that were changed in parts are summed, the
 *      head is written, and the file takes its name.
 *
 * Nothing is judged by its bytes: which parts are copied again is known from the maps alone, so an
 * image is exactly the collection as the writer left it in step 4.
 */
import { DIRTY_BYTES } from "../../assembly/layout.ts";
import type { ShardMemories } from "../collections/collection.ts";
import { imagedMemories, type NamedMemory } from "../collections/imaged.ts";
import type { State } from "../collections/state.ts";
import type { Imaged, Region } from "../engine/imaged.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import { CHUNK_BYTES, chunkCount } from "../storage/head.ts";
import { type ImageDraft, replaceImage } from "../storage/imaging.ts";

/** The collection as it stands still. */
export interface Standing {
  readonly sequence: number;
  readonly shards: readonly ShardMemories[];
  /** For the image's head. */
  readonly title: Record<string, unknown>;
  /** Of idempotency keys. */
  readonly ledger: Uint8Array;
  readonly vectors: number;
}

/** Keeps linkers from a collection; resolves when none is at work. */
export async function holdLinkers(state: State): Promise<void> {
  state.hold();
  while (!state.isStill) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** What an imager asks of the threads that change the collection. */
export interface Sitter {
  /** The writer marks changes in the other map from here on; answers the shards there are. */
  turn(): Promise<readonly ShardMemories[]>;
  /** Resolves when no linker is at work and none will be. */
  hold(): Promise<void>;
  /** Resolves when the writer stands still between two frames. */
  stop(): Promise<Standing>;
  /** The writer and the linkers go on. */
  go(): void;
}

export interface Taken {
  readonly sequence: number;
  readonly vectors: number;
  /** Of memory that was copied at first. */
  readonly bytes: number;
  /** How much was copied while the writer stood still. */
  readonly stillBytes: number;
}

/** Written at once. */
const RUN_BYTES = 1024 * 1024;
/** With less than this left, the writer is stopped for it. */
const STILL_BYTES = 2 * 1024 * 1024;
const PASSES_MAX = 8;
/** The collection may grow so much, and by half, while its image is taken. */
const GROWTH_BYTES = 256 * 1024 * 1024;
const HEAD_ROOM = { settingsBytes: 128 * 1024, sections: 1024 };

/** Throws STORAGE_FULL, READ_ONLY; everything goes on whatever happens. */
export async function takeImage(
  files: Files,
  path: string,
  sitter: Sitter,
  crc32c: Crc32c,
  onProgress: (progress: number) => void = () => undefined,
): Promise<Taken> {
  let taken: Taken | undefined;
  try {
    const first = imagedMemories(await sitter.turn());
    const bytes = first.reduce((sum, { memory }) => sum + bytesOf(memory), 0);
    const chunks = chunkCount(bytes * 1.5 + GROWTH_BYTES);
    await replaceImage(files, path, { ...HEAD_ROOM, chunks }, crc32c, async (draft) => {
      const portrait = new Portrait(draft, (done) => onProgress(Math.min(1, done / (bytes + 1))));
      const standing = await copy(portrait, first, sitter);
      const stillBytes = await portrait.finish();
      const { sequence, vectors, title } = standing;
      taken = { sequence, vectors, bytes, stillBytes };
      return { sequence, settings: { ...title, vectors, shards: standing.shards.length } };
    });
  } finally {
    sitter.go();
  }
  return taken!;
}

async function copy(
  portrait: Portrait,
  first: readonly NamedMemory[],
  sitter: Sitter,
): Promise<Standing> {
  portrait.meet(first);
  await portrait.copyWhole(false);
  await sitter.hold();
  await portrait.copyWhole(true);
  let before = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    portrait.meet(imagedMemories(await sitter.turn()));
    const bytes = await portrait.copyChanges();
    // Where writes come as fast as they are copied, one more pass would gain nothing.
    if (bytes < STILL_BYTES || bytes > before * 0.9) break;
    before = bytes;
  }
  const standing = await sitter.stop();
  portrait.meet(imagedMemories(standing.shards));
  portrait.keepChanges(standing.ledger);
  sitter.go();
  return standing;
}

function bytesOf(memory: Imaged): number {
  return memory.regions().reduce((sum, { bytes }) => sum + bytes, 0);
}

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
class Portrait {
  readonly #draft: ImageDraft;
  readonly #onBytes: (done: number) => void;
  readonly #memories: NamedMemory[] = [];
  readonly #copied = new Map<string, Copied>();
  readonly #kept: Kept[] = [];
  readonly #parts: { name: string; bytes: Uint8Array }[] = [];
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
  keepChanges(ledger: Uint8Array): void {
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
    this.#parts.push({ name: "ledger", bytes: ledger });
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
