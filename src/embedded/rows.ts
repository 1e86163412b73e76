/**
 * From a program's values to rows and queries. What HTTP refuses is refused here as well, in the
 * same codes, before anything is written: a database must not depend on the door that data came by.
 */
import { COMPONENT_MAX, DEPTH_MAX, METADATA_BYTES_MAX } from "../../assembly/desk.ts";
import { DIMENSIONS_MAX, EF_MAX, ID_BYTES_MAX, K_MAX } from "../../assembly/layout.ts";
import type { Metadata, RowToAdd, SearchRequest, Vector } from "../client/types.ts";
import type {
  CollectionSettings,
  RowsToWrite,
  SearchQuery,
  WriteMode,
} from "../collections/database.ts";
import { compileFilter } from "../collections/filter.ts";
import { type ErrorCode, OmenError } from "../errors.ts";

type Fitting = Pick<CollectionSettings, "dimensions" | "metric">;

const FLOAT32_COMPONENT_MAX = Math.fround(COMPONENT_MAX);
const K_DEFAULT = 10;
const encoder = new TextEncoder();

function refuse(code: ErrorCode, pointer: string, message: string, who = ""): never {
  throw new OmenError(code, `${who}${message}`, { errors: [{ pointer, message }] });
}

/** A whole number becomes its decimal text. */
export function idText(id: unknown, pointer: string): string {
  if (typeof id === "number" && Number.isSafeInteger(id) && id >= 0) return String(id);
  if (typeof id !== "string") {
    refuse("INVALID_ID", pointer, `expected a text or a whole number, got ${typeof id}`);
  }
  if (id === "") refuse("INVALID_ID", pointer, "the id is empty");
  if (!id.isWellFormed()) refuse("INVALID_ID", pointer, "the id has half of a surrogate pair");
  const bytes = encoder.encode(id).length;
  if (bytes > ID_BYTES_MAX) {
    refuse("INVALID_ID", pointer, `the id has ${bytes} bytes, ${ID_BYTES_MAX} are allowed`);
  }
  return id;
}

/** The vector as float32; `settings` are undefined before the first row. */
export function floatsOf(
  vector: Vector,
  settings: Fitting | undefined,
  pointer: string,
  who = "",
): Float32Array {
  const isList = Array.isArray(vector) || ArrayBuffer.isView(vector);
  if (!isList) refuse("INVALID_VECTOR", pointer, `expected numbers, got ${typeof vector}`, who);
  const floats = Float32Array.from(vector);
  const got = floats.length;
  if (settings !== undefined && got !== settings.dimensions) {
    const message = `expected ${settings.dimensions} dimensions, got ${got}`;
    refuse("DIMENSION_MISMATCH", pointer, message, who);
  }
  if (got < 1 || got > DIMENSIONS_MAX) {
    const message = `expected 1 to ${DIMENSIONS_MAX} dimensions, got ${got}`;
    refuse("DIMENSION_MISMATCH", pointer, message, who);
  }
  let isZero = true;
  for (let index = 0; index < got; index++) {
    const component = floats[index]!;
    if (component !== 0) isZero = false;
    // Not a number compares as false.
    if (Math.abs(component) <= FLOAT32_COMPONENT_MAX) continue;
    const message = `component ${index} is ${vector[index]}, which cannot be stored`;
    refuse("INVALID_VECTOR", `${pointer}/${index}`, message, who);
  }
  if (isZero && settings?.metric === "cosine") {
    refuse("ZERO_VECTOR", pointer, "every component is zero", who);
  }
  return floats;
}

/** UTF-8 JSON, as `metadata` would be sent. */
export function metadataBytes(
  metadata: Metadata | undefined,
  pointer: string,
  who = "",
): Uint8Array | undefined {
  if (metadata === undefined) return undefined;
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    refuse("INVALID_METADATA", pointer, "the metadata is not an object", who);
  }
  expectJson(metadata, pointer, who, 1);
  // What a toJSON or a getter gives is known only now, and it is this that is stored.
  const text = JSON.stringify(metadata) ?? "null";
  if (!text.startsWith("{")) refuse("INVALID_METADATA", pointer, "it gives no JSON object", who);
  expectJson(JSON.parse(text), pointer, who, 1);
  const bytes = encoder.encode(text);
  if (bytes.length > METADATA_BYTES_MAX) {
    const message = `the metadata has ${bytes.length} bytes, ${METADATA_BYTES_MAX} are allowed`;
    refuse("INVALID_METADATA", pointer, message, who);
  }
  return bytes;
}

/** What JSON would change or leave out in silence is refused. */
function expectJson(value: unknown, pointer: string, who: string, depth: number): void {
  const wrong = (message: string): never => refuse("INVALID_METADATA", pointer, message, who);
  if (depth > DEPTH_MAX) wrong(`the metadata is nested over ${DEPTH_MAX} levels`);
  switch (typeof value) {
    case "boolean":
      return;
    case "string":
      if (!value.isWellFormed()) wrong("a text has half of a surrogate pair");
      return;
    case "number":
      if (!Number.isFinite(value)) wrong(`${value} is not a number of JSON`);
      return;
    case "object":
      if (value === null) return;
      if (typeof (value as { toJSON?: unknown }).toJSON === "function") return;
      for (const [name, member] of Object.entries(value)) {
        if (!name.isWellFormed()) wrong("a name has half of a surrogate pair");
        // A member that is undefined is one that is not there.
        if (member !== undefined) expectJson(member, `${pointer}/${name}`, who, depth + 1);
      }
      return;
    default:
      wrong(`${typeof value} is nothing that JSON has`);
  }
}

/** A batch: all rows fit, and each id comes once. */
export function rowsToWrite(
  rows: readonly RowToAdd[],
  settings: Fitting | undefined,
  metric: Fitting["metric"],
  mode: WriteMode = "upsert",
): RowsToWrite {
  if (rows.length === 0) throw new OmenError("BATCH_EMPTY", "there is no row");
  if (!["upsert", "insert", "update"].includes(mode)) {
    refuse("INVALID_REQUEST", "/mode", "expected upsert, insert or update");
  }
  const first = floatsOf(rows[0]!.vector, settings, "/0/vector");
  const fitting = settings ?? { dimensions: first.length, metric };
  const vectors = new Float32Array(rows.length * first.length);
  const places = new Map<string, number>();
  const ids: string[] = [];
  const metadata: (Uint8Array | undefined)[] = [];
  for (const [index, row] of rows.entries()) {
    const id = idText(row.id, `/${index}/id`);
    const who = `row ${JSON.stringify(id.slice(0, 80))}: `;
    const before = places.get(id);
    if (before !== undefined) {
      refuse("DUPLICATE_ID", `/${index}/id`, `the id stands at ${before} and at ${index}`, who);
    }
    places.set(id, index);
    ids.push(id);
    vectors.set(floatsOf(row.vector, fitting, `/${index}/vector`, who), index * first.length);
    metadata.push(metadataBytes(row.metadata, `/${index}/metadata`, who));
  }
  return { ids, vectors, dimensions: first.length, metadata, mode };
}

export function searchQuery(
  request: SearchRequest,
  settings: Fitting | undefined,
  pointer = "",
): SearchQuery {
  const { k = K_DEFAULT, ef, filter, max_distance, recall_target: recallTarget } = request;
  expectWhole(k, K_MAX, `${pointer}/k`);
  if (ef !== undefined) expectWhole(ef, EF_MAX, `${pointer}/ef`);
  if (recallTarget !== undefined) {
    const at = `${pointer}/recall_target`;
    if (ef !== undefined) refuse("INVALID_REQUEST", at, "expected either ef or recall_target");
    if (!(recallTarget > 0 && recallTarget <= 1)) {
      refuse("INVALID_REQUEST", at, `expected a number over 0, up to 1, got ${recallTarget}`);
    }
  }
  if (max_distance !== undefined && !Number.isFinite(max_distance)) {
    refuse("INVALID_REQUEST", `${pointer}/max_distance`, "expected a number");
  }
  return {
    vector: floatsOf(request.vector, settings, `${pointer}/vector`),
    ...{ k, ef, recallTarget, exact: request.exact ?? false, maxDistance: max_distance },
    filter: filter === undefined ? undefined : compileFilter(filter, `${pointer}/filter`),
    includeMetadata: request.include_metadata ?? true,
    includeVector: request.include_vector ?? false,
  };
}

function expectWhole(value: number, maximum: number, pointer: string): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= maximum) return;
  refuse("INVALID_REQUEST", pointer, `expected a whole number from 1 to ${maximum}, got ${value}`);
}
