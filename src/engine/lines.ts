/** Lines of NDJSON: where one ends, and what is said of the one that could not be read. */
import { OmenError } from "../errors.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;

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
