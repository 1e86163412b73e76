/** The short tokens: white space, literals, numbers outside of vectors. */
import {
  FAULT_CHARACTER,
  FAULT_END,
  FAULT_INTEGER,
  FAULT_NUMBER,
  FAULT_NUMBER_BYTES,
  INTEGER_MAX,
  NUMBER_BYTES_MAX,
} from "../desk";
import { digitAt } from "../numbers";
import { fail, Scan } from "./state";

const SPACES: u64 = 0x2020202020202020;
const TRUE: u32 = 0x65757274;
const NULL: u32 = 0x6c6c756e;
const ALSE: u32 = 0x65736c61;

// @ts-ignore: decorator
@inline
export function isSpace(character: u32): bool {
  return character == 0x20 || character == 0x0a || character == 0x0d || character == 0x09;
}

/** The next position that is not white space, or one at the limit or a few bytes past it. */
// @ts-ignore: decorator
@inline
export function skipSpace(start: usize, limit: usize): usize {
  let position = start;
  while (position < limit) {
    const character = <u32>load<u8>(position);
    if (character > 0x20) break;
    // Indentation comes in runs.
    if (load<u64>(position) == SPACES) position += 8;
    else if (isSpace(character)) position++;
    else break;
  }
  return position;
}

/** An end too early or a character that has no business there. */
export function failAt(scan: Scan, position: usize): i32 {
  return fail(scan, position == scan.end ? FAULT_END : FAULT_CHARACTER, position);
}

/** The position after `true`, `false` or `null`; 0 and a fault for anything else. */
export function skipLiteral(scan: Scan, position: usize): usize {
  const word = load<u32>(position);
  if (word == TRUE || word == NULL) return position + 4;
  if (<u32>load<u8>(position) == 0x66 && load<u32>(position, 1) == ALSE) return position + 5;
  failAt(scan, position);
  return 0;
}

/** The first character from `start` on that is not a digit, or the cap. */
function skipDigits(start: usize, cap: usize): usize {
  let position = start;
  while (digitAt(position) <= 9 && position < cap) position++;
  return position;
}

/**
 * The position after the number at `start`; 0 and a fault when it is malformed, too long, or, where
 * `isBounded`, an integer that float64 cannot tell from its neighbours.
 */
export function skipNumber(scan: Scan, start: usize, isBounded: bool): usize {
  const cap = start + NUMBER_BYTES_MAX + 1;
  const first = start + usize(load<u8>(start) == 0x2d);
  let position = skipDigits(first, cap);
  if (position == first) return failNumber(scan, position);
  // A leading zero stands alone.
  if (digitAt(first) == 0 && position > first + 1) return failNumber(scan, first + 1);
  let isInteger = true;
  if (load<u8>(position) == 0x2e) {
    const fraction = position + 1;
    position = skipDigits(fraction, cap);
    if (position == fraction) return failNumber(scan, position);
    isInteger = false;
  }
  if ((load<u8>(position) | 0x20) == 0x65) {
    let power = position + 1;
    const sign = load<u8>(power);
    power += usize(sign == 0x2b || sign == 0x2d);
    position = skipDigits(power, cap);
    if (position == power) return failNumber(scan, position);
    isInteger = false;
  }
  if (position >= cap) {
    fail(scan, FAULT_NUMBER_BYTES, start);
    return 0;
  }
  if (isInteger && isBounded && isTooLarge(first, position)) {
    fail(scan, FAULT_INTEGER, start);
    return 0;
  }
  return position;
}

function failNumber(scan: Scan, position: usize): usize {
  fail(scan, position == scan.end ? FAULT_END : FAULT_NUMBER, position);
  return 0;
}

function isTooLarge(first: usize, end: usize): bool {
  if (end - first < 16) return false;
  if (end - first > 16) return true;
  let value: u64 = 0;
  for (let position = first; position < end; position++) value = value * 10 + digitAt(position);
  return value > <u64>INTEGER_MAX;
}
