/**
 * Everything the server can be asked, in one table: the app binds its routes from it, the metrics
 * name their series after it, a 405 finds the allowed methods in it, and the OpenAPI document is
 * written from it.
 *
 * Verbs of a collection stand twice: at the root for the collection `default`, and under
 * /collections/{collection}. The hot ones come first, because Express tries routes in order.
 */
import type { Role } from "../access/grant.ts";
import type { ErrorCode } from "../errors.ts";
import { ARROW_MEDIA, JSON_MEDIA, LINES_MEDIA, OCTETS_MEDIA } from "./media.ts";
import * as queries from "./queries.ts";
import * as schemas from "./schemas.ts";
import { SNAPSHOT_OPERATIONS } from "./snapshotOperations.ts";

export interface Operation {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** As OpenAPI writes it. */
  readonly path: string;
  readonly scope: "server" | "collection";
  /** What a caller must be at least; "anyone" needs no key, and no rate limit holds it back. */
  readonly role: Role | "anyone";
  /** Goes to the audit log although others may do it; what admins change always goes there. */
  readonly isAudited?: true;
  /** Takes an Idempotency-Key. */
  readonly isKeyed?: true;
  /** Conditions that it keeps; what it gives of a row that is there has an ETag. */
  readonly conditions?: readonly ("If-Match" | "If-None-Match")[];
  readonly summary: string;
  readonly description?: string;
  readonly body?: schemas.TSchema;
  /** Parameters in the address, all of them optional. */
  readonly query?: schemas.TObject;
  /** Bodies of other media types than JSON, which stand beside it. */
  readonly otherBodies?: Readonly<Record<string, schemas.TSchema>>;
  /** What comes back by status; a text is a media type other than JSON. */
  readonly answers: Readonly<Record<number, schemas.TSchema | string>>;
  /** Media types that a 200 may have instead of JSON, where Accept asks for it. */
  readonly otherAnswers?: readonly string[];
  readonly errors?: readonly ErrorCode[];
}

const writeErrors = [
  ...(["INVALID_VECTOR", "INVALID_ID", "INVALID_METADATA", "DIMENSION_MISMATCH"] as const),
  ...(["ZERO_VECTOR", "ROW_NOT_FOUND", "ROW_EXISTS", "COLLECTION_NOT_FOUND"] as const),
  ...(["OVERLOADED", "READ_ONLY", "MEMORY_LIMIT", "QUOTA_EXCEEDED", "STORAGE_FULL"] as const),
];
const searchErrors = [
  ...(["INVALID_VECTOR", "INVALID_FILTER", "DIMENSION_MISMATCH", "ZERO_VECTOR"] as const),
  "INVALID_METADATA" as const,
];

export const OPERATIONS = {
  search: {
    ...{ method: "post", path: "/search", scope: "collection", role: "reader" },
    summary: "Find the nearest rows",
    description:
      "Fewer than k come back only when fewer than k rows match. Before the first write the " +
      "collection `default` answers with no results; another collection that is not there is " +
      "404. Parameters in the address go with a body of application/octet-stream and only with it.",
    ...{ body: schemas.SearchBody, answers: { 200: schemas.Found }, errors: searchErrors },
    ...{ query: queries.OctetsQuery, otherBodies: { [OCTETS_MEDIA]: queries.Octets } },
  },
  addRow: {
    ...{ method: "post", path: "/vectors/add", scope: "collection", role: "writer" },
    summary: "Write one row",
    description:
      "The answer comes when every later search on any connection finds the row. The first write " +
      "makes the collection `default`, with the dimensions of its vector and OMENDB_METRIC; any " +
      "other collection has to be made first. If-Match writes only over a row of that version, " +
      "If-None-Match: * only where there is none.",
    ...{ isKeyed: true, conditions: ["If-Match", "If-None-Match"] },
    ...{ body: schemas.AddBody, answers: { 200: schemas.Added }, errors: writeErrors },
  },
  addRows: {
    ...{ method: "post", path: "/vectors/batch", scope: "collection", role: "writer" },
    summary: "Write many rows, all or none",
    description:
      "An id may come once in a batch. Makes the collection `default` as one row does. NDJSON " +
      "has a row a line and no limit on the body; each line counts as a write of its own, and " +
      "rows before a line at fault are written. The parameter mode is for NDJSON and Arrow only.",
    isKeyed: true,
    body: schemas.BatchBody,
    query: queries.BatchQuery,
    otherBodies: { [LINES_MEDIA]: schemas.BatchRow, [ARROW_MEDIA]: queries.ArrowRows },
    answers: { 200: schemas.BatchAdded },
    errors: [...writeErrors, "BATCH_EMPTY", "DUPLICATE_ID"],
  },
  searchMany: {
    ...{ method: "post", path: "/search/batch", scope: "collection", role: "reader" },
    summary: "Several searches at once",
    description:
      "Answered in their order, each from the state of one moment; a write meanwhile may be seen " +
      "by later ones and not by earlier ones.",
    body: schemas.SearchBatchBody,
    answers: { 200: schemas.FoundBatch },
    otherAnswers: [ARROW_MEDIA],
    errors: [...searchErrors, "BATCH_EMPTY"],
  },
  getRows: {
    ...{ method: "post", path: "/vectors/get", scope: "collection", role: "reader" },
    summary: "Rows by their ids",
    description: "null stands where no row has the id. Also reaches ids that URLs rewrite: `..`.",
    body: schemas.GetBody,
    answers: { 200: schemas.GotRows },
    otherAnswers: [ARROW_MEDIA],
    errors: ["INVALID_ID", "BATCH_EMPTY", "COLLECTION_NOT_FOUND"],
  },
  deleteRows: {
    ...{ method: "post", path: "/vectors/delete", scope: "collection", role: "writer" },
    ...{ isAudited: true, isKeyed: true },
    summary: "Delete rows by their ids, or all that match a filter",
    description:
      "Ids that no row has are passed over; `deleted` counts the rows that went. With a filter " +
      "exactly the rows go that match when the write has its turn; beyond a million they go in " +
      "several steps, which a crash may part. An empty filter matches every row.",
    body: schemas.DeleteBody,
    answers: { 200: schemas.Deleted },
    errors: ["INVALID_ID", "INVALID_FILTER", "BATCH_EMPTY", "READ_ONLY", "STORAGE_FULL"],
  },
  countRows: {
    ...{ method: "post", path: "/vectors/count", scope: "collection", role: "reader" },
    summary: "How many rows match a filter",
    description: "Exact, at one moment; without a filter all rows.",
    body: schemas.CountBody,
    answers: { 200: schemas.Counted },
    errors: ["INVALID_FILTER"],
  },
  scroll: {
    ...{ method: "get", path: "/vectors", scope: "collection", role: "reader" },
    summary: "All rows, a page at a time",
    description:
      "A row that is there from the first page to the last comes exactly once, whatever is " +
      "written meanwhile; rows that come or go meanwhile come once or not at all. A cursor holds " +
      "for any limit, and for its collection alone.",
    query: schemas.ScrollParameters,
    answers: { 200: schemas.Page },
    otherAnswers: [ARROW_MEDIA],
    errors: ["INVALID_CURSOR", "INVALID_FILTER", "OVERLOADED"],
  },
  getRow: {
    ...{ method: "get", path: "/vectors/{id}", scope: "collection", role: "reader" },
    summary: "One row",
    description:
      "The ETag is the row's version, and If-None-Match is answered 304 while it holds. An id in " +
      "a path is percent-encoded.",
    conditions: ["If-Match", "If-None-Match"],
    query: queries.RowQuery,
    answers: { 200: schemas.GotRow },
    otherAnswers: [ARROW_MEDIA],
    errors: ["INVALID_ID", "ROW_NOT_FOUND"],
  },
  patchRow: {
    ...{ method: "patch", path: "/vectors/{id}", scope: "collection", role: "writer" },
    summary: "Change a part of a row",
    description:
      "The vector is replaced, the metadata changed by JSON Merge Patch; what is left out stays. " +
      "With If-Match only a row of that version is changed; without it the change is merged into " +
      "whatever the row is when it is written.",
    ...{ isKeyed: true, conditions: ["If-Match"] },
    ...{ body: schemas.PatchBody, answers: { 200: schemas.Patched }, errors: writeErrors },
  },
  deleteRow: {
    ...{ method: "delete", path: "/vectors/{id}", scope: "collection", role: "writer" },
    ...{ isAudited: true, isKeyed: true, conditions: ["If-Match"] },
    summary: "Delete one row",
    description:
      "A row that is not there is `deleted: 0`. With If-Match only a row of that version goes.",
    answers: { 200: schemas.Deleted },
    errors: ["INVALID_ID", "READ_ONLY", "STORAGE_FULL"],
  },
  stats: {
    ...{ method: "get", path: "/stats", scope: "collection", role: "reader" },
    summary: "Counts and memory",
    description: "Before the first write `default` counts nothing and has no dimensions.",
    answers: { 200: schemas.Stats },
    errors: ["COLLECTION_NOT_FOUND"],
  },
  recall: {
    ...{ method: "get", path: "/recall", scope: "collection", role: "reader" },
    summary: "Recall, measured now",
    description:
      "Each sampled row takes an exact scan and a walk of each width. Questions from elsewhere " +
      "than the rows themselves may be harder or easier. Before the first write there is nothing " +
      "to try.",
    query: schemas.RecallParameters,
    answers: { 200: schemas.Recall },
    errors: ["INVALID_REQUEST", "COLLECTION_NOT_FOUND"],
  },
  listCollections: {
    ...{ method: "get", path: "/collections", scope: "server", role: "reader" },
    summary: "All collections",
    answers: { 200: schemas.CollectionList },
    errors: ["STARTING"],
  },
  createCollection: {
    ...{ method: "put", path: "/collections/{collection}", scope: "server", role: "admin" },
    summary: "Make a collection",
    description: "200 when it is there with the same settings already.",
    body: schemas.CollectionBody,
    answers: { 201: schemas.Collection, 200: schemas.Collection },
    errors: ["COLLECTION_EXISTS", "READ_ONLY", "MEMORY_LIMIT", "STORAGE_FULL", "STARTING"],
  },
  getCollection: {
    ...{ method: "get", path: "/collections/{collection}", scope: "server", role: "reader" },
    summary: "Settings and stats of a collection",
    answers: { 200: schemas.Collection },
    errors: ["COLLECTION_NOT_FOUND", "STARTING"],
  },
  dropCollection: {
    ...{ method: "delete", path: "/collections/{collection}", scope: "server", role: "admin" },
    summary: "Drop a collection and all its rows",
    answers: { 200: schemas.Dropped },
    errors: ["COLLECTION_NOT_FOUND", "READ_ONLY", "STORAGE_FULL", "STARTING"],
  },
  ...SNAPSHOT_OPERATIONS,
  health: {
    ...{ method: "get", path: "/health", scope: "server", role: "anyone" },
    summary: "How the server is",
    description: "503 while it loads, with its progress, and while it refuses writes, with why.",
    answers: { 200: schemas.Health, 503: schemas.Health },
  },
  live: {
    ...{ method: "get", path: "/livez", scope: "server", role: "anyone" },
    summary: "Whether the process answers",
    answers: { 200: schemas.Live },
  },
  ready: {
    ...{ method: "get", path: "/readyz", scope: "server", role: "anyone" },
    summary: "Whether every collection is loaded",
    answers: { 200: schemas.Health, 503: schemas.Health },
  },
  metrics: {
    ...{ method: "get", path: "/metrics", scope: "server", role: "reader" },
    summary: "Metrics of all threads for Prometheus",
    answers: { 200: "text/plain; version=0.0.4; charset=utf-8" },
  },
  openapi: {
    ...{ method: "get", path: "/openapi.json", scope: "server", role: "reader" },
    summary: "This document",
    answers: { 200: "application/json; charset=utf-8" },
  },
  docs: {
    ...{ method: "get", path: "/docs", scope: "server", role: "reader" },
    summary: "This document as a page",
    description: "A browser sends no key: OMENDB_DOCS_PUBLIC lets it in without one.",
    answers: { 200: "text/html; charset=utf-8" },
  },
  docsFile: {
    ...{ method: "get", path: "/docs/{file}", scope: "server", role: "reader" },
    summary: "What the page is made of",
    answers: { 200: "text/*" },
    errors: ["NOT_FOUND"],
  },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;
export const operationNames = Object.keys(OPERATIONS) as OperationName[];
export const operationOf = (name: OperationName): Operation => OPERATIONS[name];

/** What an answer may be, the usual one first. */
export function mediaOffered({ answers, otherAnswers = [] }: Operation): string[] {
  const usual = Object.values(answers).map((answer) =>
    typeof answer === "string" ? answer.split(";")[0]! : JSON_MEDIA,
  );
  return [...new Set([...usual, ...otherAnswers])];
}

/** Reads of rows stand in line where a listener is behind; see backlog.ts. */
export function isReadOfRows({ scope, role }: Operation): boolean {
  return scope === "collection" && role === "reader";
}

/** Every address of an operation as OpenAPI writes it: two for a verb of a collection. */
export function pathsOf({ scope, path }: Operation): string[] {
  return scope === "server" ? [path] : [path, `/collections/{collection}${path}`];
}

const addresses = operationNames.map(operationOf).flatMap((operation) =>
  pathsOf(operation).map((path) => ({
    method: operation.method.toUpperCase(),
    pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
  })),
);

/** What Allow says of an address; empty where there is nothing. */
export function methodsAt(path: string): string[] {
  const found = addresses.filter(({ pattern }) => pattern.test(path));
  if (found.length === 0) return [];
  const methods = new Set(found.map(({ method }) => method));
  if (methods.has("GET")) methods.add("HEAD");
  return [...methods.add("OPTIONS")].sort();
}
