/** A collection's snapshots: made, watched, moved from server to server, restored. */
import { OmenDBError } from "./failure.ts";
import type { CallOptions, Transport } from "./transport.ts";
import type { Metric } from "./types.ts";

export interface Snapshot {
  readonly id: string;
  readonly status: "creating" | "ready" | "failed";
  /** 0 to 1. */
  readonly progress: number;
  /** Of the last write that it holds, once it is ready. */
  readonly sequence?: number;
  readonly bytes?: number;
  readonly vectors?: number;
  readonly dimensions?: number;
  readonly metric?: Metric;
  /** ISO 8601, UTC. */
  readonly created_at: string;
  readonly reason?: string;
}

export interface Restored {
  readonly status: "ok";
  readonly sequence: number;
  /** Rows that the collection has now. */
  readonly vectors: number;
}

const POLL_MS_MIN = 50;
const POLL_MS_MAX = 1000;
/** Copying and checking gigabytes takes its time. */
const LONG_MS = 3_600_000;

export class Snapshots {
  readonly #transport: Transport;
  readonly #root: string;

  constructor(transport: Transport, collectionRoot: string) {
    this.#transport = transport;
    this.#root = `${collectionRoot}/snapshots`;
  }

  /** Begins one; `wait` tells when it is ready. */
  create(options: CallOptions = {}): Promise<Snapshot> {
    return this.#transport.json({
      ...{ ...options, method: "POST", path: this.#root },
      // A second snapshot would be the worst of it, but nobody asked for one.
      mayRepeat: false,
    });
  }

  async list(options: CallOptions = {}): Promise<Snapshot[]> {
    const call = { ...options, method: "GET", path: this.#root, mayRepeat: true } as const;
    return (await this.#transport.json<{ snapshots: Snapshot[] }>(call)).snapshots;
  }

  get(id: string, options: CallOptions = {}): Promise<Snapshot> {
    return this.#transport.json({
      ...{ ...options, method: "GET", path: this.#path(id), mayRepeat: true },
    });
  }

  /** Resolves when it is ready; throws when it failed. `onProgress` hears of each look at it. */
  async wait(
    id: string,
    { onProgress, ...options }: CallOptions & { onProgress?: (snapshot: Snapshot) => void } = {},
  ): Promise<Snapshot> {
    for (let ms = POLL_MS_MIN; ; ms = Math.min(POLL_MS_MAX, ms * 1.5)) {
      const snapshot = await this.get(id, options);
      onProgress?.(snapshot);
      if (snapshot.status === "ready") return snapshot;
      if (snapshot.status === "failed") {
        throw new OmenDBError("INTERNAL", snapshot.reason ?? `the snapshot ${id} failed`);
      }
      await new Promise((resolve) => setTimeout(resolve, ms));
      options.signal?.throwIfAborted();
    }
  }

  /** The file as a stream, or a part of it: bytes from `start` up to, not including, `end`. */
  download(
    id: string,
    range: { readonly start?: number; readonly end?: number } = {},
    options: CallOptions = {},
  ): Promise<Response> {
    const { start = 0, end } = range;
    const isWhole = start === 0 && end === undefined;
    const headers = isWhole
      ? undefined
      : { range: `bytes=${start}-${end === undefined ? "" : end - 1}` };
    const path = `${this.#path(id)}/download`;
    return this.#transport.send({ ...options, method: "GET", path, headers, mayRepeat: true });
  }

  /** The server checks it before it keeps it. */
  upload(
    id: string,
    file: Blob | Uint8Array<ArrayBuffer> | ReadableStream,
    options: CallOptions = {},
  ): Promise<Snapshot> {
    return this.#transport.json({
      ...{ timeoutMs: LONG_MS, ...options, method: "PUT", path: this.#path(id), body: file },
      headers: { "content-type": "application/octet-stream" },
      mayRepeat: true,
    });
  }

  /** Puts the collection back to it, after the server has checked it. The sequence goes on. */
  restore(id: string, options: CallOptions = {}): Promise<Restored> {
    return this.#transport.json({
      ...{ timeoutMs: LONG_MS, ...options, method: "POST", path: `${this.#path(id)}/restore` },
      mayRepeat: false,
    });
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json({
      ...{ ...options, method: "DELETE", path: this.#path(id), mayRepeat: true },
    });
  }

  #path(id: string): string {
    return `${this.#root}/${encodeURIComponent(id)}`;
  }
}
