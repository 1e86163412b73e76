/**
 * A segment: one file of the log, `wal-<first sequence, 16 hex digits>.log`. A header, then groups;
 * a group is a mark and the frames that were written with it. All integers are little-endian, and
 * everything is a multiple of 16.
 *
 *   offset | size | name          | meaning
 *        0 |    8 | magic         | "OMENWAL" and a zero
 *        8 |    4 | version       | 1
 *       12 |    4 | crc           | crc32c over bytes 0..11 and 16..63
 *       16 |    8 | firstSequence | the first frame's; the write before it has firstSequence - 1
 *       24 |    8 | previousFirst | firstSequence of the segment before this one, 0 for none
 *       32 |    8 | previousBytes | how much of the segment before is valid, 0 for none
 *       40 |    4 | flags         | 1: the segment before was abandoned, the rest of it is refused
 *       44 |    4 | salt          | random; the seed of the marks' crc
 *       48 |   16 | reserved      | 0
 *       64 |      | groups        |
 *
 * A mark has the first fields of a frame's header, so one reader walks both. It says what was
 * surely on the disk when its group was written: damage below that is damage, damage above may be a
 * write that power loss tore. The salt keeps a client from placing a false mark inside a vector.
 *
 *   offset | size | name         | meaning
 *        0 |    4 | length       | 32
 *        4 |    4 | crc          | crc32c, seeded with the salt, over bytes 0..3 and 8..31
 *        8 |    8 | sequence     | of the frame that follows
 *       16 |    2 | kind         | 4 MARK
 *       18 |    6 | reserved     | 0
 *       24 |    8 | durableBytes | bytes of this segment known to be durable
 */
import { OmenError } from "../errors.ts";
import { findNonZero, getU64, setU64, viewOf } from "./bytes.ts";
import { type FrameFault, fault, hex } from "./check.ts";
import { type Crc32c, frameCrc } from "./frame.ts";
import { corrupt } from "./replace.ts";

export const SEGMENT_HEADER_BYTES = 64;
export const SEGMENT_VERSION = 1;
export const MARK_BYTES = 32;
export const FRAME_MARK = 4;
const AFTER_ABANDONED = 1;
const MAGIC = new TextEncoder().encode("OMENWAL\0");
const NAME = /^wal-([0-9a-f]{16})\.log$/;

export interface SegmentHeader {
  readonly firstSequence: number;
  readonly previousFirst: number;
  readonly previousBytes: number;
  readonly afterAbandoned: boolean;
  readonly salt: number;
}

export function segmentName(firstSequence: number): string {
  return `wal-${firstSequence.toString(16).padStart(16, "0")}.log`;
}

/** Undefined for a name that is no segment's. */
export function firstSequenceOf(name: string): number | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number.parseInt(match[1]!, 16);
}

export function newSalt(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

export function encodeSegmentHeader(header: SegmentHeader, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint32(8, SEGMENT_VERSION, true);
  setU64(view, 16, header.firstSequence);
  setU64(view, 24, header.previousFirst);
  setU64(view, 32, header.previousBytes);
  view.setUint32(40, header.afterAbandoned ? AFTER_ABANDONED : 0, true);
  view.setUint32(44, header.salt, true);
  view.setUint32(12, headerCrc(bytes, crc32c), true);
  return bytes;
}

/**
 * A segment comes to be by replaceFile, so its header is whole whenever its name is there: a header
 * that does not hold is damage. Throws OmenError CORRUPT_FILE, UNSUPPORTED_FORMAT. `bytes` is the
 * file's start, 64 bytes if it has them; `name` is the file's name, `path` what the error calls it.
 */
export function readSegmentHeader(
  bytes: Uint8Array,
  name: string,
  path: string,
  crc32c: Crc32c,
): SegmentHeader {
  if (bytes.length < SEGMENT_HEADER_BYTES) {
    throw corrupt(path, bytes.length, "the file ends inside its header of 64 bytes");
  }
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw corrupt(path, 0, "this is no segment of a log: its first 8 bytes differ");
  }
  const view = viewOf(bytes);
  const version = view.getUint32(8, true);
  if (version !== SEGMENT_VERSION) {
    const message = `${path} has format version ${version}, this build opens ${SEGMENT_VERSION}`;
    throw new OmenError("UNSUPPORTED_FORMAT", message);
  }
  const crc = headerCrc(bytes, crc32c);
  if (crc !== view.getUint32(12, true)) {
    throw corrupt(
      path,
      12,
      `the header says crc ${hex(view.getUint32(12, true))}, has ${hex(crc)}`,
    );
  }
  const header = {
    firstSequence: getU64(view, 16),
    previousFirst: getU64(view, 24),
    previousBytes: getU64(view, 32),
    afterAbandoned: view.getUint32(40, true) === AFTER_ABANDONED,
    salt: view.getUint32(44, true),
  };
  checkHeaderFields(bytes, header, path);
  if (header.firstSequence !== firstSequenceOf(name)) {
    throw corrupt(path, 16, `the header says first sequence ${header.firstSequence}, the name not`);
  }
  return header;
}

function checkHeaderFields(bytes: Uint8Array, header: SegmentHeader, path: string): void {
  const { firstSequence, previousFirst, previousBytes } = header;
  if (firstSequence < 1 || firstSequence > Number.MAX_SAFE_INTEGER) {
    throw corrupt(path, 16, `no segment begins with the sequence ${firstSequence}`);
  }
  const hasPrevious = previousFirst > 0;
  if (previousFirst >= firstSequence || hasPrevious !== previousBytes >= SEGMENT_HEADER_BYTES) {
    const message = `${previousBytes} bytes of a segment before that begins with ${previousFirst}`;
    throw corrupt(path, 24, message);
  }
  if (!hasPrevious && (previousBytes !== 0 || header.afterAbandoned)) {
    throw corrupt(path, 32, "no segment comes before, yet something is said of it");
  }
  if (previousBytes > Number.MAX_SAFE_INTEGER || viewOf(bytes).getUint32(40, true) > 1) {
    throw corrupt(path, 32, "unknown flags or a length past all files");
  }
  const reserved = findNonZero(bytes, 48, SEGMENT_HEADER_BYTES);
  if (reserved >= 0) throw corrupt(path, reserved, "a reserved byte is not 0");
}

export function encodeMark(
  sequence: number,
  durableBytes: number,
  salt: number,
  crc32c: Crc32c,
): Uint8Array {
  const bytes = new Uint8Array(MARK_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, MARK_BYTES, true);
  setU64(view, 8, sequence);
  view.setUint16(16, FRAME_MARK, true);
  setU64(view, 24, durableBytes);
  view.setUint32(4, frameCrc(bytes, 0, MARK_BYTES, crc32c, salt), true);
  return bytes;
}

/** Whether the bytes at `offset` say that they are a mark; whether they are, checkMark says. */
export function looksLikeMark(view: DataView, offset: number): boolean {
  return view.getUint32(offset, true) === MARK_BYTES && view.getUint16(offset + 16, true) === 4;
}

export function markDurableBytes(view: DataView, offset: number): number {
  return getU64(view, offset + 24);
}

/**
 * Undefined when the mark at `offset` of `bytes` is sound; `fileOffset` is its place in the
 * segment.
 */
export function checkMark(
  bytes: Uint8Array,
  offset: number,
  fileOffset: number,
  salt: number,
  crc32c: Crc32c,
): FrameFault | undefined {
  const view = viewOf(bytes);
  const crc = frameCrc(bytes, offset, MARK_BYTES, crc32c, salt);
  if (crc !== view.getUint32(offset + 4, true)) {
    return fault("CRC", offset + 4, `the mark has crc ${hex(crc)}, says another`);
  }
  if (findNonZero(bytes, offset + 18, offset + 24) >= 0) {
    return fault("FIELD", offset + 18, "a reserved byte of a mark is not 0");
  }
  const durableBytes = markDurableBytes(view, offset);
  if (durableBytes < SEGMENT_HEADER_BYTES || durableBytes > fileOffset) {
    return fault(
      "FIELD",
      offset + 24,
      `a mark at ${fileOffset} calls ${durableBytes} bytes durable`,
    );
  }
  return undefined;
}

function headerCrc(bytes: Uint8Array, crc32c: Crc32c): number {
  return crc32c(bytes.subarray(16, SEGMENT_HEADER_BYTES), crc32c(bytes.subarray(0, 12)));
}
