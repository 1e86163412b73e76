/**
 * The truth that recall is measured against: distances in float64 over the float32 components, and
 * the nearest rows by brute force. Smaller is nearer; l2 is left squared, which orders alike.
 */

export type Metric = "l2" | "cosine" | "dot";

/** Rows one after another, `dimensions` components each. */
export interface Rows {
  readonly values: Float32Array;
  readonly count: number;
  readonly dimensions: number;
}

export function rowAt(rows: Rows, index: number): Float32Array {
  return rows.values.subarray(index * rows.dimensions, (index + 1) * rows.dimensions);
}

/** Squared Euclidean distance, 1 - cos, or -dot. */
export function distance(metric: Metric, a: Float32Array, b: Float32Array): number {
  if (metric === "l2") return squaredBelow(a, b, Number.POSITIVE_INFINITY);
  if (metric === "dot") return -dot(a, b);
  return 1 - dot(a, b) / (norm(a) * norm(b));
}

/** The `k` nearest rows of each query, nearest first, ties by row: queries x k row numbers. */
export function exactNeighbours(base: Rows, queries: Rows, k: number, metric: Metric): Int32Array {
  const norms = metric === "cosine" ? Float64Array.from({ length: base.count }, normOf(base)) : [];
  const truth = new Int32Array(queries.count * k);
  for (let query = 0; query < queries.count; query++) {
    truth.set(nearest(base, norms, rowAt(queries, query), k, metric), query * k);
  }
  return truth;
}

const normOf = (rows: Rows) => (_: unknown, row: number) => norm(rowAt(rows, row));

/** Under cosine the query's own norm is left out: it changes no order. */
function nearest(
  base: Rows,
  norms: ArrayLike<number>,
  query: Float32Array,
  k: number,
  metric: Metric,
): Int32Array {
  const rows = new Int32Array(k).fill(-1);
  const distances = new Float64Array(k).fill(Number.POSITIVE_INFINITY);
  for (let row = 0; row < base.count; row++) {
    const candidate = rowAt(base, row);
    const bound = distances[k - 1]!;
    const found =
      metric === "l2"
        ? squaredBelow(candidate, query, bound)
        : -dot(candidate, query) / (norms[row] ?? 1);
    if (found >= bound) continue;
    let place = k - 1;
    for (; place > 0 && distances[place - 1]! > found; place--) {
      distances[place] = distances[place - 1]!;
      rows[place] = rows[place - 1]!;
    }
    distances[place] = found;
    rows[place] = row;
  }
  return rows;
}

const norm = (a: Float32Array): number => Math.sqrt(dot(a, a));

// Four sums side by side: one alone would wait for itself at every component.
function dot(a: Float32Array, b: Float32Array): number {
  const whole = a.length & ~3;
  let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
  for (let index = 0; index < whole; index += 4) {
    sum0 += a[index]! * b[index]!;
    sum1 += a[index + 1]! * b[index + 1]!;
    sum2 += a[index + 2]! * b[index + 2]!;
    sum3 += a[index + 3]! * b[index + 3]!;
  }
  for (let index = whole; index < a.length; index++) sum0 += a[index]! * b[index]!;
  return sum0 + sum1 + (sum2 + sum3);
}

/** Gives up, with a sum above the bound, as soon as no further component can bring it below. */
function squaredBelow(a: Float32Array, b: Float32Array, bound: number): number {
  const whole = a.length & ~3;
  let sum = 0;
  for (let start = 0; start < whole && sum <= bound; start += 32) {
    const end = Math.min(start + 32, whole);
    let [even, odd] = [0, 0];
    for (let index = start; index < end; index += 4) {
      const difference0 = a[index]! - b[index]!;
      const difference1 = a[index + 1]! - b[index + 1]!;
      const difference2 = a[index + 2]! - b[index + 2]!;
      const difference3 = a[index + 3]! - b[index + 3]!;
      even += difference0 * difference0 + difference2 * difference2;
      odd += difference1 * difference1 + difference3 * difference3;
    }
    sum += even + odd;
  }
  for (let index = whole; index < a.length; index++) sum += (a[index]! - b[index]!) ** 2;
  return sum;
}
