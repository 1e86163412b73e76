/**
 * Decimal text to float64, bit for bit what JSON.parse gives. Up to 2^53 times or through a power
 * of ten up to 10^22 one float64 operation is exactly rounded (Clinger, "How to Read Floating Point
 * Numbers Accurately", 1990); up to 18 digits the product with 128-bit powers of five is
 * (../numbers.ts). What is left is rare, and told apart by NaN: the row's JSON decides there.
 */
import { POWER_MAX, POWER_MIN, DESK_POWERS, POWERS_FLOAT } from "../desk";
import { digitAt, nearestFloat } from "../numbers";

const MINUS: u32 = 0x2d;
const PLUS: u32 = 0x2b;
const DOT: u32 = 0x2e;
const LETTER_E: u32 = 0x65;
const MANTISSA_FULL: u64 = 100000000000000000;
const EXACT_MAX: u64 = 9007199254740992;
const EXACT_POWER: i32 = 22;
const EXPONENT_CAP: i32 = 100000;

// @ts-ignore: decorator
@inline
function floatPower(exponent: i32): f64 {
  return load<f64>(<usize>DESK_POWERS + POWERS_FLOAT + (<usize>(exponent - POWER_MIN) << 3));
}

/** The number that begins at `start`, NaN where only JSON.parse can tell. */
export function readNumber(start: usize): f64 {
  let position = start;
  const isNegative = <u32>load<u8>(position) == MINUS;
  position += usize(isNegative);
  let mantissa: u64 = 0;
  let exponent = 0;
  let isExact = true;
  let isFraction = false;
  while (true) {
    const digit = digitAt(position);
    if (digit <= 9) {
      if (mantissa < MANTISSA_FULL) {
        mantissa = mantissa * 10 + digit;
        exponent -= i32(isFraction);
      } else {
        isExact = isExact && digit == 0;
        exponent += i32(!isFraction);
      }
    } else if (<u32>load<u8>(position) == DOT && !isFraction) isFraction = true;
    else break;
    position++;
  }
  if ((<u32>load<u8>(position) | 0x20) == LETTER_E) {
    const sign = <u32>load<u8>(++position);
    position += usize(sign == MINUS || sign == PLUS);
    let power = 0;
    for (let digit = digitAt(position); digit <= 9; digit = digitAt(++position)) {
      power = min(power * 10 + <i32>digit, EXPONENT_CAP);
    }
    exponent += sign == MINUS ? -power : power;
  }
  const value = valueOf(mantissa, exponent, isExact);
  return isNegative ? -value : value;
}

function valueOf(mantissa: u64, exponent: i32, isExact: bool): f64 {
  if (mantissa == 0) return 0;
  if (!isExact || exponent > POWER_MAX || exponent < POWER_MIN) return NaN;
  if (mantissa <= EXACT_MAX && exponent >= -EXACT_POWER) {
    const value = <f64>mantissa;
    return exponent < 0 ? value / floatPower(-exponent) : value * floatPower(exponent);
  }
  return nearestFloat(mantissa, exponent, DESK_POWERS);
}
