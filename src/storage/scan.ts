/**
 * Walks a segment from front to back through a window of bounded size and stops at the first thing
 * that is not sound. It changes nothing and decides nothing: recovery.ts and inspect.ts judge what
 * it found.
 */
import { viewOf } from "./bytes.ts";
import { checkFrame, checkLength, type FrameFault, fault } from "./check.ts";
import type { OpenFile } from "./files.ts";
import {
  type Crc32c,
  FRAME_ALIGNMENT,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  readHeader,
} from "./frame.ts";
import { corrupt } from "./replace.ts";
import {
  checkMark,
  looksLikeMark,
  MARK_BYTES,
  markDurableBytes,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./segment.ts";

/** The frame is a view, 16-aligned, valid until the visitor returns (or its promise is kept). */
export type FrameVisitor = (frame: Uint8Array, header: FrameHeader) => void | Promise<void>;

export interface SegmentScan {
  /** Where the last sound frame or mark ends. */
  validBytes: number;
  /** Of the last sound frame; firstSequence - 1 when there is none. */
  lastSequence: number;
  frames: number;
  rows: number;
  marks: number;
  /** The most that a sound mark calls durable; at least the header. */
  durableBytes: number;
  /** Why the walk stopped before the end; its offset is the file's. */
  fault?: FrameFault;
}

/**
 * The stretch of a segment to walk: from `start`, where the sequence `lastSequence` came before, to
 * `end`.
 */
export interface Stretch {
  readonly file: OpenFile;
  readonly header: SegmentHeader;
  readonly start: number;
  readonly end: number;
  readonly lastSequence: number;
}

const WINDOW_BYTES = 1024 * 1024;

/** The whole of a segment, up to `end`. */
export function wholeSegment(file: OpenFile, header: SegmentHeader, end: number): Stretch {
  const lastSequence = header.firstSequence - 1;
  return { file, header, start: SEGMENT_HEADER_BYTES, end, lastSequence };
}

export async function scanSegment(
  stretch: Stretch,
  crc32c: Crc32c,
  visit?: FrameVisitor,
): Promise<SegmentScan> {
  const window = new Window(stretch.file, stretch.end);
  const scan: SegmentScan = {
    validBytes: stretch.start,
    lastSequence: stretch.lastSequence,
    frames: 0,
    rows: 0,
    marks: 0,
    durableBytes: SEGMENT_HEADER_BYTES,
  };
  while (scan.fault === undefined && scan.validBytes < stretch.end) {
    const found = await holdNext(window, scan.validBytes, stretch.end);
    if (found === undefined) {
      const place = window.placeOf(scan.validBytes);
      if (looksLikeMark(viewOf(window.bytes), place)) {
        passMark(scan, window, place, stretch.header.salt, crc32c);
      } else {
        const pending = passFrame(scan, window, place, crc32c, visit);
        if (pending !== undefined) await pending;
      }
    } else {
      scan.fault = found;
    }
  }
  return scan;
}

/**
 * The offset of the first sound mark from `start` on that calls more than `start` durable; -1 for
 * none.
 */
export async function findLaterMark(stretch: Stretch, crc32c: Crc32c): Promise<number> {
  const { file, header, start, end } = stretch;
  const window = new Window(file, end);
  for (let offset = start; offset + MARK_BYTES <= end; offset += FRAME_ALIGNMENT) {
    if (!window.holds(offset, MARK_BYTES)) await window.load(offset, MARK_BYTES);
    const place = window.placeOf(offset);
    const view = window.view;
    if (!looksLikeMark(view, place) || markDurableBytes(view, place) <= start) continue;
    if (checkMark(window.bytes, place, offset, header.salt, crc32c) === undefined) return offset;
  }
  return -1;
}

/** Brings the next frame or mark wholly into the window, or says why there can be none. */
async function holdNext(
  window: Window,
  offset: number,
  end: number,
): Promise<FrameFault | undefined> {
  const left = end - offset;
  if (left < FRAME_HEADER_BYTES) {
    return fault("SHORT", offset, `${left} bytes are left, a frame's header has 32`);
  }
  if (!window.holds(offset, FRAME_HEADER_BYTES)) await window.load(offset, FRAME_HEADER_BYTES);
  const length = window.view.getUint32(window.placeOf(offset), true);
  const lengthFault = checkLength(length, offset);
  if (lengthFault !== undefined) return lengthFault;
  if (length > left) {
    return fault("SHORT", offset, `the frame has ${length} bytes, ${left} are left`);
  }
  if (!window.holds(offset, length)) await window.load(offset, length);
  return undefined;
}

function passMark(
  scan: SegmentScan,
  window: Window,
  place: number,
  salt: number,
  crc32c: Crc32c,
): void {
  const offset = scan.validBytes;
  const found = checkMark(window.bytes, place, offset, salt, crc32c);
  const { sequence } = readHeader(window.bytes, place);
  if (found !== undefined) {
    scan.fault = { ...found, offset: found.offset - place + offset };
  } else if (sequence !== scan.lastSequence + 1) {
    scan.fault = outOfTurn(offset, sequence, scan.lastSequence);
  } else {
    scan.marks++;
    scan.durableBytes = Math.max(scan.durableBytes, markDurableBytes(window.view, place));
    scan.validBytes += MARK_BYTES;
  }
}

function passFrame(
  scan: SegmentScan,
  window: Window,
  place: number,
  crc32c: Crc32c,
  visit: FrameVisitor | undefined,
): void | Promise<void> {
  const offset = scan.validBytes;
  const found = checkFrame(window.bytes, place, crc32c);
  const header = readHeader(window.bytes, place);
  if (found !== undefined) {
    scan.fault = { ...found, offset: found.offset - place + offset };
  } else if (header.sequence !== scan.lastSequence + 1) {
    scan.fault = outOfTurn(offset, header.sequence, scan.lastSequence);
  } else {
    scan.frames++;
    scan.rows += header.count;
    scan.lastSequence = header.sequence;
    scan.validBytes += header.length;
    return visit?.(window.bytes.subarray(place, place + header.length), header);
  }
}

function outOfTurn(offset: number, sequence: number, lastSequence: number): FrameFault {
  return fault("SEQUENCE", offset + 8, `sequence ${sequence} follows ${lastSequence}`);
}

/**
 * A part of the file in memory: 1 MiB, or one frame where a frame is larger; never more than the
 * file has.
 */
class Window {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = viewOf(this.bytes);
  readonly #file: OpenFile;
  readonly #end: number;
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: OpenFile, end: number) {
    this.#file = file;
    this.#end = end;
  }

  holds(offset: number, bytes: number): boolean {
    return offset >= this.#start && offset + bytes <= this.#start + this.bytes.length;
  }

  placeOf(offset: number): number {
    return offset - this.#start;
  }

  /** Offsets are multiples of 16 and so is every place in the window. */
  async load(offset: number, bytes: number): Promise<void> {
    const wanted = Math.min(Math.max(WINDOW_BYTES, bytes), this.#end - offset);
    const kept = this.holds(offset, 0)
      ? this.bytes.subarray(this.placeOf(offset))
      : this.bytes.subarray(0, 0);
    const buffer = wanted > this.#buffer.length ? new Uint8Array(wanted) : this.#buffer;
    buffer.set(kept);
    const got = await this.#file.read(offset + kept.length, buffer.subarray(kept.length, wanted));
    this.#buffer = buffer;
    this.bytes = buffer.subarray(0, kept.length + got);
    this.view = viewOf(this.bytes);
    this.#start = offset;
    if (this.bytes.length < bytes) {
      throw corrupt(
        this.#file.path,
        offset + this.bytes.length,
        "the file ended while it was read",
      );
    }
  }
}
