/**
 * The data path under a running server: which collections are there, the journal of each, and how
 * well the disk is. The writer gives it what has to outlive the process; starting.ts fills the
 * catalog from it.
 */
import type { Logger } from "pino";
import type { Collection } from "../collections/collection.ts";
import type { CollectionSettings, Health } from "../collections/database.ts";
import type { Control } from "../http/meters.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import type { FrameVisitor } from "../storage/scan.ts";
import { Store, type Stored } from "../storage/store.ts";
import type { Safety } from "../storage/wal.ts";
import { traceEnded } from "../tracing.ts";
import type { Archive } from "./archive.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { Journal } from "./journal.ts";
import type { Keeper } from "./writer.ts";

export interface DiskOptions {
  readonly files: Files;
  readonly path: string;
  readonly safety: Safety;
  readonly crc32c: Crc32c;
  readonly control: Control;
  readonly log: Logger;
}

export class Disk implements Keeper {
  readonly crc32c: Crc32c;
  readonly store: Store;
  readonly options: DiskOptions;
  /** Told whenever what health() says has changed. */
  onHealth: () => void = () => undefined;
  /** Nobody takes any before the start is over. */
  checkpoints: Checkpoints | undefined;
  archive: Archive | undefined;
  readonly #journals = new Map<string, Journal>();

  private constructor(options: DiskOptions, store: Store) {
    this.options = options;
    this.crc32c = options.crc32c;
    this.store = store;
  }

  /** Takes the data path; nothing is loaded yet. Throws what Store.open throws. */
  static async open(options: DiskOptions): Promise<Disk> {
    const { files, path, crc32c, log } = options;
    const store = await Store.open(files, path, crc32c);
    if (store.strays.length > 0) {
      log.warn({ folders: store.strays }, "removed collections half made or half dropped");
    }
    return new Disk(options, store);
  }

  journal(name: string): Journal | undefined {
    return this.#journals.get(name);
  }

  journals(): Iterable<Journal> {
    return this.#journals.values();
  }

  /** Opens a collection's log and goes on writing in it. */
  async openJournal(stored: Stored, after: number, visit: FrameVisitor): Promise<Journal> {
    const { files, crc32c, safety, control, log } = this.options;
    const onHealth = ({ fault }: Journal) => {
      const about = { collection: stored.name, err: fault };
      if (fault) log.error(about, "the disk refuses writes; reads go on, and it is tried again");
      else log.warn(about, "the disk takes writes again");
      this.onHealth();
    };
    const onSync = (latencyMs: number) => {
      control.observe("syncTime", latencyMs * 1e6);
      traceEnded("wal sync", latencyMs);
    };
    const options = { files, crc32c, safety, onHealth, onSync };
    const journal = await Journal.open(stored, options, after, visit);
    this.#journals.set(stored.name, journal);
    return journal;
  }

  async create(name: string, settings: CollectionSettings): Promise<Journal> {
    const stored = await this.store.create(name, settings);
    try {
      return await this.openJournal(stored, 0, () => undefined);
    } catch (error) {
      await this.store.drop(stored, async () => undefined).catch(() => undefined);
      throw error;
    }
  }

  attached({ name, state }: Collection): void {
    this.#journals.get(name)!.state = state;
  }

  async drop(name: string): Promise<void> {
    const journal = this.#journals.get(name);
    if (journal === undefined) return;
    await this.checkpoints?.settle(journal);
    await this.archive?.settle();
    await this.store.drop(journal.stored, () => journal.close());
    this.#journals.delete(name);
    await journal.close().catch(() => undefined);
    if (journal.fault !== undefined) this.onHealth();
  }

  async commit(name: string, group: readonly Uint8Array[]): Promise<void> {
    const journal = this.#journals.get(name)!;
    await journal.commit(group);
    this.checkpoints?.consider(journal);
  }

  enter(name: string): Promise<void> {
    return this.#journals.get(name)!.gate.enter();
  }

  leave(name: string): void {
    this.#journals.get(name)!.gate.leave();
  }

  /** Healthy, or read-only with the reason of the first log that takes no writes. */
  health(): Health {
    for (const { fault } of this.#journals.values()) {
      // Anybody may ask: neither the collection nor a path is named.
      if (fault) return { status: "read_only", reason: fault.message };
    }
    return { status: "healthy" };
  }

  /** Nobody writes any more. */
  async close(): Promise<void> {
    await this.archive?.settle();
    await this.checkpoints?.close();
    for (const journal of this.#journals.values()) await journal.close().catch(() => undefined);
    await this.store.close();
  }
}
