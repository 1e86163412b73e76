/** The powers of ten that number conversion looks up, written once into each desk memory. */
import {
  DESK_POWERS,
  POWER_MAX,
  POWER_MIN,
  POWERS_FIVE,
  POWERS_FLOAT,
} from "../../assembly/desk.ts";

const INTEGER_POWERS = 19;
const WORD = 0xffff_ffff_ffff_ffffn;
/** Down to here a rounded-up reciprocal is what makes exact halves come out right (Lemire 2021). */
const ROUNDED_UP_MIN = -27;

export function writePowers(memory: WebAssembly.Memory): void {
  const view = new DataView(memory.buffer, DESK_POWERS);
  for (let exponent = 0; exponent < INTEGER_POWERS; exponent++) {
    view.setBigUint64(exponent * 8, 10n ** BigInt(exponent), true);
  }
  for (let exponent = POWER_MIN; exponent <= POWER_MAX; exponent++) {
    const index = exponent - POWER_MIN;
    view.setFloat64(POWERS_FLOAT + index * 8, Number(`1e${exponent}`), true);
    const five = leadingBits(exponent);
    view.setBigUint64(POWERS_FIVE + index * 16, five >> 64n, true);
    view.setBigUint64(POWERS_FIVE + index * 16 + 8, five & WORD, true);
  }
}

/** The first 128 bits of 5^exponent, the highest of them 1. */
function leadingBits(exponent: number): bigint {
  const power = 5n ** BigInt(Math.abs(exponent));
  const bits = BigInt(power.toString(2).length);
  if (exponent >= 0) return power << (128n - bits);
  const reciprocal = (1n << (bits + 127n)) / power;
  return exponent >= ROUNDED_UP_MIN ? reciprocal + 1n : reciprocal;
}
