/** Parameters in an address, by the schemas that the same names have in a JSON body. */
import { Type } from "typebox";
import { BatchBody, GetBody, SearchBody } from "./schemas.ts";

const closed = { additionalProperties: false };

export const ArrowRows = Type.String({
  contentMediaType: "application/vnd.apache.arrow.stream",
  description:
    "Columns `id` (utf8), `vector` (fixed_size_list<float32>, or a list of one length) and, if " +
    "there are more, either `metadata` (utf8, JSON objects) or others, which become its members.",
});
/** Of a batch whose body is rows and nothing else. */
export const BatchQuery = Type.Object({ mode: BatchBody.properties.mode }, closed);

const { vector: _vector, ...besideVector } = SearchBody.properties;
/** Of a search whose body is the vector and nothing else. */
export const OctetsQuery = Type.Object(besideVector, closed);
export const Octets = Type.String({
  contentMediaType: "application/octet-stream",
  description: "The query's vector as little-endian float32.",
});

export const RowQuery = Type.Object({ vector_format: GetBody.properties.vector_format }, closed);
