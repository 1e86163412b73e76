/**
 * Checkpoints: images that a start loads, so that it need not read the whole log. One is taken when
 * the log has grown by OMENDB_CHECKPOINT_MB (or by half of the last image, which bounds what is
 * written for each byte that comes in), when the last is OMENDB_CHECKPOINT_MINUTES old and there
 * were writes since (or recall was measured), and at shutdown.
 *
 * An image that was read back whole is sound. The one before it is kept, with the log from there
 * on, so that a start gets by without the newest; older ones go, and so does the log before them.
 */
import type { Logger } from "pino";
import type { Catalog } from "../collections/catalog.ts";
import { OmenError } from "../errors.ts";
import type { Control } from "../http/meters.ts";
import { Sitting } from "../imaging/sitting.ts";
import { traceEnded } from "../tracing.ts";
import type { Images } from "./images.ts";
import type { Journal } from "./journal.ts";

export interface CheckpointOptions {
  readonly catalog: Catalog;
  readonly images: Images;
  readonly control: Control;
  readonly log: Logger;
  readonly bytesMin: number;
  /** 0: age alone is no reason. */
  readonly ageMsMax: number;
  ring(): void;
}

const AGE_CHECK_MS = 10_000;
/** After one that failed. */
const REST_MS = 30_000;
/** Of the last image's bytes. */
const IMAGE_SHARE = 0.5;
/** With less than this in the log, a start is as fast without an image. */
const SHUTDOWN_BYTES_MIN = 1024 * 1024;

export class Checkpoints {
  readonly #options: CheckpointOptions;
  readonly #running = new Map<Journal, Promise<void>>();
  readonly #restUntilMs = new Map<Journal, number>();
  readonly #journals: () => Iterable<Journal>;
  readonly #timer: ReturnType<typeof setInterval>;
  #isClosing = false;

  constructor(options: CheckpointOptions, journals: () => Iterable<Journal>) {
    this.#options = options;
    this.#journals = journals;
    this.#timer = setInterval(() => this.#lookAtAge(), AGE_CHECK_MS);
    this.#timer.unref();
  }

  /** After each group that the log has taken. */
  consider(journal: Journal): void {
    const { bytesMin } = this.#options;
    const imageBytes = journal.images.at(-1)?.bytes ?? 0;
    if (journal.bytesSinceImage < Math.max(bytesMin, imageBytes * IMAGE_SHARE)) return;
    if (performance.now() < (this.#restUntilMs.get(journal) ?? 0)) return;
    this.#begin(journal);
  }

  #lookAtAge(): void {
    const { ageMsMax } = this.#options;
    if (ageMsMax === 0) return;
    for (const journal of this.#journals()) {
      if (journal.fault || !this.#hasNews(journal)) continue;
      if (Date.now() - journal.imageTimeMs >= ageMsMax) this.#begin(journal);
    }
  }

  /** Curves of recall are not in the log: only an image brings them to the next process. */
  #hasNews(journal: Journal, bytesMin = 1): boolean {
    if (journal.bytesSinceImage >= bytesMin) return true;
    const curves = this.#options.catalog.get(journal.stored.name)?.calibration.curves;
    return curves !== undefined && curves.measuredAtMs > journal.curvesTimeMs;
  }

  #begin(journal: Journal): void {
    if (this.#isClosing || this.#running.has(journal)) return;
    const run = this.#run(journal).catch((error: unknown) => {
      this.#restUntilMs.set(journal, performance.now() + REST_MS);
      const { name } = journal.stored;
      this.#options.log.error({ collection: name, err: error }, "a checkpoint failed");
    });
    this.#running.set(journal, run);
    void run.finally(() => this.#running.delete(journal));
  }

  /** Resolves when no checkpoint of it is under way. */
  async settle(journal: Journal): Promise<void> {
    await this.#running.get(journal);
  }

  /** Does the work while no checkpoint of the journal is under way, and none begins. */
  async without<T>(journal: Journal, work: () => Promise<T>): Promise<T> {
    await this.settle(journal);
    const result = work();
    const end = result.then(
      () => undefined,
      () => undefined,
    );
    this.#running.set(journal, end);
    void end.finally(() => this.#running.delete(journal));
    return await result;
  }

  async #run(journal: Journal): Promise<void> {
    const { catalog, images, control, log, ring } = this.#options;
    const { name } = journal.stored;
    const collection = catalog.get(name);
    if (collection === undefined || journal.fault) return;
    const start = performance.now();
    const before = journal.bytesCommitted;
    const curvesTimeMs = collection.calibration.curves?.measuredAtMs ?? 0;
    const sitting = new Sitting(collection, journal.gate, ring);
    const { number, path } = journal.nextImage();
    const taken = await images.take(path, sitting);
    const durationMs = performance.now() - start;
    control.observe("imageTime", durationMs * 1e6);
    control.observe("imagePause", sitting.pauseMs * 1e6);
    await journal.keep({ number, path, sequence: taken.sequence, bytes: taken.bytes }, before);
    journal.curvesTimeMs = curvesTimeMs;
    const about = {
      ...{ collection: name, sequence: taken.sequence, bytes: taken.bytes },
      ...{ durationMs: round(durationMs), pauseMs: round(sitting.pauseMs) },
      ...{ stillBytes: taken.stillBytes, walBytes: journal.wal.bytes },
    };
    log.info(about, "checkpoint");
    traceEnded("checkpoint", durationMs, { "omendb.bytes": taken.bytes });
  }

  /** Nobody writes any more; what a start would have to read again for long is imaged. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#timer);
    await Promise.all(this.#running.values());
    for (const journal of this.#journals()) {
      if (journal.fault || !this.#hasNews(journal, SHUTDOWN_BYTES_MIN)) continue;
      try {
        await this.#run(journal);
      } catch (error) {
        if (!(error instanceof OmenError)) throw error;
        this.#options.log.error({ err: error }, "no checkpoint at the end; the log has it all");
      }
    }
  }
}

const round = (ms: number) => Math.round(ms * 10) / 10;
