/**
 * What a start makes of a folder of segments. Every segment says in its header where the one before
 * it ends, so the segments form a chain, and a sound chain holds each write once and in order:
 *
 * - segments that hold only writes the image has are not read at all;
 * - a segment with a successor must be sound up to the length the successor states. What is past
 *   that length is ignored if the successor calls it abandoned (those writes were refused), else it
 *   is damage;
 * - the last segment may end torn. The bytes after its last sound frame are a torn tail, unless a
 *   later mark says that they were durable once, or unless they are sound and yet wrong: then they
 *   are damage.
 *
 * Damage is CORRUPT_FILE with file and offset. Nothing is changed here; wal.ts cuts the tail.
 */
import { OmenError } from "../errors.ts";
import type { FrameFault } from "./check.ts";
import type { Files, OpenFile } from "./files.ts";
import type { Crc32c } from "./frame.ts";
import { corrupt } from "./replace.ts";
import {
  type FrameVisitor,
  findLaterMark,
  type SegmentScan,
  scanSegment,
  wholeSegment,
} from "./scan.ts";
import {
  firstSequenceOf,
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./segment.ts";

/** A stretch of a file that was left out, and why. */
export interface LeftOut {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly reason: string;
}

export interface RecoveryReport {
  readonly segmentsRead: number;
  /** Segments that hold only what the image has. */
  readonly segmentsPassed: number;
  /** Frames handed to the visitor. */
  readonly frames: number;
  readonly lastSequence: number;
  /** The torn tail of the last segment, and a last segment that ends inside its header. */
  readonly cut: readonly LeftOut[];
  /** What a successor declares invalid. */
  readonly ignored: readonly LeftOut[];
  /** Files a crash left aside, removed. */
  readonly strays: readonly string[];
}

export interface Segment {
  readonly name: string;
  readonly path: string;
  readonly firstSequence: number;
  readonly header?: SegmentHeader;
  bytes: number;
}

export interface Chain {
  /** All segments of the folder, oldest first; only those that were needed have a header. */
  readonly segments: Segment[];
  /** Of the last segment; undefined when there is none. */
  readonly last?: SegmentScan;
  readonly frames: number;
  readonly ignored: LeftOut[];
  readonly cut: LeftOut[];
  /** A last file too short to be a segment, not among the segments. */
  readonly unbegun?: Segment;
}

interface Source {
  readonly files: Files;
  readonly folder: string;
  readonly crc32c: Crc32c;
}

/**
 * Hands over each frame with a sequence above `after`, in order. Throws CORRUPT_FILE,
 * UNSUPPORTED_FORMAT.
 */
export async function readChain(
  source: Source,
  after: number,
  visit: FrameVisitor,
): Promise<Chain> {
  const segments = await listSegments(source);
  const cut: LeftOut[] = [];
  const unbegun = takeUnbegun(segments, cut);
  const needed = await readNeededHeaders(source, segments, after);
  const ignored: LeftOut[] = [];
  let frames = 0;
  let last: SegmentScan | undefined;
  const visitNew: FrameVisitor = (frame, header) => {
    if (header.sequence <= after) return;
    frames++;
    return visit(frame, header);
  };
  for (let index = segments.length - needed; index < segments.length; index++) {
    const segment = segments[index]!;
    const successor = segments[index + 1];
    await withFile(source.files, segment.path, async (file) => {
      if (successor === undefined) {
        last = await scanSegment(
          wholeSegment(file, segment.header!, segment.bytes),
          source.crc32c,
          visitNew,
        );
        const torn = await judgeTail(source, segment, file, last);
        if (torn !== undefined) cut.push(torn);
      } else {
        const rest = await readClosed(source, segment, file, successor, visitNew);
        if (rest !== undefined) ignored.push(rest);
      }
    });
  }
  return { segments, last, frames, ignored, cut, unbegun };
}

/** The folder's segments, oldest first; files of other names are not looked at. */
export async function listSegments({ files, folder }: Source): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const name of await files.list(folder)) {
    const firstSequence = firstSequenceOf(name);
    if (firstSequence === undefined) continue;
    const path = `${folder}/${name}`;
    const bytes = await withFile(files, path, (file) => file.size());
    segments.push({ name, path, firstSequence, bytes });
  }
  return segments.sort((a, b) => a.firstSequence - b.firstSequence);
}

export async function loadHeader(source: Source, segment: Segment): Promise<SegmentHeader> {
  const bytes = new Uint8Array(Math.min(SEGMENT_HEADER_BYTES, segment.bytes));
  await withFile(source.files, segment.path, (file) => file.read(0, bytes));
  return readSegmentHeader(bytes, segment.name, segment.path, source.crc32c);
}

export async function withFile<T>(
  files: Files,
  path: string,
  use: (file: OpenFile) => Promise<T>,
): Promise<T> {
  const file = await files.open(path, "read");
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/**
 * A crash leaves no segment without its header; a file cut that short is treated as one cut later.
 */
function takeUnbegun(segments: Segment[], cut: LeftOut[]): Segment | undefined {
  const last = segments.at(-1);
  if (last === undefined || last.bytes >= SEGMENT_HEADER_BYTES) return undefined;
  const reason = "the last segment ends inside its header";
  cut.push({ file: last.path, offset: 0, bytes: last.bytes, reason });
  return segments.pop();
}

/**
 * Reads headers from the newest segment back to the one that holds the write after `after`; answers
 * how many.
 */
async function readNeededHeaders(
  source: Source,
  segments: Segment[],
  after: number,
): Promise<number> {
  for (let index = segments.length - 1; index >= 0; index--) {
    const segment = segments[index]!;
    const header = await loadHeader(source, segment);
    segments[index] = { ...segment, header };
    checkLink(segment, header, segments[index - 1], after);
    if (header.firstSequence <= after + 1) return segments.length - index;
  }
  return 0;
}

function checkLink(
  segment: Segment,
  header: SegmentHeader,
  previous: Segment | undefined,
  after: number,
): void {
  if (header.firstSequence <= after + 1) return;
  const missing = `the writes ${after + 1} to ${header.firstSequence - 1}`;
  if (previous === undefined) {
    throw corrupt(
      segment.path,
      16,
      `the oldest segment begins after ${missing}, which are missing`,
    );
  }
  if (header.previousFirst !== previous.firstSequence) {
    const message = `the segment before should begin with ${header.previousFirst}`;
    throw corrupt(segment.path, 24, `${message}, the folder has ${previous.name}`);
  }
}

/** A segment with a successor: sound to the stated length and the stated sequence. */
async function readClosed(
  { crc32c }: Source,
  segment: Segment,
  file: OpenFile,
  successor: Segment,
  visit: FrameVisitor,
): Promise<LeftOut | undefined> {
  const { previousBytes, afterAbandoned, firstSequence } = successor.header!;
  const { path, bytes } = segment;
  if (bytes < previousBytes) {
    throw corrupt(path, bytes, `the file ends here, ${successor.name} says ${previousBytes} bytes`);
  }
  if (bytes > previousBytes && !afterAbandoned) {
    throw corrupt(path, previousBytes, `the log goes on in ${successor.name}, yet bytes follow`);
  }
  const scan = await scanSegment(wholeSegment(file, segment.header!, previousBytes), crc32c, visit);
  if (scan.fault !== undefined) throw damage(path, scan.fault);
  if (scan.lastSequence !== firstSequence - 1) {
    const message = `the last write is ${scan.lastSequence}, ${successor.name} follows`;
    throw corrupt(path, previousBytes, `${message} ${firstSequence - 1}`);
  }
  if (bytes === previousBytes) return undefined;
  const reason = `${successor.name} says that the segment was abandoned here`;
  return { file: path, offset: previousBytes, bytes: bytes - previousBytes, reason };
}

/** Torn or damaged: see the head of this file. */
async function judgeTail(
  { crc32c }: Source,
  segment: Segment,
  file: OpenFile,
  scan: SegmentScan,
): Promise<LeftOut | undefined> {
  const { path, bytes } = segment;
  if (scan.fault === undefined) return undefined;
  const isTorn = ["SHORT", "LENGTH", "CRC"].includes(scan.fault.code);
  if (!isTorn) throw damage(path, scan.fault);
  const start = scan.validBytes;
  const tail = { ...wholeSegment(file, segment.header!, bytes), start };
  const mark = await findLaterMark(tail, crc32c);
  if (mark >= 0) {
    throw damage(path, scan.fault, `; a mark at ${mark} says that this was durable`);
  }
  return { file: path, offset: start, bytes: bytes - start, reason: scan.fault.message };
}

function damage(path: string, { code, offset, message }: FrameFault, more = ""): OmenError {
  return new OmenError("CORRUPT_FILE", `${path}, offset ${offset}: ${message} (${code})${more}`);
}
