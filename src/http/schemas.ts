/**
 * The shapes of requests. The same objects are compiled by ajv, give TypeScript its types, and are
 * shown in the OpenAPI document, so none of the three can drift from the others. What they are made
 * of stands in values.ts, what comes back in replies.ts.
 */
import { type TObject, type TSchema, Type } from "typebox";
import {
  closed,
  DIMENSIONS_MAX,
  EF_MAX,
  FilterBody,
  flag,
  IDS_MAX,
  Id,
  K_MAX,
  limited,
  Metadata,
  MetadataPatch,
  PAGE_ROWS_MAX,
  QuotaBody,
  RECALL_K_MAX,
  RECALL_SAMPLE_MAX,
  SchemaBody,
  SEARCHES_MAX,
  Vector,
  vector_format,
} from "./values.ts";

export * from "./replies.ts";
export * from "./values.ts";

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
    recall_target: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        description:
          "In place of ef: the recall that the search should have. The width is taken from what " +
          "GET recall shows as targets; 1 is the exact scan.",
      }),
    ),
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

export const RecallParameters = Type.Object(
  {
    sample: Type.Optional(limited(RECALL_SAMPLE_MAX, "Living rows to try.", 100)),
    k: Type.Optional(limited(RECALL_K_MAX, "Nearest rows that a walk should find.", 10)),
  },
  closed,
);

export const DeleteBody = Type.Object(
  { ids: Type.Optional(ids), filter: Type.Optional(FilterBody) },
  { ...closed, minProperties: 1, maxProperties: 1, description: "Either ids or a filter." },
);

export const CountBody = Type.Object({ filter: Type.Optional(FilterBody) }, closed);

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
      Type.Enum(["memory", "none"], {
        default: "memory",
        description:
          "Where the float32 rows live. With none only codes of 7 bits stay: distances, and the " +
          "vectors that come back, are what these stand for.",
      }),
    ),
    m: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 64, default: 16, description: "Links of a row." }),
    ),
    ef_construction: Type.Optional(
      Type.Integer({ minimum: 8, maximum: 2000, default: 64, description: "Width when linking." }),
    ),
    ef_search: Type.Optional(limited(EF_MAX, "Width of a search's walk.", 96)),
    schema: Type.Optional(SchemaBody),
    quota: Type.Optional(QuotaBody),
  },
  closed,
);

export type { TObject, TSchema };
