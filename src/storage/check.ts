/**
 * The judge of frames that come from a file, where every byte may be hostile. A frame that passes
 * can be applied without another look: each record lies inside, each length agrees with the others,
 * every pad is zero. Only UTF-8 is not looked at: ids and metadata are bytes to everyone but the
 * client. The bytes are drawn in frame.ts.
 *
 * The cheap and bounding tests come before the crc, so a wild length never sends it past the bytes
 * at hand, and the tests of content come after it, so a torn write is told from a frame that was
 * written wrong.
 */
import { alignUp, findNonZero, parseJsonObject, viewOf } from "./bytes.ts";
import {
  type Crc32c,
  DIMENSIONS_MAX,
  FRAME_ALIGNMENT,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FRAME_PUT,
  FRAME_REMOVE,
  FRAME_SETTINGS,
  type FrameHeader,
  frameCrc,
  ID_BYTES_MAX,
  RECORD_HAS_METADATA,
  RECORD_HEADER_BYTES,
  readHeader,
  recordBytes,
  SETTINGS_BYTES_MAX,
  settingsText,
  vectorsOffset,
} from "./frame.ts";
import { FRAME_HAS_ONCE, ONCE_BYTES, ONCE_HASH_BYTES, readOnce } from "./once.ts";

export type FrameFaultCode =
  | "SHORT" // the bytes end before the frame does
  | "LENGTH" // no frame has this length
  | "CRC"
  | "SEQUENCE" // sound, but not the write that comes next
  | "KIND"
  | "FIELD" // a header field, or two that disagree
  | "RECORD"
  | "PADDING";

export interface FrameFault {
  readonly code: FrameFaultCode;
  /** Where in `bytes` the fault lies. */
  readonly offset: number;
  readonly message: string;
}

/** Undefined when the frame at `offset` is sound; never throws, never reads past `bytes`. */
export function checkFrame(
  bytes: Uint8Array,
  offset: number,
  crc32c: Crc32c,
): FrameFault | undefined {
  const left = bytes.length - offset;
  if (left < FRAME_HEADER_BYTES) {
    return fault("SHORT", offset, `${left} bytes are left, a frame's header has 32`);
  }
  const header = readHeader(bytes, offset);
  const lengthFault = checkLength(header.length, offset);
  if (lengthFault !== undefined) return lengthFault;
  if (header.length > left) {
    return fault("SHORT", offset, `the frame has ${header.length} bytes, ${left} are left`);
  }
  const crc = frameCrc(bytes, offset, header.length, crc32c);
  if (crc !== header.crc) {
    return fault("CRC", offset + 4, `the frame says crc ${hex(header.crc)}, its bytes ${hex(crc)}`);
  }
  return checkContent(bytes, offset, header);
}

/** What can be said of a length before the frame is there. */
export function checkLength(length: number, offset: number): FrameFault | undefined {
  if (length < FRAME_HEADER_BYTES || length > FRAME_BYTES_MAX || length % FRAME_ALIGNMENT !== 0) {
    return fault("LENGTH", offset, `no frame has ${length} bytes`);
  }
  return undefined;
}

/** All but the crc, for a frame that lies wholly in `bytes` and whose length passed. */
export function checkContent(
  bytes: Uint8Array,
  offset: number,
  header: FrameHeader,
): FrameFault | undefined {
  if (header.sequence < 1 || header.sequence > Number.MAX_SAFE_INTEGER) {
    return fault("FIELD", offset + 8, `no write has the sequence ${header.sequence}`);
  }
  const isOfRows = header.kind === FRAME_PUT || header.kind === FRAME_REMOVE;
  if (header.flags > (isOfRows ? FRAME_HAS_ONCE : 0)) {
    return fault("FIELD", offset + 18, `unknown flags ${header.flags}`);
  }
  switch (header.kind) {
    case FRAME_PUT:
    case FRAME_REMOVE:
      return checkRows(bytes, offset, header);
    case FRAME_SETTINGS:
      return checkSettings(bytes, offset, header);
    default:
      return fault("KIND", offset + 16, `unknown kind ${header.kind}`);
  }
}

function checkRows(bytes: Uint8Array, offset: number, header: FrameHeader): FrameFault | undefined {
  const { kind, count, dimensions } = header;
  const dimensionsMin = kind === FRAME_PUT ? 1 : 0;
  const dimensionsMax = kind === FRAME_PUT ? DIMENSIONS_MAX : 0;
  if (dimensions < dimensionsMin || dimensions > dimensionsMax) {
    return fault("FIELD", offset + 24, `kind ${kind} with ${dimensions} dimensions`);
  }
  if (count < 1) return fault("FIELD", offset + 20, `kind ${kind} without rows`);
  const vectorsStart = vectorsOffset(header);
  const vectorsEnd = vectorsStart + count * dimensions * 4;
  const onceBytes = header.flags === FRAME_HAS_ONCE ? ONCE_BYTES : 0;
  const onceStart = alignUp(vectorsEnd, FRAME_ALIGNMENT);
  const wanted = onceStart + onceBytes;
  if (wanted !== header.length) {
    return fault("FIELD", offset, `the parts take ${wanted} bytes, the frame ${header.length}`);
  }
  const recordsEnd = FRAME_HEADER_BYTES + header.recordsBytes;
  return (
    checkRecords(bytes, offset, header) ??
    checkZeros(bytes, offset + recordsEnd, offset + vectorsStart) ??
    checkZeros(bytes, offset + vectorsEnd, offset + onceStart) ??
    (onceBytes > 0 ? checkOnce(bytes, offset + onceStart) : undefined)
  );
}

function checkOnce(bytes: Uint8Array, offset: number): FrameFault | undefined {
  const { atMs } = readOnce(bytes, offset);
  const at = offset + 2 * ONCE_HASH_BYTES;
  if (atMs > Number.MAX_SAFE_INTEGER) return fault("FIELD", at, `no time is ${atMs}`);
  return checkZeros(bytes, at + 8, offset + ONCE_BYTES);
}

function checkRecords(
  bytes: Uint8Array,
  offset: number,
  header: FrameHeader,
): FrameFault | undefined {
  const view = viewOf(bytes);
  const end = offset + FRAME_HEADER_BYTES + header.recordsBytes;
  const flagsMax = header.kind === FRAME_PUT ? RECORD_HAS_METADATA : 0;
  let record = offset + FRAME_HEADER_BYTES;
  for (let row = 0; row < header.count; row++) {
    if (record + RECORD_HEADER_BYTES > end) {
      return fault("RECORD", record, `row ${row} of ${header.count} lies outside the records`);
    }
    const idBytes = view.getUint16(record, true);
    const flags = view.getUint16(record + 2, true);
    const metadataBytes = view.getUint32(record + 4, true);
    if (idBytes < 1 || idBytes > ID_BYTES_MAX) {
      return fault("RECORD", record, `row ${row} has an id of ${idBytes} bytes`);
    }
    if (flags > flagsMax || (flags === RECORD_HAS_METADATA) !== metadataBytes > 0) {
      const message = `row ${row} has flags ${flags} and ${metadataBytes} bytes of metadata`;
      return fault("RECORD", record + 2, message);
    }
    const next = record + recordBytes(idBytes, metadataBytes);
    if (next > end) return fault("RECORD", record, `row ${row} ends outside the records`);
    const padding = checkZeros(bytes, record + RECORD_HEADER_BYTES + idBytes + metadataBytes, next);
    if (padding !== undefined) return padding;
    record = next;
  }
  if (record === end) return undefined;
  return fault("RECORD", record, `${end - record} bytes follow the last record`);
}

function checkSettings(
  bytes: Uint8Array,
  offset: number,
  header: FrameHeader,
): FrameFault | undefined {
  const { count, dimensions, recordsBytes } = header;
  if (count !== 0 || dimensions !== 0) {
    return fault("FIELD", offset + 20, `settings with ${count} rows, ${dimensions} dimensions`);
  }
  const end = FRAME_HEADER_BYTES + recordsBytes;
  if (recordsBytes > SETTINGS_BYTES_MAX || alignUp(end, FRAME_ALIGNMENT) !== header.length) {
    const message = `settings of ${recordsBytes} bytes in a frame of ${header.length}`;
    return fault("FIELD", offset + 28, message);
  }
  if (parseJsonObject(settingsText(bytes, offset)) === undefined) {
    return fault("RECORD", offset + FRAME_HEADER_BYTES, "the settings are not a JSON object");
  }
  return checkZeros(bytes, offset + end, offset + header.length);
}

function checkZeros(bytes: Uint8Array, start: number, end: number): FrameFault | undefined {
  const found = findNonZero(bytes, start, end);
  if (found < 0) return undefined;
  return fault("PADDING", found, `padding holds ${bytes[found]}, not 0`);
}

export function fault(code: FrameFaultCode, offset: number, message: string): FrameFault {
  return { code, offset, message };
}

export function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
