/**
 * The client, on `fetch` alone, for Node and browsers:
 *
 *   const db = connect("http://localhost:8000", { apiKey: "secret" });
 *   const songs = db.collection("songs");
 *   await songs.add({ id: "dub", vector: [1, 0] });
 *   const { results } = await songs.search({ vector: [1, 0], k: 3 });
 */
import { Collection } from "./collection.ts";
import { isFailure } from "./failure.ts";
import { type CallOptions, type ClientOptions, Transport } from "./transport.ts";
import type {
  CollectionDescription,
  CollectionSettings,
  CollectionSummary,
  Health,
} from "./types.ts";

export type { ConditionalOptions, Page, ScrollOptions, WriteOptions } from "./collection.ts";
export { Collection } from "./collection.ts";
export { type FailureCode, isFailure, OmenDBError } from "./failure.ts";
export type { Restored, Snapshot, Snapshots } from "./snapshots.ts";
export type { CallOptions, ClientOptions } from "./transport.ts";
export type * from "./types.ts";
export type { Upload, UploadOptions, UploadProgress } from "./upload.ts";

/** Connects to nothing yet: the first call does. */
export function connect(url: string | URL, options: ClientOptions = {}): Client {
  return new Client(url, options);
}

export class Client {
  readonly #transport: Transport;

  constructor(url: string | URL, options: ClientOptions = {}) {
    this.#transport = new Transport(url, options);
  }

  /** Without a name the one that the server's root is about; its first write makes it. */
  collection(name = "default"): Collection {
    return new Collection(this.#transport, name);
  }

  async collections(options: CallOptions = {}): Promise<CollectionSummary[]> {
    const call = get("/collections", options);
    return (await this.#transport.json<{ collections: CollectionSummary[] }>(call)).collections;
  }

  /** Throws COLLECTION_EXISTS when it is there with other settings. */
  async createCollection(
    name: string,
    settings: CollectionSettings,
    options: CallOptions = {},
  ): Promise<Collection> {
    await this.#transport.json({
      ...{ ...options, method: "PUT", path: collectionPath(name), mayRepeat: true },
      body: JSON.stringify(settings),
    });
    return this.collection(name);
  }

  /** undefined when there is none. */
  async describeCollection(
    name: string,
    options: CallOptions = {},
  ): Promise<CollectionDescription | undefined> {
    try {
      return await this.#transport.json(get(collectionPath(name), options));
    } catch (error) {
      if (isFailure(error, "COLLECTION_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  /** With all its rows; false when there was none. */
  async dropCollection(name: string, options: CallOptions = {}): Promise<boolean> {
    try {
      const path = collectionPath(name);
      await this.#transport.json({ ...options, method: "DELETE", path, mayRepeat: true });
      return true;
    } catch (error) {
      if (isFailure(error, "COLLECTION_NOT_FOUND")) return false;
      throw error;
    }
  }

  /** Also while the server starts or refuses writes, which its status then says. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#health("/health", options);
  }

  /** Whether every collection is loaded. */
  async isReady(options: CallOptions = {}): Promise<boolean> {
    const { status } = await this.#health("/readyz", options);
    return status !== "starting";
  }

  async isAlive(options: CallOptions = {}): Promise<boolean> {
    try {
      await this.#transport.send({ retries: 0, ...get("/livez", options) });
      return true;
    } catch (error) {
      if (isFailure(error)) return false;
      throw error;
    }
  }

  /** In Prometheus's text format. */
  async metrics(options: CallOptions = {}): Promise<string> {
    return (await this.#transport.send(get("/metrics", options))).text();
  }

  openapi(options: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.#transport.json(get("/openapi.json", options));
  }

  async #health(path: string, options: CallOptions): Promise<Health> {
    try {
      return await this.#transport.json({ retries: 0, ...get(path, options) });
    } catch (error) {
      // 503 is an answer here, not a failure.
      if (isFailure(error) && error.status === 503 && "status" in error.problem) {
        return error.problem as unknown as Health;
      }
      throw error;
    }
  }
}

const collectionPath = (name: string) => `/collections/${encodeURIComponent(name)}`;

function get(path: string, options: CallOptions) {
  return { ...options, method: "GET", path, mayRepeat: true } as const;
}
