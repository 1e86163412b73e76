/**
 * What a door (HTTP, the in-process API, the command line) may ask of the database. The doors know
 * these types and nothing behind them: whether the writer is a message away or in the same thread
 * is the business of threads/.
 */
import type { Schema } from "../engine/columns.ts";
import type { Filter } from "./filter.ts";
import type { Claim, Once } from "./ledger.ts";
import type { Quota } from "./quota.ts";
import type { Snapshots } from "./snapshots.ts";

export type Metric = "l2" | "cosine" | "dot";

/** What a collection is made with; fixed for its life. */
export interface CollectionSettings {
  readonly dimensions: number;
  readonly metric: Metric;
  readonly quantization: "sq8" | "none";
  /** Where float32 rows live; left out, in memory. With `none` there are codes alone. */
  readonly vectors?: "memory" | "none";
  readonly m: number;
  readonly efConstruction: number;
  readonly efSearch: number;
  /** Paths whose columns are there from the start, and what they hold. */
  readonly schema?: Schema;
  readonly quota?: Quota;
}

export type WriteMode = "upsert" | "insert" | "update";

/** What a row must be for a write to happen: there, not there, or of one of these versions. */
export type Expected = "present" | "absent" | readonly number[];

/** What a write asks of the state that it meets; if that is another, nothing is written. */
export interface Terms {
  /** Of each row of the write, in order; otherwise it throws PRECONDITION_FAILED. */
  readonly expected?: readonly Expected[];
  /** Kept with the write, so that a repetition of the request is known, also after a restart. */
  readonly once?: Once;
}

/** Rows on their way in: `vectors` holds ids.length x dimensions components, row after row. */
export interface RowsToWrite extends Terms {
  readonly ids: readonly string[];
  readonly vectors: Float32Array;
  readonly dimensions: number;
  /**
   * The JSON text of each row's metadata as UTF-8, as it was sent; undefined where a row has none.
   */
  readonly metadata: readonly (Uint8Array | undefined)[];
  readonly mode: WriteMode;
}

export interface SearchQuery {
  readonly vector: Float32Array;
  readonly k: number;
  readonly ef?: number;
  /** In place of `ef`: the recall that the walk should have, 0..1; at 1 it is the exact scan. */
  readonly recallTarget?: number;
  readonly exact: boolean;
  readonly maxDistance?: number;
  readonly filter?: Filter;
  readonly includeMetadata: boolean;
  readonly includeVector: boolean;
}

export interface Hit {
  readonly id: string;
  /** Smaller is nearer, always. */
  readonly distance: number;
  readonly score: number;
  /** UTF-8 JSON, as it was sent. */
  readonly metadata?: Uint8Array;
  readonly vector?: Float32Array;
}

export interface Explanation {
  readonly strategy: "exact" | "graph" | "graph+filter";
  /** Rows that match the filter; all live rows without one. */
  readonly matching: number;
  readonly ef: number;
  readonly distancesComputed: number;
  /** Distances are to what codes stand for, not to the rows as they were sent. */
  readonly approximate?: true;
  /** When a recall was asked for. */
  readonly recall?: RecallEstimate;
  /** Rows whose JSON had to be read, and for which paths; left out when there were none. */
  readonly unsure?: number;
  readonly unread?: readonly string[];
}

/** What is known of the recall of a search without a filter at the width that was chosen. */
export interface RecallEstimate {
  readonly target: number;
  /** Rows that it was measured with; 0 before the first calibration. */
  readonly sample: number;
  /** Their mean, and what it is at least with 95 % confidence; unknown without a sample. */
  readonly recall?: number;
  readonly atLeast?: number;
}

export interface RecallQuery {
  /** Rows to try. */
  readonly sample: number;
  readonly k: number;
  /** Asked now and then: nobody waits for it any more. */
  isAbandoned?(): boolean;
}

/** Recall as measured on living rows, each taken for a question that is not there itself. */
export interface RecallReport {
  /** Rows that could be tried. */
  readonly sample: number;
  readonly curve: readonly {
    readonly ef: number;
    readonly recall: number;
    readonly atLeast: number;
    readonly distances: number;
    readonly p50Ms: number;
  }[];
  /** How a search for such a recall is done now; without an ef it is the exact scan. */
  readonly targets: readonly { readonly target: number; readonly ef: number | undefined }[];
  /** What the targets go by; missing until linkers have measured for the first time. */
  readonly calibration?: {
    readonly sample: number;
    readonly rows: number;
    readonly ageSeconds: number;
  };
}

export interface SearchAnswer {
  /** Nearest first, ties by id; fewer than k only when fewer than k rows match. */
  readonly hits: Hit[];
  readonly explanation: Explanation;
}

export interface Row {
  readonly id: string;
  readonly vector: Float32Array;
  readonly metadata?: Uint8Array;
  /** The sequence of the write that made this row. */
  readonly version: number;
}

export interface ScrollQuery {
  /** Rows at most. */
  readonly limit: number;
  /** What the page before gave; the first page without. */
  readonly cursor?: string;
  readonly filter?: Filter;
  /** Asked now and then: nobody waits for the page any more. */
  isAbandoned?(): boolean;
}

/** Bytes by part; the sum is what the collection holds of the machine's memory. */
export interface MemoryBytes {
  readonly vectors: number;
  readonly codes: number;
  readonly graph: number;
  readonly ids: number;
  readonly metadata: number;
  readonly columns: number;
  readonly free: number;
}

export interface CollectionStats {
  readonly vectors: number;
  readonly deleted: number;
  readonly sequence: number;
  readonly indexed: number;
  readonly unindexed: number;
  readonly memoryBytes: number;
  readonly memory: MemoryBytes;
  readonly bytesPerVector: number;
  /** How large it may grow: shards so far, rows that each takes, and bytes of one more row. */
  readonly capacity: {
    readonly shards: number;
    readonly rowsPerShard: number;
    readonly bytesPerRow: number;
  };
  /** With a data path only. */
  readonly wal?: {
    readonly bytes: number;
    readonly records: number;
    readonly oldestSequence: number;
  };
  /** The newest image that a start would load; none yet where it is missing. */
  readonly lastSnapshot?: { readonly sequence: number; readonly ageSeconds: number };
}

/** A collection as a reader sees it. Every call reads the shared memory in place. */
/** What a search will read, about, by which a listener judges whether it can end in time. */
export interface Work {
  readonly components: number;
  /** It walks the graph, and reads no whole collection. */
  readonly isWalk: boolean;
}

export interface CollectionView {
  readonly name: string;
  readonly settings: CollectionSettings;
  /** Rows that are there, as `stats` counts them, but at the price of a look. */
  readonly live: number;
  /** Throws OmenError DIMENSION_MISMATCH, ZERO_VECTOR. */
  search(query: SearchQuery): Promise<SearchAnswer>;
  work(query: SearchQuery): Work;
  get(id: string): Row | undefined;
  /**
   * Hands over one page of all rows, in an order of its own, and gives the cursor of the next page,
   * undefined after the last. A row that is there from the first page to the last comes exactly
   * once, whatever else is written meanwhile. Throws OmenError INVALID_CURSOR.
   */
  scroll(query: ScrollQuery, onRow: (row: Row) => void): Promise<string | undefined>;
  /** Measures now: it takes an exact scan for each row of the sample. */
  recall(query: RecallQuery): Promise<RecallReport>;
  /** Rows that match, exactly, at one moment. */
  count(filter?: Filter): Promise<number>;
  stats(): CollectionStats;
}

export interface Health {
  readonly status: "healthy" | "starting" | "read_only";
  readonly reason?: string;
  /** 0..1 while it loads. */
  readonly progress?: number;
  /** All is there and asked for on this thread, but not yet on every other one. */
  readonly isLoaded?: boolean;
}

/**
 * Every write is answered after it is visible to every later search on any connection. Arguments
 * may be views of reused memory: `put` calls `onRead` when it no longer needs them. `onSent` is
 * called when the write has its place in the order: one that is put after that comes after it.
 */
export interface Database {
  collection(name: string): CollectionView | undefined;
  collections(): CollectionView[];
  /**
   * 201 is `created: true`; the same settings again give false; other settings throw
   * COLLECTION_EXISTS.
   */
  create(name: string, settings: CollectionSettings): Promise<{ created: boolean }>;
  drop(name: string): Promise<{ dropped: boolean }>;
  /**
   * Creates the collection from `defaults` when it is not there yet; a write that is refused leaves
   * none behind.
   */
  put(
    name: string,
    rows: RowsToWrite,
    defaults?: CollectionSettings,
    onRead?: () => void,
    onSent?: () => void,
  ): Promise<{ sequence: number }>;
  remove(
    name: string,
    ids: readonly string[],
    terms?: Terms,
  ): Promise<{ deleted: number; sequence: number }>;
  /** Removes the rows that match at the moment of its turn, exactly those. */
  removeMatching(
    name: string,
    filter: Filter,
    once?: Once,
  ): Promise<{ deleted: number; sequence: number }>;
  /** Before a write with a `once`. Throws IDEMPOTENCY_KEY_IN_FLIGHT. */
  claim(name: string, key: string): Promise<Claim>;
  health(): Health;
  readonly snapshots: Snapshots;
  readonly threads: number;
  readonly wasmVariant: string;
}
