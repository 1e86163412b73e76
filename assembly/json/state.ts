/**
 * What the scanner remembers between two steps. It lies in the desk memory, since every thread and
 * every body has its own; offsets the host knows are in assembly/desk.ts and checked here. All
 * positions are addresses.
 */
import {
  DEPTH_MAX,
  DESK_FRAMES,
  DESK_SCRATCH,
  FRAME_BYTES,
  FRAME_COUNT,
  FRAME_KEY,
  FRAME_KIND,
  SCAN_BYTES,
  SCAN_CUT_END,
  SCAN_DEPTH,
  SCAN_FAULT,
  SCAN_FAULT_CODE,
  SCAN_FLOATS,
  SCAN_HASH_MULTIPLIER,
  SCAN_MORE,
  SCAN_ODDITY_COUNT,
  SCAN_SKELETON_END,
  SCAN_TABLE,
  SCAN_VECTORS,
  VECTOR_BYTES,
  VECTOR_COUNT,
  VECTOR_FAULT,
  VECTOR_FAULT_INDEX,
  VECTOR_KEY,
  VECTOR_ROW,
  VECTOR_SOUND,
} from "../desk";

/** What may come next. The last two mean that the scanner stands inside a string. */
export const EXPECT_VALUE: u32 = 0;
export const EXPECT_VALUE_OR_END: u32 = 1;
export const EXPECT_KEY: u32 = 2;
export const EXPECT_KEY_OR_END: u32 = 3;
export const EXPECT_COLON: u32 = 4;
export const EXPECT_COMMA_OR_END: u32 = 5;
export const EXPECT_NOTHING: u32 = 6;
export const EXPECT_STRING: u32 = 7;
export const EXPECT_BASE64: u32 = 8;

/** What a frame stands for. A row may have a vector and metadata; rows is an array of them. */
export const ROLE_PLAIN: u32 = 0;
export const ROLE_ROW: u32 = 1;
export const ROLE_ROWS: u32 = 2;
export const ROLE_VECTOR: u32 = 3;
export const ROLE_METADATA: u32 = 4;

/** Which member of a row the next value belongs to. */
export const MEMBER_PLAIN: u32 = 0;
export const MEMBER_VECTOR: u32 = 1;
export const MEMBER_METADATA: u32 = 2;

/**
 * Up to so many names of an object are compared one by one; with the next they move into the table.
 */
export const FRAME_KEYS_MAX: u32 = 15;

@unmanaged
export class Scan {
  position: usize;
  end: usize;
  skeleton: usize;
  skeletonEnd: usize;
  floats: usize;
  vectors: usize;
  vectorCount: u32;
  metadata: usize;
  metadataCount: u32;
  oddityCount: u32;
  table: usize;
  tableMask: u32;
  tableClean: u32;
  hashSeed: u32;
  hashMultiplier: u32;
  depth: u32;
  fault: u32;
  /**
   * Where cuts are written; all are in one array, the member of the root whose name is at cutKey.
   */
  cuts: usize;
  cutCount: u32;
  cutKey: usize;
  /** The skeleton's address of the bracket that closes that array. */
  cutEnd: usize;
  expect: u32;
  /** A step ends once position reaches this; costly work moves it nearer. */
  limit: usize;
  member: u32;
  /** Nothing goes to the skeleton: the scanner is inside a vector or a metadata object. */
  isMuted: u32;
  /** The opening quote of the string it stands in. */
  string: usize;
  stringIsKey: u32;
  stringHasEscape: u32;
  /** Sextets gathered towards the next three bytes, how many, and the padding seen. */
  sextets: u32;
  sextetCount: u32;
  paddingCount: u32;
  /** Floats before this address have been looked at. */
  checked: usize;
}

@unmanaged
export class Frame {
  kind: u32;
  /** The opening quote of the name of the member being read; 0 between members. */
  key: usize;
  /** Elements or members before the one being read. */
  count: u32;
  role: u32;
  /** The opening bracket; no two objects share it, so it keeps their names apart in the table. */
  start: usize;
  keyCount: u32;
  isInTable: u32;
}

@unmanaged
export class Vector {
  floats: usize;
  count: u32;
  fault: u32;
  faultIndex: u32;
  row: i32;
  key: usize;
}

@unmanaged
export class Metadata {
  start: usize;
  end: usize;
}

@unmanaged
export class Oddity {
  source: usize;
  float: usize;
  vector: u32;
}

if (offsetof<Scan>("skeletonEnd") != SCAN_SKELETON_END) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("floats") != SCAN_FLOATS) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("vectors") != SCAN_VECTORS) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("oddityCount") != SCAN_ODDITY_COUNT) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("table") != SCAN_TABLE) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("hashMultiplier") != SCAN_HASH_MULTIPLIER) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("depth") != SCAN_DEPTH) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("fault") != SCAN_FAULT_CODE) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>("cutEnd") != SCAN_CUT_END) ERROR("Scan drifted from desk.ts");
if (offsetof<Scan>() > <usize>SCAN_BYTES) ERROR("Scan has outgrown its place in desk.ts");
if (offsetof<Frame>("kind") != FRAME_KIND) ERROR("Frame drifted from desk.ts");
if (offsetof<Frame>("key") != FRAME_KEY) ERROR("Frame drifted from desk.ts");
if (offsetof<Frame>("count") != FRAME_COUNT) ERROR("Frame drifted from desk.ts");
if (offsetof<Frame>() + FRAME_KEYS_MAX * 8 > <usize>FRAME_BYTES) ERROR("Frame has outgrown it");
if (DESK_FRAMES + (DEPTH_MAX + 1) * FRAME_BYTES > DESK_SCRATCH) ERROR("frames end in the scratch");
if (offsetof<Vector>("count") != VECTOR_COUNT) ERROR("Vector drifted from desk.ts");
if (offsetof<Vector>("fault") != VECTOR_FAULT) ERROR("Vector drifted from desk.ts");
if (offsetof<Vector>("faultIndex") != VECTOR_FAULT_INDEX) ERROR("Vector drifted from desk.ts");
if (offsetof<Vector>("row") != VECTOR_ROW) ERROR("Vector drifted from desk.ts");
if (offsetof<Vector>("key") != VECTOR_KEY) ERROR("Vector drifted from desk.ts");
if (offsetof<Vector>() != VECTOR_BYTES) ERROR("Vector drifted from desk.ts");

// @ts-ignore: decorator
@inline
export function frameAt(depth: u32): Frame {
  return changetype<Frame>(<usize>DESK_FRAMES + <usize>depth * FRAME_BYTES);
}

/**
 * The frame of the innermost open object or array; at depth 0 a plain one that stands for the body.
 */
// @ts-ignore: decorator
@inline
export function topFrame(scan: Scan): Frame {
  return frameAt(scan.depth);
}

/** The vector being read, which is always the last one. */
// @ts-ignore: decorator
@inline
export function lastVector(scan: Scan): Vector {
  return changetype<Vector>(scan.vectors + <usize>(scan.vectorCount - 1) * VECTOR_BYTES);
}

export function fail(scan: Scan, fault: u32, position: usize): i32 {
  scan.fault = fault;
  scan.position = position;
  return SCAN_FAULT;
}

/** Only the first fault of a vector is kept. */
export function blame(vector: Vector, fault: u32, index: u32): void {
  if (vector.fault != VECTOR_SOUND) return;
  vector.fault = fault;
  vector.faultIndex = index;
}

/** A value ends before `end`. */
export function endValue(scan: Scan, end: usize): i32 {
  scan.position = end;
  scan.member = MEMBER_PLAIN;
  scan.expect = scan.depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
  return SCAN_MORE;
}

// @ts-ignore: decorator
@inline
export function emitByte(scan: Scan, byte: u32): void {
  if (scan.isMuted) return;
  store<u8>(scan.skeleton, byte);
  scan.skeleton += 1;
}

/** Appends source bytes as they are; false when they do not fit. */
export function emitSpan(scan: Scan, start: usize, end: usize): bool {
  if (scan.isMuted) return true;
  const length = end - start;
  if (length > scan.skeletonEnd - scan.skeleton) return false;
  // Both areas are padded, so whole blocks may be copied; long texts are worth the call into the
  // host's memmove.
  if (length > 256) memory.copy(scan.skeleton, start, length);
  else {
    for (let at: usize = 0; at < length; at += 16) {
      v128.store(scan.skeleton + at, v128.load(start + at));
    }
  }
  scan.skeleton += length;
  return true;
}
