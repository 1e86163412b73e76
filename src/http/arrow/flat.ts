/** Columns beside id and vector, brought together as each row's metadata. */
import type { RecordBatch, Vector } from "apache-arrow";
import { METADATA_BYTES_MAX } from "../../../assembly/desk.ts";
import { refuseColumn } from "./columns.ts";

const encoder = new TextEncoder();

/** A null is a member that the row does not have; a row of nulls alone has no metadata. */
export function flatMetadata(
  batch: RecordBatch,
  names: readonly string[],
  row: number,
  shownRow: number,
): Uint8Array<ArrayBuffer> | undefined {
  let text = "";
  for (const name of names) {
    const value = plain(name, batch.getChild(name)?.get(row), shownRow);
    if (value === undefined) continue;
    text += `${text === "" ? "{" : ","}${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  if (text === "") return undefined;
  const bytes = encoder.encode(`${text}}`);
  if (bytes.length <= METADATA_BYTES_MAX) return bytes;
  return refuseColumn("metadata", `has over ${METADATA_BYTES_MAX} bytes`, shownRow);
}

function plain(column: string, value: unknown, row: number): unknown {
  switch (typeof value) {
    case "string":
      if (value.isWellFormed() && !value.includes("\ufffd")) return value;
      return refuseColumn(column, "the text is not UTF-8", row);
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      return refuseColumn(column, `JSON has no ${value}`, row);
    case "bigint":
      if (Number.isSafeInteger(Number(value))) return Number(value);
      return refuseColumn(column, "the integer is beyond 2^53-1", row);
    case "undefined":
      return undefined;
  }
  if (value === null) return undefined;
  if (isList(value)) return Array.from(value, (each) => plain(column, each, row) ?? null);
  return refuseColumn(column, "only texts, numbers, booleans and lists of them fit into metadata");
}

function isList(value: unknown): value is Vector {
  const list = value as { numChildren?: unknown; get?: unknown };
  return typeof list.numChildren === "number" && typeof list.get === "function";
}
