/**
 * A collection on disk while the server runs: its folder and its log, and what happens when the
 * disk fails. A refused write changes nothing, reads go on, and a probe brings writes back by
 * itself once the disk takes them.
 */
import { OmenError } from "../errors.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import type { FrameVisitor } from "../storage/scan.ts";
import type { Stored } from "../storage/store.ts";
import { type Safety, Wal } from "../storage/wal.ts";

/** How often a log that takes no writes is tried again. */
const PROBE_MS = 1000;

export interface JournalOptions {
  readonly files: Files;
  readonly crc32c: Crc32c;
  readonly safety: Safety;
  /** The log began or ceased to take writes. */
  onHealth(): void;
  onSync(latencyMs: number): void;
}

export class Journal {
  readonly stored: Stored;
  readonly wal: Wal;
  readonly #options: JournalOptions;
  #probe: ReturnType<typeof setInterval> | undefined;

  private constructor(stored: Stored, wal: Wal, options: JournalOptions) {
    this.stored = stored;
    this.wal = wal;
    this.#options = options;
  }

  /** Hands every frame after the image's sequence to `visit`. Throws what Wal.open throws. */
  static async open(
    stored: Stored,
    options: JournalOptions,
    after: number,
    visit: FrameVisitor,
  ): Promise<Journal> {
    const { files, crc32c, safety, onSync } = options;
    // A sync that fails with nobody waiting is heard of only once the journal stands.
    let opened: Journal | undefined;
    const onFault = () => opened?.fell();
    const { folder } = stored;
    const wal = await Wal.open({
      ...{ files, crc32c, safety, onSync, onFault, folder, after, visit },
    });
    opened = new Journal(stored, wal, options);
    return opened;
  }

  /** Why no write is taken now. */
  get fault(): OmenError | undefined {
    return this.wal.fault?.error;
  }

  /** When it returns, the group is acknowledged. Throws STORAGE_FULL, READ_ONLY. */
  async commit(group: readonly Uint8Array[]): Promise<void> {
    const before = this.fault;
    try {
      await this.wal.commit(group);
    } catch (error) {
      this.fell();
      const fault = this.wal.fault;
      if (before !== undefined || fault === undefined || fault.settled) throw error;
      const { code, message } = fault.error;
      const outcome = "whether the write is kept is unknown until the disk answers again";
      throw new OmenError(code, `${message}; ${outcome}`, { cause: error });
    }
  }

  /** Writes failed: from here on the disk is asked now and then whether it takes them again. */
  fell(): void {
    if (this.#probe !== undefined || this.wal.fault === undefined) return;
    this.#options.onHealth();
    this.#probe = setInterval(() => void this.#tryAgain(), PROBE_MS);
  }

  async #tryAgain(): Promise<void> {
    if (!(await this.wal.tryResume().catch(() => false)) || this.#probe === undefined) return;
    clearInterval(this.#probe);
    this.#probe = undefined;
    this.#options.onHealth();
  }

  async close(): Promise<void> {
    clearInterval(this.#probe);
    this.#probe = undefined;
    await this.wal.close();
  }
}
