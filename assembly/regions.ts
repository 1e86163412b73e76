/**
 * Where everything lies in a shard's memory: computed once when the shard is made, kept in the
 * header.
 */
import { bayCount, sheds } from "./bays";
import { header } from "./header";
import * as L from "./layout";
import { Worker } from "./worker";

// @ts-ignore: decorator
@inline
function align(value: u64, to: u64): u64 {
  return (value + to - 1) & ~(to - 1);
}

function powerOfTwo(value: u64): u64 {
  let power: u64 = 1024;
  while (power < value) power <<= 1;
  return power;
}

/** A half of a code fills whole cache lines where that costs little. */
function halfStride(bytes: u32): u32 {
  const lines = (bytes + 63) & ~63;
  return lines - bytes <= bytes >> 2 ? lines : bytes;
}

/**
 * One row in M owns units above level 0, 1 / (M - 1) units a row on average; a quarter more is
 * kept.
 */
function upperUnits(capacity: u64, m: u64): u64 {
  return (capacity * 5) / ((m - 1) * 4) + 1024;
}

/**
 * Bytes that a shard of that capacity spans, for the settings already in the header; with `place`
 * it also says where.
 */
function span(capacity: u64, place: bool): u64 {
  const h = header();
  const fixed = Worker.fixedBytes(h.vectorStride, h.codeBytes);
  const workerStride = align(fixed + capacity, 4096);
  const workersBase: u64 = L.HEADER_BYTES;
  const upperBase = align(workersBase + workerStride * h.workers, 4096);
  const upperCapacity = upperUnits(capacity, h.m);
  const tailBase = align(upperBase + upperCapacity * h.upperStride, 4096);
  const tailCapacity = powerOfTwo(capacity);
  const scratchBase = align(tailBase + tailCapacity * 4, 4096);
  const bitmapStride = align((capacity + 7) / 8, 64);
  const bitmapBase = align(scratchBase + capacity * 4, 4096);
  const deadBase = align(bitmapBase + bitmapStride * h.workers, 4096);
  const doomedBase = align(deadBase + bitmapStride, 4096);
  const reachBase = align(doomedBase + bitmapStride, 4096);
  const dirtyBase = align(reachBase + 7 * bitmapStride, 4096);
  const codesBase = align(dirtyBase + 2 * <u64>h.dirtyStride, 4096);
  const finesBase = align(codesBase + capacity * h.codeStride, 4096);
  const rowsBase = align(finesBase + (capacity * h.codeBytes) / 2, 4096);
  const baysBase = align(rowsBase + capacity * h.rowStride, 4096);
  const vectorsBase = sheds() ? align(baysBase + capacity * 4, 4096) : baysBase;
  const vectors = sheds() ? bayCount(capacity) : capacity;
  const end = vectorsBase + vectors * h.vectorStride;
  if (!place) return end;
  h.capacity = <u32>capacity;
  h.workersBase = <usize>workersBase;
  h.workerStride = <u32>workerStride;
  h.upperBase = <usize>upperBase;
  h.upperCapacity = <u32>upperCapacity;
  h.tailBase = <usize>tailBase;
  h.tailCapacity = <u32>tailCapacity;
  h.scratchBase = <usize>scratchBase;
  h.bitmapBase = <usize>bitmapBase;
  h.bitmapStride = <u32>bitmapStride;
  h.deadBase = <usize>deadBase;
  h.dirtyBase = <usize>dirtyBase;
  h.dirtyNow = <usize>dirtyBase;
  h.doomedBase = <usize>doomedBase;
  h.reachBase = <usize>reachBase;
  h.codesBase = <usize>codesBase;
  store<usize>(L.HEADER_FINES_BASE, <usize>finesBase);
  h.rowsBase = <usize>rowsBase;
  if (sheds()) {
    store<usize>(L.HEADER_BAYS_BASE, <usize>baysBase);
    store<u32>(L.HEADER_BAYS, <u32>vectors);
    store<u32>(L.HEADER_BAYS_USED, L.BAYS_RESERVED);
  }
  h.vectorsBase = <usize>vectorsBase;
  h.end = <usize>end;
  return end;
}

/**
 * Lays out an untouched memory of `memoryBytes` bytes for as many rows as fit, `capacityMax` at
 * most. Returns the capacity, or 0 when not even one row fits. The host has checked the settings.
 */
export function format(
  dimensions: u32,
  metric: u32,
  m: u32,
  quantization: u32,
  keep: u32,
  workers: u32,
  capacityMax: u32,
  memoryBytes: f64,
): u32 {
  const h = header();
  h.dimensions = dimensions;
  h.metric = metric;
  h.m = m;
  h.quantization = quantization;
  h.workers = workers;
  store<u32>(L.HEADER_KEEP, keep);
  h.codeBytes =
    quantization == L.QUANTIZATION_SQ8 && dimensions >= <u32>L.CODE_DIMENSIONS_MIN
      ? (dimensions + 31) & ~31
      : 0;
  h.codeStride = halfStride(h.codeBytes >> 1);
  h.rowStride = (L.ROW_HEAD_BYTES + 8 * m + 63) & ~63;
  h.vectorStride = (dimensions * 4 + 15) & ~15;
  h.upperStride = (4 + 4 * m + 7) & ~7;
  h.dirtyStride = <u32>align(<u64>memoryBytes >> L.DIRTY_SHIFT, 4096);
  const bytes = <u64>min(memoryBytes, <f64>L.MEMORY_END_MAX);
  let low: u64 = 0;
  let high: u64 = min<u64>(capacityMax, L.NO_SLOT - 1);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (span(middle, false) <= bytes) low = middle;
    else high = middle - 1;
  }
  if (low == 0) return 0;
  span(low, true);
  store<u32>(L.HEADER_FREE_HEAD, L.NO_SLOT);
  store<u32>(L.HEADER_FREE_TAIL, L.NO_SLOT);
  store<u64>(L.HEADER_ENTRY, L.NO_SLOT);
  for (let worker: u32 = 0; worker < workers; worker++) Worker.place(worker);
  h.version = sheds() ? L.LAYOUT_VERSION_SHED : L.LAYOUT_VERSION;
  h.magic = L.LAYOUT_MAGIC;
  return <u32>low;
}
