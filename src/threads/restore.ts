/**
 * A restore: the snapshot is loaded aside, into fresh memories, checked there and searched; then,
 * in the collection's lane, it becomes the collection's image under a sequence that goes on, and
 * takes the collection's place in every thread. Searches under way finish on the old memories.
 *
 * The rename of the image is the point of no return: a crash before leaves the collection as it
 * was, one after leaves it restored, for the log begins anew behind the image.
 */
import type { Logger } from "pino";
import type { Catalog } from "../collections/catalog.ts";
import { Collection, type CollectionParts } from "../collections/collection.ts";
import { LEDGER } from "../collections/imaged.ts";
import { type Loaded, loadImage, type Surroundings } from "../collections/loading.ts";
import { State } from "../collections/state.ts";
import { OmenError } from "../errors.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import { chunkCount, IMAGE_SETTINGS_BYTES_MAX } from "../storage/head.ts";
import { readImage } from "../storage/image.ts";
import { replaceImage } from "../storage/imaging.ts";
import { corrupt, storageError } from "../storage/replace.ts";
import type { Disk } from "./disk.ts";
import type { Journal } from "./journal.ts";
import type { Notice } from "./messages.ts";

export interface RestoreOptions {
  readonly catalog: Catalog;
  readonly disk: Disk;
  readonly around: Surroundings;
  readonly log: Logger;
  readonly memoryBytesMax?: number;
  announce(notice: Notice): Promise<void>;
  ring(): void;
  inLane<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** Rows that are searched for before the snapshot replaces anything. */
const SAMPLES = 16;
const SAMPLE_K = 10;
/** Of a snapshot: far more than any collection counts in a lifetime, with room to count on. */
const SEQUENCE_MAX = 2 ** 52;

export async function restore(
  options: RestoreOptions,
  journal: Journal,
  path: string,
): Promise<{ sequence: number; vectors: number }> {
  const { catalog, disk, around, inLane } = options;
  const { name } = journal.stored;
  const image = await readImage(disk.options.files, path, disk.crc32c);
  let loaded: Loaded;
  try {
    if (image.sequence > SEQUENCE_MAX) {
      throw corrupt(path, 16, `no snapshot has the sequence ${image.sequence}`);
    }
    loaded = await loadImage(image, around);
  } finally {
    await image.close();
  }
  const parts = { ...loaded.parts, name };
  refuseOther(catalog.get(name)!, parts);
  const candidate = new Collection(catalog.thread, parts);
  refusePastLimit(options, candidate);
  const found = await sampleSearches(candidate, path);
  return await inLane(name, async () => {
    const before = catalog.get(name);
    if (before === undefined || disk.journal(name) !== journal) {
      throw new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
    }
    if (journal.fault) throw new OmenError(journal.fault.code, journal.fault.message);
    const sequence = Math.max(image.sequence, before.sequence + 1);
    // The graph and the columns are the snapshot's, and so is what shaped them; a limit is ours.
    const settings = { ...parts.settings, quota: before.settings.quota };
    const exchange = async () => {
      const ledger = before.ledger.toBytes();
      const kept = { ...journal.nextImage(), sequence, bytes: image.source.size };
      try {
        const title = { settings, sequence, ledger };
        await copyAs(disk.options.files, path, kept.path, title, disk.crc32c);
        await journal.goOnAfter(sequence);
      } catch (error) {
        await takeBack(disk.options.files, journal, kept.path);
        throw error;
      }
      new State(parts.state).sequence = sequence;
      await takePlace(options, { ...parts, settings }, ledger, path);
      // It is done; what an image before it still takes, the next one gives back.
      await journal.keep(kept, journal.bytesCommitted, 1).catch((error: unknown) => {
        options.log.warn(
          { collection: name, err: error },
          "images before a restore are still there",
        );
      });
    };
    // A checkpoint that began now would be of the rows that go, and newer than the restored image.
    await (disk.checkpoints?.without(journal, exchange) ?? exchange());
    const vectors = catalog.get(name)!.live;
    options.log.info({ collection: name, snapshot: path, sequence, vectors, found }, "restored");
    return { sequence, vectors };
  });
}

/**
 * The restore was refused, so no start may find its image. Where that cannot be had, no write may
 * come either: it would be older than the image.
 */
async function takeBack(files: Files, journal: Journal, path: string): Promise<void> {
  try {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const { folder } = journal.stored;
    if ((await files.list(folder)).includes(name)) await files.remove(path);
    await files.syncFolder(folder);
  } catch (error) {
    await journal.close();
    throw storageError(error, "taking back a refused restore", path);
  }
}

function refuseOther({ settings, name }: Collection, { settings: others }: CollectionParts): void {
  for (const setting of ["dimensions", "metric"] as const) {
    if (settings[setting] === others[setting]) continue;
    const message = `${name} has ${setting} ${settings[setting]}, the snapshot ${others[setting]}`;
    throw new OmenError("COLLECTION_EXISTS", message);
  }
}

/** While both are there, both count. */
function refusePastLimit({ catalog, memoryBytesMax }: RestoreOptions, candidate: Collection): void {
  if (memoryBytesMax === undefined) return;
  const held = catalog.list().reduce((sum, each) => sum + each.stats().memoryBytes, 0);
  const bytes = held + candidate.stats().memoryBytes;
  if (bytes <= memoryBytesMax) return;
  const message = `the snapshot would bring them to ${bytes} of ${memoryBytesMax} bytes`;
  throw new OmenError("MEMORY_LIMIT", `${message} (OMENDB_MEMORY_LIMIT_MB)`);
}

/**
 * Searches for rows spread over the snapshot, each of which must give as many hits as there
 * are. Resolves with the share that was found by its own vector, for the log: a walk that is narrow
 * for its rows misses some, and that is no damage.
 */
async function sampleSearches(candidate: Collection, path: string): Promise<number> {
  let [asked, found] = [0, 0];
  for (const { shard, rows } of candidate.parts) {
    const step = Math.max(1, Math.floor(shard.slotsUsed / SAMPLES));
    for (let slot = 0; slot < shard.slotsUsed; slot += step) {
      if (shard.birth(slot) === 0 || shard.death(slot) !== 0) continue;
      const id = rows.id(slot);
      if (candidate.get(id) === undefined) {
        throw new OmenError("CORRUPT_FILE", `${path}: the row ${JSON.stringify(id)} is not there`);
      }
      const vector = shard.vector(slot).slice();
      const query = { vector, k: SAMPLE_K, includeMetadata: false, includeVector: true };
      const { hits } = await candidate.search({ ...query, exact: false });
      if (hits.length < Math.min(SAMPLE_K, candidate.live)) {
        const row = JSON.stringify(id);
        const message = `${path}: a search for the row ${row} has ${hits.length} hits`;
        throw new OmenError("CORRUPT_FILE", message);
      }
      asked++;
      // Copies of one vector stand in for each other.
      const isThis = (hit: (typeof hits)[number]) =>
        hit.id === id || hit.vector?.every((x, i) => x === vector[i]) === true;
      if (hits.some(isThis)) found++;
    }
  }
  return asked === 0 ? 1 : found / asked;
}

/** What a restored image does not take from the snapshot. */
interface Ours {
  readonly settings: CollectionParts["settings"];
  readonly sequence: number;
  readonly ledger: Uint8Array;
}

/**
 * The image under another sequence, whole when its name is there, with the keys of requests that
 * the collection has carried out until now: those are not undone with the rows.
 */
async function copyAs(
  files: Files,
  from: string,
  to: string,
  { settings, sequence, ledger }: Ours,
  crc32c: Crc32c,
): Promise<void> {
  const image = await readImage(files, from, crc32c);
  const { sections } = image;
  const bytes = sections.reduce((sum, { length }) => sum + length, ledger.length);
  const room = {
    settingsBytes: IMAGE_SETTINGS_BYTES_MAX,
    sections: sections.length,
    chunks: chunkCount(bytes) + sections.length,
  };
  try {
    await replaceImage(files, to, room, crc32c, async (draft) => {
      for (const { name, length } of sections) {
        draft.add(name, name === LEDGER ? ledger.length : length);
        if (name === LEDGER) await draft.write(name, 0, ledger);
        else await image.verify(name, (at, run) => draft.write(name, at, run));
      }
      return { sequence, settings: { ...image.settings, settings } };
    });
  } finally {
    await image.close();
  }
}

async function takePlace(
  { catalog, disk, announce, ring }: RestoreOptions,
  parts: CollectionParts,
  ledger: Uint8Array,
  path: string,
): Promise<void> {
  const collection = catalog.attach(parts);
  collection.ledger.restore(ledger, path);
  disk.attached(collection);
  await announce({ kind: "attach", parts });
  ring();
}
