/**
 * A start on a data path: every collection that is there comes back, from its newest sound image,
 * and from the log behind it through the same `apply` as live writes. Listeners answer meanwhile
 * that the server is starting. Damage that no older image makes good stops the start with file and
 * offset; what a crash leaves behind (a torn tail, strays) is cut or removed, and reported with its
 * bytes.
 */
import type { Logger } from "pino";
import type { Catalog } from "../collections/catalog.ts";
import { apply } from "../collections/changes.ts";
import type { CollectionParts } from "../collections/collection.ts";
import type { Health } from "../collections/database.ts";
import { Decisions } from "../collections/decisions.ts";
import { loadImage, type Surroundings } from "../collections/loading.ts";
import { readSettings } from "../collections/settings.ts";
import { OmenError } from "../errors.ts";
import { readImage } from "../storage/image.ts";
import { listSegments, type RecoveryReport, withFile } from "../storage/recovery.ts";
import type { Stored } from "../storage/store.ts";
import type { Disk } from "./disk.ts";
import { type KeptImage, listImages } from "./journal.ts";
import type { Notice } from "./messages.ts";
import type { Room } from "./room.ts";

export interface StartOptions {
  readonly disk: Disk;
  readonly catalog: Catalog;
  readonly room: Room;
  readonly log: Logger;
  /** What loaded memories are made for. */
  readonly around: Surroundings;
  announce(notice: Notice): Promise<void>;
  ring(): void;
  /** Hears how far the start is. */
  onHealth(health: Health): void;
}

/** Progress is told when it grew by this much. */
const PROGRESS_STEP = 0.01;

/** Fills the catalog. Throws OmenError CORRUPT_FILE, UNSUPPORTED_FORMAT, STORAGE_FULL, ... */
export async function loadCollections(options: StartOptions): Promise<void> {
  const { disk, log } = options;
  const start = performance.now();
  const stored = await disk.store.list();
  const meter = new Meter(options, await bytesOf(disk, stored));
  for (const each of stored) {
    try {
      await load(options, each, meter);
    } catch (error) {
      throw withAdvice(error, each);
    }
  }
  const durationMs = Math.round(performance.now() - start);
  if (stored.length > 0) log.info({ collections: stored.length, durationMs }, "loaded");
}

async function load(options: StartOptions, stored: Stored, meter: Meter): Promise<void> {
  const { disk, catalog, room, announce, ring, log } = options;
  const { name, folder } = stored;
  const start = performance.now();
  const images = await listImages(disk.options.files, folder);
  const found = await loadNewest(options, images, meter);
  const settings = found?.parts.settings ?? readSettings(stored.settings, `${folder}/collection`);
  const parts = found ? { ...found.parts, name } : room.newCollection(name, settings);
  const collection = catalog.attach(parts);
  if (found) {
    collection.ledger.restore(found.ledger, found.image.path);
    const { path, sequence, bytes } = found.image;
    const durationMs = Math.round(performance.now() - start);
    log.info({ collection: name, image: path, sequence, bytes, durationMs }, "loaded an image");
  }
  await announce({ kind: "attach", parts });
  const journal = await disk.openJournal(stored, collection.sequence, async (frame) => {
    new Decisions(collection, []).decide({ frame, mode: "upsert" });
    await room.make(collection, [frame]);
    await apply(collection, frame);
    ring();
    meter.add(frame.length);
  });
  journal.found(images, found?.image, found?.takenAtMs ?? 0);
  journal.curvesTimeMs = collection.calibration.curves?.measuredAtMs ?? 0;
  journal.state = collection.state;
  report(log, name, journal.wal.report);
}

interface Found {
  readonly parts: CollectionParts;
  readonly ledger: Uint8Array;
  readonly image: KeptImage;
  readonly takenAtMs: number;
}

/** The newest image that is sound; where it is not the newest of all, the log says so. */
async function loadNewest(
  { disk, around, log }: StartOptions,
  images: readonly { number: number; path: string }[],
  meter: Meter,
): Promise<Found | undefined> {
  let damage: unknown;
  for (const { number, path } of images) {
    try {
      const image = await readImage(disk.options.files, path, disk.crc32c);
      try {
        image.onBytes = (bytes) => meter.add(bytes);
        const { parts, ledger } = await loadImage(image, around);
        const takenAtMs = Date.parse(String(image.title.createdAt)) || Date.now();
        const { sequence } = image;
        const kept = { number, path, sequence, bytes: image.source.size };
        return { parts, ledger, image: kept, takenAtMs };
      } finally {
        await image.close();
      }
    } catch (error) {
      if (!(error instanceof OmenError) || error.code !== "CORRUPT_FILE") throw error;
      log.error({ image: path, err: error }, "an image is damaged; the one before it is tried");
      damage ??= error;
    }
  }
  if (damage !== undefined) throw damage;
  return undefined;
}

function report(log: Logger, collection: string, found: RecoveryReport): void {
  const { frames, lastSequence, segmentsRead, cut, ignored, strays } = found;
  log.info({ collection, frames, sequence: lastSequence, segments: segmentsRead }, "read the log");
  for (const part of cut) {
    log.warn({ collection, ...part }, "cut the torn end of the log, which nobody was told of");
  }
  for (const part of ignored) {
    log.warn({ collection, ...part }, "passed over what was refused when the disk failed");
  }
  if (strays.length > 0) log.warn({ collection, files: strays }, "removed files left half written");
}

async function bytesOf({ options }: Disk, stored: readonly Stored[]): Promise<number> {
  const { files, crc32c } = options;
  let bytes = 0;
  for (const { folder } of stored) {
    for (const segment of await listSegments({ files, folder, crc32c })) bytes += segment.bytes;
    const [image] = await listImages(files, folder);
    if (image) bytes += await withFile(files, image.path, (file) => file.size());
  }
  return bytes;
}

/** Names the command that shows more, where a file stands in the way. */
function withAdvice(error: unknown, { folder }: Stored): unknown {
  if (!(error instanceof OmenError)) return error;
  if (error.code !== "CORRUPT_FILE" && error.code !== "UNSUPPORTED_FORMAT") return error;
  const [image] = /\S+\.img/.exec(error.message) ?? [];
  const command = image ? `omendb snapshot verify ${image}` : `omendb wal inspect ${folder}`;
  const message = `${error.message}; ${command} shows more`;
  return new OmenError(error.code, message, { cause: error });
}

/** Bytes done of all that are to be read, told as the share of the whole. */
class Meter {
  readonly #options: StartOptions;
  readonly #bytesTotal: number;
  #bytes = 0;
  #told = -1;

  constructor(options: StartOptions, bytesTotal: number) {
    this.#options = options;
    this.#bytesTotal = bytesTotal;
    this.add(0);
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    const progress = Math.min(1, this.#bytes / Math.max(1, this.#bytesTotal));
    if (progress < this.#told + PROGRESS_STEP) return;
    this.#told = progress;
    this.#options.onHealth({ status: "starting", progress: Math.round(progress * 1000) / 1000 });
  }
}
