/** Opens a collection in a page with the whole engine: to search it, to change it, to keep it. */
import { Collection, type CollectionParts } from "../collections/collection.ts";
import type { Metric } from "../collections/database.ts";
import { readSettings } from "../collections/settings.ts";
import { newState } from "../collections/state.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";
import type { Crc32c } from "../storage/frame.ts";
import { PageDatabase } from "./database.ts";
import { type Builds, loadEngine } from "./engine.ts";
import { newShard } from "./growing.ts";
import { LinkingBeside, LinkingHere } from "./linking.ts";
import { checkSource, loadSource, type SourceOptions, summing, WORKERS } from "./opening.ts";
import { PageCollection } from "./page.ts";
import { pauseOfPage } from "./pause.ts";
import { PageRoom } from "./room.ts";

export interface OpenOptions extends SourceOptions {
  /** In place of a source: an empty collection of these settings. */
  readonly create?: NewCollection;
  /** 1: rows are linked by this thread alone, also in an isolated page, where a worker would. */
  readonly threads?: 1;
}

export interface NewCollection {
  readonly dimensions: number;
  readonly metric?: Metric;
  readonly quantization?: "sq8" | "none";
  /** `none` keeps codes alone. */
  readonly vectors?: "memory" | "none";
  readonly m?: number;
  readonly efConstruction?: number;
  readonly efSearch?: number;
  /** For how many rows memory is made at first; 4096 at least. */
  readonly rows?: number;
}

/** The thread beside the one that opened. */
const SECOND = WORKERS - 1;
const SOURCES = ["url", "bytes", "opfs", "create"] as const;
const DEFAULTS = {
  metric: "l2",
  quantization: "sq8",
  m: 16,
  efConstruction: 64,
  efSearch: 96,
} as const;
const SHARED: Builds = [
  ["relaxed-shared", () => new URL("./relaxed-shared.wasm", import.meta.url)],
  ["plain-shared", () => new URL("./plain-shared.wasm", import.meta.url)],
];
const UNSHARED: Builds = [
  ["relaxed", () => new URL("./relaxed.wasm", import.meta.url)],
  ["plain", () => new URL("./plain.wasm", import.meta.url)],
];

/**
 * Throws OmenError: INVALID_REQUEST, NOT_FOUND, UNAUTHENTICATED, CORRUPT_FILE (a file that is cut,
 * damaged, or no snapshot at all), UNSUPPORTED_FORMAT, MEMORY_LIMIT, UNSUPPORTED_PLATFORM.
 */
export async function open(options: OpenOptions): Promise<PageCollection> {
  checkSource(options, SOURCES);
  const { threads } = options;
  if (threads !== undefined && threads !== 1) {
    throw new OmenError("INVALID_REQUEST", `threads must be 1 or left out, got ${threads}`);
  }
  const isShared = globalThis.crossOriginIsolated === true;
  const engine = loadEngine(isShared ? SHARED : UNSHARED, options);
  if (options.create === undefined) {
    const { parts, variant, crc32c } = await loadSource(engine, options);
    return collectionOf(parts, variant, crc32c, options);
  }
  const variant = await engine;
  return collectionOf(newParts(options.create, variant), variant, summing(variant), options);
}

/**
 * The whole engine over memories that one for searching alone has loaded: they are used as they
 * lie. Both may go on, for each has a worker's area of its own.
 */
export async function adopt(
  parts: CollectionParts,
  options: Pick<SourceOptions, "engine"> = {},
): Promise<PageCollection> {
  const variant = await loadEngine(UNSHARED, options);
  return collectionOf(parts, variant, summing(variant), { worker: SECOND });
}

function collectionOf(
  parts: CollectionParts,
  variant: Variant,
  crc32c: Crc32c,
  { worker = 0, threads }: { worker?: number; threads?: 1 | undefined },
): PageCollection {
  const collection = new Collection({ variant, worker, pause: pauseOfPage() }, parts);
  const room = new PageRoom(variant, WORKERS);
  // Rows that move to another range do so under a lock, for which a page's thread must not wait.
  const isAlone = !variant.shared || threads === 1 || collection.settings.vectors === "none";
  const linking = isAlone ? new LinkingHere(collection) : new LinkingBeside(collection, SECOND);
  const database = new PageDatabase(collection, room, crc32c, linking);
  return new PageCollection(database, collection, crc32c);
}

function newParts(wanted: NewCollection, variant: Variant): CollectionParts {
  const { rows = 0, ...given } = wanted;
  const settings = readSettings({ ...DEFAULTS, ...given }, "create");
  const room = new PageRoom(variant, WORKERS);
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  const shards = [newShard(room, settings, seed, { rows, recordBytes: 0, columnBytes: 0 })];
  return { name: "default", settings, state: newState(variant.shared), shards };
}
