/**
 * Writes an image (drawn in head.ts). Sections are written stretch by stretch, in any order, and a
 * stretch may be written again: an imager copies memory while writes go on and copies what changed
 * once more. A chunk that is written whole is summed on the way; one that was changed in parts is
 * read back and summed at the end. Sections may be added while others are written, for a memory
 * grows meanwhile. The head goes in last; until then, and until the rename, the file is no image.
 */
import { OmenError } from "../errors.ts";
import { alignUp, setU64, viewOf } from "./bytes.ts";
import type { Files, OpenFile } from "./files.ts";
import type { Crc32c } from "./frame.ts";
import {
  CHUNK_BYTES,
  chunkCount,
  IMAGE_ALIGNMENT,
  IMAGE_HEADER_BYTES,
  IMAGE_MAGIC,
  IMAGE_SETTINGS_BYTES_MAX,
  IMAGE_VERSION,
  imageCrc,
  isSectionName,
  PAGE_BYTES,
  SECTION_ROW_BYTES,
  SECTIONS_MAX,
} from "./head.ts";
import { replaceFile, storageError } from "./replace.ts";

export interface WholeSection {
  readonly name: string;
  /** Views, also of shared memory, that follow one another. */
  readonly ranges: readonly Uint8Array[];
}

export interface ImageContent {
  readonly sequence: number;
  readonly settings: object;
  readonly sections: readonly WholeSection[];
}

/** What the end of an image states of the whole. */
export interface ImageTitle {
  readonly sequence: number;
  readonly settings: object;
}

/** What the head is given room for, before it is known. */
export interface HeadRoom {
  readonly settingsBytes: number;
  readonly sections: number;
  readonly chunks: number;
}

/** Writes memory that stands still. Throws OmenError STORAGE_FULL, READ_ONLY. */
export async function writeImage(
  files: Files,
  path: string,
  content: ImageContent,
  crc32c: Crc32c,
): Promise<void> {
  const sizes = content.sections.map(({ ranges }) => totalBytes(ranges));
  const room = {
    settingsBytes: new TextEncoder().encode(JSON.stringify(content.settings)).length,
    sections: sizes.length,
    chunks: sizes.reduce((sum, size) => sum + chunkCount(size), 0),
  };
  await replaceImage(files, path, room, crc32c, async (draft) => {
    for (const [index, { name, ranges }] of content.sections.entries()) {
      draft.add(name, sizes[index]!);
      let offset = 0;
      for (const range of ranges) {
        await draft.write(name, offset, range);
        offset += range.length;
      }
    }
    return content;
  });
}

/**
 * Gives `fill` a draft to write on; what `fill` answers is put in the head.
 * The file takes its place only when all went well. Throws OmenError STORAGE_FULL,
 * READ_ONLY, and what `fill` throws.
 */
export async function replaceImage(
  files: Files,
  path: string,
  room: HeadRoom,
  crc32c: Crc32c,
  fill: (draft: ImageDraft) => Promise<ImageTitle>,
): Promise<void> {
  try {
    await replaceFile(files, path, async (file) => {
      const draft = new ImageDraft(file, room, crc32c);
      await draft.finish(await fill(draft));
    });
  } catch (error) {
    throw storageError(error, "writing an image", path);
  }
}

interface Section {
  readonly name: string;
  readonly offset: number;
  readonly bytesMax: number;
  readonly checksums: Uint32Array;
  /** Chunks whose checksum is not that of their bytes. */
  readonly stale: Set<number>;
  length: number;
}

export class ImageDraft {
  readonly #file: OpenFile;
  readonly #crc32c: Crc32c;
  readonly #sections: Section[] = [];
  readonly #byName = new Map<string, Section>();
  readonly #headBytesMax: number;
  #end: number;

  constructor(file: OpenFile, room: HeadRoom, crc32c: Crc32c) {
    this.#file = file;
    this.#crc32c = crc32c;
    this.#headBytesMax = headBytes(room);
    this.#end = this.#headBytesMax;
  }

  /** A section of at most so many bytes; what is not used stays a hole in the file. */
  add(name: string, bytesMax: number): void {
    if (!isSectionName(name) || this.#byName.has(name)) throw wrong(`the section name ${name}`);
    if (this.#sections.length === SECTIONS_MAX) throw wrong(`more than ${SECTIONS_MAX} sections`);
    const offset = alignUp(this.#end, bytesMax >= PAGE_BYTES ? PAGE_BYTES : IMAGE_ALIGNMENT);
    const checksums = new Uint32Array(chunkCount(bytesMax));
    const section = { name, offset, bytesMax, checksums, stale: new Set<number>(), length: 0 };
    this.#sections.push(section);
    this.#byName.set(name, section);
    this.#end = offset + bytesMax;
  }

  /** Writes (or writes again) bytes from `start` of a section on. */
  async write(name: string, start: number, bytes: Uint8Array): Promise<void> {
    const section = this.#section(name);
    const end = start + bytes.length;
    if (end > section.bytesMax) throw wrong(`${end} bytes in section ${name}`);
    if (bytes.length === 0) return;
    this.#grow(section, end);
    for (let at = start; at < end; ) {
      const chunk = Math.floor(at / CHUNK_BYTES);
      const chunkStart = chunk * CHUNK_BYTES;
      const chunkEnd = Math.min(chunkStart + CHUNK_BYTES, section.length);
      const stop = Math.min(end, chunkEnd);
      if (at === chunkStart && stop === chunkEnd) {
        section.checksums[chunk] = this.#crc32c(bytes.subarray(at - start, stop - start));
        section.stale.delete(chunk);
      } else section.stale.add(chunk);
      at = stop;
    }
    await this.#file.write(section.offset + start, [bytes]);
  }

  /** Says how long a section is, shorter or longer than what was written; a gap is zeros. */
  setLength(name: string, bytes: number): void {
    const section = this.#section(name);
    if (bytes > section.length) this.#grow(section, bytes);
    else if (bytes < section.length) {
      section.length = bytes;
      for (const chunk of section.stale) {
        if (chunk >= chunkCount(bytes)) section.stale.delete(chunk);
      }
      if (bytes % CHUNK_BYTES > 0) section.stale.add(chunkCount(bytes) - 1);
    }
  }

  /** A chunk that was the last one and short is longer now, and what was passed over is zeros. */
  #grow(section: Section, end: number): void {
    if (end <= section.length) return;
    const first = Math.floor(section.length / CHUNK_BYTES);
    for (let chunk = first; chunk < chunkCount(end); chunk++) section.stale.add(chunk);
    section.length = end;
  }

  /** Sums what is stale, and writes the head. */
  async finish({ sequence, settings }: ImageTitle): Promise<void> {
    const json = new TextEncoder().encode(JSON.stringify(settings));
    const count = this.#sections.length;
    if (count < 1) throw wrong("no section");
    if (json.length > IMAGE_SETTINGS_BYTES_MAX) throw wrong("settings past their limit");
    const chunks = this.#sections.reduce((sum, { length }) => sum + chunkCount(length), 0);
    const tableStart = alignUp(IMAGE_HEADER_BYTES + json.length, 8);
    const room = { settingsBytes: json.length, sections: count, chunks };
    const head = new Uint8Array(headBytes(room));
    if (head.length > this.#headBytesMax) throw wrong(`a head of ${head.length} bytes`);
    await this.#sumStale();
    const view = viewOf(head);
    const last = this.#sections.at(-1)!;
    head.set(IMAGE_MAGIC);
    view.setUint32(8, IMAGE_VERSION, true);
    setU64(view, 16, sequence);
    setU64(view, 24, last.offset + last.length);
    view.setUint32(32, head.length, true);
    view.setUint32(36, json.length, true);
    view.setUint32(40, count, true);
    view.setUint32(44, CHUNK_BYTES, true);
    head.set(json, IMAGE_HEADER_BYTES);
    this.#writeTable(head, tableStart);
    view.setUint32(12, imageCrc(head, this.#crc32c), true);
    await this.#file.write(0, [head]);
    // An empty last section has no byte of its own to end the file with.
    await this.#file.truncate(last.offset + last.length);
  }

  async #sumStale(): Promise<void> {
    for (const { offset, length, checksums, stale } of this.#sections) {
      for (const chunk of stale) {
        const start = chunk * CHUNK_BYTES;
        // Where the file has a hole at its end, there is less to read, and the rest is zeros.
        const bytes = new Uint8Array(Math.min(CHUNK_BYTES, length - start));
        await this.#file.read(offset + start, bytes);
        checksums[chunk] = this.#crc32c(bytes);
      }
      stale.clear();
    }
  }

  #writeTable(head: Uint8Array, tableStart: number): void {
    const view = viewOf(head);
    let row = tableStart;
    let place = row + this.#sections.length * SECTION_ROW_BYTES;
    for (const { name, offset, length, checksums } of this.#sections) {
      head.set(new TextEncoder().encode(name), row);
      setU64(view, row + 40, offset);
      setU64(view, row + 48, length);
      for (let chunk = 0; chunk < chunkCount(length); chunk++, place += 4) {
        view.setUint32(place, checksums[chunk]!, true);
      }
      row += SECTION_ROW_BYTES;
    }
  }

  #section(name: string): Section {
    const section = this.#byName.get(name);
    if (section === undefined) throw wrong(`no section ${name}`);
    return section;
  }
}

function headBytes({ settingsBytes, sections, chunks }: HeadRoom): number {
  const tableStart = alignUp(IMAGE_HEADER_BYTES + settingsBytes, 8);
  return alignUp(tableStart + sections * SECTION_ROW_BYTES + chunks * 4, IMAGE_ALIGNMENT);
}

function totalBytes(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

function wrong(what: string): OmenError {
  return new OmenError("INTERNAL", `an image cannot have ${what}`);
}
