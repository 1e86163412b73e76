/**
 * Opens a collection in a page: finds the image (an address, bytes, or what this origin keeps), has
 * the engine fetched, makes memory of the size that the image asks for, and loads it.
 */
import { Collection } from "../collections/collection.ts";
import type { Metric } from "../collections/database.ts";
import { loadImage } from "../collections/loading.ts";
import { readSettings } from "../collections/settings.ts";
import { newState } from "../collections/state.ts";
import { PAGE_BYTES } from "../engine/memory.ts";
import { instantiate, type Variant, type VariantName } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";
import type { Crc32c } from "../storage/frame.ts";
import { type ByteSource, Image } from "../storage/image.ts";
import { PageDatabase } from "./database.ts";
import { loadEngine } from "./engine.ts";
import { openNetwork } from "./network.ts";
import { PageCollection, type Progress } from "./page.ts";
import { PageRoom } from "./room.ts";
import { blobSource, checkName, openStore } from "./store.ts";

export interface OpenOptions {
  /** Exactly one of these four: an address that answers with a snapshot, ... */
  readonly url?: string | URL;
  /** ... a snapshot's bytes, ... */
  readonly bytes?: Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;
  /** ... the name under which this origin keeps one, ... */
  readonly opfs?: string;
  /** ... or nothing yet: an empty collection of these settings. */
  readonly create?: NewCollection;
  /** Sent with requests for the snapshot, such as `{ "X-API-Key": key }`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Where the engine's builds lie; beside this module by default. */
  readonly engine?: string | URL;
  /** One build in particular; the fastest that runs here by default. */
  readonly variant?: VariantName;
  onProgress?(progress: Progress): void;
}

export interface NewCollection {
  readonly dimensions: number;
  readonly metric?: Metric;
  readonly quantization?: "sq8" | "none";
  readonly m?: number;
  readonly efConstruction?: number;
  readonly efSearch?: number;
  /** For how many rows memory is made at first; 4096 at least. */
  readonly rows?: number;
}

const WORKERS = 1;
const SOURCES = ["url", "bytes", "opfs", "create"] as const;
const DEFAULTS = {
  metric: "l2",
  quantization: "sq8",
  m: 16,
  efConstruction: 64,
  efSearch: 96,
} as const;

/**
 * Throws OmenError: INVALID_REQUEST, NOT_FOUND, UNAUTHENTICATED, CORRUPT_FILE (a file that is cut,
 * damaged, or no snapshot at all), UNSUPPORTED_FORMAT, MEMORY_LIMIT, UNSUPPORTED_PLATFORM.
 */
export async function open(options: OpenOptions): Promise<PageCollection> {
  const { onProgress = () => undefined, signal } = options;
  const given = SOURCES.filter((name) => options[name] !== undefined);
  if (given.length !== 1) {
    const message = `open takes one of ${SOURCES.join(", ")}, got ${given.join(", ") || "none"}`;
    throw new OmenError("INVALID_REQUEST", message);
  }
  const folder = new URL(options.engine ?? "./", import.meta.url);
  const [variant, sources] = await Promise.all([
    loadEngine(folder, options.variant),
    options.create === undefined ? sourcesOf(options, onProgress) : [],
  ]);
  const crc32c = summing(variant);
  if (options.create !== undefined) return makeEmpty(options.create, variant, crc32c);
  let first: unknown;
  for (const source of sources) {
    try {
      return await load(source, variant, crc32c, onProgress, signal);
    } catch (error) {
      // What is kept under a name may have a whole predecessor; the first reason is the one told.
      first ??= error;
    }
  }
  throw first ?? new OmenError("NOT_FOUND", `nothing is kept under the name ${options.opfs}`);
}

async function sourcesOf(
  { url, bytes, opfs, headers, signal }: OpenOptions,
  onProgress: (progress: Progress) => void,
): Promise<ByteSource[]> {
  if (opfs !== undefined) {
    checkName(opfs);
    return await (await openStore()).list(opfs);
  }
  if (bytes !== undefined) return [blobSource("the given bytes", new Blob([bytes]))];
  const address = new URL(url!, globalThis.location?.href);
  const onBytes = (loadedBytes: number, totalBytes: number) =>
    onProgress({ phase: "loading", loadedBytes, totalBytes });
  return [await openNetwork(address, { headers, signal, onBytes })];
}

async function load(
  source: ByteSource,
  variant: Variant,
  crc32c: Crc32c,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal | undefined,
): Promise<PageCollection> {
  const image = await Image.open(source, crc32c);
  const room = new PageRoom(variant, WORKERS);
  const totalBytes = image.sections.reduce((sum, { length }) => sum + length, 0);
  let loadedBytes = 0;
  image.onBytes = (bytes) => {
    signal?.throwIfAborted();
    loadedBytes += bytes;
    onProgress({ phase: "loading", loadedBytes, totalBytes });
  };
  const pause = pauseOfPage();
  const { parts } = await loadImage(image, {
    ...{ variant, workers: WORKERS, pause, shardRows: Number.MAX_SAFE_INTEGER },
    reserve: (settings, sizes) => room.reserve(settings, sizes),
  });
  await image.close();
  const collection = new Collection({ variant, worker: 0, pause }, parts);
  const database = new PageDatabase(collection, room, crc32c);
  return new PageCollection(database, collection, crc32c);
}

function makeEmpty(wanted: NewCollection, variant: Variant, crc32c: Crc32c): PageCollection {
  const { rows = 0, ...given } = wanted;
  const settings = readSettings({ ...DEFAULTS, ...given }, "create");
  const room = new PageRoom(variant, WORKERS);
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  const load = { rows, recordBytes: 0, columnBytes: 0 };
  const shards = [room.newShard(settings, seed, load)];
  const parts = { name: "default", settings, state: newState(variant.shared), shards };
  const collection = new Collection({ variant, worker: 0, pause: pauseOfPage() }, parts);
  return new PageCollection(new PageDatabase(collection, room, crc32c), collection, crc32c);
}

/** A turn of the event loop, sooner than a timer gives it. */
function pauseOfPage(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(undefined);
    });
}

const SUM_PAGES = 32;
/** Where the tables of the sum lie, and what is summed: past what the engine keeps for itself. */
const SUM_TABLE = 16 * PAGE_BYTES;
const SUM_BASE = 17 * PAGE_BYTES;

/** CRC-32C by the engine, over bytes that lie anywhere. */
function summing(variant: Variant): Crc32c {
  const { shared } = variant;
  const memory = new WebAssembly.Memory({ initial: SUM_PAGES, maximum: SUM_PAGES, shared });
  const engine = instantiate(variant, memory);
  engine.crc32cInit(SUM_TABLE);
  const bytes = new Uint8Array(memory.buffer, SUM_BASE);
  return (data, seed = 0) => {
    let crc = seed;
    for (let start = 0; start < data.length; start += bytes.length) {
      const piece = data.subarray(start, start + bytes.length);
      bytes.set(piece);
      crc = engine.crc32c(SUM_TABLE, SUM_BASE, piece.length, crc) >>> 0;
    }
    return crc;
  };
}
