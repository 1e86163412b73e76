/**
 * A flat picture of many dimensions: the two directions in which the rows spread most (principal
 * components), found by power iteration over a sample, and where each row lies along them.
 */

const SAMPLE_ROWS = 2000;
const ITERATIONS = 24;

export interface Plane {
  /** Where a vector of the collection's dimensions lies: [x, y], about -1 .. 1. */
  place(vector: ArrayLike<number>): [number, number];
}

/** `rows` are vectors of equal length, at least one. */
export function planeOf(rows: readonly Float32Array[]): Plane {
  const step = Math.max(1, Math.floor(rows.length / SAMPLE_ROWS));
  const sample = rows.filter((_, index) => index % step === 0);
  const mean = meanOf(sample);
  const first = direction(sample, mean, undefined, 1);
  const second = direction(sample, mean, first, 2);
  const along = (vector: ArrayLike<number>, axis: Float64Array) => {
    let sum = 0;
    for (let i = 0; i < axis.length; i++) sum += (vector[i]! - mean[i]!) * axis[i]!;
    return sum;
  };
  let reach = 1e-12;
  for (const row of sample) {
    reach = Math.max(reach, Math.abs(along(row, first)), Math.abs(along(row, second)));
  }
  return {
    place: (vector) => [along(vector, first) / reach, along(vector, second) / reach],
  };
}

function meanOf(rows: readonly Float32Array[]): Float64Array {
  const mean = new Float64Array(rows[0]!.length);
  for (const row of rows) for (let i = 0; i < row.length; i++) mean[i]! += row[i]! / rows.length;
  return mean;
}

/** The direction of the largest spread, at right angles to `other`. */
function direction(
  rows: readonly Float32Array[],
  mean: Float64Array,
  other: Float64Array | undefined,
  seed: number,
): Float64Array {
  // Any start serves that does not happen to be at right angles to what is looked for.
  let axis: Float64Array = Float64Array.from(mean, (_, i) => Math.sin((i + 1) * seed * 12.9898));
  for (let round = 0; round < ITERATIONS; round++) {
    const next = new Float64Array(axis.length);
    for (const row of rows) {
      let product = 0;
      for (let i = 0; i < row.length; i++) product += (row[i]! - mean[i]!) * axis[i]!;
      for (let i = 0; i < row.length; i++) next[i]! += product * (row[i]! - mean[i]!);
    }
    if (other) remove(next, other);
    axis = unit(next);
  }
  return axis;
}

function remove(from: Float64Array, axis: Float64Array): void {
  const product = from.reduce((sum, value, i) => sum + value * axis[i]!, 0);
  for (let i = 0; i < from.length; i++) from[i]! -= product * axis[i]!;
}

function unit(vector: Float64Array): Float64Array {
  const norm = Math.hypot(...vector);
  return norm > 0 ? vector.map((value) => value / norm) : vector;
}
