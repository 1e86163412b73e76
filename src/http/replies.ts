/** The shapes of answers, as the OpenAPI document shows them and tests hold answers to them. */
import { Type } from "typebox";
import { count, Metadata, QuotaBody, SchemaBody } from "./values.ts";

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
  approximate: Type.Optional(
    Type.Boolean({ description: "Distances are to codes: the collection keeps no float32." }),
  ),
  recall: Type.Optional(
    Type.Object(
      {
        target: Type.Number(),
        sample: count("Living rows it was measured with; 0 before the first calibration."),
        estimate: Type.Optional(Type.Number({ description: "Mean recall of the sample." })),
        at_least: Type.Optional(Type.Number({ description: "With 95 % confidence." })),
      },
      { description: "When recall_target was given: what is known of this width." },
    ),
  ),
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
export const Counted = Type.Object({ count: count("Rows that match.") });
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
  capacity: Type.Object({
    shards: count("Shards so far; the next one opens when all are full."),
    rows_per_shard: count("Rows that a shard takes."),
    bytes_per_row: count("Of one more row, beside its id, metadata and columns."),
  }),
  wal: Type.Optional(
    Type.Object(
      {
        bytes: count("Of all segments."),
        records: count("Writes in it."),
        oldest_sequence: count("Of the first of them."),
      },
      { description: "The log, with a data path." },
    ),
  ),
  last_snapshot: Type.Optional(
    Type.Object(
      { sequence: count("Of its last write."), age_seconds: Type.Number() },
      { description: "The newest image that a start would load." },
    ),
  ),
  threads: count("Threads that listen."),
  wasm_variant: Type.String(),
  uptime_seconds: Type.Number(),
});
export const Collection = Type.Object({
  name: Type.String(),
  ...settings,
  vectors: Type.Enum(["memory", "none"], { description: "Where the float32 rows live." }),
  m: Type.Integer(),
  ef_construction: Type.Integer(),
  ef_search: Type.Integer(),
  schema: Type.Optional(SchemaBody),
  quota: Type.Optional(QuotaBody),
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

export const Recall = Type.Object({
  sample: count("Living rows that were tried; each as a question, as if it were not there."),
  k: count("Nearest rows that each walk should find."),
  curve: Type.Array(
    Type.Object({
      ef: count("Width of the walk."),
      recall: Type.Number({ description: "Mean share of the exact nearest that was found." }),
      at_least: Type.Number({ description: "What recall is at least, with 95 % confidence." }),
      distances: Type.Number({ description: "Distances computed, on average." }),
      p50_ms: Type.Number({ description: "Median time of a walk in milliseconds." }),
    }),
  ),
  targets: Type.Array(
    Type.Object({
      recall_target: Type.Number(),
      ef: Type.Union([Type.Integer(), Type.Null()], { description: "null: the exact scan." }),
    }),
    { description: "How a search with recall_target is done now." },
  ),
  calibration: Type.Union(
    [
      Type.Object({
        sample: count("Living rows that were tried."),
        rows: count("Living rows at that time."),
        age_seconds: Type.Number(),
      }),
      Type.Null(),
    ],
    { description: "What the targets go by; null until linkers have measured." },
  ),
  took_ms,
});
