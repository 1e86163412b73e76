/**
 * Codes: how float32 rows become 7-bit components, and when that changes.
 *
 * One range (low, scale) holds for all components of a generation: x ~ low + scale * code. Under cosine the row is
 * brought to unit length first. Under dot `low` is a whole multiple of the scale (`zero`), so that an inner product is
 * an exact integer of the codes, their sums and that multiple. A row that the range cannot hold is *rough*: its code
 * stays a clamped one, and whoever meets the row measures it on its float32.
 *
 * A generation ends when the data has left its range. The new codebook is written beside the old one, the generation is
 * stored, and from then on new rows are encoded by it, while `reencode` moves the old ones over in slices. Meanwhile
 * `irregular` is above zero, every walk looks at each row's own generation, and a search that was under way when the
 * generation began starts again. One thread at a time learns or re-encodes (the maintenance lock); the writer may append.
 */
import { Codebook, codebook, fence, generation, header, irregular, slotsUsed } from "./header";
import { dotCodes, squaredCodes, sumCode } from "./kernels/codes";
import { cosine, dot, norm, squaredL2, sumLanes } from "./kernels/lanes";
import * as L from "./layout";
import { birthOf, codeOf, deathOf, flagsOf, generationOf, headOf, stampOf, vectorOf } from "./row";
import { Worker } from "./worker";
import { heapReset, heapOffer } from "./graph/heap";

/** Rows that the range is learned from, bins of their histogram, and the share that may be clamped at either end. */
const SAMPLE_ROWS: u32 = 1024;
const BINS: u32 = 4096;
const CLAMPED_SHARE: f64 = 0.0005;
/** A row is rough when what clamping takes from it, squared and in steps, passes this much a dimension. */
const ROUGH_ERROR: f32 = 4;
/** Under l2 and cosine so many rough rows, and one in so many more, do not make walks careful: see modeNow. */
const ROUGH_FREE: u32 = 8;
const ROUGH_SHARE: u32 = 256;
/** The codes must hold this share of the true neighbours among their best candidates, or walks use float32. */
const PROBES: u32 = 32;
const PROBE_K: u32 = 10;
const PROBE_CANDIDATES: u32 = 40;
const PROBE_RECALL_PERCENT: u32 = 90;

export const MODE_CODES: u32 = 0;
export const MODE_CAREFUL: u32 = 1;
export const MODE_FLOATS: u32 = 2;

/**
 * How a walk measures rows now. Clamping brings a row nearer to every query within the range, never farther, and a query
 * outside is walked on float32: so a few rough rows cost some candidates and lose nobody. Inner products know no such
 * bound, and there each rough row counts.
 */
export function modeNow(): u32 {
  const current = generation();
  if (current == 0 || codebook(current).lossy) return MODE_FLOATS;
  const count = irregular();
  if (count == 0) return MODE_CODES;
  if (header().metric == L.METRIC_DOT) return MODE_CAREFUL;
  return count <= ROUGH_FREE + atomic.load<u32>(L.HEADER_LIVE) / ROUGH_SHARE ? MODE_CODES : MODE_CAREFUL;
}

/** 1 / norm of a row under cosine, 1 otherwise: what its components are multiplied by before they are encoded. */
export function unitFactor(vector: usize): f64 {
  if (header().metric != L.METRIC_COSINE) return 1;
  const length = norm(vector, header().vectorStride);
  return length > 0 ? 1 / length : 0;
}

/** Writes a vector's code to `target`; returns 1 when the range could not hold it. */
export function encode(vector: usize, factor: f64, target: usize, book: Codebook): u32 {
  const dimensions = header().dimensions;
  const low = f32x4.splat(book.low);
  const inverse = f32x4.splat(book.inverse);
  const unit = f32x4.splat(<f32>factor);
  const top = f32x4.splat(127);
  const zero = f32x4.splat(0);
  let outside = f32x4.splat(0);
  let at: u32 = 0;
  for (; at + 4 <= dimensions; at += 4) {
    const x = f32x4.mul(f32x4.sub(f32x4.mul(v128.load(vector + ((<usize>at) << 2)), unit), low), inverse);
    const held = f32x4.min(f32x4.max(x, zero), top);
    const off = f32x4.sub(x, held);
    outside = f32x4.add(outside, f32x4.mul(off, off));
    const words = i32x4.trunc_sat_f32x4_s(f32x4.nearest(held));
    const narrow = i16x8.narrow_i32x4_s(words, words);
    v128.store_lane<u32>(target + at, i8x16.narrow_i16x8_u(narrow, narrow), 0);
  }
  let error = sumLanes(outside);
  for (; at < dimensions; at++) {
    const x = (load<f32>(vector + ((<usize>at) << 2)) * <f32>factor - book.low) * book.inverse;
    const held = min<f32>(max<f32>(x, 0), 127);
    error += (x - held) * (x - held);
    store<u8>(target + at, <u8>nearest<f32>(held));
  }
  for (; at < header().codeBytes; at++) store<u8>(target + at, 0);
  return <u32>!(error <= <f32>dimensions * ROUGH_ERROR);
}

/** Encodes a row in place and keeps the account of irregular rows. The row's vector is there already. */
export function encodeRow(slot: u32): void {
  const h = header();
  if (h.codeBytes == 0) return;
  const head = headOf(slot);
  while (true) {
    const current = generation();
    if (current == 0) {
      store<u8>(head, 0, L.ROW_GENERATION);
    } else {
      const vector = vectorOf(slot);
      const rough = encode(vector, unitFactor(vector), codeOf(slot), codebook(current));
      if (h.metric == L.METRIC_DOT) store<i32>(codeOf(slot) + h.codeBytes, sumCode(codeOf(slot), h.codeBytes));
      store<u8>(head, <u8>current, L.ROW_GENERATION);
      markRough(slot, rough);
    }
    fence();
    // A generation that began meanwhile may have passed this row by: then it is ours to encode again.
    if (generation() == current) return;
  }
}

function markRough(slot: u32, rough: u32): void {
  const address = headOf(slot) + L.ROW_FLAGS;
  if (rough) {
    const before = atomic.or<u16>(address, <u16>L.FLAG_ROUGH);
    if (!(before & <u16>L.FLAG_ROUGH)) atomic.add<u32>(L.HEADER_IRREGULAR, 1);
  } else {
    const before = atomic.and<u16>(address, ~(<u16>L.FLAG_ROUGH));
    if (before & <u16>L.FLAG_ROUGH) atomic.sub<u32>(L.HEADER_IRREGULAR, 1);
  }
}

/** A row leaves its slot: it no longer counts as irregular. */
export function forgetCode(slot: u32): void {
  markRough(slot, 0);
}

/** Whether the range should be learned (again): at first, and when the rows have grown many times or left it. */
export function needsLearning(): bool {
  const h = header();
  if (h.codeBytes == 0 || atomic.load<u32>(L.HEADER_LIVE) == 0) return false;
  if (isReencoding()) return false;
  if (generation() == 0) return true;
  const live = atomic.load<u32>(L.HEADER_LIVE);
  const learnedAt = atomic.load<u32>(L.HEADER_LEARNED_AT);
  if (live / 16 >= learnedAt && live >= 64) return true;
  if (codebook(generation()).lossy) return false;
  const rough = atomic.load<u32>(L.HEADER_IRREGULAR);
  const known = atomic.load<u32>(L.HEADER_ROUGH_SEEN);
  return rough > known + max<u32>(4, live / 64);
}

export function isReencoding(): bool {
  return atomic.load<u32>(L.HEADER_REENCODE_NEXT) != 0;
}

/**
 * Learns the range from a sample of live rows and begins a new generation if it differs enough from the present one.
 * The caller holds the maintenance lock.
 */
export function learn(worker: Worker): void {
  const next = generation() + 1;
  const book = codebook(next);
  const sample = worker.order;
  const rows = takeSample(sample);
  if (rows == 0) return;
  measureRange(worker, sample, rows, book);
  book.lossy = 0;
  const live = atomic.load<u32>(L.HEADER_LIVE);
  if (next > 1 && !hasMoved(codebook(next - 1), book)) {
    atomic.store<u32>(L.HEADER_LEARNED_AT, live);
    atomic.store<u32>(L.HEADER_ROUGH_SEEN, atomic.load<u32>(L.HEADER_IRREGULAR));
    return;
  }
  book.lossy = isLossy(worker, sample, rows, book);
  // From here on walks are careful; the old rows count as irregular until the last of them has moved over.
  atomic.add<u32>(L.HEADER_IRREGULAR, L.NO_SLOT);
  atomic.store<u32>(L.HEADER_REENCODE_NEXT, 1);
  atomic.store<u32>(L.HEADER_GENERATION, next);
  atomic.add<u32>(L.HEADER_CODES_EPOCH, 1);
  atomic.store<u32>(L.HEADER_LEARNED_AT, live);
}

/** Moves at most `count` slots to the current generation; returns true when all are there. */
export function reencode(count: u32): bool {
  const at = atomic.load<u32>(L.HEADER_REENCODE_NEXT);
  if (at == 0) return true;
  const current = generation();
  let slot = at - 1;
  let left = count;
  while (slot < slotsUsed() && left > 0) {
    moveRow(slot, <u8>current);
    slot++;
    left--;
  }
  if (slot < slotsUsed()) {
    atomic.store<u32>(L.HEADER_REENCODE_NEXT, slot + 1);
    return false;
  }
  const rough = atomic.sub<u32>(L.HEADER_IRREGULAR, <u32>L.NO_SLOT) - <u32>L.NO_SLOT;
  atomic.store<u32>(L.HEADER_ROUGH_SEEN, rough);
  if (rough > atomic.load<u32>(L.HEADER_LIVE) / 8 + 8) codebook(current).lossy = 1;
  atomic.add<u32>(L.HEADER_CODES_EPOCH, 1);
  atomic.store<u32>(L.HEADER_REENCODE_NEXT, 0);
  return true;
}

/** The writer may be giving the slot to another row: then the stamp has changed and the code is written once more. */
function moveRow(slot: u32, current: u8): void {
  while (true) {
    const stamp = stampOf(slot);
    if (stamp & 1 || birthOf(slot) == 0 || <u8>generationOf(slot) == current) return;
    encodeRow(slot);
    fence();
    if (stampOf(slot) == stamp) return;
  }
}

/** Slots of up to SAMPLE_ROWS live rows, evenly spread, as u32 at `target`. */
function takeSample(target: usize): u32 {
  const used = slotsUsed();
  let wanted = min<u32>(SAMPLE_ROWS, used);
  // The probe keeps a code a row in the results area.
  wanted = min<u32>(wanted, (L.RESULT_BYTES * L.POOL_MAX) / header().codeBytes - 1);
  let count: u32 = 0;
  for (let i: u32 = 0; i < wanted; i++) {
    const slot = <u32>((<u64>i * used) / wanted);
    if (birthOf(slot) == 0 || deathOf(slot) != 0 || stampOf(slot) & 1) continue;
    store<u32>(target + ((<usize>count) << 2), slot);
    count++;
  }
  return count;
}

// @ts-ignore: decorator
@inline
function sampled(sample: usize, index: u32): u32 {
  return load<u32>(sample + ((<usize>index) << 2));
}

function measureRange(worker: Worker, sample: usize, rows: u32, book: Codebook): void {
  const dimensions = header().dimensions;
  let least: f32 = Infinity;
  let most: f32 = -Infinity;
  for (let i: u32 = 0; i < rows; i++) {
    const vector = vectorOf(sampled(sample, i));
    const factor = <f32>unitFactor(vector);
    for (let d: u32 = 0; d < dimensions; d++) {
      const x = load<f32>(vector + ((<usize>d) << 2)) * factor;
      least = min(least, x);
      most = max(most, x);
    }
  }
  let low = least;
  let high = most;
  const width = most - least;
  if (width > 0) {
    const bins = worker.pool;
    memory.fill(bins, 0, 4 * BINS);
    const perBin = <f32>BINS / width;
    for (let i: u32 = 0; i < rows; i++) {
      const vector = vectorOf(sampled(sample, i));
      const factor = <f32>unitFactor(vector);
      for (let d: u32 = 0; d < dimensions; d++) {
        const x = load<f32>(vector + ((<usize>d) << 2)) * factor;
        const bin = bins + ((<usize>min<u32>(<u32>((x - least) * perBin), BINS - 1)) << 2);
        store<u32>(bin, load<u32>(bin) + 1);
      }
    }
    const share = header().metric == L.METRIC_DOT ? 0 : CLAMPED_SHARE;
    const allowed = <u32>(<f64>rows * dimensions * share);
    const lowBin = quantile(bins, allowed, false);
    const highBin = quantile(bins, allowed, true);
    low = least + <f32>lowBin / perBin;
    high = least + <f32>(highBin + 1) / perBin;
    // A range that clamping would hardly narrow is kept whole.
    if ((high - low) * 1.5 > width) {
      low = least;
      high = most;
    }
  }
  // Data without extent still needs a scale.
  const floor = max<f32>(max(abs(low), abs(high)) * 1e-5, 1e-30);
  if (high - low < floor) high = low + floor;
  setRange(book, low, high);
}

/** The bin below (or, from above, over) which `allowed` components lie. */
function quantile(bins: usize, allowed: u32, fromAbove: bool): u32 {
  let seen: u32 = 0;
  for (let i: u32 = 0; i < BINS; i++) {
    const bin = fromAbove ? BINS - 1 - i : i;
    seen += load<u32>(bins + ((<usize>bin) << 2));
    if (seen > allowed) return bin;
  }
  return 0;
}

function setRange(book: Codebook, low: f32, high: f32): void {
  let scale = (high - low) / 127;
  book.zero = 0;
  if (header().metric == L.METRIC_DOT) {
    // One step more, so that the range still holds after `low` moved to a whole multiple of the scale.
    scale = (high - low) / 126;
    const multiple = floor(low / scale);
    low = multiple * scale;
    book.zero = <i32>max<f32>(-1e9, min<f32>(1e9, multiple));
  }
  book.low = low;
  book.scale = scale;
  book.inverse = 1 / scale;
}

function hasMoved(before: Codebook, after: Codebook): bool {
  const ratio = after.scale / before.scale;
  const shift = abs(after.low - before.low) / before.scale;
  return ratio > 1.1 || ratio < 0.8 || shift > 12;
}

/** Measures, on the sample itself, whether the codes' best candidates hold the true neighbours. */
function isLossy(worker: Worker, sample: usize, rows: u32, book: Codebook): i32 {
  const h = header();
  if (h.metric == L.METRIC_DOT) {
    // Sums times `zero` must stay integers of 31 bits.
    if (<f64>abs(book.zero) * 127.0 * <f64>h.dimensions > 1e9) return 1;
  }
  if (rows <= PROBE_CANDIDATES * 2) return 0;
  const codes = worker.results;
  for (let i: u32 = 0; i < rows; i++) {
    const vector = vectorOf(sampled(sample, i));
    encode(vector, unitFactor(vector), codes + <usize>i * h.codeBytes, book);
  }
  let found: u32 = 0;
  const probes = min<u32>(PROBES, rows);
  for (let p: u32 = 0; p < probes; p++) {
    found += probe(worker, sample, rows, codes, <u32>((<u64>p * rows) / probes), book);
  }
  return found * 100 < probes * PROBE_K * PROBE_RECALL_PERCENT ? 1 : 0;
}

/** How many of a sampled row's true neighbours are among its best candidates by code. */
function probe(worker: Worker, sample: usize, rows: u32, codes: usize, index: u32, book: Codebook): u32 {
  const h = header();
  const own = vectorOf(sampled(sample, index));
  const factor = unitFactor(own);
  const code = codes + <usize>index * h.codeBytes;
  const keys = worker.pool;
  heapReset(worker, PROBE_CANDIDATES);
  for (let i: u32 = 0; i < rows; i++) {
    const other = codes + <usize>i * h.codeBytes;
    let key: u32;
    if (h.metric == L.METRIC_DOT) {
      const product = dotCodes(code, other, h.codeBytes) + book.zero * sumCode(other, h.codeBytes);
      key = <u32>-product ^ 0x80000000;
    } else {
      key = <u32>squaredCodes(code, other, h.codeBytes);
    }
    store<u32>(keys + ((<usize>i) << 2), key);
    if (i != index) heapOffer(worker, key, i);
  }
  const bar = <u32>(load<u64>(worker.heap) >> 32);
  heapReset(worker, PROBE_K);
  for (let i: u32 = 0; i < rows; i++) {
    if (i == index) continue;
    const other = vectorOf(sampled(sample, i));
    let distance: f32;
    if (h.metric == L.METRIC_L2) distance = squaredL2(own, other, h.vectorStride);
    else if (h.metric == L.METRIC_DOT) distance = -dot(own, other, h.vectorStride);
    else distance = cosine(own, other, h.vectorStride, factor);
    heapOffer(worker, orderedBits(distance), i);
  }
  let found: u32 = 0;
  for (let i: u32 = 0; i < worker.heapSize; i++) {
    const near = <u32>load<u64>(worker.heap + ((<usize>i) << 3));
    if (load<u32>(keys + ((<usize>near) << 2)) <= bar) found++;
  }
  return found + (PROBE_K - worker.heapSize);
}

/** Bits of a float32 as an unsigned number of the same order. */
// @ts-ignore: decorator
@inline
export function orderedBits(value: f32): u32 {
  const bits = reinterpret<i32>(value);
  return <u32>(bits ^ ((bits >> 31) | <i32>0x80000000));
}

// @ts-ignore: decorator
@inline
export function fromOrderedBits(key: u32): f32 {
  const bits = <i32>key;
  return reinterpret<f32>(bits < 0 ? bits ^ <i32>0x80000000 : ~bits);
}
