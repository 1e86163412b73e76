/**
 * Reads an image, whose bytes are drawn in head.ts, from anything that can be read by range: its
 * head at once, its sections when and where they are wanted, straight into the memory they are to
 * live in.
 */
import { OmenError } from "../errors.ts";
import { getU64, viewOf } from "./bytes.ts";
import { hex } from "./check.ts";
import type { Files } from "./files.ts";
import type { Crc32c } from "./frame.ts";
import {
  CHUNK_BYTES,
  checkHeader,
  chunkBytes,
  chunkCount,
  IMAGE_HEADER_BYTES,
  type ImageSection,
  imageCrc,
  readTable,
} from "./head.ts";
import { corrupt } from "./replace.ts";

/** Runs of chunks of one section that are read at the same time, and how long one is by itself. */
const READS_AT_ONCE = 4;
const RUN_CHUNKS = 16;

type Sum = (bytes: Uint8Array) => number;

/** Bytes that can be read by range: a file, a Blob, an HTTP resource. */
export interface ByteSource {
  /** What errors call it. */
  readonly name: string;
  readonly size: number;
  /** What is best read at once, where that is more than usual: each read costs a round trip. */
  readonly runBytes?: number;
  /** Fills `target` from `offset`; answers the bytes read, fewer only where the source ends. */
  read(offset: number, target: Uint8Array): Promise<number>;
  close?(): Promise<void>;
}

/** Throws OmenError CORRUPT_FILE, UNSUPPORTED_FORMAT; the reader closes it. */
export async function readImage(files: Files, path: string, crc32c: Crc32c): Promise<Image> {
  const file = await files.open(path, "read");
  const close = () => file.close();
  try {
    const size = await file.size();
    const read = (offset: number, target: Uint8Array) => file.read(offset, target);
    return await Image.open({ name: path, size, read, close }, crc32c);
  } catch (error) {
    await close();
    throw error;
  }
}

export class Image {
  readonly source: ByteSource;
  readonly sequence: number;
  readonly settings: Record<string, unknown>;
  /** In the order of the file. */
  readonly sections: readonly ImageSection[];
  /** Hears of every run of bytes that was read and is sound. */
  onBytes: (bytes: number) => void = () => undefined;
  readonly #checksums: Map<string, Uint32Array>;
  readonly #crc32c: Crc32c;

  private constructor(source: ByteSource, head: Uint8Array, crc32c: Crc32c) {
    this.source = source;
    this.#crc32c = crc32c;
    this.sequence = getU64(viewOf(head), 16);
    const table = readTable(head, source);
    this.settings = table.settings;
    this.sections = table.sections;
    this.#checksums = table.checksums;
  }

  /** Reads and checks the head. Throws OmenError CORRUPT_FILE, UNSUPPORTED_FORMAT. */
  static async open(source: ByteSource, crc32c: Crc32c): Promise<Image> {
    const header = new Uint8Array(IMAGE_HEADER_BYTES);
    await readAll(source, 0, header);
    checkHeader(header, source);
    const head = new Uint8Array(viewOf(header).getUint32(32, true));
    await readAll(source, 0, head);
    const crc = imageCrc(head, crc32c);
    const stated = viewOf(head).getUint32(12, true);
    if (crc !== stated) {
      throw corrupt(source.name, 12, `the head says crc ${hex(stated)}, its bytes ${hex(crc)}`);
    }
    return new Image(source, head, crc32c);
  }

  /** What errors call it. */
  get file(): string {
    return this.source.name;
  }

  /** What stands in the head beside the sections. */
  get title(): Record<string, unknown> {
    return this.settings;
  }

  lengthOf(name: string): number | undefined {
    return this.section(name)?.length;
  }

  /** What to throw when a section is as it was written, and yet cannot be. */
  damage(name: string, message: string): OmenError {
    return corrupt(this.file, this.section(name)?.offset ?? 0, `${name}: ${message}`);
  }

  section(name: string): ImageSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /**
   * Reads a section into the first bytes of `target`, which may be a view of shared memory, and
   * checks every chunk. Throws CORRUPT_FILE naming file, section and offset.
   */
  async load(name: string, target: Uint8Array, sum: Sum = this.#crc32c): Promise<void> {
    const section = this.#find(name);
    if (target.length < section.length) {
      const message = `section ${name} of ${section.length} bytes, room for ${target.length}`;
      throw new OmenError("INTERNAL", message);
    }
    let next = 0;
    const count = chunkCount(section.length);
    const { runBytes = 0 } = this.source;
    const runChunks = Math.max(RUN_CHUNKS, Math.floor(runBytes / CHUNK_BYTES));
    const reader = async () => {
      while (next < count) {
        const first = next;
        next = Math.min(first + runChunks, count);
        await this.#loadRun(section, [first, next], target, sum);
      }
    };
    const readers = Array.from({ length: READS_AT_ONCE }, reader);
    // All are waited for, so that after an error no one writes into the target any more.
    for (const result of await Promise.allSettled(readers)) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  get chunkBytes(): number {
    return CHUNK_BYTES;
  }

  /** One chunk into `target`, which has its length. Throws as load() does. */
  async loadChunk(name: string, chunk: number, target: Uint8Array): Promise<void> {
    const section = this.#find(name);
    await this.#loadRun(section, [chunk, chunk + 1], target, this.#crc32c, chunk);
  }

  /**
   * Checks a section with one run of it in memory at a time, and hands each on. Throws as load()
   * does.
   */
  async verify(
    name: string,
    onRun?: (start: number, run: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const section = this.#find(name);
    const buffer = new Uint8Array(Math.min(section.length, RUN_CHUNKS * CHUNK_BYTES));
    const count = chunkCount(section.length);
    for (let first = 0; first < count; first += RUN_CHUNKS) {
      const end = Math.min(first + RUN_CHUNKS, count);
      await this.#loadRun(section, [first, end], buffer, this.#crc32c, first);
      const start = first * CHUNK_BYTES;
      await onRun?.(start, buffer.subarray(0, Math.min(end * CHUNK_BYTES, section.length) - start));
    }
  }

  async close(): Promise<void> {
    await this.source.close?.();
  }

  #find(name: string): ImageSection {
    const section = this.section(name);
    if (section !== undefined) return section;
    throw corrupt(this.source.name, 0, `there is no section ${name}`);
  }

  /** Chunks first..end, to where they lie in a target whose first byte is chunk `base`. */
  async #loadRun(
    section: ImageSection,
    [first, end]: readonly [number, number],
    target: Uint8Array,
    sum: Sum,
    base = 0,
  ): Promise<void> {
    const start = (first - base) * CHUNK_BYTES;
    const bytes = Math.min(end * CHUNK_BYTES, section.length) - first * CHUNK_BYTES;
    const run = target.subarray(start, start + bytes);
    await readAll(this.source, section.offset + first * CHUNK_BYTES, run);
    const checksums = this.#checksums.get(section.name)!;
    for (let chunk = first; chunk < end; chunk++) {
      const at = (chunk - first) * CHUNK_BYTES;
      const piece = run.subarray(at, at + chunkBytes(section, chunk));
      const crc = sum(piece);
      const stated = checksums[chunk]!;
      if (crc === stated) continue;
      const where = `section ${section.name}, ${piece.length} bytes`;
      const message = `${where}: the head says crc ${hex(stated)}, not ${hex(crc)}`;
      throw corrupt(this.source.name, section.offset + chunk * CHUNK_BYTES, message);
    }
    this.onBytes(run.length);
  }
}

async function readAll(source: ByteSource, offset: number, target: Uint8Array): Promise<void> {
  const bytes = await source.read(offset, target);
  if (bytes === target.length) return;
  const message = `the file ends here, ${target.length - bytes} bytes are missing`;
  throw corrupt(source.name, offset + bytes, message);
}
