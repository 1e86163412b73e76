/**
 * Lines of NDJSON: where one ends, and what is said of the one that could not be read. Texts that
 * come one by one are judged in the same way.
 */
import { METADATA_BYTES_MAX } from "../../assembly/desk.ts";
import { OmenError } from "../errors.ts";
import { isRead } from "./reading.ts";
import type { Sheet } from "./sheet.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const OBJECT_OPEN = 0x7b;

export interface LineFault {
  /** Counted from 1. */
  readonly line: number;
  /** Pointers and bytes in it count from the line's own beginning. */
  readonly error: OmenError;
}

/** The line that begins at `start`: where its end is, and whether it has only white space. */
export function nextLine(
  bytes: Uint8Array,
  start: number,
  end: number,
): { stop: number; isBlank: boolean } {
  const newline = bytes.indexOf(NEWLINE, start);
  const stop = newline < 0 || newline > end ? end : newline;
  let position = start;
  while (position < stop && isSpace(bytes[position]!)) position++;
  return { stop, isBlank: position === stop };
}

export function tooLong(lineBytesMax: number): OmenError {
  return new OmenError("BODY_TOO_LARGE", `a line may have ${lineBytesMax} bytes`);
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === RETURN || byte === TAB;
}

export interface TextFault {
  readonly index: number;
  readonly error: OmenError;
}

/** What is wrong with the text as metadata, if anything. The byte at `end` is zero. */
export function judge(sheet: Sheet, start: number, end: number): OmenError | undefined {
  if (end - start > METADATA_BYTES_MAX) return notMetadata(`has over ${METADATA_BYTES_MAX} bytes`);
  let first = start;
  while (isSpace(sheet.bytes[first]!)) first++;
  if (sheet.bytes[first] !== OBJECT_OPEN) return notMetadata("is no JSON object");
  sheet.beginText(start, end);
  try {
    while (!isRead(sheet, start));
    return undefined;
  } catch (error) {
    return error as OmenError;
  }
}

const notMetadata = (message: string) => new OmenError("INVALID_METADATA", message);
