/**
 * Changing a part of a row. The reader merges, and writes the whole row under the condition that it
 * still has the version that was read; when another write was faster it reads and merges again, so
 * two changes of different members never undo each other.
 *
 * Metadata changes by JSON Merge Patch (RFC 7396), on the text: members that the patch does not
 * name keep their bytes, so numbers keep their digits and `__proto__` is a name like any other.
 * Both texts have been checked as JSON objects without a name twice. Text that is none would give
 * nonsense, and an end: every loop ends with the text.
 */
import { METADATA_BYTES_MAX } from "../../assembly/desk.ts";
import { OmenError } from "../errors.ts";
import type { Database, Expected, Row } from "./database.ts";
import { isAs } from "./decisions.ts";
import type { Once } from "./ledger.ts";

/** What is left out stays as it is. The views are read more than once, until the change is done. */
export interface RowPatch {
  readonly vector?: Float32Array;
  /** A merge patch as UTF-8; null takes the metadata away. */
  readonly metadata?: Uint8Array | null;
}

/** Of one row that others change all the time. */
const TRIES_MAX = 1000;
const RETRY_AFTER_SECONDS = 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Throws OmenError ROW_NOT_FOUND, PRECONDITION_FAILED when the row is not as expected,
 * INVALID_METADATA when it would grow too large, OVERLOADED, and whatever `put` throws.
 */
export async function patchRow(
  database: Database,
  name: string,
  id: string,
  patch: RowPatch,
  expected?: Expected,
  once?: Once,
): Promise<{ sequence: number }> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const row = database.collection(name)?.get(id);
    if (row === undefined) throw new OmenError("ROW_NOT_FOUND", "no row has this id");
    if (expected !== undefined && !isAs(expected, row.version)) throw moved(row, expected);
    const sequence = await putPatched(database, name, row, patch, once);
    if (sequence !== undefined) return { sequence };
  }
  throw new OmenError("OVERLOADED", "the row changes faster than it can be patched", {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

/** Undefined when another write was faster. */
async function putPatched(
  database: Database,
  name: string,
  row: Row,
  patch: RowPatch,
  once: Once | undefined,
): Promise<number | undefined> {
  const vectors = patch.vector ?? row.vector;
  const metadata = patchMetadata(row.metadata, patch.metadata);
  const rows = { ids: [row.id], vectors, dimensions: vectors.length, metadata: [metadata] };
  try {
    const terms = { mode: "upsert", expected: [[row.version]], once } as const;
    const { sequence } = await database.put(name, { ...rows, ...terms });
    return sequence;
  } catch (error) {
    if (error instanceof OmenError && error.code === "PRECONDITION_FAILED") return undefined;
    throw error;
  }
}

function moved({ id, version }: Row, expected: Expected): OmenError {
  const wanted = Array.isArray(expected) ? expected.join(" or ") || "another" : expected;
  const message = `nothing was written: ${JSON.stringify(id)} has version ${version}`;
  return new OmenError("PRECONDITION_FAILED", `${message}, expected ${wanted}`, { ids: [id] });
}

function patchMetadata(
  present: Uint8Array | undefined,
  patch: Uint8Array | null | undefined,
): Uint8Array | undefined {
  if (patch === undefined) return present;
  if (patch === null) return undefined;
  const before = present === undefined ? "{}" : decoder.decode(present);
  const merged = encoder.encode(mergePatch(before, decoder.decode(patch)));
  if (merged.length > METADATA_BYTES_MAX) {
    const allowed = `${METADATA_BYTES_MAX} are allowed`;
    const message = `the metadata would have ${merged.length} bytes, ${allowed}`;
    throw new OmenError("INVALID_METADATA", message, {
      errors: [{ pointer: "/metadata", message }],
    });
  }
  return merged;
}

/**
 * MergePatch of RFC 7396, section 2, for a patch that is an object; `target` is the text of any
 * JSON value.
 */
export function mergePatch(target: string, patch: string): string {
  const members = isObject(target) ? membersOf(target) : new Map<string, Member>();
  for (const [name, { key, value }] of membersOf(patch)) {
    const before = members.get(name);
    if (value === "null") members.delete(name);
    else if (!isObject(value)) members.set(name, { key: before?.key ?? key, value });
    else {
      const merged = mergePatch(before?.value ?? "null", value);
      members.set(name, { key: before?.key ?? key, value: merged });
    }
  }
  return `{${[...members.values()].map(({ key, value }) => `${key}:${value}`).join(",")}}`;
}

/** A member's name and value as they stand in the text, without the space around them. */
interface Member {
  readonly key: string;
  readonly value: string;
}

const isObject = (json: string) => json.trimStart().startsWith("{");

/** The members of an object by the names that their keys mean, in their order. */
function membersOf(json: string): Map<string, Member> {
  const members = new Map<string, Member>();
  let at = skipSpace(json, skipSpace(json, 0) + 1);
  while (at < json.length && json[at] !== "}") {
    const keyEnd = endOfString(json, at);
    const key = json.slice(at, keyEnd);
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = endOfValue(json, start);
    members.set(JSON.parse(key), { key, value: json.slice(start, end) });
    at = skipSpace(json, end);
    if (json[at] === ",") at = skipSpace(json, at + 1);
  }
  return members;
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (json[at] === " " || json[at] === "\n" || json[at] === "\r" || json[at] === "\t") at++;
  return at;
}

/** Just past the string that begins there. */
function endOfString(json: string, from: number): number {
  let at = from + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** Just past the value that begins there. */
function endOfValue(json: string, from: number): number {
  if (json[from] === '"') return endOfString(json, from);
  let at = from;
  let depth = 0;
  while (at < json.length) {
    const character = json[at]!;
    if (character === '"') at = endOfString(json, at) - 1;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (character === "," || skipSpace(json, at) > at)) return at;
    at++;
  }
  return at;
}
