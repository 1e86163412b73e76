/**
 * A collection on disk while the server runs: its folder, its log and its images, and what happens
 * when the disk fails. A refused write changes nothing, reads go on, and a probe brings writes back
 * by itself once the disk takes them.
 */
import type { State } from "../collections/state.ts";
import { OmenError } from "../errors.ts";
import { Gate } from "../imaging/gate.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import type { FrameVisitor } from "../storage/scan.ts";
import type { Stored } from "../storage/store.ts";
import { type Safety, Wal } from "../storage/wal.ts";

/** How often a log that takes no writes is tried again. */
const PROBE_MS = 1000;
/** Images that are kept: the newest, and the one a start goes back to when that is damaged. */
const IMAGES_KEPT = 2;
const IMAGE_NAME = /^image-([0-9a-f]{16})\.img$/;

export interface JournalOptions {
  readonly files: Files;
  readonly crc32c: Crc32c;
  readonly safety: Safety;
  /** The log began or ceased to take writes. */
  onHealth(journal: Journal): void;
  onSync(latencyMs: number): void;
}

/** An image that a start can load. */
export interface KeptImage {
  /** Grows from image to image. */
  readonly number: number;
  readonly path: string;
  readonly sequence: number;
  readonly bytes: number;
}

/** Images of a folder as their names tell, newest first. */
export async function listImages(
  files: Files,
  folder: string,
): Promise<{ number: number; path: string }[]> {
  const found = (await files.list(folder)).flatMap((name) => {
    const match = IMAGE_NAME.exec(name);
    return match ? [{ number: Number.parseInt(match[1]!, 16), path: `${folder}/${name}` }] : [];
  });
  return found.sort((a, b) => b.number - a.number);
}

export class Journal {
  readonly stored: Stored;
  readonly gate = new Gate();
  /** Oldest first. */
  readonly images: KeptImage[] = [];
  /** When the newest image was taken, or this journal was opened, in ms since 1970. */
  imageTimeMs = Date.now();
  /** When the curves of recall were measured that the newest image holds, in ms since 1970. */
  curvesTimeMs = 0;
  /** Of frames, since the journal was opened; those that a start read count. */
  bytesCommitted = 0;
  readonly #options: JournalOptions;
  #wal: Wal;
  #lastNumber = 0;
  #bytesAtImage = 0;
  #probe: ReturnType<typeof setInterval> | undefined;
  #state: State | undefined;

  private constructor(stored: Stored, wal: Wal, options: JournalOptions) {
    this.stored = stored;
    this.#wal = wal;
    this.#options = options;
  }

  /** Hands every frame after the image's sequence to `visit`. Throws what Wal.open throws. */
  static async open(
    stored: Stored,
    options: JournalOptions,
    after: number,
    visit: FrameVisitor,
  ): Promise<Journal> {
    let bytes = 0;
    // A sync that fails with nobody waiting is heard of only once the journal stands.
    let opened: Journal | undefined;
    const wal = await openWal(
      stored,
      options,
      after,
      () => opened?.fell(),
      (frame, header) => {
        bytes += frame.length;
        return visit(frame, header);
      },
    );
    opened = new Journal(stored, wal, options);
    opened.bytesCommitted = bytes;
    return opened;
  }

  get wal(): Wal {
    return this.#wal;
  }

  /** Why no write is taken now. */
  get fault(): OmenError | undefined {
    return this.#wal.fault?.error;
  }

  get bytesSinceImage(): number {
    return this.bytesCommitted - this.#bytesAtImage;
  }

  /** Says from here on how the disk stands, where all threads can read it. */
  set state(state: State) {
    this.#state = state;
    this.#tell();
  }

  /** A start found these in the folder, newest first, and loaded `loaded`. */
  found(
    images: readonly { number: number }[],
    loaded: KeptImage | undefined,
    takenAtMs: number,
  ): void {
    this.#lastNumber = images[0]?.number ?? 0;
    if (loaded === undefined) return;
    this.images.push(loaded);
    this.imageTimeMs = takenAtMs;
  }

  nextImage(): { number: number; path: string } {
    const number = ++this.#lastNumber;
    const digits = number.toString(16).padStart(16, "0");
    return { number, path: `${this.stored.folder}/image-${digits}.img` };
  }

  /**
   * The image is sound: older ones that nobody goes back to are removed, and the log before the
   * oldest that is kept. `bytesBefore` had been committed when the image was begun.
   */
  async keep(image: KeptImage, bytesBefore: number, imagesKept = IMAGES_KEPT): Promise<void> {
    const { files } = this.#options;
    this.images.push(image);
    this.images.splice(0, Math.max(0, this.images.length - imagesKept));
    this.imageTimeMs = Date.now();
    this.#bytesAtImage = bytesBefore;
    const { folder } = this.stored;
    const kept = new Set(this.images.map(({ path }) => path));
    for (const { path } of await listImages(files, folder)) {
      if (!kept.has(path)) await files.remove(path);
    }
    await files.syncFolder(folder);
    if (!this.fault) {
      await this.#wal.roll();
      await this.#wal.dropBefore(this.images[0]!.sequence + 1);
    }
    this.#tell();
  }

  /** When it returns, the group is acknowledged. Throws STORAGE_FULL, READ_ONLY. */
  async commit(group: readonly Uint8Array[]): Promise<void> {
    const before = this.fault;
    try {
      await this.#wal.commit(group);
    } catch (error) {
      this.fell();
      const fault = this.#wal.fault;
      if (before !== undefined || fault === undefined || fault.settled) throw error;
      const { code, message } = fault.error;
      const outcome = "whether the write is kept is unknown until the disk answers again";
      throw new OmenError(code, `${message}; ${outcome}`, { cause: error });
    }
    for (const frame of group) this.bytesCommitted += frame.length;
    this.#tell();
  }

  /**
   * The next frame has the sequence after `after`, whatever came before: an image says so. When it
   * throws, the log goes on as before.
   */
  async goOnAfter(after: number): Promise<void> {
    const before = this.#wal.nextSequence - 1;
    try {
      await this.#wal.close();
    } catch (error) {
      this.fell();
      throw error;
    }
    const onFault = () => this.fell();
    const open = (sequence: number) =>
      openWal(this.stored, this.#options, sequence, onFault, () => undefined);
    try {
      this.#wal = await open(after);
    } catch (error) {
      this.#wal = await open(before);
      throw error;
    }
  }

  #tell(): void {
    if (this.#state === undefined) return;
    this.#state.disk = {
      walBytes: this.#wal.bytes,
      walOldest: this.#wal.oldestSequence,
      imageSequence: this.images.at(-1)?.sequence ?? 0,
      imageTimeMs: this.images.length > 0 ? this.imageTimeMs : 0,
    };
  }

  /** Writes failed: from here on the disk is asked now and then whether it takes them again. */
  fell(): void {
    if (this.#probe !== undefined || this.#wal.fault === undefined) return;
    this.#options.onHealth(this);
    this.#probe = setInterval(() => void this.#tryAgain(), PROBE_MS);
  }

  async #tryAgain(): Promise<void> {
    if (!(await this.#wal.tryResume().catch(() => false)) || this.#probe === undefined) return;
    clearInterval(this.#probe);
    this.#probe = undefined;
    this.#options.onHealth(this);
  }

  async close(): Promise<void> {
    clearInterval(this.#probe);
    this.#probe = undefined;
    await this.#wal.close();
  }
}

function openWal(
  { folder }: Stored,
  { files, crc32c, safety, onSync }: JournalOptions,
  after: number,
  onFault: () => void,
  visit: FrameVisitor,
): Promise<Wal> {
  return Wal.open({ files, crc32c, safety, onSync, onFault, folder, after, visit });
}
