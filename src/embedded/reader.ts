/**
 * What a program reads of a collection: searches, rows by their ids, counts and figures. The calls
 * are the client's; collection.ts adds those that write.
 */
import type {
  Hit,
  Row,
  SearchBatchResult,
  SearchRequest,
  SearchResult,
  Stats,
} from "../client/types.ts";
import type * as inner from "../collections/database.ts";
import { compileFilter } from "../collections/filter.ts";
import { OmenError } from "../errors.ts";
import { idText, searchQuery } from "./rows.ts";

/** As much of a collection as is read here. */
export type View = Pick<
  inner.CollectionView,
  "name" | "settings" | "search" | "get" | "count" | "stats"
>;

/** Where collections are looked up, and what there is to say of the process. */
export interface Holder<Held extends View = View> {
  readonly threads: number;
  readonly wasmVariant: string;
  collection(name: string): Held | undefined;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const DEFAULT_COLLECTION = "default";

export class Reader<Held extends View = View> {
  readonly name: string;
  protected readonly metric: inner.Metric;
  readonly #holder: Holder<Held>;

  constructor(holder: Holder<Held>, name: string, metric: inner.Metric) {
    this.#holder = holder;
    this.name = name;
    this.metric = metric;
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
    const view = this.view();
    return ids.map((id, index) => {
      const row = view?.get(idText(id, `/${index}`));
      return row === undefined ? null : rowOf(row, include_vector);
    });
  }

  /** Exact. */
  async count(filter?: Record<string, unknown>): Promise<number> {
    const compiled = filter === undefined ? undefined : compileFilter(filter, "/filter");
    return (await this.view()?.count(compiled)) ?? 0;
  }

  async stats(): Promise<Stats> {
    const view = this.view();
    const { threads, wasmVariant: wasm_variant } = this.#holder;
    const process = { threads, wasm_variant, uptime_seconds: performance.now() / 1000 };
    if (view === undefined) {
      const nothing = { vectors: 0, deleted: 0, sequence: 0, indexed: 0, unindexed: 0 };
      const settings = { dimensions: null, metric: this.metric, quantization: "sq8" as const };
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
  protected view(): Held | undefined {
    const view = this.#holder.collection(this.name);
    if (view !== undefined || this.name === DEFAULT_COLLECTION) return view;
    throw new OmenError("COLLECTION_NOT_FOUND", `no collection is named "${this.name}"`);
  }

  async #search(request: SearchRequest, pointer?: string) {
    const view = this.view();
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

export function rowOf({ metadata, vector, ...row }: inner.Row, isVectorIncluded: boolean): Row {
  return {
    ...row,
    ...(isVectorIncluded ? { vector } : {}),
    metadata: metadata === undefined ? null : JSON.parse(decoder.decode(metadata)),
  };
}
