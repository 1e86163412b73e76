/** Steps over JSON text that has been found valid; none goes past its end. */
import * as C from "../columns";

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const SURROGATE_FIRST: u32 = 0xd800;
const SURROGATE_LOW: u32 = 0xdc00;
const SURROGATE_END: u32 = 0xe000;

/** The address of what follows white space. */
// @ts-ignore: decorator
@inline
export function spaceEnd(from: usize): usize {
  let at = from;
  while (true) {
    const character = <u32>load<u8>(at);
    if (character > 0x20 || character == 0) return at;
    at++;
  }
  return at;
}

/** The address of the quote that ends the string whose first character is at `from`. */
export function skipString(from: usize, end: usize): usize {
  let at = from;
  while (at < end) {
    const block = v128.load(at);
    const special = i8x16.bitmask(
      v128.or(i8x16.eq(block, i8x16.splat(QUOTE)), i8x16.eq(block, i8x16.splat(BACKSLASH))),
    );
    if (special == 0) {
      at += 16;
      continue;
    }
    at += <usize>ctz(special);
    if (load<u8>(at) == QUOTE) return at;
    at += 2;
  }
  return end;
}

/** The address after the value at `from`, whatever it is. */
export function skipValue(from: usize, end: usize): usize {
  let at = from;
  let depth = 0;
  while (at < end) {
    const character = <u32>load<u8>(at);
    if (character == QUOTE) {
      at = skipString(at + 1, end) + 1;
      if (depth == 0) return at;
      continue;
    }
    if (character == 0x7b || character == 0x5b) depth++;
    else if (character == 0x7d || character == 0x5d) {
      if (depth <= 1) return depth == 0 ? at : at + 1;
      depth--;
    } else if (depth == 0 && (character == 0x2c || character <= 0x20)) return at;
    at++;
  }
  return end;
}

/** Whether a string has no escapes. */
export function isSimple(start: usize, end: usize): bool {
  for (let at = start; at < end; at++) if (load<u8>(at) == BACKSLASH) return false;
  return true;
}

/**
 * Writes a string as it is meant to the scratch; false when half a surrogate stands alone in it.
 */
export function unescape(start: usize, end: usize): bool {
  let at = start;
  let to = <usize>C.SCRATCH_UNESCAPED;
  while (at < end) {
    const character = load<u8>(at);
    if (character != BACKSLASH) {
      store<u8>(to++, character);
      at++;
      continue;
    }
    const escaped = load<u8>(at, 1);
    at += 2;
    if (escaped != 0x75) {
      store<u8>(to++, meaningOf(escaped));
      continue;
    }
    let unit = hexAt(at);
    at += 4;
    if (unit >= SURROGATE_FIRST && unit < SURROGATE_END) {
      const low = load<u16>(at) == 0x755c ? hexAt(at + 2) : 0;
      if (unit >= SURROGATE_LOW || low < SURROGATE_LOW || low >= SURROGATE_END) return false;
      unit = 0x10000 + ((unit - SURROGATE_FIRST) << 10) + (low - SURROGATE_LOW);
      at += 6;
    }
    to = writeCharacter(to, unit);
  }
  store<u32>(C.COLUMNS_UNESCAPED, <u32>(to - C.SCRATCH_UNESCAPED));
  store<u64>(to, 0);
  return true;
}

function meaningOf(escaped: u8): u8 {
  if (escaped == 0x62) return 0x08;
  if (escaped == 0x66) return 0x0c;
  if (escaped == 0x6e) return 0x0a;
  if (escaped == 0x72) return 0x0d;
  if (escaped == 0x74) return 0x09;
  return escaped;
}

function hexAt(at: usize): u32 {
  let value: u32 = 0;
  for (let i: usize = 0; i < 4; i++) {
    const character = <u32>load<u8>(at + i);
    value = (value << 4) | (character <= 0x39 ? character - 0x30 : (character & 0x0f) + 9);
  }
  return value;
}

function writeCharacter(to: usize, unit: u32): usize {
  if (unit < 0x80) {
    store<u8>(to, <u8>unit);
    return to + 1;
  }
  if (unit < 0x800) {
    store<u8>(to, <u8>(0xc0 | (unit >> 6)));
    store<u8>(to, <u8>(0x80 | (unit & 0x3f)), 1);
    return to + 2;
  }
  if (unit < 0x10000) {
    store<u8>(to, <u8>(0xe0 | (unit >> 12)));
    store<u8>(to, <u8>(0x80 | ((unit >> 6) & 0x3f)), 1);
    store<u8>(to, <u8>(0x80 | (unit & 0x3f)), 2);
    return to + 3;
  }
  store<u8>(to, <u8>(0xf0 | (unit >> 18)));
  store<u8>(to, <u8>(0x80 | ((unit >> 12) & 0x3f)), 1);
  store<u8>(to, <u8>(0x80 | ((unit >> 6) & 0x3f)), 2);
  store<u8>(to, <u8>(0x80 | (unit & 0x3f)), 3);
  return to + 4;
}
