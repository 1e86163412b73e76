/**
 * The same database without HTTP, in the program that uses it:
 *
 *   const db = await open("data");
 *   const songs = await db.createCollection("songs", { dimensions: 2, metric: "cosine" });
 *   await songs.add({ id: "dub", vector: [1, 0] });
 *   const { results } = await songs.search({ vector: [1, 0], k: 3 });
 *   await db.close();
 */
import { pino } from "pino";
import type {
  CollectionDescription,
  CollectionSettings,
  CollectionSummary,
  Metric,
} from "../client/types.ts";
import type * as inner from "../collections/database.ts";
import { checkKeeping } from "../collections/settings.ts";
import { type Config, readConfig } from "../config.ts";
import { OmenError } from "../errors.ts";
import { loadEngine } from "../threads/engineFiles.ts";
import { type InnerDatabase, openInner } from "../threads/inner.ts";
import { Collection } from "./collection.ts";

export interface OpenOptions {
  /** Of a collection made by its first write; l2 by default. */
  readonly metric?: Metric;
  /** How soon a write is on disk: strict, the default, before it resolves. */
  readonly safety?: "strict" | "normal";
  /** Threads that build the graph; 0, the default, builds it in this one between events. */
  readonly linkers?: number;
  readonly tailRows?: number;
  readonly shardRows?: number;
  readonly memoryLimitMb?: number;
  /** Of what is said on stderr, as JSON lines; warn by default. */
  readonly logLevel?: Config["logLevel"];
}

/** A program that writes faster than rows are linked waits; it does not want to hear 503. */
const WRITE_WAIT_MS = 600_000;
const LINKERS_MAX = 31;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const STDERR = 2;

/**
 * Opens the data path and loads what is in it; without a path everything is in memory only. Throws
 * OmenError: INVALID_SETTING also where another process holds the path, CORRUPT_FILE,
 * UNSUPPORTED_FORMAT.
 */
export async function open(path?: string, options: OpenOptions = {}): Promise<OpenDatabase> {
  const { linkers = 0 } = options;
  if (!Number.isInteger(linkers) || linkers < 0 || linkers > LINKERS_MAX) {
    const message = `linkers: expected a whole number from 0 to ${LINKERS_MAX}, got ${linkers}`;
    throw new OmenError("INVALID_SETTING", message);
  }
  const config = configOf(path, options);
  const log = pino(
    { level: config.logLevel, base: undefined },
    pino.destination({ fd: STDERR, sync: true }),
  );
  const onFatal = (error: Error) => {
    // Nothing that is in memory can be relied on any more.
    queueMicrotask(() => {
      throw error;
    });
  };
  const parts = { config, log, version: "", onFatal, ...loadEngine() };
  return new OpenDatabase(await openInner(parts, linkers), config.metric);
}

export class OpenDatabase {
  readonly #inner: InnerDatabase;
  readonly #metric: Metric;
  #closing: Promise<void> | undefined;

  /** `open` makes it. */
  constructor(inner: InnerDatabase, metric: Metric) {
    this.#inner = inner;
    this.#metric = metric;
  }

  /** Without a name the one whose first write makes it. */
  collection(name = "default"): Collection {
    return new Collection(this.#database, name, this.#metric);
  }

  async collections(): Promise<CollectionSummary[]> {
    return this.#database.collections().map((view) => {
      const { dimensions, metric } = view.settings;
      const { vectors, memoryBytes } = view.stats();
      return { name: view.name, vectors, dimensions, metric, memory_bytes: memoryBytes };
    });
  }

  /** Throws COLLECTION_EXISTS when it is there with other settings. */
  async createCollection(name: string, settings: CollectionSettings): Promise<Collection> {
    if (!NAME.test(name)) {
      throw new OmenError("INVALID_REQUEST", "a name is 1 to 64 of A-Z, a-z, 0-9, _ and -");
    }
    await this.#database.create(name, settingsOf(settings, this.#metric));
    return this.collection(name);
  }

  /** undefined when there is none. */
  async describeCollection(name: string): Promise<CollectionDescription | undefined> {
    const view = this.#database.collection(name);
    if (view === undefined) return undefined;
    const { dimensions, metric, quantization, m, efConstruction, efSearch } = view.settings;
    return {
      ...{ name, dimensions, metric, quantization, m },
      vectors: view.settings.vectors ?? "memory",
      ...{ ef_construction: efConstruction, ef_search: efSearch },
      stats: await this.collection(name).stats(),
    };
  }

  /** With all its rows; false when there was none. */
  async dropCollection(name: string): Promise<boolean> {
    return (await this.#database.drop(name)).dropped;
  }

  /** Healthy, or read-only with the reason after a disk fault. */
  health(): inner.Health {
    return this.#database.health();
  }

  /** Ends its threads and lets go of the data path. What was acknowledged is kept in any case. */
  close(): Promise<void> {
    this.#closing ??= this.#inner.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #database(): inner.Database {
    if (this.#closing === undefined) return this.#inner.database;
    throw new OmenError("SHUTTING_DOWN", "the database was closed");
  }
}

/** By the table of settings, whose names are flags there and properties here. */
function configOf(path: string | undefined, options: OpenOptions): Config {
  const { linkers: _linkers, ...settings } = options;
  const given = { path, writeWaitMs: WRITE_WAIT_MS, threads: 1, logLevel: "warn", ...settings };
  const texts = Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, String(value)]);
  try {
    return readConfig({}, Object.fromEntries(texts));
  } catch (error) {
    const spelled = (error as Error).message.replaceAll(/--[a-z-]+/g, (flag) =>
      flag.slice(2).replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    );
    throw error instanceof OmenError ? new OmenError(error.code, spelled) : error;
  }
}

const RANGES = {
  dimensions: [1, 8192],
  m: [2, 64],
  ef_construction: [8, 2000],
  ef_search: [1, 16_384],
} as const;

function settingsOf(settings: CollectionSettings, metric: Metric): inner.CollectionSettings {
  const { m = 16, ef_construction = 64, ef_search = 96, dimensions } = settings;
  const numbers = { dimensions, m, ef_construction, ef_search };
  for (const [name, [from, to]] of Object.entries(RANGES)) {
    const value = numbers[name as keyof typeof RANGES];
    if (Number.isInteger(value) && value >= from && value <= to) continue;
    const message = `${name}: expected a whole number from ${from} to ${to}, got ${value}`;
    throw new OmenError("INVALID_REQUEST", message);
  }
  const chosen = settings.metric ?? metric;
  if (!["l2", "cosine", "dot"].includes(chosen)) {
    throw new OmenError("INVALID_REQUEST", `metric: expected l2, cosine or dot, got ${chosen}`);
  }
  const { quantization = "sq8", schema, vectors = "memory" } = settings;
  if (!["memory", "none"].includes(vectors)) {
    throw new OmenError("INVALID_REQUEST", `vectors: expected memory or none, got ${vectors}`);
  }
  const wanted = {
    dimensions,
    metric: chosen,
    quantization,
    m,
    efConstruction: ef_construction,
    efSearch: ef_search,
    ...(vectors === "none" && { vectors }),
    ...(schema === undefined ? {} : { schema }),
  };
  checkKeeping(wanted);
  return wanted;
}
