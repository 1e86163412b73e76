/**
 * Distances to rows whose codes lie in halves (row.ts draws them). The query is a byte a component;
 * `half` is the bytes of one half, a whole number of 16. A table is 16 bytes of the codebook and 16
 * times the byte 15 behind them: a mask that comes from memory stays in its register, where a
 * constant would be made anew for each row.
 *
 *   coarse   the row stands for the level of each component's cell: one half is read
 *   whole    start of the cell + place in it: both halves are read, and the code is exact
 */
import { addDot, addSquare, addSum, pick, sumCounts, transposeSum } from "./codes";

// @ts-ignore: decorator
@inline
function maskOf(table: usize): v128 {
  return v128.load(table, 16);
}

/** The high halves of bytes whose low halves are `low`. */
// @ts-ignore: decorator
@inline
function rest(bytes: v128, low: v128): v128 {
  return i16x8.shr_u(v128.xor(bytes, low), 4);
}

// @ts-ignore: decorator
@inline
function addSquares(q0: v128, q1: v128, row: v128, levels: v128, mask: v128, sum: v128): v128 {
  const low = v128.and(row, mask);
  const first = addSquare(q0, pick(levels, low), sum);
  return addSquare(q1, pick(levels, rest(row, low)), first);
}

// @ts-ignore: decorator
@inline
function addDots(q0: v128, q1: v128, row: v128, levels: v128, mask: v128, sum: v128): v128 {
  const low = v128.and(row, mask);
  return addDot(q1, pick(levels, rest(row, low)), addDot(q0, pick(levels, low), sum));
}

/** Squared distance of a query's code to a row's coarse half. */
export function squaredCoarse(query: usize, row: usize, half: usize, table: usize): i32 {
  const levels = v128.load(table);
  const mask = maskOf(table);
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const q = query + 2 * at;
    sum = addSquares(v128.load(q), v128.load(q, 16), v128.load(row + at), levels, mask, sum);
  }
  return sumCounts(sum);
}

/** Squared distances to four rows' coarse halves, in lanes. */
// @ts-ignore: decorator
@inline
export function squaredCoarse4(
  query: usize,
  a: usize,
  b: usize,
  c: usize,
  d: usize,
  half: usize,
  table: usize,
): v128 {
  const levels = v128.load(table);
  const mask = maskOf(table);
  let sumA = i32x4.splat(0);
  let sumB = i32x4.splat(0);
  let sumC = i32x4.splat(0);
  let sumD = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const q0 = v128.load(query + 2 * at);
    const q1 = v128.load(query + 2 * at, 16);
    sumA = addSquares(q0, q1, v128.load(a + at), levels, mask, sumA);
    sumB = addSquares(q0, q1, v128.load(b + at), levels, mask, sumB);
    sumC = addSquares(q0, q1, v128.load(c + at), levels, mask, sumC);
    sumD = addSquares(q0, q1, v128.load(d + at), levels, mask, sumD);
  }
  return transposeSum(sumA, sumB, sumC, sumD);
}

/** Inner product of a query of signed bytes with a row's coarse half. */
export function dotCoarse(query: usize, row: usize, half: usize, table: usize): i32 {
  const levels = v128.load(table);
  const mask = maskOf(table);
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const q = query + 2 * at;
    sum = addDots(v128.load(q), v128.load(q, 16), v128.load(row + at), levels, mask, sum);
  }
  return sumCounts(sum);
}

/** Inner products with four rows' coarse halves, in lanes. */
// @ts-ignore: decorator
@inline
export function dotCoarse4(
  query: usize,
  a: usize,
  b: usize,
  c: usize,
  d: usize,
  half: usize,
  table: usize,
): v128 {
  const levels = v128.load(table);
  const mask = maskOf(table);
  let sumA = i32x4.splat(0);
  let sumB = i32x4.splat(0);
  let sumC = i32x4.splat(0);
  let sumD = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const q0 = v128.load(query + 2 * at);
    const q1 = v128.load(query + 2 * at, 16);
    sumA = addDots(q0, q1, v128.load(a + at), levels, mask, sumA);
    sumB = addDots(q0, q1, v128.load(b + at), levels, mask, sumB);
    sumC = addDots(q0, q1, v128.load(c + at), levels, mask, sumC);
    sumD = addDots(q0, q1, v128.load(d + at), levels, mask, sumD);
  }
  return transposeSum(sumA, sumB, sumC, sumD);
}

/** The components of a whole code that lie in the low halves of 16 bytes. */
// @ts-ignore: decorator
@inline
function wholeLow(coarse: v128, fine: v128, starts: v128, mask: v128): v128 {
  return i8x16.add(pick(starts, v128.and(coarse, mask)), v128.and(fine, mask));
}

/** And those in the high halves. */
// @ts-ignore: decorator
@inline
function wholeHigh(coarse: v128, fine: v128, starts: v128, mask: v128): v128 {
  const cells = rest(coarse, v128.and(coarse, mask));
  return i8x16.add(pick(starts, cells), rest(fine, v128.and(fine, mask)));
}

/** Squared distance of a query's code to a whole one. */
export function squaredWhole(
  query: usize,
  coarse: usize,
  fine: usize,
  half: usize,
  table: usize,
): i32 {
  const starts = v128.load(table);
  const mask = maskOf(table);
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const q = query + 2 * at;
    const c = v128.load(coarse + at);
    const f = v128.load(fine + at);
    sum = addSquare(v128.load(q), wholeLow(c, f, starts, mask), sum);
    sum = addSquare(v128.load(q, 16), wholeHigh(c, f, starts, mask), sum);
  }
  return sumCounts(sum);
}

/** Inner product of a query, of signed bytes or a code, with a whole code. */
export function dotWhole(
  query: usize,
  coarse: usize,
  fine: usize,
  half: usize,
  table: usize,
): i32 {
  const starts = v128.load(table);
  const mask = maskOf(table);
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const q = query + 2 * at;
    const c = v128.load(coarse + at);
    const f = v128.load(fine + at);
    sum = addDot(v128.load(q), wholeLow(c, f, starts, mask), sum);
    sum = addDot(v128.load(q, 16), wholeHigh(c, f, starts, mask), sum);
  }
  return sumCounts(sum);
}

/** Sum of a whole code's components. */
export function sumWhole(coarse: usize, fine: usize, half: usize, table: usize): i32 {
  const starts = v128.load(table);
  const mask = maskOf(table);
  let sum = i32x4.splat(0);
  for (let at: usize = 0; at < half; at += 16) {
    const c = v128.load(coarse + at);
    const f = v128.load(fine + at);
    sum = addSum(wholeHigh(c, f, starts, mask), addSum(wholeLow(c, f, starts, mask), sum));
  }
  return sumCounts(sum);
}

/** Writes a whole code to `target`, a byte a component. */
export function unpack(
  coarse: usize,
  fine: usize,
  half: usize,
  table: usize,
  target: usize,
): void {
  const starts = v128.load(table);
  const mask = maskOf(table);
  for (let at: usize = 0; at < half; at += 16) {
    const c = v128.load(coarse + at);
    const f = v128.load(fine + at);
    v128.store(target + 2 * at, wholeLow(c, f, starts, mask));
    v128.store(target + 2 * at, wholeHigh(c, f, starts, mask), 16);
  }
}

/** Splits 32 components, a byte each in two lanes of sixteen, into 16 bytes of either half. */
// @ts-ignore: decorator
@inline
export function split(a: v128, b: v128, coarse: usize, fine: usize, table: usize): void {
  const starts = v128.load(table);
  const cellA = cellsOf(a, table);
  const cellB = cellsOf(b, table);
  v128.store(coarse, v128.or(cellA, i16x8.shl(cellB, 4)));
  const placeA = i8x16.sub(a, pick(starts, cellA));
  const placeB = i8x16.sub(b, pick(starts, cellB));
  v128.store(fine, v128.or(placeA, i16x8.shl(placeB, 4)));
}

/** The cell of each of sixteen components: how many starts, but for the first, it has reached. */
function cellsOf(code: v128, table: usize): v128 {
  let cells = i8x16.splat(0);
  for (let cell: usize = 1; cell < 16; cell++)
    cells = i8x16.sub(cells, i8x16.ge_s(code, v128.load8_splat(table + cell)));
  return cells;
}
