/**
 * The shapes of requests and answers. The same objects are compiled by ajv, give TypeScript its
 * types, and are shown in the OpenAPI document, so none of the three can drift from the others.
 *
 * Vectors and metadata never become JavaScript values: the body reader leaves a handle, a whole
 * number, in their place. Three keywords of ours say what stands there for the client, and what ajv
 * is to check in the value it is given.
 */
import { type TObject, type TSchema, Type } from "typebox";
import { DIMENSIONS_MAX, EF_MAX, ID_BYTES_MAX, K_MAX } from "../../assembly/layout.ts";

export { DIMENSIONS_MAX, EF_MAX, ID_BYTES_MAX, K_MAX };
export const IDS_MAX = 10_000;
export const SEARCHES_MAX = 1000;
export const PAGE_ROWS_MAX = 10_000;
export const COLLECTION_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** The keyword, and for each of its values the schema that clients are shown. */
export const KEYWORD = "x-omendb";
export const SHOWN = {
  vector: {
    oneOf: [
      { type: "array", items: { type: "number" }, minItems: 1, maxItems: DIMENSIONS_MAX },
      { type: "string", contentEncoding: "base64" },
    ],
    description:
      "Numbers, or base64 of little-endian float32. Kept as float32; beyond +-1e16 refused.",
  },
  metadata: {
    type: "object",
    description: "Any JSON object of at most 64 KiB, returned as it was sent.",
  },
  metadataPatch: {
    type: ["object", "null"],
    description:
      "JSON Merge Patch (RFC 7396): what is given replaces, null removes, null alone removes all.",
  },
  id: {
    oneOf: [
      { type: "string", minLength: 1 },
      { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    ],
    description: "1 to 512 bytes of UTF-8. An integer becomes its decimal string.",
  },
} as const;

export type OurKind = keyof typeof SHOWN;

const Vector = Type.Unsafe<number>({ [KEYWORD]: "vector" });
const Metadata = Type.Unsafe<number>({ [KEYWORD]: "metadata" });
const MetadataPatch = Type.Unsafe<number | null>({ [KEYWORD]: "metadataPatch" });
const Id = Type.Unsafe<string | number>({ [KEYWORD]: "id" });
/** Only named here: filter.ts reads it, and says more about what is wrong than a schema could. */
const FilterBody = Type.Unsafe<unknown>({
  description: 'Conditions on metadata, such as {"year":{"$gte":2020},"tags":"red"}.',
});

const closed = { additionalProperties: false };
const limited = (maximum: number, description: string, byDefault?: number) =>
  Type.Integer({
    minimum: 1,
    maximum,
    description,
    ...(byDefault === undefined ? {} : { default: byDefault }),
  });
const flag = (byDefault: boolean, description: string) =>
  Type.Optional(Type.Boolean({ default: byDefault, description }));

export type VectorFormat = "array" | "base64";
const vector_format = Type.Optional(
  Type.Enum(["array", "base64"], {
    default: "array",
    description: "How vectors are returned: numbers, or base64 of little-endian float32.",
  }),
);

const row = { id: Id, vector: Vector, metadata: Type.Optional(Metadata) };
const mode = Type.Optional(
  Type.Enum(["upsert", "insert", "update"], {
    default: "upsert",
    description: "insert refuses ids that exist (409), update ids that do not (404).",
  }),
);

export const AddBody = Type.Object({ ...row, mode }, closed);

export const BatchRow = Type.Object(row, closed);
export const BatchBody = Type.Object(
  { vectors: Type.Array(BatchRow, { minItems: 1 }), mode },
  closed,
);
/** The same without its rows, which are checked one by one. */
export const BatchEnvelope = Type.Object(
  { ...BatchBody.properties, vectors: Type.Array(Type.Unknown(), { minItems: 1 }) },
  closed,
);

export const PatchBody = Type.Object(
  { vector: Type.Optional(Vector), metadata: Type.Optional(MetadataPatch) },
  { ...closed, minProperties: 1 },
);

export const SearchBody = Type.Object(
  {
    vector: Vector,
    k: Type.Optional(limited(K_MAX, "How many nearest rows to return.", 10)),
    include_metadata: flag(true, "Whether each result carries its metadata."),
    include_vector: flag(false, "Whether each result carries its vector."),
    vector_format,
    filter: Type.Optional(FilterBody),
    ef: Type.Optional(limited(EF_MAX, "Width of the walk; by default the collection's ef_search.")),
    exact: flag(false, "Compare with every row instead of walking the graph."),
    max_distance: Type.Optional(
      Type.Number({ description: "Leave out rows that are farther than this." }),
    ),
    explain: flag(false, "Add how the answer was found."),
  },
  closed,
);

export const SearchBatchBody = Type.Object(
  { searches: Type.Array(SearchBody, { minItems: 1, maxItems: SEARCHES_MAX }) },
  closed,
);

const ids = Type.Array(Id, { minItems: 1, maxItems: IDS_MAX });

const included = {
  include_vector: flag(true, "Whether each row carries its vector."),
  include_metadata: flag(true, "Whether each row carries its metadata."),
  vector_format,
};

export const GetBody = Type.Object({ ids, ...included }, closed);

/** In the address; `filter` as JSON text. */
export const ScrollParameters = Type.Object(
  {
    limit: Type.Optional(limited(PAGE_ROWS_MAX, "Rows of a page.", 100)),
    cursor: Type.Optional(
      Type.String({ description: "`next_cursor` of the page before; the first page without." }),
    ),
    filter: Type.Optional(FilterBody),
    ...included,
  },
  closed,
);

export const DeleteBody = Type.Object({ ids }, closed);

export const CollectionBody = Type.Object(
  {
    dimensions: limited(DIMENSIONS_MAX, "Components of each vector."),
    metric: Type.Optional(
      Type.Enum(["l2", "cosine", "dot"], { description: "By default OMENDB_METRIC." }),
    ),
    quantization: Type.Optional(
      Type.Enum(["sq8", "none"], {
        default: "sq8",
        description: "Whether the graph is walked on codes of 7 bits or on float32.",
      }),
    ),
    vectors: Type.Optional(
      Type.Enum(["memory"], { default: "memory", description: "Where the float32 rows live." }),
    ),
    m: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 64, default: 16, description: "Links of a row." }),
    ),
    ef_construction: Type.Optional(
      Type.Integer({ minimum: 8, maximum: 2000, default: 64, description: "Width when linking." }),
    ),
    ef_search: Type.Optional(limited(EF_MAX, "Width of a search's walk.", 96)),
  },
  closed,
);

const count = (description: string) => Type.Integer({ minimum: 0, description });
const Status = Type.Literal("ok");
const Sequence = count("Of the write that the answer is about.");
const ReturnedVector = Type.Union([
  Type.Array(Type.Number()),
  Type.String({ contentEncoding: "base64" }),
]);
const Hit = Type.Object({
  id: Type.String(),
  distance: Type.Number({ description: "l2: Euclidean; cosine: 1 - cos; dot: -dot." }),
  score: Type.Number({ description: "l2: 1/(1+distance); cosine: cos; dot: dot." }),
  metadata: Type.Optional(Metadata),
  vector: Type.Optional(ReturnedVector),
});
const hits = Type.Array(Hit, { description: "Nearest first, ties by id." });
const Explanation = Type.Object({
  strategy: Type.Enum(["exact", "graph", "graph+filter"]),
  matching: count("Rows that match the filter; without one all rows."),
  ef: count("Width of the walk."),
  distances_computed: count("Distances computed."),
  json: Type.Optional(
    Type.Object(
      {
        rows: count("Rows whose JSON had to be read."),
        fields: Type.Array(Type.String(), { description: "Paths that some columns do not tell." }),
      },
      { description: "What the columns could not tell when the filter was first met." },
    ),
  ),
});
const explain = Type.Optional(Explanation);
const took_ms = Type.Number({ description: "Milliseconds from the read body to the answer." });
const Row = Type.Object({
  id: Type.String(),
  vector: Type.Optional(ReturnedVector),
  metadata: Type.Optional(Type.Union([Metadata, Type.Null()])),
  version: count("The sequence of the write that made the row; also its ETag."),
});

export const Added = Type.Object({ status: Status, id: Type.String(), sequence: Sequence });
export const BatchAdded = Type.Object({
  status: Status,
  count: count("Rows written."),
  accepted: Type.Optional(count("Of NDJSON: the same, as an error has it.")),
  sequence: Sequence,
});
export const Found = Type.Object({ results: hits, took_ms, explain });
export const FoundBatch = Type.Object({
  results: Type.Array(hits, { description: "In the order of the searches." }),
  took_ms,
  explain: Type.Optional(
    Type.Array(Type.Union([Explanation, Type.Null()]), {
      description: "In the same order, null where it was not asked for.",
    }),
  ),
});
export const Patched = Type.Object({ status: Status, id: Type.String(), sequence: Sequence });
export const GotRow = Row;
export const GotRows = Type.Object({
  vectors: Type.Array(Type.Union([Row, Type.Null()]), { description: "In the order of the ids." }),
});
export const Page = Type.Object({
  vectors: Type.Array(Row, { description: "In an order that no write changes." }),
  next_cursor: Type.Union([Type.String(), Type.Null()], { description: "null on the last page." }),
});
export const Deleted = Type.Object({
  status: Status,
  deleted: count("Rows that were there and are gone."),
  sequence: Sequence,
});
export const Dropped = Type.Object({ status: Status });

const memoryParts = ["vectors", "codes", "graph", "ids", "metadata", "columns", "free"] as const;
const settings = {
  dimensions: Type.Union([Type.Integer(), Type.Null()], { description: "null before any row." }),
  metric: Type.Enum(["l2", "cosine", "dot"]),
  quantization: Type.Enum(["sq8", "none"]),
};
export const Stats = Type.Object({
  vectors: count("Rows that searches can find."),
  deleted: count("Rows deleted whose place is not reused yet."),
  ...settings,
  sequence: count("Of the latest write."),
  indexed: count("Rows in the graph."),
  unindexed: count("Rows that are scanned until they are in the graph."),
  memory_bytes: count("The sum of the parts."),
  memory: Type.Object(Object.fromEntries(memoryParts.map((part) => [part, count("Bytes.")]))),
  bytes_per_vector: Type.Number(),
  threads: count("Threads that listen."),
  wasm_variant: Type.String(),
  uptime_seconds: Type.Number(),
});
export const Collection = Type.Object({
  name: Type.String(),
  ...settings,
  m: Type.Integer(),
  ef_construction: Type.Integer(),
  ef_search: Type.Integer(),
  stats: Type.Optional(Stats),
});
export const CollectionList = Type.Object({
  collections: Type.Array(
    Type.Object({
      name: Type.String(),
      vectors: count("Rows."),
      dimensions: Type.Integer(),
      metric: Type.Enum(["l2", "cosine", "dot"]),
      memory_bytes: count("Bytes."),
    }),
  ),
});
export const Health = Type.Object({
  status: Type.Enum(["healthy", "starting", "read_only"]),
  version: Type.String(),
  uptime_seconds: Type.Number(),
  progress: Type.Optional(Type.Number({ description: "0 to 1 while it loads." })),
  reason: Type.Optional(Type.String({ description: "Why writes are refused." })),
});
export const Live = Type.Object({ status: Type.Literal("alive") });
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  instance: Type.String(),
  code: Type.String({ description: "Stable; branch on this." }),
  request_id: Type.String(),
  errors: Type.Optional(
    Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }), {
      description: "Where in the body the fault lies, as JSON pointers.",
    }),
  ),
  ids: Type.Optional(
    Type.Array(Type.String(), { description: "The rows at fault, the first 10,000 of them." }),
  ),
  accepted: Type.Optional(count("Of NDJSON: rows that are written, all those before `line`.")),
  line: Type.Optional(
    Type.Integer({ minimum: 1, description: "Of NDJSON: at fault, or the first not written." }),
  ),
});

export type { TObject, TSchema };
