/**
 * Who takes images: a worker thread of its own, or (with one thread, or a file system that cannot
 * be handed over) this one, in slices. One image is taken at a time.
 */
import type { Worker } from "node:worker_threads";
import type { ShardMemories } from "../collections/collection.ts";
import type { StateMemory } from "../collections/state.ts";
import { OmenError } from "../errors.ts";
import { type Standing, type Taken, takeImage } from "../imaging/imager.ts";
import type { Sitting } from "../imaging/sitting.ts";
import type { Files } from "../storage/files.ts";
import type { Crc32c } from "../storage/frame.ts";
import { verifyImage } from "../storage/inspect.ts";
import { fromPlain, type PlainError, toPlain } from "./messages.ts";

export type ToImager =
  | { readonly kind: "take"; readonly path: string; readonly state: StateMemory }
  | { readonly kind: "turned"; readonly shards: readonly ShardMemories[] }
  | { readonly kind: "stopped"; readonly standing: Standing }
  /** The thread that was asked could not. */
  | { readonly kind: "refused"; readonly error: PlainError }
  | { readonly kind: "close" };

export type FromImager =
  | { readonly kind: "turn" }
  | { readonly kind: "stop" }
  | { readonly kind: "go" }
  | { readonly kind: "progress"; readonly progress: number }
  | { readonly kind: "taken"; readonly taken: Taken }
  | { readonly kind: "failed"; readonly error: PlainError };

export type OnProgress = (progress: number) => void;

export interface Images {
  /** Throws STORAGE_FULL, READ_ONLY, CORRUPT_FILE when what was written cannot be read back. */
  take(path: string, sitting: Sitting, onProgress?: OnProgress): Promise<Taken>;
}

/** Writes an image and reads it back, whole. */
export async function takeAndVerify(
  files: Files,
  path: string,
  sitter: Parameters<typeof takeImage>[2],
  crc32c: Crc32c,
  onProgress?: OnProgress,
): Promise<Taken> {
  const taken = await takeImage(files, path, sitter, crc32c, onProgress);
  const report = await verifyImage(files, path, crc32c);
  if (report.sound) return taken;
  await files.remove(path).catch(() => undefined);
  const fault = report.fault ?? { message: report.sections.find(({ sound }) => !sound)?.fault };
  throw new OmenError("CORRUPT_FILE", `the image just written cannot be read: ${fault.message}`);
}

abstract class Queue implements Images {
  #last: Promise<unknown> = Promise.resolve();

  take(path: string, sitting: Sitting, onProgress?: OnProgress): Promise<Taken> {
    const result = this.#last.then(() => this.takeNow(path, sitting, onProgress));
    this.#last = result.catch(() => undefined);
    return result;
  }

  protected abstract takeNow(
    path: string,
    sitting: Sitting,
    onProgress?: OnProgress,
  ): Promise<Taken>;
}

export class OwnImages extends Queue {
  readonly #files: Files;
  readonly #crc32c: Crc32c;

  constructor(files: Files, crc32c: Crc32c) {
    super();
    this.#files = files;
    this.#crc32c = crc32c;
  }

  protected takeNow(path: string, sitting: Sitting, onProgress?: OnProgress): Promise<Taken> {
    return takeAndVerify(this.#files, path, sitting, this.#crc32c, onProgress);
  }
}

export class WorkerImages extends Queue {
  readonly #thread: Worker;

  constructor(thread: Worker) {
    super();
    this.#thread = thread;
  }

  protected takeNow(path: string, sitting: Sitting, onProgress?: OnProgress): Promise<Taken> {
    const say = (message: ToImager) => this.#thread.postMessage(message);
    return new Promise((resolve, reject) => {
      const sit = async (kind: "turn" | "stop") => {
        try {
          if (kind === "turn") say({ kind: "turned", shards: await sitting.turn() });
          else say({ kind: "stopped", standing: await sitting.stop() });
        } catch (error) {
          say({ kind: "refused", error: toPlain(error) });
        }
      };
      const read = (message: FromImager) => {
        if (message.kind === "turn" || message.kind === "stop") void sit(message.kind);
        else if (message.kind === "go") sitting.go();
        else if (message.kind === "progress") onProgress?.(message.progress);
        else {
          this.#thread.off("message", read);
          if (message.kind === "taken") resolve(message.taken);
          else reject(fromPlain(message.error));
        }
      };
      this.#thread.on("message", read);
      say({ kind: "take", path, state: sitting.collection.state.memory });
    });
  }
}
