/**
 * From a source to a collection's memories: finds the image (an address, bytes, or what this origin
 * keeps), makes memory of the size that it asks for, and loads it.
 */
import type { CollectionParts } from "../collections/collection.ts";
import { loadImage } from "../collections/loading.ts";
import { PAGE_BYTES, smallMemory } from "../engine/memory.ts";
import { instantiate, type Variant, type VariantName } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";
import type { Crc32c } from "../storage/frame.ts";
import { type ByteSource, Image } from "../storage/image.ts";
import { blobSource } from "./blob.ts";
import { openNetwork } from "./network.ts";
import { pauseOfPage } from "./pause.ts";
import { PageRoom } from "./room.ts";

export interface Progress {
  /** What is under way, in a word or two. */
  readonly phase: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface SourceOptions {
  /** Exactly one of these: an address that answers with a snapshot, ... */
  readonly url?: string | URL;
  /** ... a snapshot's bytes, ... */
  readonly bytes?: Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;
  /** ... or the name under which this origin keeps one. */
  readonly opfs?: string;
  /** Sent with requests for the snapshot, such as `{ "X-API-Key": key }`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** The folder of the engine's builds; by default they lie beside this module. */
  readonly engine?: string | URL;
  /** One build in particular; the fastest that runs here by default. */
  readonly variant?: VariantName;
  onProgress?(progress: Progress): void;
}

const VECTORS = /\.vectors(\.\d+)?$/;
/** Threads that may hold a collection: who opened it, and one that links or takes it over. */
export const WORKERS = 2;

/** Throws OmenError INVALID_REQUEST unless exactly one of the names is given. */
export function checkSource(options: object, names: readonly string[]): void {
  const given = names.filter((name) => options[name as keyof object] !== undefined);
  if (given.length === 1) return;
  const message = `open takes one of ${names.join(", ")}, got ${given.join(", ") || "none"}`;
  throw new OmenError("INVALID_REQUEST", message);
}

export interface Loaded {
  readonly parts: CollectionParts;
  /** Where the rest comes from, when float32 rows were left there. */
  readonly image: Image;
  readonly variant: Variant;
  readonly crc32c: Crc32c;
}

/** Loads what the options name, the engine being fetched meanwhile. */
export async function loadSource(
  engine: Promise<Variant>,
  options: SourceOptions,
  leavesVectors = false,
): Promise<Loaded> {
  const { opfs } = options;
  if (opfs === undefined) return await loadFirst(engine, options, leavesVectors);
  // Asked for by those alone who open what the page has kept.
  const { checkName, inTurn } = await import("./store.ts");
  checkName(opfs);
  // A save in another tab takes the image away that it replaces: it waits until this one is read.
  return await inTurn(opfs, "shared", () => loadFirst(engine, options));
}

/** The newest that is sound. Throws the first reason where none is. */
async function loadFirst(
  engine: Promise<Variant>,
  options: SourceOptions,
  leavesVectors = false,
): Promise<Loaded> {
  const [variant, sources] = await Promise.all([engine, sourcesOf(options)]);
  const crc32c = summing(variant);
  let first: unknown;
  for (const openSource of sources) {
    try {
      const source = await openSource();
      try {
        const image = await Image.open(source, crc32c);
        const parts = await load(image, variant, options, leavesVectors);
        return { parts, image, variant, crc32c };
      } finally {
        await source.close?.();
      }
    } catch (error) {
      // What is kept under a name may have a whole predecessor; the first reason is the one told.
      first ??= error;
    }
  }
  throw first ?? new OmenError("NOT_FOUND", `nothing is kept under the name ${options.opfs}`);
}

async function sourcesOf({
  url,
  bytes,
  opfs,
  headers,
  signal,
  onProgress,
}: SourceOptions): Promise<(() => Promise<ByteSource>)[]> {
  if (opfs !== undefined) {
    const { openStore } = await import("./store.ts");
    return await (await openStore()).list(opfs);
  }
  if (bytes !== undefined) return [async () => blobSource("the given bytes", new Blob([bytes]))];
  const address = new URL(url!, globalThis.location?.href);
  const onBytes = (loadedBytes: number, totalBytes: number) =>
    onProgress?.({ phase: "loading", loadedBytes, totalBytes });
  const source = await openNetwork(address, { headers, signal, onBytes });
  return [async () => source];
}

async function load(
  image: Image,
  variant: Variant,
  { onProgress, signal }: SourceOptions,
  leavesVectors: boolean,
): Promise<CollectionParts> {
  const room = new PageRoom(variant, WORKERS);
  const counted = (phase: string, isCounted: (name: string) => boolean) => {
    const sections = image.sections.filter(({ name }) => isCounted(name));
    const totalBytes = sections.reduce((sum, { length }) => sum + length, 0);
    let loadedBytes = 0;
    image.onBytes = (bytes) => {
      signal?.throwIfAborted();
      loadedBytes += bytes;
      onProgress?.({ phase, loadedBytes, totalBytes });
    };
  };
  const isLeft = (name: string) => leavesVectors && VECTORS.test(name);
  counted("loading", (name) => !isLeft(name));
  const { parts } = await loadImage(image, {
    ...{ variant, workers: WORKERS, pause: pauseOfPage(), shardRows: Number.MAX_SAFE_INTEGER },
    leavesVectors,
    reserve: (settings, sizes) => room.reserve(settings, sizes),
    enlarge: (memory) => room.enlarge(memory),
  });
  counted("vectors", isLeft);
  return parts;
}

const SUM_PAGES = 32;
/** Where the tables of the sum lie, and what is summed: past what the engine keeps for itself. */
const SUM_TABLE = 16 * PAGE_BYTES;
const SUM_BASE = 17 * PAGE_BYTES;

/** CRC-32C by the engine, over bytes that lie anywhere. */
export function summing(variant: Variant): Crc32c {
  const { shared } = variant;
  const memory = smallMemory(SUM_PAGES, shared);
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
