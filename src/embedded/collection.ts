/**
 * A collection in this process. The calls, their arguments and their answers are those of the
 * client (src/client/collection.ts), so a program can move from one to the other.
 */
import type {
  Deleted,
  Hit,
  Metadata,
  Row,
  RowToAdd,
  SearchBatchResult,
  SearchRequest,
  SearchResult,
  Stats,
  Vector,
  WriteMode,
  Written,
} from "../client/types.ts";
import type * as inner from "../collections/database.ts";
import { compileFilter } from "../collections/filter.ts";
import { patchRow } from "../collections/patch.ts";
import { OmenError } from "../errors.ts";
import { floatsOf, idText, metadataBytes, rowsToWrite, searchQuery } from "./rows.ts";
import { Snapshots } from "./snapshots.ts";

type Database = inner.Database;

export interface Conditional {
  /** The version that the row must have. */
  readonly ifMatch?: number;
}

export interface Scroll {
  readonly filter?: Record<string, unknown>;
  /** true by default. */
  readonly include_vector?: boolean;
  /** Rows a page; 1000 by default. */
  readonly limit?: number;
  /** Where an earlier page ended. */
  readonly cursor?: string;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const SCROLL_ROWS = 1000;
const DEFAULT_COLLECTION = "default";
const DEFAULTS = { quantization: "sq8", m: 16, efConstruction: 64, efSearch: 96 } as const;

export class Collection {
  readonly name: string;
  readonly snapshots: Snapshots;
  readonly #database: Database;
  readonly #metric: inner.Metric;

  constructor(database: Database, name: string, metric: inner.Metric) {
    this.#database = database;
    this.name = name;
    this.snapshots = new Snapshots(database, name);
    this.#metric = metric;
  }

  /** Writes one row, over the one of that id unless `mode` says otherwise. */
  async add(row: RowToAdd, options: { mode?: WriteMode } = {}): Promise<Written & { id: string }> {
    const { sequence, ids } = await this.#put([row], options.mode);
    return { status: "ok", id: ids[0]!, sequence };
  }

  /** Writes all of the rows, or none. */
  async batch(
    rows: readonly RowToAdd[],
    options: { mode?: WriteMode } = {},
  ): Promise<Written & { count: number }> {
    const { sequence, ids } = await this.#put(rows, options.mode);
    return { status: "ok", count: ids.length, sequence };
  }

  async search(request: SearchRequest): Promise<SearchResult> {
    const begunAtMs = performance.now();
    const { hits, explanation } = await this.#search(request);
    const explain = request.explain ? { explain: explanation } : {};
    return { results: hits, ...explain, took_ms: performance.now() - begunAtMs };
  }

  async searchBatch(requests: readonly SearchRequest[]): Promise<SearchBatchResult> {
    if (requests.length === 0) throw new OmenError("BATCH_EMPTY", "there is no search");
    const begunAtMs = performance.now();
    const found: { hits: Hit[]; explanation: ReturnType<typeof explained> }[] = [];
    for (const [index, request] of requests.entries()) {
      found.push(await this.#search(request, `/${index}`));
    }
    const isAsked = requests.some(({ explain }) => explain);
    const explain = found.map(({ explanation }, i) => (requests[i]!.explain ? explanation : null));
    const results = found.map(({ hits }) => hits);
    const took_ms = performance.now() - begunAtMs;
    return { results, ...(isAsked ? { explain } : {}), took_ms };
  }

  /** undefined when no row has the id. */
  async get(
    id: string | number,
    options: { include_vector?: boolean } = {},
  ): Promise<Row | undefined> {
    return (await this.getMany([id], options))[0] ?? undefined;
  }

  /** In the order of the ids, null where no row has one. */
  async getMany(
    ids: readonly (string | number)[],
    { include_vector = true }: { include_vector?: boolean } = {},
  ): Promise<(Row | null)[]> {
    const view = this.#view();
    return ids.map((id, index) => {
      const row = view?.get(idText(id, `/${index}`));
      return row === undefined ? null : rowOf(row, include_vector);
    });
  }

  /** Changes parts of a row; the metadata is a JSON Merge Patch, in which null removes. */
  async patch(
    id: string | number,
    change: { readonly vector?: Vector; readonly metadata?: Metadata | null },
    { ifMatch }: Conditional = {},
  ): Promise<Written & { id: string }> {
    const { vector, metadata } = change;
    if (vector === undefined && metadata === undefined) {
      throw new OmenError("INVALID_REQUEST", "expected a vector, metadata, or both");
    }
    const settings = this.#view()?.settings;
    const text = idText(id, "/id");
    const patch = {
      ...(vector === undefined ? {} : { vector: floatsOf(vector, settings, "/vector") }),
      ...(metadata === undefined
        ? {}
        : { metadata: metadata && metadataBytes(metadata, "/metadata") }),
    };
    const expected = ifMatch === undefined ? undefined : [ifMatch];
    const { sequence } = await patchRow(this.#database, this.name, text, patch, expected);
    return { status: "ok", id: text, sequence };
  }

  /** `deleted` is 0 when no row has the id. */
  delete(id: string | number, { ifMatch }: Conditional = {}): Promise<Deleted> {
    const terms = ifMatch === undefined ? {} : { expected: [[ifMatch]] };
    return this.#remove([id], terms);
  }

  /** The rows of these ids, or exactly those that match the filter when its turn comes. */
  async deleteMany(
    which:
      | { readonly ids: readonly (string | number)[] }
      | { readonly filter: Record<string, unknown> },
  ): Promise<Deleted> {
    if ("ids" in which) return this.#remove([...new Set(which.ids)], {});
    const filter = compileFilter(which.filter, "/filter");
    if (this.#view() === undefined) return { status: "ok", deleted: 0, sequence: 0 };
    return { status: "ok", ...(await this.#database.removeMatching(this.name, filter)) };
  }

  /** Exact. */
  async count(filter?: Record<string, unknown>): Promise<number> {
    const compiled = filter === undefined ? undefined : compileFilter(filter, "/filter");
    return (await this.#view()?.count(compiled)) ?? 0;
  }

  /** Every row that is there throughout comes exactly once, also while others write. */
  async *scroll(options: Scroll = {}): AsyncGenerator<Row, void, undefined> {
    let { cursor } = options;
    do {
      const page = await this.scrollPage({ ...options, cursor });
      yield* page.vectors;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** `cursor` is undefined on the last page. */
  async scrollPage(options: Scroll = {}): Promise<{ vectors: Row[]; cursor?: string }> {
    const { filter, include_vector = true, limit = SCROLL_ROWS, cursor } = options;
    const compiled = filter === undefined ? undefined : compileFilter(filter, "/filter");
    const vectors: Row[] = [];
    const next = await this.#view()?.scroll({ limit, cursor, filter: compiled }, (row) =>
      vectors.push(rowOf(row, include_vector)),
    );
    return { vectors, cursor: next };
  }

  async stats(): Promise<Stats> {
    const view = this.#view();
    const { threads, wasmVariant: wasm_variant } = this.#database;
    const process = { threads, wasm_variant, uptime_seconds: performance.now() / 1000 };
    if (view === undefined) {
      const nothing = { vectors: 0, deleted: 0, sequence: 0, indexed: 0, unindexed: 0 };
      const settings = { dimensions: null, metric: this.#metric, quantization: "sq8" as const };
      return {
        ...nothing,
        ...settings,
        memory_bytes: 0,
        memory: {},
        bytes_per_vector: 0,
        capacity: { shards: 0, rows_per_shard: 0, bytes_per_row: 0 },
        ...process,
      };
    }
    const { dimensions, metric, quantization } = view.settings;
    const { memoryBytes: memory_bytes, bytesPerVector: bytes_per_vector, ...counts } = view.stats();
    const { vectors, deleted, sequence, indexed, unindexed, memory } = counts;
    const { shards, rowsPerShard: rows_per_shard, bytesPerRow: bytes_per_row } = counts.capacity;
    return {
      ...{ vectors, deleted, dimensions, metric, quantization, sequence, indexed, unindexed },
      ...{ memory_bytes, memory: { ...memory }, bytes_per_vector },
      ...{ capacity: { shards, rows_per_shard, bytes_per_row }, ...process },
    };
  }

  /** undefined only for `default` before its first write. */
  #view(): inner.CollectionView | undefined {
    const view = this.#database.collection(this.name);
    if (view !== undefined || this.name === DEFAULT_COLLECTION) return view;
    throw new OmenError("COLLECTION_NOT_FOUND", `no collection is named "${this.name}"`);
  }

  async #put(rows: readonly RowToAdd[], mode?: WriteMode) {
    const view = this.#view();
    const toWrite = rowsToWrite(rows, view?.settings, this.#metric, mode);
    const { dimensions } = toWrite;
    const made = { dimensions, metric: this.#metric, ...DEFAULTS };
    const defaults = view === undefined ? made : undefined;
    const { sequence } = await this.#database.put(this.name, toWrite, defaults);
    return { sequence, ids: toWrite.ids };
  }

  async #remove(ids: readonly (string | number)[], terms: inner.Terms): Promise<Deleted> {
    const texts = ids.map((id, index) => idText(id, `/ids/${index}`));
    if (texts.length === 0) throw new OmenError("BATCH_EMPTY", "there is no id");
    if (this.#view() === undefined) return { status: "ok", deleted: 0, sequence: 0 };
    const { deleted, sequence } = await this.#database.remove(this.name, texts, terms);
    return { status: "ok", deleted, sequence };
  }

  async #search(request: SearchRequest, pointer?: string) {
    const view = this.#view();
    const query = searchQuery(request, view?.settings, pointer);
    const nothing = { strategy: "exact", matching: 0, ef: 0, distancesComputed: 0 } as const;
    const { hits, explanation } = (await view?.search(query)) ?? { hits: [], explanation: nothing };
    return { hits: hits.map(hitOf), explanation: explained(explanation) };
  }
}

function explained({ distancesComputed, ...rest }: inner.Explanation) {
  return { ...rest, distances_computed: distancesComputed };
}

function hitOf({ metadata, ...hit }: inner.Hit): Hit {
  return metadata === undefined ? hit : { ...hit, metadata: JSON.parse(decoder.decode(metadata)) };
}

function rowOf({ metadata, vector, ...row }: inner.Row, isVectorIncluded: boolean): Row {
  return {
    ...row,
    ...(isVectorIncluded ? { vector } : {}),
    metadata: metadata === undefined ? null : JSON.parse(decoder.decode(metadata)),
  };
}
