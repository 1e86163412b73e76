/**
 * Distances over float32, four lanes at a time. Multiply and add stay two roundings (no fused
 * operation), and the order of additions is fixed, so that a distance has the same bits on every
 * machine and in every variant.
 *
 * `bytes` is a whole number of 16-byte lanes; components past the dimensions are zero on both
 * sides.
 */

/** Sum of the four lanes, in a fixed order. */
// @ts-ignore: decorator
@inline
export function sumLanes(v: v128): f32 {
  const a = f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
  const b = f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3);
  return a + b;
}

/** Squared Euclidean distance. */
export function squaredL2(a: usize, b: usize, bytes: usize): f32 {
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let at: usize = 0;
  const paired = bytes & ~31;
  for (; at < paired; at += 32) {
    const d0 = f32x4.sub(v128.load(a + at), v128.load(b + at));
    const d1 = f32x4.sub(v128.load(a + at, 16), v128.load(b + at, 16));
    sum0 = f32x4.add(sum0, f32x4.mul(d0, d0));
    sum1 = f32x4.add(sum1, f32x4.mul(d1, d1));
  }
  if (at < bytes) {
    const d = f32x4.sub(v128.load(a + at), v128.load(b + at));
    sum0 = f32x4.add(sum0, f32x4.mul(d, d));
  }
  return sumLanes(f32x4.add(sum0, sum1));
}

export function dot(a: usize, b: usize, bytes: usize): f32 {
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let at: usize = 0;
  const paired = bytes & ~31;
  for (; at < paired; at += 32) {
    sum0 = f32x4.add(sum0, f32x4.mul(v128.load(a + at), v128.load(b + at)));
    sum1 = f32x4.add(sum1, f32x4.mul(v128.load(a + at, 16), v128.load(b + at, 16)));
  }
  if (at < bytes) sum0 = f32x4.add(sum0, f32x4.mul(v128.load(a + at), v128.load(b + at)));
  return sumLanes(f32x4.add(sum0, sum1));
}

/** Euclidean norm in float64. */
export function norm(a: usize, bytes: usize): f64 {
  let sum0 = f64x2.splat(0);
  let sum1 = f64x2.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const v = v128.load(a + at);
    const low = f64x2.promote_low_f32x4(v);
    const high = f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 0));
    sum0 = f64x2.add(sum0, f64x2.mul(low, low));
    sum1 = f64x2.add(sum1, f64x2.mul(high, high));
  }
  const sum = f64x2.add(sum0, sum1);
  return Math.sqrt(f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1));
}

/**
 * 1 - cos in float64 sums, rounded once to float32: components of 1e-15 have squares that float32
 * still holds, but products of two such norms do not, and one pass yields both sums.
 */
export function cosine(a: usize, b: usize, bytes: usize, inverseNormA: f64): f32 {
  let ab0 = f64x2.splat(0);
  let ab1 = f64x2.splat(0);
  let bb0 = f64x2.splat(0);
  let bb1 = f64x2.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const va = v128.load(a + at);
    const vb = v128.load(b + at);
    const a0 = f64x2.promote_low_f32x4(va);
    const b0 = f64x2.promote_low_f32x4(vb);
    const a1 = f64x2.promote_low_f32x4(v128.shuffle<i64>(va, va, 1, 0));
    const b1 = f64x2.promote_low_f32x4(v128.shuffle<i64>(vb, vb, 1, 0));
    ab0 = f64x2.add(ab0, f64x2.mul(a0, b0));
    ab1 = f64x2.add(ab1, f64x2.mul(a1, b1));
    bb0 = f64x2.add(bb0, f64x2.mul(b0, b0));
    bb1 = f64x2.add(bb1, f64x2.mul(b1, b1));
  }
  const ab = f64x2.add(ab0, ab1);
  const bb = f64x2.add(bb0, bb1);
  const normB = Math.sqrt(f64x2.extract_lane(bb, 0) + f64x2.extract_lane(bb, 1));
  const product = f64x2.extract_lane(ab, 0) + f64x2.extract_lane(ab, 1);
  if (normB == 0) return 1;
  return <f32>(1.0 - (product * inverseNormA) / normB);
}
