/**
 * An image: named sections of bytes behind one head, and a checksum for each chunk of them. The
 * server, the command line and a web page open the same file; here it is drawn and read, imaging.ts
 * writes it. All integers are little-endian.
 *
 *   offset | size | name          | meaning
 *        0 |    8 | magic         | "OMENIMG" and a zero
 *        8 |    4 | version       | 1
 *       12 |    4 | crc           | crc32c over bytes 0..11 and 16..headBytes
 *       16 |    8 | sequence      | of the last write that the image holds
 *       24 |    8 | fileBytes     | of the whole file
 *       32 |    4 | headBytes     | of header, settings, table and checksums; a multiple of 64
 *       36 |    4 | settingsBytes |
 *       40 |    4 | sectionCount  | 1 .. 4096
 *       44 |    4 | chunkBytes    | 64 KiB
 *       48 |   16 | reserved      | 0
 *       64 |    s | settings      | a JSON object as UTF-8, then zeros up to 8
 *          | 64 n | table         | one row for each section, in the order of the file
 *          |  4 c | checksums     | crc32c of each chunk of each section in order; zeros up to 64
 *
 *   offset | size | name   | meaning (a row of the table)
 *        0 |   40 | name   | 1 .. 40 of a-z 0-9 . _ -, then zeros
 *       40 |    8 | offset | a multiple of 64, of 4096 where the section has that many bytes
 *       48 |    8 | length | bytes; the last chunk may be short
 *       56 |    8 | reserved | 0
 *
 * Sections follow the head and each other without overlap; what lies between them means nothing. An
 * image comes to be by replaceFile and is whole whenever its name is there, so whatever does not
 * hold here is damage.
 */
import { OmenError } from "../errors.ts";
import { alignUp, findNonZero, getU64, parseJsonObject, textOf, viewOf } from "./bytes.ts";
import type { Crc32c } from "./frame.ts";
import { corrupt } from "./replace.ts";

export const IMAGE_VERSION = 1;
export const IMAGE_HEADER_BYTES = 64;
export const IMAGE_ALIGNMENT = 64;
export const PAGE_BYTES = 4096;
export const CHUNK_BYTES = 64 * 1024;
export const SECTION_ROW_BYTES = 64;
export const SECTION_NAME_BYTES = 40;
export const SECTIONS_MAX = 4096;
export const IMAGE_SETTINGS_BYTES_MAX = 1024 * 1024;
/** Room for the checksums of 1 TiB. */
export const HEAD_BYTES_MAX = 64 * 1024 * 1024;
export const IMAGE_MAGIC = new TextEncoder().encode("OMENIMG\0");
const SECTION_NAME = /^[a-z0-9._-]{1,40}$/;
export interface ImageSection {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** The file that a head stands in: what errors call it, and its bytes. */
interface Named {
  readonly name: string;
  readonly size: number;
}

export function isSectionName(name: string): boolean {
  return SECTION_NAME.test(name);
}

export function chunkCount(length: number): number {
  return Math.ceil(length / CHUNK_BYTES);
}

export function chunkBytes({ length }: ImageSection, chunk: number): number {
  return Math.min(CHUNK_BYTES, length - chunk * CHUNK_BYTES);
}

export function imageCrc(head: Uint8Array, crc32c: Crc32c): number {
  return crc32c(head.subarray(16), crc32c(head.subarray(0, 12)));
}

/** The first 64 bytes, as far as they bound what is read next. */
export function checkHeader(header: Uint8Array, { name, size }: Named): void {
  const view = viewOf(header);
  if (IMAGE_MAGIC.some((byte, index) => header[index] !== byte)) {
    throw corrupt(name, 0, "this is no image: its first 8 bytes differ");
  }
  const version = view.getUint32(8, true);
  if (version !== IMAGE_VERSION) {
    const message = `${name} has format version ${version}, this build opens ${IMAGE_VERSION}`;
    throw new OmenError("UNSUPPORTED_FORMAT", message);
  }
  const fileBytes = getU64(view, 24);
  if (fileBytes !== size) {
    throw corrupt(name, Math.min(fileBytes, size), `the file has ${size} bytes, not ${fileBytes}`);
  }
  const headBytes = view.getUint32(32, true);
  const isHead = headBytes >= IMAGE_HEADER_BYTES && headBytes <= Math.min(size, HEAD_BYTES_MAX);
  if (!isHead || headBytes % IMAGE_ALIGNMENT !== 0) {
    throw corrupt(name, 32, `no head has ${headBytes} bytes`);
  }
}

export interface Table {
  settings: Record<string, unknown>;
  sections: ImageSection[];
  checksums: Map<string, Uint32Array>;
}

/** The rest of the head: its crc holds, and still nothing in it is taken on trust. */
export function readTable(head: Uint8Array, source: Named): Table {
  const { name } = source;
  const view = viewOf(head);
  if (getU64(view, 16) > Number.MAX_SAFE_INTEGER) throw corrupt(name, 16, "no sequence is so high");
  const settingsBytes = view.getUint32(36, true);
  const count = view.getUint32(40, true);
  if (settingsBytes > IMAGE_SETTINGS_BYTES_MAX || count < 1 || count > SECTIONS_MAX) {
    throw corrupt(name, 36, `${settingsBytes} bytes of settings and ${count} sections`);
  }
  const tableStart = alignUp(IMAGE_HEADER_BYTES + settingsBytes, 8);
  const checksumsStart = tableStart + count * SECTION_ROW_BYTES;
  if (checksumsStart > head.length || view.getUint32(44, true) !== CHUNK_BYTES) {
    throw corrupt(name, 40, `a head of ${head.length} bytes cannot hold ${count} sections`);
  }
  const settingsEnd = IMAGE_HEADER_BYTES + settingsBytes;
  const settings = parseJsonObject(textOf(head, IMAGE_HEADER_BYTES, settingsEnd));
  if (settings === undefined) throw corrupt(name, 64, "the settings are not a JSON object");
  expectZeros(head, 48, IMAGE_HEADER_BYTES, name);
  expectZeros(head, settingsEnd, tableStart, name);
  const sections: ImageSection[] = [];
  const checksums = new Map<string, Uint32Array>();
  let sectionsEnd = head.length;
  let place = checksumsStart;
  for (let index = 0; index < count; index++) {
    const row = tableStart + index * SECTION_ROW_BYTES;
    const section = readRow(head, row, source, sectionsEnd);
    const chunks = chunkCount(section.length);
    if (checksums.has(section.name) || place + chunks * 4 > head.length) {
      throw corrupt(name, row, `section ${section.name}: a name used twice, or no checksums`);
    }
    const list = Uint32Array.from({ length: chunks }, (_, chunk) =>
      view.getUint32(place + chunk * 4, true),
    );
    sections.push(section);
    checksums.set(section.name, list);
    sectionsEnd = section.offset + section.length;
    place += chunks * 4;
  }
  if (sectionsEnd !== source.size) {
    throw corrupt(name, sectionsEnd, `the sections end here, the file at ${source.size}`);
  }
  expectZeros(head, place, head.length, name);
  return { settings, sections, checksums };
}

function readRow(head: Uint8Array, row: number, source: Named, after: number): ImageSection {
  const view = viewOf(head);
  const zero = head.indexOf(0, row);
  const nameEnd = zero < 0 ? row + SECTION_NAME_BYTES : Math.min(zero, row + SECTION_NAME_BYTES);
  const name = textOf(head, row, nameEnd);
  const offset = getU64(view, row + 40);
  const length = getU64(view, row + 48);
  if (!isSectionName(name)) throw corrupt(source.name, row, "a section's name is not one");
  expectZeros(head, nameEnd, row + SECTION_NAME_BYTES, source.name);
  expectZeros(head, row + 56, row + SECTION_ROW_BYTES, source.name);
  const alignment = length >= PAGE_BYTES ? PAGE_BYTES : IMAGE_ALIGNMENT;
  if (offset < after || offset % alignment !== 0 || offset + length > source.size) {
    const message = `section ${name} of ${length} bytes cannot lie at ${offset}`;
    throw corrupt(source.name, row + 40, message);
  }
  return { name, offset, length };
}

function expectZeros(bytes: Uint8Array, start: number, end: number, name: string): void {
  const found = findNonZero(bytes, start, end);
  if (found >= 0) throw corrupt(name, found, "a byte that should be 0 is not");
}
