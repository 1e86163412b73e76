/**
 * The header of a shard's memory, at address 0. State that outlives a call stands here and never in
 * a global: each thread's instance has globals of its own. The picture of the bytes is in
 * layout.ts; the checks below hold us to it.
 */
import * as L from "./layout";

@unmanaged
export class Codebook {
  low: f32;
  scale: f32;
  inverse: f32;
  zero: i32;
  lossy: i32;
  coarse: i32;
  pad0: u64;
  starts0: u64;
  starts1: u64;
  mask0: u64;
  mask1: u64;
  levels0: u64;
  levels1: u64;
  mask2: u64;
  mask3: u64;
}

@unmanaged
export class Header {
  magic: u32;
  version: u32;
  dimensions: u32;
  metric: u32;
  m: u32;
  quantization: u32;
  capacity: u32;
  workers: u32;
  codeBytes: u32;
  rowStride: u32;
  vectorStride: u32;
  upperStride: u32;
  upperCapacity: u32;
  tailCapacity: u32;
  workersBase: usize;
  workerStride: u32;
  upperBase: usize;
  tailBase: usize;
  scratchBase: usize;
  bitmapBase: usize;
  bitmapStride: u32;
  rowsBase: usize;
  vectorsBase: usize;
  end: usize;
  codesBase: usize;
  codeStride: u32;
  deadBase: usize;
  dirtyBase: usize;
  dirtyStride: u32;
  dirtyNow: usize;
  doomedBase: usize;
  reachBase: usize;
}

if (offsetof<Header>("dimensions") != L.HEADER_DIMENSIONS) ERROR("Header drifted from layout.ts");
if (offsetof<Header>("codeBytes") != L.HEADER_CODE_BYTES) ERROR("Header drifted from layout.ts");
if (offsetof<Header>("workersBase") != L.HEADER_WORKERS_BASE)
  ERROR("Header drifted from layout.ts");
if (offsetof<Header>("rowsBase") != L.HEADER_ROWS_BASE) ERROR("Header drifted from layout.ts");
if (offsetof<Header>("reachBase") != L.HEADER_REACH_BASE) ERROR("Header drifted from layout.ts");
if (offsetof<Header>("deadBase") != L.HEADER_DEAD_BASE) ERROR("Header drifted from layout.ts");
if (offsetof<Header>("dirtyNow") != L.HEADER_DIRTY_NOW) ERROR("Header drifted from layout.ts");
if (offsetof<Header>("end") != L.HEADER_END) ERROR("Header drifted from layout.ts");
if (offsetof<Codebook>("lossy") != L.CODEBOOK_LOSSY) ERROR("Codebook drifted from layout.ts");
if (offsetof<Codebook>("starts0") != L.CODEBOOK_STARTS) ERROR("Codebook drifted from layout.ts");
if (offsetof<Codebook>("levels0") != L.CODEBOOK_LEVELS) ERROR("Codebook drifted from layout.ts");
if (offsetof<Codebook>() != L.CODEBOOK_BYTES) ERROR("Codebook drifted from layout.ts");

// @ts-ignore: decorator
@inline
export function header(): Header {
  return changetype<Header>(0);
}

/**
 * The codebook of a generation: two lie side by side, so that the one before stays readable while
 * rows move over.
 */
// @ts-ignore: decorator
@inline
export function codebook(generation: u32): Codebook {
  return changetype<Codebook>(generation & 1 ? L.HEADER_CODEBOOK_B : L.HEADER_CODEBOOK_A);
}

// @ts-ignore: decorator
@inline
export function slotsUsed(): u32 {
  return atomic.load<u32>(L.HEADER_SLOTS_USED);
}

/** The generation that new codes are written in; 0 means that no range has been learned yet. */
// @ts-ignore: decorator
@inline
export function generation(): u32 {
  return atomic.load<u32>(L.HEADER_GENERATION);
}

/**
 * Rows whose code is rough or of the generation before: while there are any, walks look at each
 * row's own kind.
 */
// @ts-ignore: decorator
@inline
export function irregular(): u32 {
  return atomic.load<u32>(L.HEADER_IRREGULAR);
}

/**
 * A full fence. The compiler's own fence instruction does not validate, and a read-modify-write
 * orders just as well: what was read or written before it stays before it.
 */
// @ts-ignore: decorator
@inline
export function fence(): void {
  atomic.add<u32>(L.HEADER_FENCE, 0);
}
