/**
 * How the codes' range is learned: from a sample of live rows, the span that holds all but a sliver
 * of their components; probe.ts then tells whether codes of that range are good enough to walk by.
 */
import { bayEntry, baysLeft, floatsOf, sheds } from "./bays";
import { beginGeneration, isReencoding, reencode } from "./codebook";
import { encode, unitFactor } from "./encode";
import { cutCells } from "./cells";
import { markDirty } from "./dirty";
import { Codebook, codebook, generation, header, irregular, slotsUsed } from "./header";
import * as L from "./layout";
import { codeAt, isGood, sampled } from "./probe";
import { birthOf, deathOf, stampOf } from "./row";
import { Worker } from "./worker";

/**
 * Rows that the range is learned from, bins of their histogram, and the share that may be clamped
 * at either end.
 */
const SAMPLE_ROWS: u32 = 1024;
const BINS: u32 = 4096;
const CLAMPED_SHARE: f64 = 0.0005;
/** Where only codes stay, so many of the sampled rows at most lose something at an end of it. */
const CLAMPED_ROWS: u32 = 128;
/** A range that clamping narrows by less than this factor is kept whole. */
const HARDLY_NARROWER: f32 = 1.5;
/** One sampled row in so many may be rough, half of what walks bear. */
const ROUGH_SHARE: u32 = 512;
/** How much longer steps may become for that. */
const WIDENED_MAX: f32 = 2;

/**
 * Learns the range from a sample of live rows and begins a new generation if it differs enough from
 * the present one. The caller holds the maintenance lock.
 */
export function learn(worker: Worker): void {
  const next = generation() + 1;
  const book = codebook(next);
  const sample = worker.order;
  const rows = takeSample(worker, sample);
  if (rows == 0) return settleLearning();
  measureRange(worker, sample, rows, book);
  if (sheds() && next > 1) widen(book, codebook(next - 1));
  book.lossy = 0;
  book.coarse = 0;
  if (next > 1 && !hasMoved(codebook(next - 1), book)) {
    settleLearning();
    // The range is the same, but more rows may show that its codes are too coarse for them.
    const present = codebook(next - 1);
    if (!present.lossy) judge(worker, sample, rows, present);
    return;
  }
  begin(worker, sample, rows, book, next);
}

function begin(worker: Worker, sample: usize, rows: u32, book: Codebook, next: u32): void {
  encodeSample(worker, sample, rows, book);
  cut(worker, rows, book);
  book.coarse = isGood(worker, sample, rows, book, true);
  book.lossy = <i32>!(book.coarse || isGood(worker, sample, rows, book, false));
  beginGeneration(next);
}

/**
 * Writer only, with the maintenance lock, where float32 is not kept and the bays run out: a range
 * that holds whatever lies in one, and all rows moved to it. They leave their bays.
 */
export function emptyBays(worker: Worker): void {
  while (isReencoding()) reencode(u32.MAX_VALUE);
  if (baysLeft() > load<u32>(L.HEADER_BAYS) / 2) return;
  const next = generation() + 1;
  const book = codebook(next);
  const sample = worker.order;
  const rows = takeSample(worker, sample);
  let least: f32 = Infinity;
  let most: f32 = -Infinity;
  for (let slot: u32 = 0; slot < slotsUsed(); slot++) {
    if (birthOf(slot) == 0 || load<u32>(bayEntry(slot)) == 0) continue;
    const vector = floatsOf(slot, 0);
    const factor = <f32>unitFactor(vector);
    if (!(factor < Infinity)) continue;
    for (let d: u32 = 0; d < header().dimensions; d++) {
      const x = load<f32>(vector + ((<usize>d) << 2)) * factor;
      least = min(least, x);
      most = max(most, x);
    }
  }
  if (!(least <= most)) return;
  setRange(book, least, most);
  if (next > 1) widen(book, codebook(next - 1));
  begin(worker, sample, rows, book, next);
  while (!reencode(u32.MAX_VALUE)) continue;
  markDirty(header().rowsBase, <usize>slotsUsed() * header().rowStride);
}

/** Ranges only grow where a row that leaves one could not be measured again. */
function widen(book: Codebook, before: Codebook): void {
  const low = min(book.low, before.low);
  const high = max(book.low + 127 * book.scale, before.low + 127 * before.scale);
  setRange(book, low, high);
}

/** Whether the codes in use, or their halves, have grown too coarse for the rows. */
function judge(worker: Worker, sample: usize, rows: u32, book: Codebook): void {
  encodeSample(worker, sample, rows, book);
  if (book.coarse && isGood(worker, sample, rows, book, true)) return;
  const isLossy = !isGood(worker, sample, rows, book, false);
  if (!isLossy && !book.coarse) return;
  book.coarse = 0;
  book.lossy = <i32>isLossy;
  atomic.add<u32>(L.HEADER_CODES_EPOCH, 1);
}

/** Nothing to learn until the rows have changed again. */
function settleLearning(): void {
  atomic.store<u32>(L.HEADER_LEARNED_AT, atomic.load<u32>(L.HEADER_LIVE));
  atomic.store<u32>(L.HEADER_ROUGH_SEEN, atomic.load<u32>(L.HEADER_IRREGULAR));
}

/** Slots of up to SAMPLE_ROWS live rows, evenly spread, as u32 at `target`. */
function takeSample(worker: Worker, target: usize): u32 {
  const used = slotsUsed();
  let wanted = min<u32>(SAMPLE_ROWS, used);
  // The probes keep a code a row in the results area.
  wanted = min<u32>(wanted, (L.RESULT_BYTES * L.POOL_MAX) / header().codeBytes - 1);
  let count: u32 = 0;
  for (let i: u32 = 0; i < wanted; i++) {
    const slot = <u32>((<u64>i * used) / wanted);
    if (!isLiving(worker, slot)) continue;
    store<u32>(target + ((<usize>count) << 2), slot);
    count++;
  }
  return count * 4 < wanted ? takeLiving(worker, target, wanted) : count;
}

/** Where most rows are dead, the living ones are looked for one by one: each n-th of them. */
function takeLiving(worker: Worker, target: usize, wanted: u32): u32 {
  const step = max<u32>(1, atomic.load<u32>(L.HEADER_LIVE) / wanted);
  const used = slotsUsed();
  let met: u32 = 0;
  let count: u32 = 0;
  for (let slot: u32 = 0; slot < used && count < wanted; slot++) {
    if (!isLiving(worker, slot) || met++ % step != 0) continue;
    store<u32>(target + ((<usize>count) << 2), slot);
    count++;
  }
  return count;
}

// @ts-ignore: decorator
@inline
function isLiving(worker: Worker, slot: u32): bool {
  if (birthOf(slot) == 0 || deathOf(slot) != 0 || (stampOf(slot) & 1) != 0) return false;
  // A row too short for float32 to bring to unit length would teach a range of NaN.
  return <f32>unitFactor(floatsOf(slot, worker.floatsA)) < Infinity;
}

function measureRange(worker: Worker, sample: usize, rows: u32, book: Codebook): void {
  const dimensions = header().dimensions;
  let least: f32 = Infinity;
  let most: f32 = -Infinity;
  for (let i: u32 = 0; i < rows; i++) {
    const vector = floatsOf(sampled(sample, i), worker.floatsA);
    const factor = <f32>unitFactor(vector);
    for (let d: u32 = 0; d < dimensions; d++) {
      const x = load<f32>(vector + ((<usize>d) << 2)) * factor;
      least = min(least, x);
      most = max(most, x);
    }
  }
  const width = most - least;
  if (width > 0) {
    const bins = worker.pool;
    memory.fill(bins, 0, 4 * BINS);
    const perBin = <f32>BINS / width;
    for (let i: u32 = 0; i < rows; i++) {
      const vector = floatsOf(sampled(sample, i), worker.floatsA);
      const factor = <f32>unitFactor(vector);
      for (let d: u32 = 0; d < dimensions; d++) {
        const x = load<f32>(vector + ((<usize>d) << 2)) * factor;
        const bin = bins + ((<usize>min<u32>(<u32>((x - least) * perBin), BINS - 1)) << 2);
        store<u32>(bin, load<u32>(bin) + 1);
      }
    }
    if (narrow(worker, sample, rows, book, least, width)) return;
  }
  setRange(book, least, most);
}

/**
 * Clamps a sliver at either end of the bins. Where that makes so many rows rough that walks would
 * be careful, less is clamped, while steps grow no more than twofold: true outliers stay rough.
 * False when clamping would hardly narrow the range, which is then kept whole.
 */
function narrow(
  worker: Worker,
  sample: usize,
  rows: u32,
  book: Codebook,
  least: f32,
  width: f32,
): bool {
  if (header().metric == L.METRIC_DOT) return false;
  const perBin = <f32>BINS / width;
  let allowed = clampable(rows);
  let firstLow: f32 = 0;
  let first: f32 = 0;
  while (true) {
    const low = least + <f32>quantile(worker.pool, allowed, false) / perBin;
    const high = least + <f32>(quantile(worker.pool, allowed, true) + 1) / perBin;
    if (first == 0) {
      if ((high - low) * HARDLY_NARROWER > width) return false;
      firstLow = low;
      first = high - low;
    }
    if (high - low > first * WIDENED_MAX) {
      setRange(book, firstLow, firstLow + first);
      return true;
    }
    setRange(book, low, high);
    if (allowed == 0) return true;
    if (encodeSample(worker, sample, rows, book) <= rows / ROUGH_SHARE) return true;
    allowed >>= 1;
  }
}

/** How many components of the sample may be clamped at either end. */
function clampable(rows: u32): u32 {
  if (sheds()) return rows / CLAMPED_ROWS;
  return <u32>(<f64>rows * header().dimensions * CLAMPED_SHARE);
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
  // Data without extent still needs a scale.
  const narrowest = max<f32>(max(abs(low), abs(high)) * 1e-5, 1e-30);
  if (high - low < narrowest) high = low + narrowest;
  let scale = (high - low) / 127;
  book.zero = 0;
  if (header().metric == L.METRIC_DOT) {
    // One step more, so that the range still holds after `low` moved to a whole multiple of the
    // scale.
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

/** Codes of the sampled rows, a byte a component, in the results area; how many are rough. */
function encodeSample(worker: Worker, sample: usize, rows: u32, book: Codebook): u32 {
  let rough: u32 = 0;
  for (let i: u32 = 0; i < rows; i++) {
    const vector = floatsOf(sampled(sample, i), worker.floatsA);
    rough += encode(vector, unitFactor(vector), codeAt(worker, i), book);
  }
  return rough;
}

/** Cuts the range into cells by the sample's codes. */
function cut(worker: Worker, rows: u32, book: Codebook): void {
  const counts = worker.pool;
  memory.fill(counts, 0, 4 * L.CODE_VALUES);
  for (let i: u32 = 0; i < rows; i++) {
    const code = codeAt(worker, i);
    for (let d: u32 = 0; d < header().dimensions; d++) {
      const count = counts + ((<usize>load<u8>(code + d)) << 2);
      store<u32>(count, load<u32>(count) + 1);
    }
  }
  cutCells(book, counts, counts + 4 * L.CODE_VALUES);
}
