/**
 * The snapshots of all collections, on the writer's thread: images in the `snapshots` folder of
 * each collection. What is being written or restored is known here; the rest is read from the
 * files' heads, so a start has nothing to remember.
 */
import type { Catalog } from "../collections/catalog.ts";
import { readSettings } from "../collections/settings.ts";
import { createdBy, SNAPSHOT_ID, type Snapshot } from "../collections/snapshots.ts";
import { OmenError } from "../errors.ts";
import { Sitting } from "../imaging/sitting.ts";
import { type Image, readImage } from "../storage/image.ts";
import { verifyImage } from "../storage/inspect.ts";
import { isGone, removeStrays, storageError } from "../storage/replace.ts";
import type { Disk } from "./disk.ts";
import { letGo } from "./garbage.ts";
import type { Images } from "./images.ts";
import type { Journal } from "./journal.ts";
import type { Answer, Request } from "./messages.ts";
import { asInvalid, invalid, notFound, orGone, taken } from "./refusals.ts";
import { type RestoreOptions, restore } from "./restore.ts";

export interface ArchiveOptions extends RestoreOptions {
  readonly catalog: Catalog;
  readonly disk: Disk;
  readonly images: Images;
  /** Makes a collection as the writer does; it may be there already. */
  create(name: string, settings: ReturnType<typeof readSettings>): Promise<unknown>;
}

const SUFFIX = ".img";

export class Archive {
  readonly #options: ArchiveOptions;
  /** Being created, or failed to be, by path. */
  readonly #begun = new Map<string, Snapshot>();
  readonly #restoring = new Set<string>();
  /** Uploads that are about to take their names, by path. */
  readonly #arriving = new Set<string>();
  #running: Promise<unknown> = Promise.resolve();
  #uploadCount = 0;

  constructor(options: ArchiveOptions) {
    this.#options = options;
  }

  /** Carries out what a listener asks. */
  async handle({ verb, name, id, path }: Request & { kind: "snapshot" }): Promise<Answer> {
    const none = { sequence: 0, changed: 0 };
    switch (verb) {
      case "create":
        return { ...none, snapshots: [await this.create(name)] };
      case "list":
        return { ...none, snapshots: await this.list(name) };
      case "get":
        return { ...none, snapshots: [await this.get(name, id)] };
      case "locate":
        return { ...none, path: await this.locate(name, id) };
      case "prepare":
        return { ...none, path: await this.prepare(name, id) };
      case "adopt":
        return { ...none, snapshots: [await this.adopt(name, id, path)] };
      case "restore": {
        const { sequence, vectors } = await this.restore(name, id);
        return { sequence, changed: vectors };
      }
      case "discard":
        await this.discard(path);
        return none;
      default:
        await this.remove(name, id);
        return none;
    }
  }

  async create(name: string): Promise<Snapshot> {
    const { catalog, images, ring, log } = this.#options;
    const journal = this.#journal(name);
    const folder = await this.#folder(journal);
    const createdAt = new Date().toISOString();
    const digits = crypto.getRandomValues(new Uint16Array(1))[0]!.toString(16).padStart(4, "0");
    const id = `${createdAt.slice(0, 19).replaceAll(/[:T]/g, "-").toLowerCase()}-${digits}`;
    const path = `${folder}/${id}${SUFFIX}`;
    const begun: Snapshot = { id, status: "creating", progress: 0, createdAt };
    this.#begun.set(path, begun);
    const sitting = new Sitting(catalog.get(name)!, journal.gate, ring);
    const taking = images
      .take(path, sitting, (progress) => this.#begun.set(path, { ...begun, progress }))
      .then(
        () => void this.#begun.delete(path),
        (error: unknown) => {
          const reason = error instanceof Error ? error.message : String(error);
          this.#begun.set(path, { ...begun, status: "failed", reason });
          log.error({ collection: name, snapshot: id, err: error }, "a snapshot failed");
        },
      );
    this.#running = Promise.all([this.#running, taking]);
    return begun;
  }

  async list(name: string): Promise<Snapshot[]> {
    const journal = this.#journal(name);
    const folder = `${journal.stored.folder}/snapshots`;
    const names = await this.#names(folder);
    const found = names.map((file) => this.#describe(`${folder}/${file}`).catch(orGone));
    const begun = [...this.#begun].filter(([path]) => path.startsWith(`${folder}/`));
    const all = [...(await Promise.all(found)), ...begun.map(([, snapshot]) => snapshot)];
    const there = all.filter((snapshot) => snapshot !== undefined);
    return there.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  async get(name: string, id: string): Promise<Snapshot> {
    const path = this.#path(name, id);
    return this.#begun.get(path) ?? (await this.#describe(await this.#present(path, id)));
  }

  /** Where a snapshot that is ready lies. */
  async locate(name: string, id: string): Promise<string> {
    const path = this.#path(name, id);
    this.#refuseBusy(path, id);
    return await this.#present(path, id);
  }

  /** Where an upload may be written; `adopt` takes it from there. */
  async prepare(name: string, id: string): Promise<string> {
    const { disk } = this.#options;
    this.#check(id);
    if (disk.journal(name) !== undefined) await this.#refusePresent(name, id);
    const folder = `${disk.store.path}/uploads`;
    await disk.options.files.makeFolder(folder);
    return `${folder}/${process.pid}-${++this.#uploadCount}.aside`;
  }

  async adopt(name: string, id: string, from: string): Promise<Snapshot> {
    const { disk, create } = this.#options;
    const { files } = disk.options;
    try {
      const image = await this.#openUpload(from);
      const settings = readSettings(image.title.settings, from);
      await image.close();
      const report = await verifyImage(files, from, disk.crc32c);
      if (!report.sound) {
        const fault = report.fault?.message ?? report.sections.find(({ sound }) => !sound)?.fault;
        throw invalid(fault ?? "it does not verify", from);
      }
      if (disk.journal(name) === undefined) await create(name, settings);
      return await this.#keepUpload(name, id, from);
    } catch (error) {
      await files.remove(from).catch(() => undefined);
      throw storageError(asInvalid(error, from), "keeping an uploaded snapshot");
    }
  }

  /** Of two under one id, the one that came first. */
  async #keepUpload(name: string, id: string, from: string): Promise<Snapshot> {
    const { files } = this.#options.disk.options;
    const path = this.#path(name, id);
    if (this.#arriving.has(path)) throw taken(id);
    this.#arriving.add(path);
    try {
      await this.#refusePresent(name, id);
      const folder = await this.#folder(this.#journal(name));
      await files.rename(from, path);
      await files.syncFolder(folder);
      return await this.#describe(path);
    } finally {
      this.#arriving.delete(path);
    }
  }

  async discard(path: string): Promise<void> {
    await this.#options.disk.options.files.remove(path).catch(() => undefined);
  }

  async restore(name: string, id: string): Promise<{ sequence: number; vectors: number }> {
    const path = await this.locate(name, id);
    this.#restoring.add(path);
    try {
      return await restore(this.#options, this.#journal(name), path);
    } catch (error) {
      throw isGone(error) ? notFound(id) : asInvalid(error, path);
    } finally {
      letGo();
      this.#restoring.delete(path);
    }
  }

  async remove(name: string, id: string): Promise<void> {
    const path = this.#path(name, id);
    if (this.#begun.get(path)?.status === "failed") return void this.#begun.delete(path);
    this.#refuseBusy(path, id);
    const { files } = this.#options.disk.options;
    try {
      await files.remove(await this.#present(path, id));
      await files.syncFolder(`${this.#journal(name).stored.folder}/snapshots`);
    } catch (error) {
      throw storageError(error, `deleting the snapshot ${id}`);
    }
  }

  /** Resolves when none is being written. */
  async settle(): Promise<void> {
    await this.#running;
  }

  #journal(name: string): Journal {
    const journal = this.#options.disk.journal(name);
    if (journal !== undefined) return journal;
    throw new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
  }

  async #folder({ stored }: Journal): Promise<string> {
    const { files } = this.#options.disk.options;
    const folder = `${stored.folder}/snapshots`;
    try {
      await files.makeFolder(folder);
      await files.syncFolder(stored.folder);
      return folder;
    } catch (error) {
      throw storageError(error, "making a folder for snapshots", folder);
    }
  }

  async #names(folder: string): Promise<string[]> {
    const { files } = this.#options.disk.options;
    const names = await files.list(folder).catch(() => []);
    return names.filter((name) => name.endsWith(SUFFIX));
  }

  #check(id: string): void {
    if (SNAPSHOT_ID.test(id)) return;
    const message = `a snapshot's id is 1 to 64 of a-z 0-9 _ -, got ${JSON.stringify(id)}`;
    throw new OmenError("INVALID_REQUEST", message);
  }

  #path(name: string, id: string): string {
    this.#check(id);
    return `${this.#journal(name).stored.folder}/snapshots/${id}${SUFFIX}`;
  }

  async #present(path: string, id: string): Promise<string> {
    const slash = path.lastIndexOf("/");
    const names = await this.#names(path.slice(0, slash));
    if (names.includes(path.slice(slash + 1))) return path;
    throw notFound(id);
  }

  async #refusePresent(name: string, id: string): Promise<void> {
    const path = this.#path(name, id);
    const isThere = this.#begun.has(path) || (await this.#present(path, id).catch(() => ""));
    if (isThere) throw taken(id);
  }

  #refuseBusy(path: string, id: string): void {
    const begun = this.#begun.get(path);
    if (begun?.status === "failed") {
      throw new OmenError("SNAPSHOT_NOT_FOUND", `the snapshot ${id} failed: ${begun.reason}`);
    }
    if (begun === undefined && !this.#restoring.has(path)) return;
    const doing = begun ? "created" : "restored";
    throw new OmenError("SNAPSHOT_BUSY", `the snapshot ${id} is being ${doing}`);
  }

  async #openUpload(path: string): Promise<Image> {
    const { files } = this.#options.disk.options;
    const image = await readImage(files, path, this.#options.disk.crc32c);
    const { settings } = image.title;
    if (typeof settings === "object" && settings !== null) return image;
    await image.close();
    throw invalid("it is an image of something else than a collection", path);
  }

  /** A file that cannot be opened is a snapshot that failed: the others are listed all the same. */
  async #describe(path: string): Promise<Snapshot> {
    const { disk } = this.#options;
    const id = path.slice(path.lastIndexOf("/") + 1, -SUFFIX.length);
    try {
      const image = await readImage(disk.options.files, path, disk.crc32c);
      await image.close();
      const { title, sequence, source } = image;
      const settings = readSettings(title.settings, path);
      const createdAt = String(title.createdAt);
      const vectors = Number(title.vectors);
      const bytes = source.size;
      return { id, status: "ready", progress: 1, createdAt, sequence, bytes, vectors, settings };
    } catch (error) {
      if (isGone(error)) throw notFound(id);
      if (!(error instanceof OmenError)) throw error;
      const reason = error.message.replaceAll(path, "the file");
      return { id, status: "failed", progress: 0, createdAt: createdBy(id), reason };
    }
  }
}

/** Uploads that a crash cut short. */
export async function clearUploads({ options, store }: Disk): Promise<void> {
  await removeStrays(options.files, `${store.path}/uploads`).catch(() => undefined);
}
