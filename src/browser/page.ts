/**
 * A collection in a page: the calls of every other door (src/embedded/collection.ts), and what only
 * a page does: keep the collection on this device, hand it out as a file, let go of it.
 */
import type { Collection as Inner } from "../collections/collection.ts";
import { Collection } from "../embedded/collection.ts";
import { OmenError } from "../errors.ts";
import type { OpenFile } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import { type ByteSource, Image } from "../storage/image.ts";
import type { PageDatabase } from "./database.ts";
import { writeInto } from "./imaging.ts";
import { collectBlob, openKeeper } from "./keeping.ts";
import type { Progress } from "./opening.ts";
import { checkName } from "./store.ts";

export interface SaveOptions {
  onProgress?(progress: Progress): void;
}

export class PageCollection extends Collection {
  readonly #database: PageDatabase;
  readonly #inner: Inner;
  readonly #crc32c: Crc32c;

  /** `open` makes it. */
  constructor(database: PageDatabase, inner: Inner, crc32c: Crc32c) {
    super(database, inner.name, inner.settings.metric);
    this.#database = database;
    this.#inner = inner;
    this.#crc32c = crc32c;
  }

  /**
   * Keeps the collection as it is now under a name on this device; `open({ opfs: name })` finds it.
   * What was there before stays until the new image has been read back. Throws OmenError
   * STORAGE_FULL where the origin's quota is used up.
   */
  async save(name: string, { onProgress }: SaveOptions = {}): Promise<void> {
    checkName(name);
    const store = await openKeeper();
    await this.#database.still(() =>
      store.replace(
        name,
        (file) => this.#write(file, "keeping", onProgress),
        (source) => this.#verify(source),
      ),
    );
  }

  /** The collection as it is now, as the file that a server's snapshot is. */
  async export({ onProgress }: SaveOptions = {}): Promise<Blob> {
    return await this.#database.still(() =>
      collectBlob((file) => this.#write(file, "writing", onProgress)),
    );
  }

  async #write(
    file: OpenFile,
    phase: string,
    onProgress: SaveOptions["onProgress"],
  ): Promise<void> {
    const totalBytes = this.#inner.stats().memoryBytes;
    await writeInto(file, this.#inner, this.#crc32c, (share) =>
      onProgress?.({ phase, loadedBytes: share * totalBytes, totalBytes }),
    );
  }

  async #verify(source: ByteSource): Promise<void> {
    const image = await Image.open(source, this.#crc32c);
    for (const { name } of image.sections) await image.verify(name);
    if (image.sequence === this.#inner.sequence) return;
    throw new OmenError("CORRUPT_FILE", `${source.name}: another state than was written`);
  }
}
