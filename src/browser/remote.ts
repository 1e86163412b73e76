/**
 * The same collection in a worker of its own, so that the page's thread only draws:
 *
 *   const rows = await openInWorker({ url });      // in place of open({ url })
 *
 * Calls and answers cross as messages; vectors that are handed out are moved, not copied.
 */
import type { Row } from "../client/types.ts";
import { type ErrorCode, OmenError } from "../errors.ts";
import type { OpenOptions } from "./open.ts";
import type { Progress } from "./opening.ts";
import type { PageCollection, SaveOptions } from "./page.ts";

const METHODS = [
  ...["search", "searchBatch", "add", "batch", "get", "getMany", "patch"],
  ...["delete", "deleteMany", "stats"],
] as const;
type Method = keyof PageCollection & (typeof METHODS)[number];

export type WorkerCollection = Pick<
  PageCollection,
  | ("search" | "searchBatch" | "add" | "batch" | "get" | "getMany" | "patch")
  | ("delete" | "deleteMany" | "stats" | "scroll" | "save" | "export")
> & { close(): void };

export interface ToWorker {
  readonly ticket: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export type FromWorker =
  | { readonly ticket: number; readonly kind: "answer"; readonly value: unknown }
  | { readonly ticket: number; readonly kind: "progress"; readonly progress: Progress }
  | {
      readonly ticket: number;
      readonly kind: "failure";
      readonly code: ErrorCode;
      readonly message: string;
    };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  onProgress?(progress: Progress): void;
}

/** Throws as `open` does. The worker's program lies beside this module, as worker.js. */
export async function openInWorker(options: OpenOptions): Promise<WorkerCollection> {
  const { onProgress, signal, ...rest } = options;
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const link = new Link(worker);
  const abort = () => link.end(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const base = globalThis.location?.href;
    const url = rest.url === undefined ? undefined : new URL(rest.url, base).href;
    const engine = rest.engine === undefined ? undefined : new URL(rest.engine, base).href;
    await link.call("open", [{ ...rest, url, engine }], onProgress);
  } catch (error) {
    link.end(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  return collectionOver(link);
}

function collectionOver(link: Link): WorkerCollection {
  const calls = METHODS.map((name) => {
    return [name, (...args: unknown[]) => link.call(name, args)] as const;
  });
  return {
    ...(Object.fromEntries(calls) as unknown as Pick<PageCollection, Method>),
    async *scroll(options = {}): AsyncGenerator<Row, void, undefined> {
      let cursor: unknown;
      do {
        const [rows, next] = (await link.call("page", [options, cursor])) as [Row[], unknown];
        yield* rows;
        cursor = next;
      } while (cursor !== undefined);
    },
    save: (name: string, { onProgress }: SaveOptions = {}) =>
      link.call("save", [name], onProgress) as Promise<void>,
    export: ({ onProgress }: SaveOptions = {}) =>
      link.call("export", [], onProgress) as Promise<Blob>,
    close: () => link.end(new OmenError("SHUTTING_DOWN", "the collection was closed")),
  } as WorkerCollection;
}

class Link {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #tickets = 0;
  #ended: unknown;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#read(data);
    worker.onerror = ({ message }) => {
      this.end(new OmenError("UNSUPPORTED_PLATFORM", `the worker does not run: ${message}`));
    };
  }

  call(method: string, args: readonly unknown[], onProgress?: Waiting["onProgress"]) {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const ticket = ++this.#tickets;
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(ticket, { resolve, reject, ...(onProgress ? { onProgress } : {}) });
      this.#worker.postMessage({ ticket, method, args } satisfies ToWorker);
    });
  }

  end(reason: unknown): void {
    this.#ended ??= reason ?? new OmenError("SHUTTING_DOWN", "the worker has ended");
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  #read(message: FromWorker): void {
    const waiting = this.#waiting.get(message.ticket);
    if (message.kind === "progress") {
      waiting?.onProgress?.(message.progress);
      return;
    }
    this.#waiting.delete(message.ticket);
    if (message.kind === "answer") waiting?.resolve(message.value);
    else waiting?.reject(new OmenError(message.code, message.message));
  }
}
