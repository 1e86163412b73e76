/**
 * The segment that is being written: the end of the log. It knows how far it is written and how far
 * it is durable, and it is given up, never written again, after the first write or sync that fails.
 * The bytes are drawn in segment.ts; when what happens is wal.ts's business.
 */
import { OmenError } from "../errors.ts";
import type { Files, OpenFile } from "./files.ts";
import { type Crc32c, readHeader } from "./frame.ts";
import { type Segment, withFile } from "./recovery.ts";
import { corrupt, replaceFile } from "./replace.ts";
import { type SegmentScan, scanSegment } from "./scan.ts";
import {
  encodeMark,
  encodeSegmentHeader,
  MARK_BYTES,
  newSalt,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from "./segment.ts";

const REWRITE_BYTES = 1024 * 1024;

/**
 * An end in the log: so many bytes of the segment, the last frame before them has this sequence.
 */
export interface Place {
  readonly bytes: number;
  readonly sequence: number;
}

/** Where segments live, and how they are summed. */
export interface Home {
  readonly files: Files;
  readonly folder: string;
  readonly crc32c: Crc32c;
}

export class Tail {
  readonly path: string;
  readonly header: SegmentHeader;
  #written: Place;
  #durable: Place;
  readonly #home: Home;
  readonly #file: OpenFile;
  /** What the last mark of the segment calls durable. */
  #markedBytes: number;

  private constructor(
    home: Home,
    file: OpenFile,
    header: SegmentHeader,
    end: Place,
    markedBytes: number,
  ) {
    this.path = file.path;
    this.header = header;
    this.#home = home;
    this.#file = file;
    this.#written = end;
    this.#durable = end;
    this.#markedBytes = markedBytes;
  }

  get written(): Place {
    return this.#written;
  }

  get durable(): Place {
    return this.#durable;
  }

  /**
   * Goes on in the last segment of the folder. It is cut to what is sound, and what no mark calls
   * durable is written again before the sync: the page cache of a process that died may hold bytes
   * that a failed sync never brought to the disk, and the kernel would not write them a second
   * time.
   */
  static async takeUp(home: Home, segment: Segment, scan: SegmentScan): Promise<Tail> {
    const file = await home.files.open(segment.path, "change");
    try {
      if (scan.validBytes < segment.bytes) await file.truncate(scan.validBytes);
      const buffer = new Uint8Array(Math.min(REWRITE_BYTES, scan.validBytes - scan.durableBytes));
      for (let offset = scan.durableBytes; offset < scan.validBytes; offset += buffer.length) {
        const chunk = buffer.subarray(0, scan.validBytes - offset);
        await file.read(offset, chunk);
        await file.write(offset, [chunk]);
      }
      await file.sync();
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    const end = { bytes: scan.validBytes, sequence: scan.lastSequence };
    return new Tail(home, file, segment.header!, end, scan.durableBytes);
  }

  /**
   * The segment after `previous` (undefined: the first one), whose last write has the sequence
   * `sequence`.
   */
  static async begin(home: Home, previous: Tail | undefined, sequence: number): Promise<Tail> {
    const header = {
      firstSequence: sequence + 1,
      previousFirst: previous?.header.firstSequence ?? 0,
      previousBytes: previous?.written.bytes ?? 0,
      afterAbandoned: false,
      salt: newSalt(),
    };
    return await make(home, header, undefined);
  }

  /**
   * The segment after an abandoned one, which must have been cut() to what is kept. Frames that
   * were kept but are not durable are copied from it. Where none of its frames is durable, the new
   * segment takes its very name.
   */
  static async beginAfterAbandoned(home: Home, abandoned: Tail): Promise<Tail> {
    const { header, durable } = abandoned;
    const salt = newSalt();
    if (durable.sequence < header.firstSequence)
      return await make(home, { ...header, salt }, abandoned);
    const next = {
      firstSequence: durable.sequence + 1,
      previousFirst: header.firstSequence,
      previousBytes: durable.bytes,
      afterAbandoned: true,
      salt,
    };
    return await make(home, next, abandoned);
  }

  /** What a group takes; throws INTERNAL when its frames are not sealed one after the other. */
  measure(group: readonly Uint8Array[]): number {
    let bytes = MARK_BYTES;
    let sequence = this.#written.sequence;
    for (const frame of group) {
      const header = readHeader(frame);
      if (header.length !== frame.length || header.sequence !== ++sequence) {
        const message = `frame ${header.sequence} of ${frame.length} bytes, expected ${sequence}`;
        throw new OmenError("INTERNAL", message);
      }
      bytes += frame.length;
    }
    return bytes;
  }

  /** One write of a measured group. Anything may be in the file when it throws. */
  async append(group: readonly Uint8Array[], bytes: number): Promise<void> {
    const { bytes: offset, sequence } = this.#written;
    const mark = this.#mark(this.#durable.bytes);
    await this.#file.write(offset, [mark, ...group]);
    this.#markedBytes = this.#durable.bytes;
    this.#written = { bytes: offset + bytes, sequence: sequence + group.length };
  }

  async sync(): Promise<void> {
    const covered = this.#written;
    await this.#file.sync();
    this.#durable = covered;
  }

  /**
   * Gives the segment up at `kept`. True when the cut is durable, so that nothing past it can come
   * back.
   */
  async cut(kept: Place): Promise<boolean> {
    this.#written = kept;
    try {
      await this.#file.truncate(kept.bytes);
      await this.#file.sync();
      return true;
    } catch {
      return false;
    } finally {
      await this.close();
    }
  }

  /**
   * Leaves a mark that calls everything durable, as it must be. The next start misses nothing
   * without it.
   */
  async markDurable(): Promise<void> {
    const { bytes } = this.#durable;
    if (bytes <= this.#markedBytes + MARK_BYTES) return;
    try {
      await this.#file.write(bytes, [this.#mark(bytes)]);
      await this.#file.sync();
    } catch {
      // Then damage to the last group would pass for a torn tail, as after any crash.
    }
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }

  #mark(durableBytes: number): Uint8Array {
    const sequence = this.#written.sequence + 1;
    return encodeMark(sequence, durableBytes, this.header.salt, this.#home.crc32c);
  }

  /** Only make() builds a tail from a file that is whole. */
  static async opened(home: Home, path: string, header: SegmentHeader, end: Place): Promise<Tail> {
    const file = await home.files.open(path, "change");
    return new Tail(home, file, header, end, SEGMENT_HEADER_BYTES);
  }
}

async function make(home: Home, header: SegmentHeader, source: Tail | undefined): Promise<Tail> {
  const path = `${home.folder}/${segmentName(header.firstSequence)}`;
  let end: Place = { bytes: SEGMENT_HEADER_BYTES, sequence: header.firstSequence - 1 };
  await replaceFile(home.files, path, async (file) => {
    await file.write(0, [encodeSegmentHeader(header, home.crc32c)]);
    if (source !== undefined) end = await copyFrames(home, source, file, end);
  });
  return await Tail.opened(home, path, header, end);
}

/**
 * Copies what the source wrote but never synced, each frame checked; throws when not all can be
 * read back.
 */
async function copyFrames(
  home: Home,
  source: Tail,
  target: OpenFile,
  start: Place,
): Promise<Place> {
  const { durable, written, header, path } = source;
  if (written.sequence === durable.sequence) return start;
  let bytes = start.bytes;
  const scan = await withFile(home.files, path, (file) => {
    const stretch = {
      file,
      header,
      start: durable.bytes,
      end: written.bytes,
      lastSequence: durable.sequence,
    };
    return scanSegment(stretch, home.crc32c, async (frame) => {
      await target.write(bytes, [frame]);
      bytes += frame.length;
    });
  });
  if (scan.lastSequence !== written.sequence) {
    throw corrupt(path, scan.validBytes, "acknowledged writes cannot be read back");
  }
  return { bytes, sequence: written.sequence };
}
