/**
 * The frame: one write of one collection. The listener encodes it, the writer seals it (sequence
 * and crc), the log keeps it, and apply() changes the collection by it: live, at recovery and on a
 * replica. This room owns its bytes; check.ts judges bytes that come from a file. Nothing here may
 * import node:, a web page reads frames too.
 *
 * All integers are little-endian. The length is a multiple of 16, so in a buffer that starts
 * 16-aligned every frame, every record (8) and every vector (16) lies aligned.
 *
 *   offset | size | name         | meaning
 *        0 |    4 | length       | bytes of the whole frame, padding included; a multiple of 16
 *        4 |    4 | crc          | crc32c over bytes 0..3 and 8..length
 *        8 |    8 | sequence     | the write's number in its collection, 1 .. 2^53 - 1
 *       16 |    2 | kind         | 1 PUT, 2 REMOVE, 3 SETTINGS; every other number is refused
 *       18 |    2 | flags        | 1: ends with a once; the other bits are reserved, 0
 *       20 |    4 | count        | rows; 0 in SETTINGS
 *       24 |    4 | dimensions   | components of a vector, 1 .. 8192 in PUT; 0 in the others
 *       28 |    4 | recordsBytes | bytes of what follows, without the padding after it
 *       32 |    n | records      | `count` records, in SETTINGS JSON; then zeros up to 16
 *   32 + n |    m | vectors      | PUT: count x dimensions float32 by row; then zeros up to 16
 *          |   48 | once         | PUT, REMOVE with the flag: which request this was
 *
 * Records are drawn in record.ts, the once in once.ts.
 */
import { DIMENSIONS_MAX, ID_BYTES_MAX } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { alignUp, getU64, setU64, textOf, viewOf } from "./bytes.ts";
import { FRAME_HAS_ONCE, ONCE_BYTES, type Once, writeOnce } from "./once.ts";
import { measureRecords, writeRecords } from "./record.ts";

/**
 * A running crc32c: the seed is the crc of the bytes before these, 0 at the start; the answer is a
 * u32.
 */
export type Crc32c = (bytes: Uint8Array, seed?: number) => number;

export const FRAME_HEADER_BYTES = 32;
export const FRAME_ALIGNMENT = 16;
/** Recovery holds one frame in memory at a time: this bounds it. */
export const FRAME_BYTES_MAX = 256 * 1024 * 1024;
export * from "./record.ts";
export { DIMENSIONS_MAX, ID_BYTES_MAX };

/** Of vectors, copied into a frame in one go: some 2 ms. */
const SLICE_BYTES = 4 * 1024 * 1024;
export const SETTINGS_BYTES_MAX = 64 * 1024;

/**
 * Numbers are never given again. 4 is the log's mark (segment.ts); 5 and up are free for kinds to
 * come.
 */
export const FRAME_PUT = 1;
export const FRAME_REMOVE = 2;
export const FRAME_SETTINGS = 3;

export interface FrameHeader {
  readonly length: number;
  readonly crc: number;
  readonly sequence: number;
  readonly kind: number;
  readonly flags: number;
  readonly count: number;
  readonly dimensions: number;
  readonly recordsBytes: number;
}

export interface RowsOfFrame {
  readonly ids: readonly string[];
  /** UTF-8 JSON of each row; undefined (or no list at all) where a row has none. */
  readonly metadata?: readonly (Uint8Array | undefined)[];
  /** ids.length x dimensions components, row after row. */
  readonly vectors: Float32Array;
  readonly dimensions: number;
  readonly once?: Once;
}

const encoder = new TextEncoder();

/** Reads the 32 bytes at `offset` as they are; checkFrame says whether they can be believed. */
export function readHeader(bytes: Uint8Array, offset = 0): FrameHeader {
  const view = viewOf(bytes);
  return {
    length: view.getUint32(offset, true),
    crc: view.getUint32(offset + 4, true),
    sequence: getU64(view, offset + 8),
    kind: view.getUint16(offset + 16, true),
    flags: view.getUint16(offset + 18, true),
    count: view.getUint32(offset + 20, true),
    dimensions: view.getUint32(offset + 24, true),
    recordsBytes: view.getUint32(offset + 28, true),
  };
}

/** Where the vectors begin, counted from the frame's start. */
export function vectorsOffset(header: FrameHeader): number {
  return alignUp(FRAME_HEADER_BYTES + header.recordsBytes, FRAME_ALIGNMENT);
}

/** The JSON text of a SETTINGS frame. */
export function settingsText(bytes: Uint8Array, offset = 0): string {
  const start = offset + FRAME_HEADER_BYTES;
  return textOf(bytes, start, start + readHeader(bytes, offset).recordsBytes);
}

/**
 * Throws OmenError INVALID_ID, BATCH_EMPTY, DIMENSION_MISMATCH, BODY_TOO_LARGE. The frame has its
 * own ArrayBuffer.
 */
export function encodePut(rows: RowsOfFrame): Uint8Array<ArrayBuffer> {
  const { frame, vectors, vectorsStart } = beginPut(rows);
  frame.set(vectors, vectorsStart);
  return frame;
}

/**
 * As encodePut, but `pause` is awaited between slices of the copy: into untouched memory 64 MiB of
 * JSON's worth of vectors take 25 ms. Rows of one slice at most are read before the promise
 * returns.
 */
export async function encodePutInSlices(
  rows: RowsOfFrame,
  pause: () => Promise<void>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { frame, vectors, vectorsStart } = beginPut(rows);
  for (let at = 0; at < vectors.length; at += SLICE_BYTES) {
    if (at > 0) await pause();
    frame.set(vectors.subarray(at, at + SLICE_BYTES), vectorsStart + at);
  }
  return frame;
}

/** The frame but for its vectors, and their bytes. */
function beginPut(rows: RowsOfFrame) {
  const { ids, metadata, vectors, dimensions, once } = rows;
  const components = ids.length * dimensions;
  if (dimensions < 1 || dimensions > DIMENSIONS_MAX || vectors.length !== components) {
    const wanted = `${ids.length} rows of ${dimensions} dimensions`;
    throw new OmenError(
      "DIMENSION_MISMATCH",
      `expected ${wanted}, got ${vectors.length} components`,
    );
  }
  const recordsBytes = measureRecords(ids, metadata);
  const vectorsStart = alignUp(FRAME_HEADER_BYTES + recordsBytes, FRAME_ALIGNMENT);
  const frame = newFrame(FRAME_PUT, vectorsStart + components * 4, ids.length, recordsBytes, once);
  viewOf(frame).setUint32(24, dimensions, true);
  writeRecords(frame, ids, metadata);
  // The host is little-endian: wasm is, and so is every machine Node runs on.
  const bytes = new Uint8Array(vectors.buffer, vectors.byteOffset, components * 4);
  return { frame, vectors: bytes, vectorsStart };
}

/** Throws OmenError INVALID_ID, BATCH_EMPTY, BODY_TOO_LARGE. */
export function encodeRemove(ids: readonly string[], once?: Once): Uint8Array<ArrayBuffer> {
  const recordsBytes = measureRecords(ids, undefined);
  const bytes = FRAME_HEADER_BYTES + recordsBytes;
  const frame = newFrame(FRAME_REMOVE, bytes, ids.length, recordsBytes, once);
  writeRecords(frame, ids, undefined);
  return frame;
}

/** Throws OmenError BODY_TOO_LARGE. */
export function encodeSettings(settings: object): Uint8Array<ArrayBuffer> {
  const json = encoder.encode(JSON.stringify(settings));
  if (json.length > SETTINGS_BYTES_MAX) {
    throw new OmenError(
      "BODY_TOO_LARGE",
      `settings of ${json.length} bytes, ${SETTINGS_BYTES_MAX} fit`,
    );
  }
  const frame = newFrame(FRAME_SETTINGS, FRAME_HEADER_BYTES + json.length, 0, json.length);
  frame.set(json, FRAME_HEADER_BYTES);
  return frame;
}

/**
 * Gives the frame its place in the collection's history. Sealing again, with another sequence, is
 * allowed.
 */
export function seal(frame: Uint8Array, sequence: number, crc32c: Crc32c): void {
  const view = viewOf(frame);
  setU64(view, 8, sequence);
  view.setUint32(4, frameCrc(frame, 0, frame.length, crc32c), true);
}

/**
 * The crc a frame of `length` bytes at `offset` ought to carry. Only the log's marks have a seed of
 * their own.
 */
export function frameCrc(
  bytes: Uint8Array,
  offset: number,
  length: number,
  crc32c: Crc32c,
  seed = 0,
): number {
  const lengthCrc = crc32c(bytes.subarray(offset, offset + 4), seed);
  return crc32c(bytes.subarray(offset + 8, offset + length), lengthCrc);
}

function newFrame(
  kind: number,
  bytes: number,
  count: number,
  recordsBytes: number,
  once?: Once,
): Uint8Array<ArrayBuffer> {
  const length = alignUp(bytes, FRAME_ALIGNMENT) + (once === undefined ? 0 : ONCE_BYTES);
  if (length > FRAME_BYTES_MAX) {
    throw new OmenError(
      "BODY_TOO_LARGE",
      `one write of ${length} bytes, ${FRAME_BYTES_MAX} are the most`,
    );
  }
  const frame = new Uint8Array(length);
  const view = viewOf(frame);
  view.setUint32(0, length, true);
  view.setUint16(16, kind, true);
  view.setUint32(20, count, true);
  view.setUint32(28, recordsBytes, true);
  if (once !== undefined) {
    view.setUint16(18, FRAME_HAS_ONCE, true);
    writeOnce(frame, once);
  }
  return frame;
}
