/**
 * Writes an image (drawn in head.ts). Sections are written chunk by chunk, in any order, and a
 * chunk may be written again: an imager copies memory while writes go on and copies the chunks that
 * changed once more, until the few left can be copied while the writer waits. Each chunk's checksum
 * is kept, so the end costs nothing a byte. The head goes in last; until then, and until the
 * rename, the file is no image.
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

export interface SectionPlan {
  readonly name: string;
  /** The most it can come to have; what is not used stays a hole in the file. */
  readonly bytesMax: number;
}

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

/** Writes memory that stands still. Throws OmenError STORAGE_FULL, READ_ONLY. */
export async function writeImage(
  files: Files,
  path: string,
  content: ImageContent,
  crc32c: Crc32c,
): Promise<void> {
  const plans = content.sections.map(({ name, ranges }) => ({
    name,
    bytesMax: totalBytes(ranges),
  }));
  await replaceImage(files, path, plans, content.settings, crc32c, async (draft) => {
    for (const { name, ranges } of content.sections) {
      let chunk = 0;
      for (const pieces of chunksOf(ranges)) await draft.write(name, chunk++, pieces);
    }
    return content.sequence;
  });
}

/**
 * Gives `fill` a draft to write on; the answer of `fill` is the sequence. The file takes its place
 * only when all went well. Throws OmenError STORAGE_FULL, READ_ONLY, and what `fill` throws.
 */
export async function replaceImage(
  files: Files,
  path: string,
  plans: readonly SectionPlan[],
  settings: object,
  crc32c: Crc32c,
  fill: (draft: ImageDraft) => Promise<number>,
): Promise<void> {
  try {
    await replaceFile(files, path, async (file) => {
      const draft = new ImageDraft(file, plans, settings, crc32c);
      await draft.finish(await fill(draft));
    });
  } catch (error) {
    throw storageError(error, `writing the image ${path}`);
  }
}

interface PlannedSection {
  readonly name: string;
  readonly offset: number;
  readonly bytesMax: number;
  readonly checksums: Uint32Array;
  length: number;
}

export class ImageDraft {
  readonly #file: OpenFile;
  readonly #crc32c: Crc32c;
  readonly #settings: Uint8Array;
  readonly #sections: PlannedSection[] = [];
  readonly #byName = new Map<string, PlannedSection>();

  constructor(file: OpenFile, plans: readonly SectionPlan[], settings: object, crc32c: Crc32c) {
    this.#file = file;
    this.#crc32c = crc32c;
    this.#settings = new TextEncoder().encode(JSON.stringify(settings));
    if (plans.length < 1 || plans.length > SECTIONS_MAX) throw wrong(`${plans.length} sections`);
    if (this.#settings.length > IMAGE_SETTINGS_BYTES_MAX) throw wrong("settings past their limit");
    const chunks = plans.reduce((sum, { bytesMax }) => sum + chunkCount(bytesMax), 0);
    let offset = this.#headBytes(plans.length, chunks);
    for (const { name, bytesMax } of plans) {
      if (!isSectionName(name) || this.#byName.has(name)) throw wrong(`the section name ${name}`);
      offset = alignUp(offset, bytesMax >= PAGE_BYTES ? PAGE_BYTES : IMAGE_ALIGNMENT);
      const checksums = new Uint32Array(chunkCount(bytesMax));
      const section = { name, offset, bytesMax, checksums, length: 0 };
      this.#sections.push(section);
      this.#byName.set(name, section);
      offset += bytesMax;
    }
  }

  /**
   * Writes (or writes again) one chunk: 1 MiB, or less where it is the section's last. The pieces
   * follow one another; they must stand still until the promise is kept.
   */
  async write(name: string, chunk: number, pieces: readonly Uint8Array[]): Promise<void> {
    const section = this.#byName.get(name);
    const start = chunk * CHUNK_BYTES;
    const end = start + totalBytes(pieces);
    if (section === undefined || end > section.bytesMax || end - start > CHUNK_BYTES) {
      throw wrong(`chunk ${chunk} of ${end - start} bytes in section ${name}`);
    }
    section.checksums[chunk] = pieces.reduce((crc, piece) => this.#crc32c(piece, crc), 0);
    section.length = Math.max(section.length, end);
    await this.#file.write(section.offset + start, pieces);
  }

  /** Writes the head. Every chunk before a section's last one has been written whole. */
  async finish(sequence: number): Promise<void> {
    const used = this.#sections.reduce((sum, { length }) => sum + chunkCount(length), 0);
    const head = new Uint8Array(this.#headBytes(this.#sections.length, used));
    const view = viewOf(head);
    const last = this.#sections.at(-1)!;
    head.set(IMAGE_MAGIC);
    view.setUint32(8, IMAGE_VERSION, true);
    setU64(view, 16, sequence);
    setU64(view, 24, last.offset + last.length);
    view.setUint32(32, head.length, true);
    view.setUint32(36, this.#settings.length, true);
    view.setUint32(40, this.#sections.length, true);
    view.setUint32(44, CHUNK_BYTES, true);
    head.set(this.#settings, IMAGE_HEADER_BYTES);
    this.#writeTable(head);
    view.setUint32(12, imageCrc(head, this.#crc32c), true);
    await this.#file.write(0, [head]);
    // An empty last section has no byte of its own to end the file with.
    await this.#file.truncate(last.offset + last.length);
  }

  #writeTable(head: Uint8Array): void {
    const view = viewOf(head);
    let row = alignUp(IMAGE_HEADER_BYTES + this.#settings.length, 8);
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

  #headBytes(sections: number, chunks: number): number {
    const tableStart = alignUp(IMAGE_HEADER_BYTES + this.#settings.length, 8);
    return alignUp(tableStart + sections * SECTION_ROW_BYTES + chunks * 4, IMAGE_ALIGNMENT);
  }
}

/** Cuts ranges into chunks; each chunk is a list of views. */
function* chunksOf(ranges: readonly Uint8Array[]): Generator<Uint8Array[]> {
  let pieces: Uint8Array[] = [];
  let room = CHUNK_BYTES;
  for (const range of ranges) {
    for (let start = 0; start < range.length; ) {
      const piece = range.subarray(start, Math.min(start + room, range.length));
      pieces.push(piece);
      start += piece.length;
      room -= piece.length;
      if (room > 0) continue;
      yield pieces;
      pieces = [];
      room = CHUNK_BYTES;
    }
  }
  if (pieces.length > 0) yield pieces;
}

function totalBytes(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

function wrong(what: string): OmenError {
  return new OmenError("INTERNAL", `an image cannot have ${what}`);
}
