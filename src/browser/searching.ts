/**
 * Opens a collection in a page to search it, and no more: the least that comes off the network. It
 * is the same engine built without what writes, and the same files around it. Who wants to add rows
 * after all asks for the collection as `writable`, and the whole engine takes over the memories.
 */
import type { Row } from "../client/types.ts";
import { Searchable } from "../collections/searchable.ts";
import { Reader } from "../embedded/reader.ts";
import { OmenError } from "../errors.ts";
import { type Builds, loadEngine } from "./engine.ts";
import { checkSource, loadSource, type SourceOptions } from "./opening.ts";
import type { PageCollection } from "./page.ts";
import { pauseOfPage } from "./pause.ts";

export interface SearchOptions extends SourceOptions {
  /**
   * `whole` loads everything. `ranges`, with `url` only, leaves float32 vectors on the server, and
   * fetches by range the few that a search measures in the end. A server that answers no ranges
   * sends the whole file when it is opened; of a collection that keeps codes alone all is loaded.
   */
  readonly vectors?: "whole" | "ranges";
}

const SOURCES = ["url", "bytes", "opfs"] as const;
const BUILDS: Builds = [
  ["relaxed-search", () => new URL("./relaxed-search.wasm", import.meta.url)],
  ["plain-search", () => new URL("./plain-search.wasm", import.meta.url)],
];

/** Throws as the whole module's `open` does. */
export async function open(options: SearchOptions): Promise<SearchCollection> {
  const { vectors = "whole" } = options;
  const isRanged = vectors === "ranges";
  if (!isRanged && vectors !== "whole") {
    throw new OmenError("INVALID_REQUEST", `vectors must be whole or ranges, got ${vectors}`);
  }
  checkSource(options, isRanged ? ["url"] : SOURCES);
  const engine = loadEngine(BUILDS, options);
  const { parts, image, variant } = await loadSource(engine, options, isRanged);
  const held = new Searchable({ variant, worker: 0, pause: pauseOfPage() }, parts);
  // Where codes are all there is, nothing was left.
  if (isRanged && parts.settings.vectors !== "none") {
    const { Absent } = await import("../collections/absent.ts");
    held.absent = new Absent(image, held.parts);
  }
  return new SearchCollection(held, options);
}

export class SearchCollection extends Reader {
  readonly #held: Searchable;
  readonly #engine: SourceOptions["engine"];
  #writable: Promise<PageCollection> | undefined;

  /** `open` makes it. */
  constructor(held: Searchable, { engine }: SourceOptions) {
    const { name, settings, thread } = held;
    const collection = () => held;
    super({ threads: 1, wasmVariant: thread.variant.name, collection }, name, settings.metric);
    this.#held = held;
    this.#engine = engine;
  }

  override async getMany(
    ids: readonly (string | number)[],
    options: { include_vector?: boolean } = {},
  ): Promise<(Row | null)[]> {
    const { absent } = this.#held;
    if (options.include_vector !== false) await absent?.bringRows(ids.map(String));
    return await super.getMany(ids, options);
  }

  /**
   * The same rows with all that can be done to them; fetches the whole engine, and the vectors that
   * were left. What was opened goes on searching what it holds, without the rows for which memory
   * is opened later.
   */
  writable(): Promise<PageCollection> {
    this.#writable ??= this.#adopted().catch((error) => {
      this.#writable = undefined;
      throw error;
    });
    return this.#writable;
  }

  async #adopted(): Promise<PageCollection> {
    const [{ adopt }] = await Promise.all([import("./open.ts"), this.#held.absent?.bringAll()]);
    return await adopt(this.#held.memories, { engine: this.#engine });
  }
}
