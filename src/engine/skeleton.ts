/**
 * From the skeleton to a value. JSON.parse cannot be interrupted, so a long skeleton is parsed in
 * the pieces that the scanner has cut from its long array: what is around them (with the elements
 * before the first cut), then each piece as an array of its own, whose elements are appended.
 */
import {
  SCAN_CUT_COUNT,
  SCAN_CUT_END,
  SCAN_CUT_KEY,
  SCAN_CUTS,
  SCAN_SKELETON,
} from "../../assembly/desk.ts";
import { OmenError } from "../errors.ts";
import { nameAt } from "./faults.ts";
import type { Pace } from "./pace.ts";
import type { Sheet } from "./sheet.ts";

/** What is parsed at once: some 20 ms of JSON.parse, and more than any sensible request has. */
const UNCUT_BYTES_MAX = 4 * 1024 * 1024;
/** Up to here one call per character is faster than a TextDecoder. */
const SHORT_BYTES = 96;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export const isCut = (sheet: Sheet) => sheet.get(SCAN_CUT_COUNT) > 0;

export function parseWhole(sheet: Sheet): unknown {
  return JSON.parse(textOf(sheet, sheet.areas.skeleton, sheet.get(SCAN_SKELETON)));
}

/** Of a body of lines: each line's value. The scanner has put a comma before each. */
export function parseLines(sheet: Sheet): unknown[] {
  const { skeleton } = sheet.areas;
  const text = textOf(sheet, skeleton, sheet.get(SCAN_SKELETON));
  return JSON.parse(`[${text.slice(1)}]`) as unknown[];
}

export async function parsePieces(sheet: Sheet, pace: Pace): Promise<unknown> {
  const start = sheet.areas.skeleton;
  const end = sheet.get(SCAN_SKELETON);
  const count = sheet.get(SCAN_CUT_COUNT);
  const cuts = sheet.words.slice(sheet.get(SCAN_CUTS) >>> 2, (sheet.get(SCAN_CUTS) >>> 2) + count);
  const close = sheet.get(SCAN_CUT_END);
  // A cut is the byte after a comma.
  const around = textOf(sheet, start, cuts[0]! - 1) + textOf(sheet, close, end);
  if (around.length > UNCUT_BYTES_MAX) throw tooLong();
  if (pace.isDue()) await pace.rest();
  const value = JSON.parse(around) as Record<string, unknown[]>;
  const elements = value[nameAt(sheet, sheet.get(SCAN_CUT_KEY))]!;
  for (let index = 0; index < count; index++) {
    if (pace.isDue()) await pace.rest();
    const pieceEnd = index + 1 < count ? cuts[index + 1]! - 1 : close;
    const piece = JSON.parse(`[${textOf(sheet, cuts[index]!, pieceEnd)}]`) as unknown[];
    for (const element of piece) elements.push(element);
  }
  return value;
}

function textOf(sheet: Sheet, start: number, end: number): string {
  if (end - start > UNCUT_BYTES_MAX) throw tooLong();
  if (end - start <= SHORT_BYTES) {
    const text = shortText(sheet.bytes, start, end);
    if (text !== undefined) return text;
  }
  return decoder.decode(sheet.bytes.subarray(start, end));
}

/** Undefined when there is more than ASCII in it. */
function shortText(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = "";
  for (let position = start; position < end; position++) {
    const byte = bytes[position]!;
    if (byte >= 0x80) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

function tooLong(): OmenError {
  const limit = `${UNCUT_BYTES_MAX / 1024 / 1024} MiB`;
  return new OmenError(
    "BODY_TOO_LARGE",
    `beside vectors, metadata and rows the body has more than ${limit}`,
  );
}
