/**
 * One float32 row as a code of a generation: its components in steps of the range, rounded and held
 * inside. codebook.ts tells what ranges and generations are.
 */
import { sheds } from "./bays";
import { Codebook, header } from "./header";
import { split } from "./kernels/halves";
import { norm, sumLanes } from "./kernels/lanes";
import * as L from "./layout";

/**
 * A row is rough when what clamping takes from it, squared and in steps, passes this much a
 * dimension.
 */
const ROUGH_ERROR: f32 = 4;
/** The same where only the code stays: what it may lose beside what rounding takes. */
const ROUGH_ERROR_SHED: f32 = 0.5;

/**
 * 1 / norm of a row under cosine, 1 otherwise: what its components are multiplied by before they
 * are encoded.
 */
export function unitFactor(vector: usize): f64 {
  if (header().metric != L.METRIC_COSINE) return 1;
  const length = norm(vector, header().vectorStride);
  return length > 0 ? 1 / length : 0;
}

/** Writes a vector's code to `target`, a byte a component; returns 1 when it is rough. */
export function encode(vector: usize, factor: f64, target: usize, book: Codebook): u32 {
  const bytes = header().codeBytes;
  for (let at: u32 = 0; at < bytes; at += 16)
    v128.store(target + at, sixteen(vector, at, <f32>factor, book));
  return isRough(vector, factor, book, ROUGH_ERROR);
}

/** Writes a vector's code in halves; returns 1 when it is rough. */
export function encodeHalves(
  vector: usize,
  factor: f64,
  coarse: usize,
  fine: usize,
  book: Codebook,
): u32 {
  const half = header().codeBytes >> 1;
  const table = changetype<usize>(book) + L.CODEBOOK_STARTS;
  for (let at: u32 = 0; at < half; at += 16) {
    const a = sixteen(vector, 2 * at, <f32>factor, book);
    const b = sixteen(vector, 2 * at + 16, <f32>factor, book);
    split(a, b, coarse + at, fine + at, table);
  }
  return isRough(vector, factor, book, sheds() ? ROUGH_ERROR_SHED : ROUGH_ERROR);
}

/** The code of sixteen components from `at` on; past the dimensions it is 0. */
function sixteen(vector: usize, at: u32, factor: f32, book: Codebook): v128 {
  const a = rounded(vector, at, factor, book);
  const b = rounded(vector, at + 4, factor, book);
  const c = rounded(vector, at + 8, factor, book);
  const d = rounded(vector, at + 12, factor, book);
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

// @ts-ignore: decorator
@inline
function rounded(vector: usize, at: u32, factor: f32, book: Codebook): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(held(steps(vector, at, factor, book))));
}

// @ts-ignore: decorator
@inline
function held(steps: v128): v128 {
  return f32x4.min(f32x4.max(steps, f32x4.splat(0)), f32x4.splat(<f32>(L.CODE_VALUES - 1)));
}

/**
 * Four components from `at` on, in steps above the range's low end; past the dimensions they are 0,
 * and so is what a vector's last lane holds there.
 */
// @ts-ignore: decorator
@inline
function steps(vector: usize, at: u32, factor: f32, book: Codebook): v128 {
  const dimensions = header().dimensions;
  if (at >= dimensions) return f32x4.splat(0);
  const values = f32x4.mul(v128.load(vector + ((<usize>at) << 2)), f32x4.splat(factor));
  const above = f32x4.mul(f32x4.sub(values, f32x4.splat(book.low)), f32x4.splat(book.inverse));
  const inside = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(dimensions - at));
  return v128.and(above, inside);
}

/** Whether clamping takes more from the vector than its code may lose. */
function isRough(vector: usize, factor: f64, book: Codebook, error: f32): u32 {
  let outside = f32x4.splat(0);
  for (let at: u32 = 0; at < header().dimensions; at += 4) {
    const above = steps(vector, at, <f32>factor, book);
    const off = f32x4.sub(above, held(above));
    outside = f32x4.add(outside, f32x4.mul(off, off));
  }
  return <u32>!(sumLanes(outside) <= <f32>header().dimensions * error);
}
