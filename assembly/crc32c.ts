/**
 * CRC-32C (Castagnoli, reflected), the checksum of frames and snapshot sections.
 *
 * Short runs, and the ends of long ones, go through sixteen tables, sixteen bytes at a time. A long
 * run is first folded: the 128 bytes read so far are replaced by 128 others that leave the same crc
 * when they stand 128 bytes further on, and the next 128 bytes are added to those. Each column of
 * four bytes, 32 apart, goes to the same column by the same linear map of 32 bits, so sixteen
 * columns go at once, by nibbles: 8 nibbles in, 4 bytes out, 32 tables of 16 bytes, each a swizzle.
 * The map is solved for at start. (Bytes 32 apart can stand for every remainder of this polynomial;
 * 16 apart they could not.)
 *
 *   offset | size      | name   | meaning
 *   0      | 16 x 1024 | slices | slice s of byte b: the crc of b followed by s zero bytes
 *   16,384 | 32 x 16   | folds  | table 8 * byte out + nibble in
 *   16,896 | 256       | block  | the folded bytes; at start, zeros follow them
 *   17,152 | 32 x 8    | pivots | remainder and column, by the remainder's highest bit
 */
import { pick } from "./kernels/codes";

const POLYNOMIAL: u32 = 0x82f63b78;
const FOLDS: usize = 16384;
const BLOCK: usize = 16896;
const PIVOTS: usize = 17152;
const PIVOTS_BYTES: usize = 256;
const BLOCK_BYTES: u32 = 128;
const HALF_BYTES: usize = 16;
const COLUMN_BYTES: usize = 32;
/** Below this the tables alone are as fast. */
const FOLDED_BYTES_MIN: u32 = 512;
/**
 * The two halves of the columns are folded one after the other, over what the nearest cache holds.
 */
const FOLDED_BYTES_MAX: u32 = 16384;

/** Writes CRC_TABLE_BYTES of tables. */
export function crc32cInit(table: usize): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    store<u32>(table + (<usize>byte << 2), crc);
  }
  for (let word: u32 = 256; word < 4096; word++) {
    const crc = load<u32>(table + (<usize>(word - 256) << 2));
    store<u32>(table + (<usize>word << 2), (crc >> 8) ^ slice(table, 0, crc & 0xff));
  }
  memory.fill(table + BLOCK, 0, PIVOTS - BLOCK + PIVOTS_BYTES);
  for (let bit: u32 = 0; bit < 32; bit++) {
    reduce(table, remainderOf(table, bit, BLOCK_BYTES), 1 << bit, true);
  }
  for (let bit: u32 = 0; bit < 32; bit++) {
    storeImage(table, bit, reduce(table, remainderOf(table, bit, 2 * BLOCK_BYTES), 0, false));
  }
}

/** The crc of `length` bytes; a crc given as `seed` is continued, 0 starts one. */
export function crc32c(table: usize, pointer: usize, length: u32, seed: u32): i32 {
  let register = ~seed;
  let position = pointer;
  let left = length;
  while (left >= FOLDED_BYTES_MIN) {
    const whole = min(left, FOLDED_BYTES_MAX) & ~(BLOCK_BYTES - 1);
    const block = table + BLOCK;
    fold(table, position, whole, register, block);
    fold(table, position + HALF_BYTES, whole, 0, block + HALF_BYTES);
    register = run(table, block, BLOCK_BYTES, 0);
    position += whole;
    left -= whole;
  }
  return ~run(table, position, left, register);
}

// @ts-ignore: decorator
@inline
function slice(table: usize, index: usize, byte: u32): u32 {
  return load<u32>(table + (index << 10) + (<usize>byte << 2));
}

// @ts-ignore: decorator
@inline
function fourSlices(table: usize, index: usize, word: u32): u32 {
  return (
    slice(table, index + 3, word & 0xff) ^
    slice(table, index + 2, (word >> 8) & 0xff) ^
    slice(table, index + 1, (word >> 16) & 0xff) ^
    slice(table, index, word >> 24)
  );
}

/** The register after `length` bytes, by tables alone. */
function run(table: usize, pointer: usize, length: u32, register: u32): u32 {
  let crc = register;
  let position = pointer;
  let left = length;
  for (; left >= 16; left -= 16, position += 16) {
    crc =
      fourSlices(table, 12, load<u32>(position) ^ crc) ^
      fourSlices(table, 8, load<u32>(position, 4)) ^
      fourSlices(table, 4, load<u32>(position, 8)) ^
      fourSlices(table, 0, load<u32>(position, 12));
  }
  for (; left != 0; left--, position++) {
    crc = (crc >> 8) ^ slice(table, 0, (crc ^ load<u8>(position)) & 0xff);
  }
  return crc;
}

/**
 * The register after the block with one bit of its first column set, zeros following up to
 * `length`.
 */
function remainderOf(table: usize, bit: u32, length: u32): u32 {
  const place = table + BLOCK + <usize>(bit >> 3) * COLUMN_BYTES;
  store<u8>(place, <u32>1 << (bit & 7));
  const remainder = run(table, table + BLOCK, length, 0);
  store<u8>(place, 0);
  return remainder;
}

/** Gauss: the bits of a column that have this remainder; or, `adding`, one more pivot. */
function reduce(table: usize, remainder: u32, column: u32, adding: bool): u32 {
  let left = remainder;
  let bits = column;
  while (left != 0) {
    const pivot = table + PIVOTS + (<usize>(31 - clz(left)) << 3);
    if (adding && load<u32>(pivot) == 0) {
      store<u32>(pivot, left);
      store<u32>(pivot, bits, 4);
      break;
    }
    left ^= load<u32>(pivot);
    bits ^= load<u32>(pivot, 4);
  }
  return bits;
}

/** Adds the image of one bit of a column to the tables of its nibble. */
function storeImage(table: usize, bit: u32, image: u32): void {
  for (let out: u32 = 0; out < 4; out++) {
    const fold = table + FOLDS + (<usize>(out * 8 + (bit >> 2)) << 4);
    const byte = image >> (out * 8);
    for (let nibble: u32 = 0; nibble < 16; nibble++) {
      const old = (bit & 3) == 0 ? 0 : load<u8>(fold + nibble);
      store<u8>(fold + nibble, old ^ (nibble & (1 << (bit & 3)) ? byte : 0));
    }
  }
}

// @ts-ignore: decorator
@inline
function mapNibble(folds: usize, index: usize, nibble: v128): v128 {
  return pick(v128.load(folds + (index << 4)), nibble);
}

/** What two of the eight nibbles give to byte `out`. */
// @ts-ignore: decorator
@inline
function mapByte(folds: usize, out: usize, byte: usize, low: v128, high: v128): v128 {
  const index = out * 8 + byte * 2;
  return v128.xor(mapNibble(folds, index, low), mapNibble(folds, index + 1, high));
}

// @ts-ignore: decorator
@inline
function highNibbles(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
}

// @ts-ignore: decorator
@inline
function lowNibbles(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15));
}

/** Leaves at `block` one half of the bytes that stand for the first `length`, whole blocks. */
function fold(table: usize, start: usize, length: u32, register: u32, block: usize): void {
  const folds = table + FOLDS;
  // A register is the same as that much added to the first four bytes.
  let a = v128.load(start);
  a = i32x4.replace_lane(a, 0, i32x4.extract_lane(a, 0) ^ register);
  let b = v128.load(start, 32);
  let c = v128.load(start, 64);
  let d = v128.load(start, 96);
  const end = start + length;
  for (let position = start + BLOCK_BYTES; position < end; position += BLOCK_BYTES) {
    const a0 = lowNibbles(a);
    const a1 = highNibbles(a);
    const b0 = lowNibbles(b);
    const b1 = highNibbles(b);
    const c0 = lowNibbles(c);
    const c1 = highNibbles(c);
    const d0 = lowNibbles(d);
    const d1 = highNibbles(d);
    a = gather(folds, 0, v128.load(position), a0, a1, b0, b1, c0, c1, d0, d1);
    b = gather(folds, 1, v128.load(position, 32), a0, a1, b0, b1, c0, c1, d0, d1);
    c = gather(folds, 2, v128.load(position, 64), a0, a1, b0, b1, c0, c1, d0, d1);
    d = gather(folds, 3, v128.load(position, 96), a0, a1, b0, b1, c0, c1, d0, d1);
  }
  v128.store(block, a);
  v128.store(block, b, 32);
  v128.store(block, c, 64);
  v128.store(block, d, 96);
}

/** One vector of the next block, and what the nibbles of all four give to it. */
// @ts-ignore: decorator
@inline
function gather(
  folds: usize,
  out: usize,
  next: v128,
  a0: v128,
  a1: v128,
  b0: v128,
  b1: v128,
  c0: v128,
  c1: v128,
  d0: v128,
  d1: v128,
): v128 {
  const first = v128.xor(mapByte(folds, out, 0, a0, a1), mapByte(folds, out, 1, b0, b1));
  const second = v128.xor(mapByte(folds, out, 2, c0, c1), mapByte(folds, out, 3, d0, d1));
  return v128.xor(next, v128.xor(first, second));
}
