/**
 * A vector sent as a string: base64 (RFC 4648, with padding) of little-endian float32. The string
 * has been found valid before; here it is walked a second time, sixteen characters at a time, and
 * can be left between any two. Escapes are resolved, for some encoders write "/" as "\/".
 */
import {
  COMPONENT_MAX,
  SCAN_DONE,
  SCAN_MORE,
  VECTOR_NOT_BASE64,
  VECTOR_OUT_OF_RANGE,
  VECTOR_SOUND,
  VECTOR_TORN,
} from "../desk";
import { blame, lastVector, Scan, Vector } from "./state";
import { hexUnit, plainEscape } from "./text";

const QUOTE: u32 = 0x22;
const BACKSLASH: u32 = 0x5c;
const EQUALS: u32 = 0x3d;
const NO_SEXTET: u32 = 64;

/** Decodes on from scan.position to the closing quote; SCAN_DONE leaves the position on it. */
export function walkBase64(scan: Scan): i32 {
  const vector = lastVector(scan);
  let position = scan.position;
  let status = SCAN_MORE;
  while (position < scan.limit) {
    if (vector.fault != VECTOR_SOUND) {
      position = skipToQuote(position, scan.limit);
      if (load<u8>(position) == QUOTE) status = SCAN_DONE;
      break;
    }
    if (scan.sextetCount == 0 && scan.paddingCount == 0 && decodeBlock(position, scan.floats)) {
      position += 16;
      scan.floats += 12;
      checkFloats(scan, vector);
      continue;
    }
    const character = <u32>load<u8>(position);
    if (character == QUOTE) {
      finish(scan, vector);
      status = SCAN_DONE;
      break;
    }
    position = takeCharacter(scan, vector, position, character);
  }
  scan.position = position;
  return status;
}

/**
 * A quote that closes the string is never preceded by an odd number of backslashes; pairs are
 * skipped whole.
 */
function skipToQuote(start: usize, limit: usize): usize {
  let position = start;
  while (position < limit) {
    const character = <u32>load<u8>(position);
    if (character == QUOTE) break;
    position += character == BACKSLASH ? 2 : 1;
  }
  return position;
}

/**
 * Sixteen characters to twelve bytes (and four zero bytes after them); false when one of them is
 * not in the alphabet. The classification by both halves of a character is Wojciech Mula's (base64
 * with SIMD).
 */
function decodeBlock(position: usize, target: usize): bool {
  const block = v128.load(position);
  const high = i8x16.shr_u(block, 4);
  const low = v128.and(block, i8x16.splat(0x0f));
  const lowClass = i8x16(
    0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a,
  );
  const highClass = i8x16(
    0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10,
  );
  const clash = v128.and(i8x16.swizzle(lowClass, low), i8x16.swizzle(highClass, high));
  if (v128.any_true(clash)) return false;
  const shifts = i8x16(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
  const isSlash = i8x16.eq(block, i8x16.splat(0x2f));
  const sextets = i8x16.add(block, i8x16.swizzle(shifts, i8x16.add(high, isSlash)));
  const pairs = v128.or(
    i16x8.shl(v128.and(sextets, i16x8.splat(0xff)), 6),
    i16x8.shr_u(sextets, 8),
  );
  const groups = i32x4.dot_i16x8_s(pairs, i16x8(4096, 1, 4096, 1, 4096, 1, 4096, 1));
  const order = i8x16(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 16, 16, 16, 16);
  v128.store(target, i8x16.swizzle(groups, order));
  return true;
}

/** The floats that are complete now: finite and within the limit? */
function checkFloats(scan: Scan, vector: Vector): void {
  let checked = scan.checked;
  for (; checked + 4 <= scan.floats; checked += 4) {
    // NaN fails the comparison too.
    if (!(abs(load<f32>(checked)) <= <f32>COMPONENT_MAX)) {
      blame(vector, VECTOR_OUT_OF_RANGE, <u32>((checked - vector.floats) >> 2));
    }
  }
  scan.checked = checked;
}

/** One character or escape; returns the position after it. */
function takeCharacter(scan: Scan, vector: Vector, start: usize, first: u32): usize {
  let character = first;
  let position = start + 1;
  if (character == BACKSLASH) {
    const letter = <u32>load<u8>(start, 1);
    const isUnit = letter == 0x75;
    character = isUnit ? <u32>hexUnit(start + 2) : plainEscape(letter);
    position = start + (isUnit ? 6 : 2);
  }
  if (character == EQUALS) {
    scan.paddingCount += 1;
    return position;
  }
  const sextet = sextetOf(character);
  if (sextet == NO_SEXTET || scan.paddingCount != 0) {
    blame(vector, VECTOR_NOT_BASE64, <u32>((scan.floats - vector.floats) >> 2));
    return start;
  }
  scan.sextets = (scan.sextets << 6) | sextet;
  scan.sextetCount += 1;
  if (scan.sextetCount == 4) {
    const group = scan.sextets;
    store<u8>(scan.floats, group >> 16);
    store<u8>(scan.floats, group >> 8, 1);
    store<u8>(scan.floats, group, 2);
    scan.floats += 3;
    scan.sextets = 0;
    scan.sextetCount = 0;
    checkFloats(scan, vector);
  }
  return position;
}

function sextetOf(character: u32): u32 {
  if (character - 0x41 < 26) return character - 0x41;
  if (character - 0x61 < 26) return character - 0x61 + 26;
  if (character - 0x30 < 10) return character - 0x30 + 52;
  if (character == 0x2b) return 62;
  return character == 0x2f ? 63 : NO_SEXTET;
}

/** The last group, its padding, and whether the bytes are whole floats. */
function finish(scan: Scan, vector: Vector): void {
  const count = scan.sextetCount;
  const isPadded = count == 0 ? scan.paddingCount == 0 : count + scan.paddingCount == 4;
  if (!isPadded || count == 1) {
    blame(vector, VECTOR_NOT_BASE64, <u32>((scan.floats - vector.floats) >> 2));
    return;
  }
  const group = scan.sextets << (6 * (4 - count));
  if (count > 1) store<u8>(scan.floats++, group >> 16);
  if (count > 2) store<u8>(scan.floats++, group >> 8);
  // Bits that no byte uses must be zero: one text for one vector.
  if (count != 0 && (group & (count == 2 ? 0xffff : 0xff)) != 0) {
    blame(vector, VECTOR_NOT_BASE64, <u32>((scan.floats - vector.floats) >> 2));
    return;
  }
  checkFloats(scan, vector);
  const bytes = scan.floats - vector.floats;
  if ((bytes & 3) != 0) blame(vector, VECTOR_TORN, <u32>(bytes >> 2));
}
