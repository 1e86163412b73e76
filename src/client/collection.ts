/**
 * The calls of one collection. Vectors go out as base64 and come back as Float32Array. A write
 * carries an Idempotency-Key of its own, so that it may be sent again when nobody knows what became
 * of it.
 */
import { decodeVector, encodeVector } from "./base64.ts";
import { Snapshots } from "./snapshots.ts";
import type { CallOptions, Transport } from "./transport.ts";
import type {
  Deleted,
  Filter,
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
} from "./types.ts";
import { type Upload, type UploadOptions, uploadRows } from "./upload.ts";

export interface WriteOptions extends CallOptions {
  readonly mode?: WriteMode;
  /** The caller's own, so that the write counts once also over a restart of the caller. */
  readonly idempotencyKey?: string;
}

export interface ConditionalOptions extends CallOptions {
  /** The version that the row must have. */
  readonly ifMatch?: number;
  readonly idempotencyKey?: string;
}

export interface ScrollOptions extends CallOptions {
  readonly filter?: Filter;
  /** true by default. */
  readonly include_vector?: boolean;
  /** Rows a request; 1000 by default. */
  readonly limit?: number;
  /** Where an earlier page ended. */
  readonly cursor?: string;
}

export interface Page {
  readonly vectors: Row[];
  /** undefined on the last page. */
  readonly cursor?: string;
}

type WireRow = Omit<Row, "vector"> & { vector?: string | number[] };
type WireHit = Omit<Hit, "vector"> & { vector?: string | number[] };

const SCROLL_ROWS = 1000;
const BASE64 = "base64";

export class Collection {
  readonly name: string;
  readonly snapshots: Snapshots;
  readonly #transport: Transport;
  readonly #root: string;

  constructor(transport: Transport, name: string) {
    this.#transport = transport;
    this.name = name;
    this.#root = `/collections/${encodeURIComponent(name)}`;
    this.snapshots = new Snapshots(transport, this.#root);
  }

  /** Writes one row, over the one of that id unless `mode` says otherwise. */
  async add(row: RowToAdd, options: WriteOptions = {}): Promise<Written & { id: string }> {
    const body = JSON.stringify({ ...wireRow(row), mode: options.mode });
    return this.#write("POST", "/vectors/add", body, options);
  }

  /** Writes all of the rows, or none. For more than fit in one request there is `upload`. */
  async batch(
    rows: readonly RowToAdd[],
    options: WriteOptions = {},
  ): Promise<Written & { count: number }> {
    const body = JSON.stringify({ vectors: rows.map(wireRow), mode: options.mode });
    return this.#write("POST", "/vectors/batch", body, options);
  }

  /** Writes any number of rows, several batches at a time. */
  upload(
    rows: Iterable<RowToAdd> | AsyncIterable<RowToAdd>,
    options: UploadOptions = {},
  ): Promise<Upload> {
    const send = (body: string, signal: AbortSignal) =>
      this.#write<Written>("POST", "/vectors/batch", body, { ...options, signal });
    return uploadRows(rows, (row) => JSON.stringify(wireRow(row)), send, options);
  }

  async search(search: SearchRequest, options: CallOptions = {}): Promise<SearchResult> {
    const body = JSON.stringify(wireSearch(search));
    const answer = await this.#read<SearchResult>("/search", body, options);
    return { ...answer, results: answer.results.map(hitOf) };
  }

  async searchBatch(
    searches: readonly SearchRequest[],
    options: CallOptions = {},
  ): Promise<SearchBatchResult> {
    const body = JSON.stringify({ searches: searches.map(wireSearch) });
    const answer = await this.#read<SearchBatchResult>("/search/batch", body, options);
    return { ...answer, results: answer.results.map((hits) => hits.map(hitOf)) };
  }

  /** undefined when no row has the id. */
  async get(
    id: string | number,
    options: CallOptions & { readonly include_vector?: boolean } = {},
  ): Promise<Row | undefined> {
    return (await this.getMany([id], options))[0] ?? undefined;
  }

  /** In the order of the ids, null where no row has one. */
  async getMany(
    ids: readonly (string | number)[],
    { include_vector, ...options }: CallOptions & { readonly include_vector?: boolean } = {},
  ): Promise<(Row | null)[]> {
    const body = JSON.stringify({ ids, include_vector, vector_format: BASE64 });
    const answer = await this.#read<{ vectors: (WireRow | null)[] }>("/vectors/get", body, options);
    return answer.vectors.map((row) => (row === null ? null : rowOf(row)));
  }

  /**
   * Changes parts of a row; the metadata is a JSON Merge Patch, in which null removes. Throws
   * PRECONDITION_FAILED when `ifMatch` is not the row's version.
   */
  async patch(
    id: string | number,
    change: { readonly vector?: Vector; readonly metadata?: Metadata | null },
    options: ConditionalOptions = {},
  ): Promise<Written & { id: string }> {
    const { vector, metadata } = change;
    const encoded = vector === undefined ? undefined : encodeVector(vector);
    const body = JSON.stringify({ vector: encoded, metadata });
    return this.#write("PATCH", rowPath(id), body, options);
  }

  /** `deleted` is 0 when no row has the id. */
  async delete(id: string | number, options: ConditionalOptions = {}): Promise<Deleted> {
    // A URL takes these two for steps.
    if (options.ifMatch === undefined && /^\.{1,2}$/.test(String(id))) {
      return this.deleteMany({ ids: [id] }, options);
    }
    return this.#write("DELETE", rowPath(id), undefined, options);
  }

  async deleteMany(
    which: { readonly ids: readonly (string | number)[] } | { readonly filter: Filter },
    options: WriteOptions = {},
  ): Promise<Deleted> {
    return this.#write("POST", "/vectors/delete", JSON.stringify(which), options);
  }

  /** Exact. */
  async count(filter?: Filter, options: CallOptions = {}): Promise<number> {
    const body = JSON.stringify({ filter });
    return (await this.#read<{ count: number }>("/vectors/count", body, options)).count;
  }

  /** Every row that is there throughout comes exactly once, also while others write. */
  async *scroll(options: ScrollOptions = {}): AsyncGenerator<Row, void, undefined> {
    let { cursor } = options;
    do {
      const page = await this.scrollPage({ ...options, cursor });
      yield* page.vectors;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  async scrollPage(options: ScrollOptions = {}): Promise<Page> {
    const { filter, include_vector, limit = SCROLL_ROWS, cursor, ...call } = options;
    const answer = await this.#transport.json<{ vectors: WireRow[]; next_cursor: string | null }>({
      ...call,
      method: "GET",
      path: `${this.#root}/vectors`,
      query: {
        ...{ limit, cursor, include_vector, vector_format: BASE64 },
        filter: filter === undefined ? undefined : JSON.stringify(filter),
      },
      mayRepeat: true,
    });
    return { vectors: answer.vectors.map(rowOf), cursor: answer.next_cursor ?? undefined };
  }

  stats(options: CallOptions = {}): Promise<Stats> {
    const path = `${this.#root}/stats`;
    return this.#transport.json({ ...options, method: "GET", path, mayRepeat: true });
  }

  /** Measured now, on live rows, against the exact scan. */
  recall({
    sample,
    k,
    ...options
  }: CallOptions & { readonly sample?: number; readonly k?: number } = {}): Promise<
    Record<string, unknown>
  > {
    const path = `${this.#root}/recall`;
    const query = { sample, k };
    return this.#transport.json({ ...options, method: "GET", path, query, mayRepeat: true });
  }

  #read<Answer>(path: string, body: string, options: CallOptions): Promise<Answer> {
    const call = { ...options, method: "POST", path: this.#root + path, body } as const;
    return this.#transport.json({ ...call, mayRepeat: true });
  }

  #write<Answer>(
    method: "POST" | "PATCH" | "DELETE",
    path: string,
    body: string | undefined,
    { idempotencyKey = newKey(), ...options }: WriteOptions & ConditionalOptions,
  ): Promise<Answer> {
    const { ifMatch, signal, timeoutMs, retries } = options;
    const condition = ifMatch === undefined ? undefined : { "if-match": `"${ifMatch}"` };
    return this.#transport.json({
      ...{ method, path: this.#root + path, body, signal, timeoutMs, retries },
      headers: { "idempotency-key": idempotencyKey, ...condition },
      mayRepeat: true,
    });
  }
}

function wireRow({ id, vector, metadata }: RowToAdd) {
  return { id, vector: encodeVector(vector), metadata };
}

function wireSearch(search: SearchRequest) {
  const vector_format = search.include_vector ? BASE64 : undefined;
  return { ...search, vector: encodeVector(search.vector), vector_format };
}

function rowOf(row: WireRow): Row {
  const { vector, ...rest } = row;
  return vector === undefined ? rest : { ...rest, vector: decodeVector(vector) };
}

function hitOf(hit: WireHit | Hit): Hit {
  const { vector, ...rest } = hit as WireHit;
  return vector === undefined ? rest : { ...rest, vector: decodeVector(vector) };
}

const rowPath = (id: string | number) => `/vectors/${encodeURIComponent(String(id))}`;

/** randomUUID is only there where a page is secure. */
function newKey(): string {
  const words = crypto.getRandomValues(new Uint32Array(4));
  return [...words].map((word) => word.toString(16).padStart(8, "0")).join("");
}
