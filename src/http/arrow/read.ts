/**
 * Rows as an Arrow IPC stream: columns `id` (utf8), `vector` (fixed_size_list of float32) and, if
 * there is more, either `metadata` (utf8, a JSON object a row) or any other columns, which become
 * members of the row's metadata. All of the stream is one write. The vectors are taken from the
 * batches' own memory; no row becomes an object. The library is loaded when it is first needed.
 */
import type { Data, RecordBatch } from "apache-arrow";
import { wrongComponent } from "../../collections/floats.ts";
import { OmenError } from "../../errors.ts";
import { nextTurn } from "../door.ts";
import { isIdText } from "../validate.ts";
import {
  columnOf,
  mismatch,
  refuseColumn,
  refuseNulls,
  textAt,
  textsOf,
  type Vectors,
  vectorsOf,
} from "./columns.ts";
import { flatMetadata } from "./flat.ts";
import { verifyStream } from "./verify.ts";

/** Copied, and components looked at, before others have their turn. */
const SLICE_BYTES = 4 * 1024 * 1024;
const SLICE_COMPONENTS = 1024 * 1024;
const SLICE_ROWS = 4096;

export interface ArrowRows {
  readonly ids: string[];
  readonly vectors: Float32Array<ArrayBuffer>;
  readonly dimensions: number;
  readonly metadata: (Uint8Array<ArrayBuffer> | undefined)[];
}

/** The first of some texts that is no metadata; see BodyReader.judge. */
export type Judge = (
  texts: Uint8Array[],
) => Promise<{ readonly index: number; readonly error: OmenError } | undefined>;

/** Throws INVALID_REQUEST, INVALID_ID, INVALID_VECTOR, INVALID_METADATA, DUPLICATE_ID, ... */
export async function readArrow(chunks: Uint8Array[], judge: Judge): Promise<ArrowRows> {
  const batches = await batchesOf(await joined(chunks));
  const rows: ArrowRows = { ids: [], vectors: new Float32Array(0), dimensions: 0, metadata: [] };
  const parts: Vectors[] = [];
  const places = new Map<string, number>();
  for (const batch of batches) {
    const firstRow = rows.ids.length;
    const data = required(batch, "vector");
    refuseNulls("vector", data, firstRow);
    const part = vectorsOf("vector", data, firstRow);
    const expected = parts[0]?.dimensions ?? part.dimensions;
    if (part.dimensions !== expected) mismatch("vector", firstRow, expected, part.dimensions);
    await judgeComponents(part, firstRow);
    parts.push(part);
    await readIds(batch, rows.ids, places);
    await readMetadata(batch, firstRow, rows.metadata, judge);
  }
  if (rows.ids.length === 0) throw new OmenError("BATCH_EMPTY", "there is no row");
  return { ...rows, dimensions: parts[0]!.dimensions, vectors: await oneMatrix(parts) };
}

async function joined(chunks: Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  let copied = 0;
  for (const [index, chunk] of chunks.entries()) {
    bytes.set(chunk, at);
    at += chunk.length;
    copied += chunk.length;
    chunks[index] = new Uint8Array(0);
    if (copied < SLICE_BYTES) continue;
    copied = 0;
    await nextTurn();
  }
  return bytes;
}

async function batchesOf(bytes: Uint8Array): Promise<RecordBatch[]> {
  const { RecordBatchReader } = await import("apache-arrow");
  try {
    verifyStream(bytes);
    const reader = RecordBatchReader.from(bytes).open();
    if (reader.schema === undefined) throw new Error("it has no schema");
    const batches: RecordBatch[] = [];
    for (const batch of reader) {
      if (batch.numRows > 0) batches.push(batch);
    }
    return batches;
  } catch (error) {
    const { message } = error as Error;
    const what = `the body is no sound Arrow stream: ${message.slice(0, 200)}`;
    throw new OmenError("INVALID_REQUEST", what, { cause: error });
  }
}

function required(batch: RecordBatch, name: string): Data {
  const data = columnOf(batch, name);
  if (data !== undefined) return data;
  const names = batch.schema.fields.map((field) => field.name).join(", ");
  return refuseColumn(name, `is missing; there are ${names.slice(0, 200) || "none"}`);
}

async function judgeComponents({ values, dimensions }: Vectors, firstRow: number): Promise<void> {
  for (let from = 0; from < values.length; from += SLICE_COMPONENTS) {
    if (from > 0) await nextTurn();
    const wrong = wrongComponent(values.subarray(from, from + SLICE_COMPONENTS));
    if (wrong < 0) continue;
    const row = firstRow + Math.floor((from + wrong) / dimensions);
    const message = `component ${(from + wrong) % dimensions} is not finite or beyond +-1e16`;
    const errors = [{ pointer: `/vectors/${row}/vector`, message }];
    throw new OmenError("INVALID_VECTOR", `row ${row}, column "vector": ${message}`, { errors });
  }
}

async function readIds(
  batch: RecordBatch,
  ids: string[],
  places: Map<string, number>,
): Promise<void> {
  const data = required(batch, "id");
  refuseNulls("id", data, ids.length);
  const texts = textsOf("id", data);
  for (let at = 0; at < batch.numRows; at++) {
    if (at % SLICE_ROWS === SLICE_ROWS - 1) await nextTurn();
    const row = ids.length;
    const id = textAt("id", texts, at, row);
    if (!isIdText(id)) refuseId("INVALID_ID", row, "expected 1 to 512 bytes");
    const before = places.get(id);
    if (before !== undefined) refuseId("DUPLICATE_ID", row, `stands at ${before} too`);
    places.set(id, row);
    ids.push(id);
  }
}

function refuseId(code: "INVALID_ID" | "DUPLICATE_ID", row: number, message: string): never {
  const errors = [{ pointer: `/vectors/${row}/id`, message }];
  throw new OmenError(code, `row ${row}, column "id": ${message}`, { errors });
}

async function readMetadata(
  batch: RecordBatch,
  firstRow: number,
  metadata: (Uint8Array<ArrayBuffer> | undefined)[],
  judge: Judge,
): Promise<void> {
  const names = batch.schema.fields.map(({ name }) => name);
  const others = names.filter((name) => !["id", "vector", "metadata"].includes(name));
  const data = columnOf(batch, "metadata");
  if (data === undefined) {
    for (let at = 0; at < batch.numRows; at++) {
      if (at % 256 === 255) await nextTurn();
      metadata.push(flatMetadata(batch, others, at, firstRow + at));
    }
    return;
  }
  if (others[0] !== undefined) refuseColumn(others[0], "cannot stand beside a column metadata");
  const { bytes, offsets } = textsOf("metadata", data);
  const texts: Uint8Array<ArrayBuffer>[] = [];
  const rows: number[] = [];
  for (let at = 0; at < batch.numRows; at++) {
    const text = data.getValid(at) ? bytes.subarray(offsets[at]!, offsets[at + 1]!) : undefined;
    metadata.push(text);
    if (text === undefined) continue;
    texts.push(text);
    rows.push(firstRow + at);
  }
  const fault = texts.length === 0 ? undefined : await judge(texts);
  if (fault === undefined) return;
  const { index, error } = fault;
  const message = error.message;
  const errors = [{ pointer: `/vectors/${rows[index]}/metadata`, message }];
  const detail = `row ${rows[index]}, column "metadata": ${message}`;
  throw new OmenError("INVALID_METADATA", detail, { errors });
}

/** In place where the stream has one batch. */
async function oneMatrix(parts: readonly Vectors[]): Promise<Float32Array<ArrayBuffer>> {
  if (parts.length === 1) return parts[0]!.values;
  const matrix = new Float32Array(parts.reduce((sum, { values }) => sum + values.length, 0));
  let at = 0;
  for (const { values } of parts) {
    for (let from = 0; from < values.length; from += SLICE_COMPONENTS) {
      matrix.set(values.subarray(from, from + SLICE_COMPONENTS), at + from);
      if (from + SLICE_COMPONENTS < values.length) await nextTurn();
    }
    at += values.length;
  }
  return matrix;
}
