/**
 * The log of one collection: what is acknowledged is here before it is answered. One writer appends
 * groups of sealed frames; a group costs one write and, in strict mode, one fdatasync. The bytes
 * are drawn in segment.ts, the rules of a start stand in recovery.ts.
 *
 * Life: open() hands the frames after the image to the visitor, cuts a torn tail and goes on in the
 * last segment. commit() appends; a full segment is followed by a new one. dropBefore() removes
 * what the images no longer need.
 *
 * Faults: when a write or a sync fails, the segment is abandoned at its last kept byte and not
 * written again, for a second fdatasync would answer well and mean nothing. `fault.settled` says
 * whether the refused frames are surely gone (the cut was synced); if not, a crash before the next
 * tryResume() may bring them back. tryResume() begins the next segment, whose header states where
 * the abandoned one ends.
 *
 * Safety: strict keeps what a sync covered. normal keeps what was written and syncs at the latest a
 * second after; a power loss may take that second, a killed process loses nothing. Writes that were
 * acknowledged but not synced when a sync fails are copied into the next segment.
 */
import { OmenError } from "../errors.ts";
import { type RecoveryReport, readChain, type Segment } from "./recovery.ts";
import { probeRoom, removeStrays, storageError } from "./replace.ts";
import type { FrameVisitor } from "./scan.ts";
import { type Home, Tail } from "./tail.ts";

export type Safety = "strict" | "normal";

export interface WalOptions extends Home {
  /** The sequence of the image: frames after it go to the visitor. 0 without an image. */
  readonly after: number;
  readonly visit: FrameVisitor;
  readonly safety?: Safety;
  readonly segmentBytesMax?: number;
  /** normal only: a sync failed with nobody waiting for it. */
  readonly onFault?: (error: OmenError) => void;
  readonly onSync?: (latencyMs: number) => void;
}

export interface WalFault {
  readonly error: OmenError;
  readonly settled: boolean;
}

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
const SYNC_INTERVAL_MS = 1000;
/** A disk with less room than this is still full: to go on would only fail again. */
const PROBE_BYTES = 1024 * 1024;

export class Wal {
  readonly report: RecoveryReport;
  readonly #options: WalOptions;
  /** Oldest first; the last one is the tail's. */
  readonly #segments: { firstSequence: number; path: string; bytes: number }[];
  #tail: Tail;
  #fault: WalFault | undefined;
  #isClosed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: WalOptions, report: RecoveryReport, older: Segment[], tail: Tail) {
    this.#options = options;
    this.report = report;
    this.#segments = older;
    this.#tail = tail;
    this.#enlist(tail);
  }

  /**
   * The folder exists; no one else writes in it. Throws OmenError CORRUPT_FILE, UNSUPPORTED_FORMAT,
   * STORAGE_FULL, READ_ONLY, and what the visitor throws.
   */
  static async open(options: WalOptions): Promise<Wal> {
    const { files, folder, after, visit } = options;
    try {
      const strays = await removeStrays(files, folder);
      const chain = await readChain(options, after, visit);
      const { segments, last, frames, ignored, cut } = chain;
      if (chain.unbegun !== undefined) await files.remove(chain.unbegun.path);
      let tail = last && (await Tail.takeUp(options, segments.at(-1)!, last));
      if (tail === undefined || tail.written.sequence < after) {
        const previous = tail;
        tail = await Tail.begin(options, previous, after);
        await previous?.close();
      }
      // A segment whose process died before it could sync the folder has its name only in memory.
      await files.syncFolder(folder);
      const segmentsRead = segments.filter(({ header }) => header !== undefined).length;
      const segmentsPassed = segments.length - segmentsRead;
      const lastSequence = tail.written.sequence;
      const report = { segmentsRead, segmentsPassed, frames, lastSequence, cut, ignored, strays };
      return new Wal(options, report, segments, tail);
    } catch (error) {
      throw storageError(error, `opening the log in ${folder}`);
    }
  }

  /**
   * What the next frame must be sealed with. After a fault it falls back to the first refused one.
   */
  get nextSequence(): number {
    return this.#tail.written.sequence + 1;
  }

  get durableSequence(): number {
    return this.#tail.durable.sequence;
  }

  get oldestSequence(): number {
    return this.#segments[0]!.firstSequence;
  }

  get segments(): number {
    return this.#segments.length;
  }

  get bytes(): number {
    const older = this.#segments.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0);
    return older + this.#tail.written.bytes;
  }

  /** Set while no write is taken; tryResume() clears it. */
  get fault(): WalFault | undefined {
    return this.#fault;
  }

  /** append() and, in strict mode, sync(): when it returns, the group is acknowledged. */
  commit(group: readonly Uint8Array[]): Promise<void> {
    return this.#inTurn(async () => {
      await this.#append(group);
      if (this.#options.safety !== "normal") await this.#sync();
    });
  }

  /** One write. The frames are sealed, from nextSequence on. Throws STORAGE_FULL, READ_ONLY. */
  append(group: readonly Uint8Array[]): Promise<void> {
    return this.#inTurn(() => this.#append(group));
  }

  /** At most one fdatasync. Throws STORAGE_FULL, READ_ONLY. */
  sync(): Promise<void> {
    return this.#inTurn(() => this.#sync());
  }

  /**
   * Begins a new segment, so that dropBefore can take the present one. Throws STORAGE_FULL,
   * READ_ONLY.
   */
  roll(): Promise<void> {
    return this.#inTurn(() => this.#roll());
  }

  /** After a fault: begins the next segment; false while the disk still refuses. */
  tryResume(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#fault === undefined) return true;
      if (this.#isClosed) return false;
      try {
        await probeRoom(this.#options.files, this.#options.folder, PROBE_BYTES);
        this.#tail = await Tail.beginAfterAbandoned(this.#options, this.#tail);
      } catch {
        return false;
      }
      this.#enlist(this.#tail);
      this.#fault = undefined;
      return true;
    });
  }

  /**
   * Removes the segments that hold only frames before `sequence`, never the last one; answers how
   * many.
   */
  dropBefore(sequence: number): Promise<number> {
    const { files, folder } = this.#options;
    return this.#inTurn(async () => {
      let dropped = 0;
      try {
        while (this.#segments.length > 1 && this.#segments[1]!.firstSequence <= sequence) {
          await files.remove(this.#segments[0]!.path);
          this.#segments.shift();
          dropped++;
        }
        // A crash may bring some of them back. No start that needs only later frames reads them.
        if (dropped > 0) await files.syncFolder(folder);
      } catch (error) {
        throw storageError(error, "removing an old segment of the log", folder);
      }
      return dropped;
    });
  }

  /** Syncs and leaves a mark: after it, damage to any frame is told from a torn tail. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      clearTimeout(this.#timer);
      // With a sync that fails it is not closed, and can be taken up again.
      if (this.#fault === undefined) await this.#sync();
      this.#isClosed = true;
      if (this.#fault !== undefined) return;
      await this.#tail.markDurable();
      await this.#tail.close();
      const error = new OmenError("SHUTTING_DOWN", `the log in ${this.#options.folder} is closed`);
      this.#fault = { error, settled: true };
    });
  }

  async #append(group: readonly Uint8Array[]): Promise<void> {
    this.#refuseAfterFault();
    const { segmentBytesMax = SEGMENT_BYTES_MAX, safety } = this.#options;
    const bytes = this.#tail.measure(group);
    if (this.#tail.written.bytes + bytes > segmentBytesMax) await this.#roll();
    try {
      await this.#tail.append(group, bytes);
    } catch (error) {
      throw await this.#abandon(error, "writing");
    }
    if (safety === "normal") this.#syncLater();
  }

  async #sync(): Promise<void> {
    this.#refuseAfterFault();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#tail.durable.bytes === this.#tail.written.bytes) return;
    const start = performance.now();
    try {
      await this.#tail.sync();
    } catch (error) {
      throw await this.#abandon(error, "syncing");
    }
    this.#options.onSync?.(performance.now() - start);
  }

  #syncLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#fault !== undefined) return;
      this.sync().catch((error: OmenError) => this.#options.onFault?.(error));
    }, SYNC_INTERVAL_MS);
  }

  /** The old segment is whole and durable before its successor exists. */
  async #roll(): Promise<void> {
    await this.#sync();
    const full = this.#tail;
    if (full.written.sequence < full.header.firstSequence) return;
    try {
      this.#tail = await Tail.begin(this.#options, full, full.written.sequence);
    } catch (error) {
      throw await this.#abandon(error, "beginning a segment of");
    }
    this.#segments.at(-1)!.bytes = full.written.bytes;
    this.#enlist(this.#tail);
    await full.close();
  }

  async #abandon(cause: unknown, doing: string): Promise<OmenError> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const tail = this.#tail;
    const settled = await tail.cut(this.#options.safety === "normal" ? tail.written : tail.durable);
    this.#segments.at(-1)!.bytes = tail.written.bytes;
    const error = storageError(cause, `${doing} the log`, tail.path);
    this.#fault = { error, settled };
    return error;
  }

  #refuseAfterFault(): void {
    if (this.#fault === undefined) return;
    const { code, message } = this.#fault.error;
    throw new OmenError(code, `the log takes no writes: ${message}`, { cause: this.#fault.error });
  }

  /** A tail that took an abandoned segment's name takes its place in the list. */
  #enlist({ path, header: { firstSequence }, written: { bytes } }: Tail): void {
    if (this.#segments.at(-1)?.firstSequence === firstSequence) this.#segments.pop();
    this.#segments.push({ firstSequence, path, bytes });
  }

  /** One operation at a time, in the order of the calls. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return await result;
  }
}
