/**
 * Columns of an Arrow record batch as plain arrays over its own memory: ids, vectors, texts. What
 * the library has read is not taken on trust: its lengths and offsets come from a client.
 */
import { isUtf8 } from "node:buffer";
import type { Data, FixedSizeList, RecordBatch } from "apache-arrow";
import { OmenError } from "../../errors.ts";

/** As the format numbers them. */
const TYPE_FLOAT = 3;
const TYPE_UTF8 = 5;
const TYPE_LIST = 12;
const TYPE_FIXED_SIZE_LIST = 16;
const TYPE_LARGE_UTF8 = 20;

export function refuseColumn(column: string, message: string, row?: number): never {
  const place = row === undefined ? `column ${show(column)}` : `row ${row}, column ${show(column)}`;
  const pointer = row === undefined ? `/vectors/0/${column}` : `/vectors/${row}/${column}`;
  const detail = `${place}: ${message}`;
  throw new OmenError("INVALID_REQUEST", detail, { errors: [{ pointer, message }] });
}

const show = (name: string) => JSON.stringify(name.slice(0, 100));

/** The one chunk that a column of a batch has; undefined where there is no such column. */
export function columnOf(batch: RecordBatch, name: string): Data | undefined {
  const index = batch.schema.fields.findIndex((field) => field.name === name);
  const data = index < 0 ? undefined : batch.data.children[index];
  if (data !== undefined && data.length !== batch.numRows) {
    refuseColumn(name, `has ${data.length} rows of ${batch.numRows}`);
  }
  return data;
}

export interface Texts {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each begins and the last one ends. */
  readonly offsets: Int32Array | Float64Array;
}

/** A column of utf8 or large_utf8. */
export function textsOf(name: string, data: Data): Texts {
  const { typeId } = data.type;
  if (typeId !== TYPE_UTF8 && typeId !== TYPE_LARGE_UTF8) {
    refuseColumn(name, `expected utf8, got ${data.type}`);
  }
  const bytes: Uint8Array<ArrayBuffer> = data.values ?? new Uint8Array(0);
  const given = (data.valueOffsets ?? new Int32Array(1)) as Int32Array | BigInt64Array;
  const offsets = typeof given[0] === "bigint" ? Float64Array.from(given, Number) : given;
  return { bytes, offsets: soundOffsets(name, offsets as Int32Array, data.length, bytes.length) };
}

function soundOffsets<Offsets extends Int32Array | Float64Array>(
  name: string,
  offsets: Offsets,
  rows: number,
  end: number,
): Offsets {
  const isShort = offsets.length < rows + 1 && rows > 0;
  let before = 0;
  for (let row = 0; row <= rows && !isShort; row++) {
    const offset = offsets[row] ?? 0;
    if (!(offset >= before && offset <= end)) refuseColumn(name, "its offsets are not sound");
    before = offset;
  }
  if (isShort) refuseColumn(name, "its offsets are not sound");
  return offsets;
}

/** The text at a row; refused where it is not UTF-8. */
export function textAt(name: string, { bytes, offsets }: Texts, at: number, row: number): string {
  const part = bytes.subarray(offsets[at]!, offsets[at + 1]!);
  const text = Buffer.from(part.buffer, part.byteOffset, part.length).toString("utf8");
  if (text.includes("\ufffd") && !isUtf8(part)) refuseColumn(name, "the text is not UTF-8", row);
  return text;
}

export interface Vectors {
  /** Row after row, `dimensions` each. */
  readonly values: Float32Array<ArrayBuffer>;
  readonly dimensions: number;
}

/** A column of fixed_size_list or list of float32 or float64, all of one length. */
export function vectorsOf(name: string, data: Data, firstRow: number): Vectors {
  const { type, length } = data;
  const isList = type.typeId === TYPE_LIST;
  const child = data.children[0];
  if (!(isList || type.typeId === TYPE_FIXED_SIZE_LIST) || child?.type.typeId !== TYPE_FLOAT) {
    refuseColumn(name, `expected fixed_size_list<float32>, got ${type}`);
  }
  if (child.nullCount > 0) refuseColumn(name, "has components that are null");
  const starts = isList
    ? soundOffsets(name, data.valueOffsets as Int32Array, length, child.length)
    : undefined;
  const dimensions = starts ? starts[1]! - starts[0]! : (type as FixedSizeList).listSize;
  for (let row = 0; starts !== undefined && row < length; row++) {
    const got = starts[row + 1]! - starts[row]!;
    if (got !== dimensions) mismatch(name, firstRow + row, dimensions, got);
  }
  const from = starts?.[0] ?? 0;
  const given = child.values as Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Uint16Array;
  if (given instanceof Uint16Array) refuseColumn(name, `expected float32, got ${child.type}`);
  const part = given.subarray(from, from + length * dimensions);
  if (part.length !== length * dimensions) refuseColumn(name, "has fewer components than rows");
  const values = part instanceof Float32Array ? part : Float32Array.from(part);
  return { values: values as Float32Array<ArrayBuffer>, dimensions };
}

export function mismatch(column: string, row: number, expected: number, got: number): never {
  const message = `expected ${expected} dimensions, got ${got}`;
  const errors = [{ pointer: `/vectors/${row}/${column}`, message }];
  throw new OmenError("DIMENSION_MISMATCH", `row ${row}, column "${column}": ${message}`, {
    errors,
  });
}

/** Nulls where none may be. */
export function refuseNulls(name: string, data: Data, firstRow: number): void {
  if (data.nullCount === 0) return;
  for (let row = 0; row < data.length; row++) {
    if (!data.getValid(row)) refuseColumn(name, "is null", firstRow + row);
  }
}
