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

/** Chunks of one section that are read at the same time. */
const READS_AT_ONCE = 4;

/** Bytes that can be read by range: a file, a Blob, an HTTP resource. */
export interface ByteSource {
  /** What errors call it. */
  readonly name: string;
  readonly size: number;
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

  section(name: string): ImageSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /**
   * Reads a section into the first bytes of `target`, which may be a view of shared memory, and
   * checks every chunk. `onBytes` hears of each chunk's size. Throws CORRUPT_FILE naming file,
   * section and offset.
   */
  async load(name: string, target: Uint8Array, onBytes?: (bytes: number) => void): Promise<void> {
    const section = this.#find(name);
    if (target.length < section.length) {
      const message = `section ${name} of ${section.length} bytes, room for ${target.length}`;
      throw new OmenError("INTERNAL", message);
    }
    let next = 0;
    const count = chunkCount(section.length);
    const reader = async () => {
      while (next < count) {
        const chunk = next++;
        const bytes = chunkBytes(section, chunk);
        const start = chunk * CHUNK_BYTES;
        await this.#loadChunk(section, chunk, target.subarray(start, start + bytes));
        onBytes?.(bytes);
      }
    };
    const readers = Array.from({ length: Math.min(READS_AT_ONCE, count) }, reader);
    // All are waited for, so that after an error no one writes into the target any more.
    for (const result of await Promise.allSettled(readers)) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  /** Checks a section with one chunk of it in memory at a time. Throws as load() does. */
  async verify(name: string): Promise<void> {
    const section = this.#find(name);
    const buffer = new Uint8Array(Math.min(section.length, CHUNK_BYTES));
    for (let chunk = 0; chunk < chunkCount(section.length); chunk++) {
      await this.#loadChunk(section, chunk, buffer.subarray(0, chunkBytes(section, chunk)));
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

  async #loadChunk(section: ImageSection, chunk: number, target: Uint8Array): Promise<void> {
    const offset = section.offset + chunk * CHUNK_BYTES;
    await readAll(this.source, offset, target);
    const stated = this.#checksums.get(section.name)![chunk]!;
    const crc = this.#crc32c(target);
    if (crc === stated) return;
    const where = `section ${section.name}, ${target.length} bytes`;
    throw corrupt(
      this.source.name,
      offset,
      `${where}: the head says crc ${hex(stated)}, not ${hex(crc)}`,
    );
  }
}

async function readAll(source: ByteSource, offset: number, target: Uint8Array): Promise<void> {
  const bytes = await source.read(offset, target);
  if (bytes === target.length) return;
  const message = `the file ends here, ${target.length - bytes} bytes are missing`;
  throw corrupt(source.name, offset + bytes, message);
}
