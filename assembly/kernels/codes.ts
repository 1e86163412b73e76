/**
 * Distances over codes: unsigned 7-bit components, so that the difference of two and the products
 * of both stay within what the integer dot instructions take without saturating. All results are
 * exact integers, the same on every machine.
 *
 * This is the one file with relaxed SIMD: its dot is only used on operands for which every machine
 * must agree (second operand 0..127), and its swizzle with indexes below 16. The variant without
 * computes the same integers in two steps.
 */

/** sum += a . b over 16 components; b is 0..127, a is -128..127. */
// @ts-ignore: decorator
@inline
export function addDot(a: v128, b: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_dot_add<i32>(a, b, sum);
  const low = i16x8.extmul_low_i8x16_s(a, b);
  const high = i16x8.extmul_high_i8x16_s(a, b);
  return i32x4.add(
    sum,
    i32x4.add(i32x4.extadd_pairwise_i16x8_s(low), i32x4.extadd_pairwise_i16x8_s(high)),
  );
}

// @ts-ignore: decorator
@inline
export function addSquare(a: v128, b: v128, sum: v128): v128 {
  const d = i8x16.abs(i8x16.sub(a, b));
  return addDot(d, d, sum);
}

/** The table's bytes at sixteen indexes below 16. */
// @ts-ignore: decorator
@inline
export function pick(table: v128, indexes: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, indexes);
  return i8x16.swizzle(table, indexes);
}

// @ts-ignore: decorator
@inline
export function sumCounts(v: v128): i32 {
  const a = i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1);
  const b = i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
  return a + b;
}

/** The four sums of four vectors of four lanes, in order. */
// @ts-ignore: decorator
@inline
export function transposeSum(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** Squared distance of two codes of a byte a component. */
export function squaredCodes(a: usize, b: usize, bytes: usize): i32 {
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16)
    sum = addSquare(v128.load(a + at), v128.load(b + at), sum);
  return sumCounts(sum);
}

export function dotCodes(a: usize, b: usize, bytes: usize): i32 {
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16)
    sum = addDot(v128.load(a + at), v128.load(b + at), sum);
  return sumCounts(sum);
}

/** Sum of a code's components. */
export function sumCode(a: usize, bytes: usize): i32 {
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) sum = addSum(v128.load(a + at), sum);
  return sumCounts(sum);
}

/** sum += the sixteen unsigned bytes of `a`. */
// @ts-ignore: decorator
@inline
export function addSum(a: v128, sum: v128): v128 {
  const pairs = i16x8.extadd_pairwise_i8x16_u(a);
  return i32x4.add(sum, i32x4.extadd_pairwise_i16x8_u(pairs));
}
