/**
 * Opens a collection in a page to search it, and no more: the least that comes off the network. It
 * is the same engine built without what writes, and the same files around it. Who wants to add rows
 * after all asks for the collection as `writable`, and the whole engine takes over the memories.
 */
import type { CollectionParts } from "../collections/collection.ts";
import { Searchable } from "../collections/searchable.ts";
import { Reader } from "../embedded/reader.ts";
import type { Variant } from "../engine/variant.ts";
import { type Builds, loadEngine } from "./engine.ts";
import { checkSource, loadSource, pauseOfPage, type SourceOptions } from "./opening.ts";
import type { PageCollection } from "./page.ts";

const SOURCES = ["url", "bytes", "opfs"] as const;
const BUILDS: Builds = [
  ["relaxed-search", () => new URL("./relaxed-search.wasm", import.meta.url)],
  ["plain-search", () => new URL("./plain-search.wasm", import.meta.url)],
];

/** Throws as the whole module's `open` does. */
export async function open(options: SourceOptions): Promise<SearchCollection> {
  checkSource(options, SOURCES);
  const { parts, variant } = await loadSource(loadEngine(BUILDS, options), options);
  return new SearchCollection(parts, variant, options);
}

export class SearchCollection extends Reader {
  readonly #parts: CollectionParts;
  readonly #engine: SourceOptions["engine"];
  #writable: Promise<PageCollection> | undefined;

  /** `open` makes it. */
  constructor(parts: CollectionParts, variant: Variant, { engine }: SourceOptions) {
    const held = new Searchable({ variant, worker: 0, pause: pauseOfPage() }, parts);
    const collection = () => held;
    super({ threads: 1, wasmVariant: variant.name, collection }, parts.name, parts.settings.metric);
    this.#parts = parts;
    this.#engine = engine;
  }

  /**
   * The same rows with all that can be done to them; fetches the whole engine. What was opened goes
   * on searching what it holds, without the rows for which memory is opened later.
   */
  writable(): Promise<PageCollection> {
    this.#writable ??= import("./open.ts").then(({ adopt }) =>
      adopt(this.#parts, { engine: this.#engine }),
    );
    return this.#writable;
  }
}
