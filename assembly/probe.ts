/**
 * Whether codes are good enough to walk by, measured on the sample that their range was learned
 * from: its rows' slots lie at `sample`, their codes in the results area.
 */
import { floatsOf } from "./bays";
import { orderedBits } from "./codebook";
import { unitFactor } from "./encode";
import { heapOffer, heapReset } from "./graph/heap";
import { Codebook, header } from "./header";
import { dotCodes, squaredCodes, sumCode } from "./kernels/codes";
import { cosine, dot, squaredL2 } from "./kernels/lanes";
import * as L from "./layout";
import { Worker } from "./worker";

/**
 * The codes must hold this share of the true neighbours among their best candidates, or walks use
 * float32.
 */
const PROBES: u32 = 32;
const PROBE_K: u32 = 10;
const PROBE_CANDIDATES: u32 = 40;
const PROBE_RECALL_PERCENT: u32 = 90;
/** Coarse halves must hold as large a share among fewer, or walks use whole codes. */
const PROBE_COARSE: u32 = 20;

// @ts-ignore: decorator
@inline
export function sampled(sample: usize, index: u32): u32 {
  return load<u32>(sample + ((<usize>index) << 2));
}

// @ts-ignore: decorator
@inline
export function codeAt(worker: Worker, index: u32): usize {
  return worker.results + <usize>index * header().codeBytes;
}

/**
 * Measures, on the sample itself, whether the best candidates by code, or by its coarse half, hold
 * the true neighbours.
 */
export function isGood(
  worker: Worker,
  sample: usize,
  rows: u32,
  book: Codebook,
  coarse: bool,
): i32 {
  const h = header();
  if (h.metric == L.METRIC_DOT) {
    // Sums times `zero` must stay integers of 31 bits.
    if (<f64>abs(book.zero) * 127.0 * <f64>h.dimensions > 1e9) return 0;
  }
  if (rows <= PROBE_CANDIDATES) return 1;
  let found: u32 = 0;
  const probes = min<u32>(PROBES, rows);
  for (let p: u32 = 0; p < probes; p++) {
    found += probe(worker, sample, rows, <u32>((<u64>p * rows) / probes), book, coarse);
  }
  return found * 100 < probes * PROBE_K * PROBE_RECALL_PERCENT ? 0 : 1;
}

/** How many of a sampled row's true neighbours are among its best candidates by code. */
function probe(
  worker: Worker,
  sample: usize,
  rows: u32,
  index: u32,
  book: Codebook,
  coarse: bool,
): u32 {
  const h = header();
  const own = floatsOf(sampled(sample, index), worker.floatsA);
  const factor = unitFactor(own);
  const code = codeAt(worker, index);
  const distances = worker.pool;
  heapReset(worker, PROBE_K);
  for (let i: u32 = 0; i < rows; i++) {
    if (i == index) continue;
    const other = floatsOf(sampled(sample, i), worker.floatsB);
    let distance: f32;
    if (h.metric == L.METRIC_L2) distance = squaredL2(own, other, h.vectorStride);
    else if (h.metric == L.METRIC_DOT) distance = -dot(own, other, h.vectorStride);
    else distance = cosine(own, other, h.vectorStride, factor);
    const key = orderedBits(distance);
    store<u32>(distances + ((<usize>i) << 2), key);
    heapOffer(worker, key, i);
  }
  const bar = <u32>(load<u64>(worker.heap) >> 32);
  heapReset(worker, min<u32>(coarse ? PROBE_COARSE : PROBE_CANDIDATES, rows / 2));
  for (let i: u32 = 0; i < rows; i++) {
    if (i == index) continue;
    let other = codeAt(worker, i);
    if (coarse) other = flattened(worker, other, book);
    let key: u32;
    if (h.metric == L.METRIC_DOT) {
      const product = dotCodes(code, other, h.codeBytes) + book.zero * sumCode(other, h.codeBytes);
      key = <u32>-product ^ 0x80000000;
    } else {
      key = <u32>squaredCodes(code, other, h.codeBytes);
    }
    heapOffer(worker, key, i);
  }
  // Rows of one code are as many as they are: only those that were kept count, and those that are
  // truly near.
  let found: u32 = 0;
  for (let i: u32 = 0; i < worker.heapSize; i++) {
    const near = <u32>load<u64>(worker.heap + ((<usize>i) << 3));
    if (load<u32>(distances + ((<usize>near) << 2)) <= bar) found++;
  }
  return min<u32>(found, PROBE_K);
}

/** A code whose components are the levels of their cells, in the query's place. */
function flattened(worker: Worker, code: usize, book: Codebook): usize {
  const tables = changetype<usize>(book);
  for (let d: usize = 0; d < header().codeBytes; d++) {
    const value = load<u8>(code + d);
    let cell: usize = 0;
    while (cell + 1 < <usize>L.CELLS && load<u8>(tables + cell, L.CODEBOOK_STARTS + 1) <= value)
      cell++;
    store<u8>(worker.codeA + d, load<u8>(tables + cell, L.CODEBOOK_LEVELS));
  }
  return worker.codeA;
}
