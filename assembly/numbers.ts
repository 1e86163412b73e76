/**
 * Decimal text to float32, bit for bit what `Math.fround(JSON.parse(text))` gives.
 *
 * The value is taken as mantissa * 10^exponent with a mantissa of at most 18 digits, in float64, by
 * one multiplication: wrong by at most 3 units in the last of 53 bits. A float32 keeps 24 bits, so
 * the error matters only when the product lies within a few units of the middle between two float32
 * neighbours. There, and for the denormals of float32, Eisel and Lemire's product with 128-bit
 * powers of five gives the float64 that JSON.parse would (Lemire, "Number Parsing at a Gigabyte per
 * Second", 2021; Mushtak and Lemire, "Fast Number Parsing Without Fallback", 2023). What is left is
 * a number of more than 18 digits beside such a middle: an oddity, which the host converts with
 * JSON.parse.
 *
 * `readComponent` is the hot path and gives up (0) on anything rare; `readOddComponent` takes every
 * number. The exponents stop at -65 and 22: with 18 digits, what is below is zero and what is above
 * out of range.
 */
import { COMPONENT_MAX, POWER_MAX, POWER_MIN, POWERS_FIVE, POWERS_FLOAT } from "./desk";

const MINUS: u32 = 0x2d;
const PLUS: u32 = 0x2b;
const DOT: u32 = 0x2e;
const ZERO: u8 = 0x30;
const LETTER_E: u32 = 0x65;

/**
 * The 29 bits of a float64 that a float32 drops; half of their range is the middle of two
 * neighbours.
 */
const DROPPED_MASK: u64 = 0x1fffffff;
const DROPPED_HALF: u64 = 0x10000000;
/**
 * Units of the last place around the middle that are not trusted: the error bound of 3, fourfold.
 */
const DOUBT: u64 = 12;
const SIGNIFICANT_DIGITS: i32 = 18;
const FLOAT32_NORMAL_MIN: f64 = 1.1754943508222875e-38;
const EXPONENT_DIGITS_CAP: i32 = 100000;

/** What readOddComponent found. */
export const COMPONENT_READ: i32 = 0;
export const COMPONENT_OUT_OF_RANGE: i32 = 1;
export const COMPONENT_UNDECIDED: i32 = 2;

// @ts-ignore: decorator
@inline
export function digitAt(position: usize): u32 {
  return <u32>load<u8>(position) - ZERO;
}

// @ts-ignore: decorator
@inline
function integerPower(powers: usize, exponent: i32): u64 {
  return load<u64>(powers + (<usize>exponent << 3));
}

// @ts-ignore: decorator
@inline
function floatPower(powers: usize, exponent: i32): f64 {
  return load<f64>(powers + POWERS_FLOAT + (<usize>(exponent - POWER_MIN) << 3));
}

/** The characters at `position` as values: digits become 0..9, all others more. */
// @ts-ignore: decorator
@inline
function loadDigits(position: usize): v128 {
  return i8x16.sub(v128.load(position), i8x16.splat(ZERO));
}

/** How many of the block's sixteen are digits before the first other. */
// @ts-ignore: decorator
@inline
function leadingDigits(block: v128): i32 {
  return ctz(i8x16.bitmask(i8x16.gt_u(block, i8x16.splat(9))) | 0x10000);
}

/** The first `count` (1..16) digits of a block as a number. */
// @ts-ignore: decorator
@inline
function blockValue(block: v128, count: i32): u64 {
  const lanes = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  // Lanes before the first digit get a negative index, which swizzle turns into zero.
  const digits = i8x16.swizzle(block, i8x16.add(lanes, i8x16.splat(<i8>(count - 16))));
  // As u16 a pair is tens + 256 * ones; times 2561 its high byte is 10 * tens + ones.
  const pairs = i16x8.shr_u(i16x8.mul(digits, i16x8.splat(2561)), 8);
  const fours = i32x4.dot_i16x8_s(pairs, i16x8(100, 1, 100, 1, 100, 1, 100, 1));
  const narrow = i16x8.narrow_i32x4_s(fours, fours);
  const eights = i32x4.dot_i16x8_s(narrow, i16x8(10000, 1, 10000, 1, 10000, 1, 10000, 1));
  const high = <u64>i32x4.extract_lane(eights, 0);
  return high * 100000000 + <u64>i32x4.extract_lane(eights, 1);
}

// @ts-ignore: decorator
@inline
function isDoubtful(value: f64): bool {
  return (reinterpret<u64>(value) & DROPPED_MASK) - (DROPPED_HALF - DOUBT) <= 2 * DOUBT;
}

// @ts-ignore: decorator
@inline
function storeSigned(target: usize, value: f64, negative: u32): void {
  store<u32>(target, reinterpret<u32>(<f32>value) | (negative << 31));
}

/**
 * Reads one number at `start` and stores its float32 at `target`. Returns the address after it, or
 * 0 when it is not a number, or not one of the common shape; nothing is promised of `target` then.
 */
// @ts-ignore: decorator
@inline
export function readComponent(start: usize, target: usize, powers: usize): usize {
  const negative = u32(<u32>load<u8>(start) == MINUS);
  let position = start + negative;
  let mantissa = <u64>digitAt(position);
  if (mantissa > 9) return 0;
  if (digitAt(position + 1) <= 9) {
    const block = loadDigits(position);
    const count = leadingDigits(block);
    if (mantissa == 0 || count == 16) return 0;
    mantissa = blockValue(block, count);
    position += count;
  } else position++;
  let exponent = 0;
  if (<u32>load<u8>(position) == DOT) {
    const block = loadDigits(++position);
    const count = leadingDigits(block);
    if (count == 0 || mantissa >= integerPower(powers, SIGNIFICANT_DIGITS - count)) return 0;
    mantissa = mantissa * integerPower(powers, count) + blockValue(block, count);
    position += count;
    exponent = -count;
    if (count == 16 && digitAt(position) <= 9) {
      const rest = loadDigits(position);
      const more = leadingDigits(rest);
      if (more == 16 || mantissa >= integerPower(powers, SIGNIFICANT_DIGITS - more)) return 0;
      mantissa = mantissa * integerPower(powers, more) + blockValue(rest, more);
      position += more;
      exponent -= more;
    }
  }
  if ((<u32>load<u8>(position) | 0x20) == LETTER_E) {
    const sign = <u32>load<u8>(++position);
    position += u32(sign == MINUS || sign == PLUS);
    let power = digitAt(position++);
    if (power > 9) return 0;
    const digit = digitAt(position);
    if (digit <= 9) {
      power = power * 10 + digit;
      if (digitAt(++position) <= 9) return 0;
    }
    exponent += sign == MINUS ? -<i32>power : <i32>power;
    if (exponent < POWER_MIN || exponent > POWER_MAX) return 0;
  }
  const value = <f64>(<i64>mantissa) * floatPower(powers, exponent);
  if (isDoubtful(value) || value > COMPONENT_MAX) return 0;
  if (value < FLOAT32_NORMAL_MIN && mantissa != 0) return 0;
  storeSigned(target, value, negative);
  return position;
}

/** The high 64 bits of a product; wasm has no instruction for them. */
function highProduct(a: u64, b: u64): u64 {
  const low = (a & 0xffffffff) * (b & 0xffffffff);
  const first = (a >> 32) * (b & 0xffffffff) + (low >> 32);
  const second = (a & 0xffffffff) * (b >> 32) + (first & 0xffffffff);
  return (a >> 32) * (b >> 32) + (first >> 32) + (second >> 32);
}

/**
 * The float64 nearest to mantissa * 10^exponent, ties to even; mantissa > 0 (Lemire 2021, algorithm
 * 1).
 */
export function nearestFloat(mantissa: u64, exponent: i32, powers: usize): f64 {
  const five = powers + POWERS_FIVE + (<usize>(exponent - POWER_MIN) << 4);
  const zeros = clz(mantissa);
  const w = mantissa << zeros;
  let low = w * load<u64>(five);
  let high = highProduct(w, load<u64>(five));
  if ((high & 0x1ff) == 0x1ff) {
    const carry = highProduct(w, load<u64>(five, 8));
    low += carry;
    high += u64(low < carry);
  }
  const upper = high >> 63;
  const shift = upper + 9;
  let bits = high >> shift;
  // Floor of log2(10^exponent), then the exponent's bias.
  let power = <i64>((217706 * exponent) >> 16) + 63 + <i64>upper - <i64>zeros + 1023;
  // Halfway between two float64, exactly: only small powers can do that, and the even one is right.
  if (low <= 1 && exponent >= -4 && (bits & 3) == 1 && bits << shift == high) bits &= ~1;
  bits = (bits + (bits & 1)) >> 1;
  if (bits >> 53 != 0) {
    bits = 0;
    power++;
  }
  return reinterpret<f64>((bits & 0x000fffffffffffff) | (<u64>power << 52));
}

/**
 * Stores the float32 of mantissa * 10^exponent. `isExact`: no digit was left out of the mantissa.
 */
function storeValue(
  mantissa: u64,
  exponent: i32,
  isExact: bool,
  negative: u32,
  target: usize,
  powers: usize,
): i32 {
  if (mantissa == 0 || exponent < POWER_MIN) {
    storeSigned(target, 0, negative);
    return COMPONENT_READ;
  }
  if (exponent > POWER_MAX) return COMPONENT_OUT_OF_RANGE;
  let value = <f64>(<i64>mantissa) * floatPower(powers, exponent);
  if (value < FLOAT32_NORMAL_MIN || isDoubtful(value)) {
    if (!isExact) return COMPONENT_UNDECIDED;
    value = nearestFloat(mantissa, exponent, powers);
  }
  if (<f32>value > <f32>COMPONENT_MAX) return COMPONENT_OUT_OF_RANGE;
  storeSigned(target, value, negative);
  return COMPONENT_READ;
}

/**
 * The float32 of any number that has been found valid, of any length: at most 18 significant digits
 * are taken, the others only counted. Returns COMPONENT_READ and stores it, or
 * COMPONENT_OUT_OF_RANGE or COMPONENT_UNDECIDED.
 */
export function readOddComponent(start: usize, target: usize, powers: usize): i32 {
  let position = start;
  const negative = u32(<u32>load<u8>(position) == MINUS);
  position += negative;
  let mantissa: u64 = 0;
  let exponent = 0;
  let isExact = true;
  let isFraction = false;
  while (true) {
    const digit = digitAt(position);
    if (digit <= 9) {
      if (mantissa < 100000000000000000) {
        mantissa = mantissa * 10 + digit;
        exponent -= i32(isFraction);
      } else {
        isExact = isExact && digit == 0;
        exponent += i32(!isFraction);
      }
    } else if (<u32>load<u8>(position) == DOT) isFraction = true;
    else break;
    position++;
  }
  if ((<u32>load<u8>(position) | 0x20) == LETTER_E) {
    const sign = <u32>load<u8>(++position);
    position += u32(sign == MINUS || sign == PLUS);
    let power = 0;
    for (let digit = digitAt(position); digit <= 9; digit = digitAt(++position)) {
      power = min(power * 10 + <i32>digit, EXPONENT_DIGITS_CAP);
    }
    exponent += sign == MINUS ? -power : power;
  }
  return storeValue(mantissa, exponent, isExact, negative, target, powers);
}
