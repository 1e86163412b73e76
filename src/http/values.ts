/**
 * What the shapes of requests and answers are made of, and the limits that they name.
 *
 * Vectors and metadata never become JavaScript values: the body reader leaves a handle, a whole
 * number, in their place. Keywords of ours say what stands there for the client, and what ajv is to
 * check in the value it is given.
 */
import { Type } from "typebox";
import { SCHEMA_PATHS_MAX } from "../../assembly/columns.ts";
import { DIMENSIONS_MAX, EF_MAX, ID_BYTES_MAX, K_MAX } from "../../assembly/layout.ts";

export { DIMENSIONS_MAX, EF_MAX, ID_BYTES_MAX, K_MAX };
export const IDS_MAX = 10_000;
export const SEARCHES_MAX = 1000;
export const PAGE_ROWS_MAX = 10_000;
/** Each row takes an exact scan and a dozen walks. */
export const RECALL_SAMPLE_MAX = 1000;
export const RECALL_K_MAX = 100;
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

export const Vector = Type.Unsafe<number>({ [KEYWORD]: "vector" });
export const Metadata = Type.Unsafe<number>({ [KEYWORD]: "metadata" });
export const MetadataPatch = Type.Unsafe<number | null>({ [KEYWORD]: "metadataPatch" });
export const Id = Type.Unsafe<string | number>({ [KEYWORD]: "id" });
/** Only named here: filter.ts reads it, and says more about what is wrong than a schema could. */
export const FilterBody = Type.Unsafe<unknown>({
  description: 'Conditions on metadata, such as {"year":{"$gte":2020},"tags":"red"}.',
});

const most = (description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description }));
export const QuotaBody = Type.Object(
  {
    vectors: most("Rows that the collection may hold."),
    bytes: most("Memory that it may hold, as `memory_bytes` in its stats counts it."),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    description: "What passes it is refused with QUOTA_EXCEEDED, and nothing is written.",
  },
);
/** Its paths are looked at by collections/schema.ts, which knows how columns are made. */
export const SchemaBody = Type.Record(
  Type.String(),
  Type.Enum(["keyword", "number", "boolean", "auto", "none"]),
  {
    maxProperties: SCHEMA_PATHS_MAX,
    description:
      "Paths of metadata that have a column whatever else comes: of strings, numbers, booleans, " +
      "or anything (auto). Values of another kind, and all of none, are read in the rows' JSON.",
  },
);

export const closed = { additionalProperties: false };
export const limited = (maximum: number, description: string, byDefault?: number) =>
  Type.Integer({
    minimum: 1,
    maximum,
    description,
    ...(byDefault === undefined ? {} : { default: byDefault }),
  });
export const flag = (byDefault: boolean, description: string) =>
  Type.Optional(Type.Boolean({ default: byDefault, description }));

export type VectorFormat = "array" | "base64";
export const vector_format = Type.Optional(
  Type.Enum(["array", "base64"], {
    default: "array",
    description: "How vectors are returned: numbers, or base64 of little-endian float32.",
  }),
);

export const count = (description: string) => Type.Integer({ minimum: 0, description });
