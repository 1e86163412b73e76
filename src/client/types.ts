/**
 * What goes in and comes out, by the names of the HTTP contract, so that this page, the OpenAPI
 * document and a curl line speak of the same things. Vectors come out as Float32Array.
 */

/** Kept as float32, whatever it comes as. */
export type Vector = readonly number[] | Float32Array | Float64Array;
export type Metadata = Record<string, unknown>;
export type Metric = "l2" | "cosine" | "dot";
/** Such as `{ year: { $gte: 2020 }, tags: "red" }`. */
export type Filter = Record<string, unknown>;
export type WriteMode = "upsert" | "insert" | "update";

export interface RowToAdd {
  /** A whole number becomes its decimal text. */
  readonly id: string | number;
  readonly vector: Vector;
  readonly metadata?: Metadata;
}

export interface Row {
  readonly id: string;
  readonly vector?: Float32Array;
  readonly metadata: Metadata | null;
  /** The sequence of the write that made the row. */
  readonly version: number;
}

export interface SearchRequest {
  readonly vector: Vector;
  /** 10 by default. */
  readonly k?: number;
  /** true by default. */
  readonly include_metadata?: boolean;
  readonly include_vector?: boolean;
  readonly filter?: Filter;
  readonly ef?: number;
  readonly recall_target?: number;
  readonly exact?: boolean;
  readonly max_distance?: number;
  readonly explain?: boolean;
}

export interface Hit {
  readonly id: string;
  /** Smaller is nearer, always. */
  readonly distance: number;
  readonly score: number;
  readonly metadata?: Metadata;
  readonly vector?: Float32Array;
}

export interface Explanation {
  readonly strategy: "exact" | "graph" | "graph+filter";
  readonly matching: number;
  readonly ef: number;
  readonly distances_computed: number;
  /** Distances are to codes: the collection keeps no float32. */
  readonly approximate?: true;
  /** When recall_target was given; `sample` is 0 before the server has measured. */
  readonly recall?: {
    readonly target: number;
    readonly sample: number;
    readonly estimate?: number;
    readonly at_least?: number;
  };
}

export interface SearchResult {
  /** Nearest first, ties by id. */
  readonly results: Hit[];
  readonly explain?: Explanation;
  readonly took_ms: number;
}

export interface SearchBatchResult {
  /** In the order of the searches. */
  readonly results: Hit[][];
  readonly explain?: (Explanation | null)[];
  readonly took_ms: number;
}

export interface CollectionSettings {
  readonly dimensions: number;
  readonly metric?: Metric;
  readonly quantization?: "sq8" | "none";
  /** Where the float32 rows live; with `none` there are codes alone. */
  readonly vectors?: "memory" | "none";
  readonly m?: number;
  readonly ef_construction?: number;
  readonly ef_search?: number;
  readonly schema?: Readonly<Record<string, "keyword" | "number" | "boolean" | "auto" | "none">>;
  readonly quota?: { readonly vectors?: number; readonly bytes?: number };
}

export interface CollectionSummary {
  readonly name: string;
  readonly vectors: number;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly memory_bytes: number;
}

export interface CollectionDescription
  extends Required<Pick<CollectionSettings, "dimensions" | "metric" | "quantization" | "vectors">> {
  readonly name: string;
  readonly m: number;
  readonly ef_construction: number;
  readonly ef_search: number;
  readonly stats?: Stats;
}

export interface Stats {
  readonly vectors: number;
  readonly deleted: number;
  /** null before the first row. */
  readonly dimensions: number | null;
  readonly metric: Metric;
  readonly quantization: "sq8" | "none";
  readonly sequence: number;
  readonly indexed: number;
  readonly unindexed: number;
  readonly memory_bytes: number;
  readonly memory: Readonly<Record<string, number>>;
  readonly bytes_per_vector: number;
  readonly capacity: {
    readonly shards: number;
    readonly rows_per_shard: number;
    readonly bytes_per_row: number;
  };
  /** With a data path only. */
  readonly wal?: {
    readonly bytes: number;
    readonly records: number;
    readonly oldest_sequence: number;
  };
  /** The newest image that a start would load. */
  readonly last_snapshot?: { readonly sequence: number; readonly age_seconds: number };
  readonly threads: number;
  readonly wasm_variant: string;
  readonly uptime_seconds: number;
  /** Newer servers say more. */
  readonly [more: string]: unknown;
}

export interface Health {
  readonly status: "healthy" | "starting" | "read_only";
  readonly version: string;
  readonly uptime_seconds: number;
  readonly progress?: number;
  readonly reason?: string;
}

export interface Written {
  readonly status: "ok";
  readonly sequence: number;
}

export interface Deleted extends Written {
  /** Rows that were there and are gone. */
  readonly deleted: number;
}
