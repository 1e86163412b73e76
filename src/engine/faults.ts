/**
 * What the scanner found wrong, said to a client: which error, where in the body, and a sentence.
 */
import {
  DEPTH_MAX,
  DESK_FRAMES,
  FAULT_CHARACTER,
  FAULT_CONTROL,
  FAULT_DEPTH,
  FAULT_DUPLICATE,
  FAULT_EMPTY,
  FAULT_END,
  FAULT_ESCAPE,
  FAULT_INTEGER,
  FAULT_KEY_BYTES,
  FAULT_METADATA_BYTES,
  FAULT_NUMBER,
  FAULT_NUMBER_BYTES,
  FAULT_SKELETON,
  FAULT_SURROGATE,
  FAULT_TRAILING,
  FAULT_UTF8,
  FRAME_BYTES,
  FRAME_COUNT,
  FRAME_KEY,
  FRAME_KIND,
  KEY_BYTES_MAX,
  KIND_OBJECT,
  METADATA_BYTES_MAX,
  NUMBER_BYTES_MAX,
  SCAN_DEPTH,
  SCAN_POSITION,
  SKELETON_BYTES_MAX,
  VECTOR_NOT_A_NUMBER,
  VECTOR_NOT_BASE64,
  VECTOR_OUT_OF_RANGE,
} from "../../assembly/desk.ts";
import { type ErrorCode, OmenError } from "../errors.ts";
import type { Sheet } from "./sheet.ts";

const POINTER_LENGTH_MAX = 200;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const SENTENCES: Record<number, string> = {
  [FAULT_EMPTY]: "the body is empty",
  [FAULT_END]: "the body ends in the middle of a value",
  [FAULT_UTF8]: "the text is not UTF-8",
  [FAULT_ESCAPE]: "the escape is none that JSON knows",
  [FAULT_SURROGATE]: "half of a surrogate pair stands alone",
  [FAULT_CONTROL]: "a control character in a string must be escaped",
  [FAULT_NUMBER]: "the number is not well formed",
  [FAULT_INTEGER]: "the integer is beyond 2^53-1, so it would be changed",
  [FAULT_DEPTH]: `the value is nested deeper than ${DEPTH_MAX} levels`,
  [FAULT_DUPLICATE]: "the object has this member twice",
  [FAULT_KEY_BYTES]: `the member's name is longer than ${KEY_BYTES_MAX} bytes`,
  [FAULT_NUMBER_BYTES]: `the number is longer than ${NUMBER_BYTES_MAX} characters`,
  [FAULT_METADATA_BYTES]: `the metadata is longer than ${METADATA_BYTES_MAX} bytes`,
  [FAULT_SKELETON]: `beside vectors and metadata there are more than ${SKELETON_BYTES_MAX} bytes`,
  [FAULT_TRAILING]: "something follows the value",
};

const CODES: Record<number, ErrorCode> = {
  [FAULT_METADATA_BYTES]: "INVALID_METADATA",
  [FAULT_SKELETON]: "BODY_TOO_LARGE",
};

/** After SCAN_FAULT: the error to throw. Bytes count from `origin`, a body's or line's first. */
export function bodyFault(sheet: Sheet, origin: number): OmenError {
  const fault = sheet.faultCode;
  const position = sheet.get(SCAN_POSITION);
  const sentence =
    fault === FAULT_CHARACTER
      ? `expected something else than ${showByte(sheet.bytes[position]!)}`
      : SENTENCES[fault]!;
  const message = `${sentence}, at byte ${position - origin}`;
  const pointer = shorten(pointerOfFrames(sheet));
  const code = CODES[fault] ?? "INVALID_JSON";
  const detail = pointer === "" ? message : `${pointer}: ${message}`;
  return new OmenError(code, detail, { errors: [{ pointer, message }] });
}

function showByte(byte: number): string {
  if (byte > 0x20 && byte < 0x7f) return `'${String.fromCharCode(byte)}'`;
  return `the byte 0x${byte.toString(16).padStart(2, "0")}`;
}

/** The pointer of the value that was being read, from the open objects and arrays around it. */
function pointerOfFrames(sheet: Sheet): string {
  const depth = sheet.get(SCAN_DEPTH);
  let pointer = "";
  for (let level = 1; level <= depth; level++) {
    const frame = (DESK_FRAMES + level * FRAME_BYTES) >>> 2;
    const key = sheet.words[frame + (FRAME_KEY >>> 2)]!;
    if (sheet.words[frame + (FRAME_KIND >>> 2)] !== KIND_OBJECT) {
      pointer += `/${sheet.words[frame + (FRAME_COUNT >>> 2)]}`;
    } else if (key !== 0) pointer += `/${escapeStep(nameAt(sheet, key))}`;
  }
  return pointer;
}

/** A member's name, from the address of its opening quote; the scanner has found it valid. */
export function nameAt(sheet: Sheet, quote: number): string {
  let end = quote + 1;
  while (sheet.bytes[end] !== QUOTE) end += sheet.bytes[end] === BACKSLASH ? 2 : 1;
  return JSON.parse(decoder.decode(sheet.bytes.subarray(quote, end + 1))) as string;
}

/**
 * A vector that cannot be stored: `pointer` is the vector's, `index` the component's, `bytes` what
 * came where it came as bytes.
 */
export function vectorFault(
  fault: number,
  pointer: string,
  index: number,
  bytes?: number,
): OmenError {
  const isComponent = fault === VECTOR_NOT_A_NUMBER || fault === VECTOR_OUT_OF_RANGE;
  const place = shorten(isComponent ? `${pointer}/${index}` : pointer);
  const message = explainVector(fault, index, bytes);
  return new OmenError("INVALID_VECTOR", `${place}: ${message}`, {
    errors: [{ pointer: place, message }],
  });
}

function explainVector(fault: number, index: number, bytes?: number): string {
  switch (fault) {
    case VECTOR_NOT_A_NUMBER:
      return `component ${index} is not a number`;
    case VECTOR_OUT_OF_RANGE:
      return `component ${index} is not finite or beyond +-1e16`;
    case VECTOR_NOT_BASE64:
      return "the text is not base64 with padding";
    default:
      if (bytes !== undefined) return `${bytes} bytes are not whole float32 components`;
      return "the decoded bytes are not whole float32 components";
  }
}

export const escapeStep = (name: string) => name.replaceAll("~", "~0").replaceAll("/", "~1");

const shorten = (text: string) =>
  text.length > POINTER_LENGTH_MAX ? `${text.slice(0, POINTER_LENGTH_MAX)}...` : text;
