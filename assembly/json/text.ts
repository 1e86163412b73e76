/**
 * Strings: their end, their escapes, their UTF-8. A string is walked sixteen bytes at a time and
 * can be left at any character; after the body's last byte stands a zero, which no string may hold,
 * so no step looks for the end.
 */
import {
  FAULT_CONTROL,
  FAULT_END,
  FAULT_ESCAPE,
  FAULT_SURROGATE,
  FAULT_UTF8,
  SCAN_DONE,
  SCAN_FAULT,
  SCAN_MORE,
} from "../desk";
import { fail, Scan } from "./state";

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;

/** Walks on to the closing quote. SCAN_DONE leaves the position on it. */
export function walkString(scan: Scan): i32 {
  let position = scan.position;
  const limit = scan.limit;
  while (position < limit) {
    const block = v128.load(position);
    // As signed bytes, control characters and everything beyond ASCII are below the space.
    const special = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(block, i8x16.splat(QUOTE)), i8x16.eq(block, i8x16.splat(BACKSLASH))),
        i8x16.lt_s(block, i8x16.splat(0x20)),
      ),
    );
    if (special == 0) {
      position += 16;
      continue;
    }
    position += <usize>ctz(special);
    const character = <u32>load<u8>(position);
    if (character == QUOTE) {
      scan.position = position;
      return SCAN_DONE;
    }
    if (character >= 0x80) position += characterBytes(scan, position);
    else if (character == BACKSLASH) position += escapeBytes(scan, position);
    else return fail(scan, position == scan.end ? FAULT_END : FAULT_CONTROL, position);
    if (scan.fault != 0) return SCAN_FAULT;
  }
  scan.position = position;
  return SCAN_MORE;
}

// @ts-ignore: decorator
@inline
function isContinuation(position: usize): bool {
  return (load<u8>(position) & 0xc0) == 0x80;
}

/**
 * The length of the UTF-8 character at `position`, a lead byte >= 0x80 (RFC 3629: shortest form, no
 * surrogates).
 */
function characterBytes(scan: Scan, position: usize): usize {
  const lead = <u32>load<u8>(position);
  const second = <u32>load<u8>(position, 1);
  if (lead >= 0xc2 && isContinuation(position + 1)) {
    if (lead < 0xe0) return 2;
    if (isContinuation(position + 2)) {
      if (lead < 0xf0) {
        if (lead == 0xed && second >= 0xa0) {
          fail(scan, FAULT_SURROGATE, position);
          return 0;
        }
        if (lead != 0xe0 || second >= 0xa0) return 3;
      } else if (lead < 0xf5 && isContinuation(position + 3)) {
        if ((lead != 0xf0 || second >= 0x90) && (lead != 0xf4 || second < 0x90)) return 4;
      }
    }
  }
  fail(scan, FAULT_UTF8, position);
  return 0;
}

/** The length of the escape at `position`; a pair of surrogates is one. */
function escapeBytes(scan: Scan, position: usize): usize {
  scan.stringHasEscape = 1;
  const letter = <u32>load<u8>(position, 1);
  if (letter != 0x75) {
    if (plainEscape(letter) != 0) return 2;
    fail(scan, position + 1 == scan.end ? FAULT_END : FAULT_ESCAPE, position);
    return 0;
  }
  const unit = hexUnit(position + 2);
  if (unit < 0) fail(scan, FAULT_ESCAPE, position);
  else if ((unit & 0xf800) != 0xd800) return 6;
  else if (unit < 0xdc00 && isLowSurrogate(position + 6)) return 12;
  else fail(scan, FAULT_SURROGATE, position);
  return 0;
}

function isLowSurrogate(position: usize): bool {
  return load<u16>(position) == 0x755c && (hexUnit(position + 2) & 0xfffffc00) == 0xdc00;
}

/** The byte that a one-letter escape stands for, 0 for none. */
export function plainEscape(letter: u32): u32 {
  switch (letter) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f:
      return letter;
    case 0x62:
      return 0x08;
    case 0x66:
      return 0x0c;
    case 0x6e:
      return 0x0a;
    case 0x72:
      return 0x0d;
    case 0x74:
      return 0x09;
    default:
      return 0;
  }
}

/** Four hexadecimal digits as a number, -1 if one of them is none. */
export function hexUnit(position: usize): i32 {
  let unit = 0;
  for (let at: usize = 0; at < 4; at++) {
    const character = <u32>load<u8>(position + at);
    let digit = character - 0x30;
    if (digit > 9) {
      digit = (character | 0x20) - 0x61 + 10;
      if (digit < 10 || digit > 15) return -1;
    }
    unit = (unit << 4) | digit;
  }
  return unit;
}

/** Writes a code point as UTF-8 and returns the address after it. */
function storeCodePoint(target: usize, code: u32): usize {
  if (code < 0x80) {
    store<u8>(target, code);
    return target + 1;
  }
  if (code < 0x800) {
    store<u8>(target, 0xc0 | (code >> 6));
    store<u8>(target, 0x80 | (code & 0x3f), 1);
    return target + 2;
  }
  if (code < 0x10000) {
    store<u8>(target, 0xe0 | (code >> 12));
    store<u8>(target, 0x80 | ((code >> 6) & 0x3f), 1);
    store<u8>(target, 0x80 | (code & 0x3f), 2);
    return target + 3;
  }
  store<u8>(target, 0xf0 | (code >> 18));
  store<u8>(target, 0x80 | ((code >> 12) & 0x3f), 1);
  store<u8>(target, 0x80 | ((code >> 6) & 0x3f), 2);
  store<u8>(target, 0x80 | (code & 0x3f), 3);
  return target + 4;
}

/**
 * Writes the string whose opening quote is at `start`, found valid before, to `target` without its
 * escapes. Returns its length in bytes, never more than the source has.
 */
export function unescape(start: usize, target: usize): usize {
  let position = start + 1;
  let to = target;
  while (true) {
    const character = <u32>load<u8>(position);
    if (character == QUOTE) break;
    if (character != BACKSLASH) {
      store<u8>(to++, character);
      position++;
      continue;
    }
    const letter = <u32>load<u8>(position, 1);
    if (letter != 0x75) {
      store<u8>(to++, plainEscape(letter));
      position += 2;
      continue;
    }
    const unit = <u32>hexUnit(position + 2);
    if ((unit & 0xf800) == 0xd800) {
      const low = <u32>hexUnit(position + 8);
      to = storeCodePoint(to, 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff));
      position += 12;
    } else {
      to = storeCodePoint(to, unit);
      position += 6;
    }
  }
  return to - target;
}
