/**
 * How a range is cut into cells: 16 runs of the 128 values a code's component has, none wider than
 * 16, so that a place in a cell takes 4 bits as the cell does. Of all such cuts it is the one that
 * loses least, squared, when each component of the sample is taken for the mean of its cell (Lloyd
 * and Max, found by dynamic programming). Components of real data crowd in a part of their range:
 * equal cells would lose nearly twice as much on SIFT descriptors.
 */
import { Codebook } from "./header";
import * as L from "./layout";

const VALUES: u32 = L.CODE_VALUES;
const CELLS: u32 = L.CELLS;
/** Sums over the values below one: how many components, their sum, the sum of their squares. */
const SUMS_BYTES: usize = (L.CODE_VALUES + 1) * 8;

/**
 * Cuts the book's range by `counts`, how many components of a sample have each value (u32).
 * `scratch` holds 32 KiB.
 */
export function cutCells(book: Codebook, counts: usize, scratch: usize): void {
  const zeroth = scratch;
  const first = zeroth + SUMS_BYTES;
  const second = first + SUMS_BYTES;
  const losses = second + SUMS_BYTES;
  const nextLosses = losses + SUMS_BYTES;
  const origins = nextLosses + SUMS_BYTES;
  sumUp(counts, zeroth, first, second);
  for (let end: u32 = 0; end <= VALUES; end++)
    store<f64>(losses + ((<usize>end) << 3), end == 0 ? 0 : Infinity);
  for (let cell: u32 = 0; cell < CELLS; cell++) {
    for (let end: u32 = 0; end <= VALUES; end++) {
      let least: f64 = Infinity;
      let origin: u32 = 0;
      const from = end > <u32>L.CELL_WIDTH_MAX ? end - <u32>L.CELL_WIDTH_MAX : 0;
      for (let start = from; start < end; start++) {
        const loss =
          load<f64>(losses + ((<usize>start) << 3)) + lossOf(zeroth, first, second, start, end);
        if (loss >= least) continue;
        least = loss;
        origin = start;
      }
      store<f64>(nextLosses + ((<usize>end) << 3), least);
      store<u8>(origins + cell * (VALUES + 1) + end, <u8>origin);
    }
    memory.copy(losses, nextLosses, SUMS_BYTES);
  }
  writeCells(book, zeroth, first, origins);
}

/** Each value counts once more than it was seen: cells that nothing fell in have levels too. */
function sumUp(counts: usize, zeroth: usize, first: usize, second: usize): void {
  store<f64>(zeroth, 0);
  store<f64>(first, 0);
  store<f64>(second, 0);
  for (let value: u32 = 0; value < VALUES; value++) {
    const at = (<usize>value) << 3;
    const count = <f64>load<u32>(counts + ((<usize>value) << 2)) + 1;
    const x = <f64>value;
    store<f64>(zeroth + at, load<f64>(zeroth + at) + count, 8);
    store<f64>(first + at, load<f64>(first + at) + count * x, 8);
    store<f64>(second + at, load<f64>(second + at) + count * x * x, 8);
  }
}

// @ts-ignore: decorator
@inline
function between(sums: usize, start: u32, end: u32): f64 {
  return load<f64>(sums + ((<usize>end) << 3)) - load<f64>(sums + ((<usize>start) << 3));
}

function lossOf(zeroth: usize, first: usize, second: usize, start: u32, end: u32): f64 {
  const sum = between(first, start, end);
  return between(second, start, end) - (sum * sum) / between(zeroth, start, end);
}

/** Starts and levels of the cells, from the last to the first; behind each table, its mask. */
function writeCells(book: Codebook, zeroth: usize, first: usize, origins: usize): void {
  let end: u32 = VALUES;
  for (let cell = <i32>CELLS - 1; cell >= 0; cell--) {
    const start = <u32>load<u8>(origins + <u32>cell * (VALUES + 1) + end);
    const level = between(first, start, end) / between(zeroth, start, end);
    const at = changetype<usize>(book) + <usize>cell;
    store<u8>(at, <u8>start, L.CODEBOOK_STARTS);
    store<u8>(at, <u8>nearest<f64>(level), L.CODEBOOK_LEVELS);
    end = start;
  }
  const mask = i8x16.splat(<i8>(L.CELLS - 1));
  v128.store(changetype<usize>(book), mask, L.CODEBOOK_STARTS + L.CELLS);
  v128.store(changetype<usize>(book), mask, L.CODEBOOK_LEVELS + L.CELLS);
}
