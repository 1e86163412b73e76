/**
 * From a checked body to rows and queries: what a schema cannot say. Dimensions have to be the
 * collection's, an id may come once in a batch, and cosine needs a direction. All of it is known
 * before anything is written, and each refusal names the row and its place in the body.
 */
import type {
  CollectionSettings,
  CollectionView,
  Metric,
  RowsToWrite,
  WriteMode,
} from "../collections/database.ts";
import type { RowPatch } from "../collections/patch.ts";
import { OmenError } from "../errors.ts";
import type { ScannedBody } from "./body.ts";
import { defaultSettings, isTurnOver, nextTurn } from "./door.ts";
import { DIMENSIONS_MAX } from "./schemas.ts";
import { explainId, isIdText } from "./validate.ts";

export interface RowBody {
  readonly id: string | number;
  readonly vector: number;
  readonly metadata?: number;
}

/** Throws with `pointer` at the vector; `who` names its row, if it has one. */
export function checkVector(
  vector: Float32Array,
  settings: Pick<CollectionSettings, "dimensions" | "metric">,
  pointer: string,
  who?: string,
): void {
  const { dimensions, metric } = settings;
  const got = vector.length;
  if (got !== dimensions) {
    refuse("DIMENSION_MISMATCH", `expected ${dimensions} dimensions, got ${got}`, pointer, who);
  }
  if (metric === "cosine" && isZero(vector)) {
    refuse("ZERO_VECTOR", "every component is zero", pointer, who);
  }
}

/**
 * What a write has to fit: the collection's settings, or the ones that its first write makes. Only
 * `default` is made so; every other collection is known by now.
 */
export function settingsFor(
  collection: CollectionView | undefined,
  metric: Metric,
  vector: Float32Array,
  pointer: string,
  who: string,
): CollectionSettings {
  if (collection !== undefined) return collection.settings;
  const got = vector.length;
  if (got < 1 || got > DIMENSIONS_MAX) {
    const message = `expected 1 to ${DIMENSIONS_MAX} dimensions, got ${got}`;
    refuse("DIMENSION_MISMATCH", message, pointer, who);
  }
  return defaultSettings(got, metric);
}

export function rowToWrite(
  body: RowBody & { mode?: WriteMode },
  scanned: ScannedBody,
  collection: CollectionView | undefined,
  metric: Metric,
): RowsToWrite {
  const id = String(body.id);
  const vector = scanned.vector(body.vector).values;
  const settings = settingsFor(collection, metric, vector, "/vector", id);
  checkVector(vector, settings, "/vector", id);
  return {
    ids: [id],
    vectors: vector,
    dimensions: settings.dimensions,
    metadata: [body.metadata === undefined ? undefined : scanned.metadata(body.metadata)],
    mode: body.mode ?? "upsert",
  };
}

/** `check` is the schema of a row, applied in slices: a batch may have a million rows. */
export async function rowsToWrite(
  body: { vectors: readonly unknown[]; mode?: WriteMode },
  scanned: ScannedBody,
  check: (row: unknown, pointer: string) => RowBody,
  collection: CollectionView | undefined,
  metric: Metric,
): Promise<RowsToWrite> {
  const count = body.vectors.length;
  const first = check(body.vectors[0], "/vectors/0");
  const model = scanned.vector(first.vector).values;
  const settings = settingsFor(collection, metric, model, "/vectors/0/vector", String(first.id));
  const ids: string[] = [];
  const metadata: (Uint8Array | undefined)[] = [];
  const places = new Map<string, number>();
  const handles: number[] = [];
  let begunAtMs = performance.now();
  for (let index = 0; index < count; index++) {
    const pointer = `/vectors/${index}`;
    const row = check(body.vectors[index], pointer);
    const id = String(row.id);
    checkVector(scanned.vector(row.vector).values, settings, `${pointer}/vector`, id);
    const before = places.get(id);
    if (before !== undefined) refuseDuplicate(id, before, index);
    places.set(id, index);
    ids.push(id);
    handles.push(row.vector);
    metadata.push(row.metadata === undefined ? undefined : scanned.metadata(row.metadata));
    if (index % 256 === 255 && isTurnOver(begunAtMs)) {
      await nextTurn();
      begunAtMs = performance.now();
    }
  }
  const { dimensions } = settings;
  const vectors = scanned.matrix(handles, dimensions);
  return { ids, vectors, dimensions, metadata, mode: body.mode ?? "upsert" };
}

/** Rows whose vectors lie one after another: all of one length, which has to be the right one. */
export async function checkVectors(
  rows: { ids: readonly string[]; vectors: Float32Array; dimensions: number },
  collection: CollectionView | undefined,
  metric: Metric,
): Promise<void> {
  const { ids, vectors, dimensions } = rows;
  const model = vectors.subarray(0, dimensions);
  const settings = settingsFor(collection, metric, model, "/vectors/0/vector", ids[0]!);
  const rowsToLookAt = settings.metric === "cosine" ? ids.length : 1;
  for (let row = 0; row < rowsToLookAt; row++) {
    if (row % 4096 === 4095) await nextTurn();
    const vector = vectors.subarray(row * dimensions, (row + 1) * dimensions);
    checkVector(vector, settings, `/vectors/${row}/vector`, ids[row]!);
  }
}

/**
 * What a patch brings, copied: it outlives the body. Before the first write there is nothing that
 * its vector would have to fit.
 */
export function patchToMerge(
  body: { vector?: number; metadata?: number | null },
  scanned: ScannedBody,
  collection: CollectionView | undefined,
  id: string,
): RowPatch {
  const { vector, metadata } = body;
  const patch: { vector?: Float32Array; metadata?: Uint8Array | null } = {};
  if (vector !== undefined) {
    patch.vector = scanned.vector(vector).values.slice();
    if (collection !== undefined) checkVector(patch.vector, collection.settings, "/vector", id);
  }
  if (metadata === null) patch.metadata = null;
  else if (metadata !== undefined) patch.metadata = scanned.metadata(metadata).slice();
  return patch;
}

/** An id from a path, which no schema has seen. */
export function idOfPath(id: unknown): string {
  if (typeof id === "string" && isIdText(id)) return id;
  throw new OmenError("INVALID_ID", `the id ${explainId(id)}`);
}

function isZero(vector: Float32Array): boolean {
  for (let index = 0; index < vector.length; index++) if (vector[index] !== 0) return false;
  return true;
}

function refuseDuplicate(id: string, first: number, second: number): never {
  const message = `${nameRow(id)} stands at ${first} and at ${second}`;
  refuse("DUPLICATE_ID", message, `/vectors/${second}/id`);
}

function refuse(
  code: "DIMENSION_MISMATCH" | "ZERO_VECTOR" | "DUPLICATE_ID",
  message: string,
  pointer: string,
  who?: string,
): never {
  const detail = who === undefined ? message : `${nameRow(who)}: ${message}`;
  throw new OmenError(code, detail, { errors: [{ pointer, message }] });
}

function nameRow(id: string): string {
  return `row ${JSON.stringify(id.length > 80 ? `${id.slice(0, 80)}...` : id)}`;
}
