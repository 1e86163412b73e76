/**
 * The engine's float32 distances in plain arithmetic, rounding for rounding: eight sums side by
 * side, four to a lane, multiply and add apart. What these give is what every variant must give, to
 * the bit.
 */
import type { Metric } from "../../perf/exact.ts";

const f32 = Math.fround;

/** What the engine sorts by and reports: l2 squared, 1 - cos, -dot. */
export function engineDistance(metric: Metric, query: Float32Array, row: Float32Array): number {
  if (metric === "l2") return sumInLanes(query, row, (a, b) => f32(f32(a - b) * f32(a - b)));
  if (metric === "dot") return -sumInLanes(query, row, (a, b) => f32(a * b));
  return cosine(query, row);
}

type Term = (a: number, b: number) => number;

function sumInLanes(a: Float32Array, b: Float32Array, term: Term): number {
  const sums = [0, 0, 0, 0, 0, 0, 0, 0];
  const paired = (Math.ceil(a.length / 4) >> 1) * 8;
  for (let i = 0; i < a.length; i++) {
    const lane = i < paired ? i & 7 : i & 3;
    sums[lane] = f32(sums[lane]! + term(a[i]!, b[i]!));
  }
  const lanes = [0, 1, 2, 3].map((lane) => f32(sums[lane]! + sums[lane + 4]!));
  return f32(f32(lanes[0]! + lanes[1]!) + f32(lanes[2]! + lanes[3]!));
}

/** In float64, four sums side by side, rounded to float32 once. */
function cosine(a: Float32Array, b: Float32Array): number {
  const inverse = 1 / Math.sqrt(sumOfProducts(a, a));
  return f32(1 - (sumOfProducts(a, b) * inverse) / Math.sqrt(sumOfProducts(b, b)));
}

function sumOfProducts(a: Float32Array, b: Float32Array): number {
  const sums = [0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) sums[i & 3]! += a[i]! * b[i]!;
  return sums[0]! + sums[2]! + (sums[1]! + sums[3]!);
}
