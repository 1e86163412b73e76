/**
 * What becomes of a row's vector and metadata: the one is converted to float32, the other left
 * where it lies, and the skeleton gets a handle for each. While the scanner is inside of them the
 * skeleton is muted.
 */
import {
  CUT_BYTES,
  CUT_DISTANCE_BYTES,
  DESK_ODDITIES,
  DESK_POWERS,
  METADATA_BYTES,
  ODDITIES_MAX,
  ODDITY_BYTES,
  SCAN_FAULT,
  SCAN_MORE,
  SCAN_ODDITIES,
  VECTOR_OUT_OF_RANGE,
  VECTOR_SOUND,
} from "../desk";
import {
  COMPONENT_OUT_OF_RANGE,
  COMPONENT_READ,
  readComponent,
  readOddComponent,
} from "../numbers";
import {
  blame,
  emitByte,
  endValue,
  EXPECT_BASE64,
  EXPECT_COMMA_OR_END,
  EXPECT_VALUE,
  Frame,
  frameAt,
  lastVector,
  MEMBER_VECTOR,
  Metadata,
  Oddity,
  Scan,
  topFrame,
} from "./state";
import { skipNumber } from "./tokens";

const COMMA: u32 = 0x2c;
const SPACE: u32 = 0x20;

/** Appends a handle in decimal. */
function emitHandle(scan: Scan, handle: u32): void {
  let scale: u32 = 1;
  while (handle / scale >= 10) scale *= 10;
  for (; scale != 0; scale /= 10) emitByte(scan, 0x30 + ((handle / scale) % 10));
}

/**
 * Appends `null` or `false` for a number that stood where a handle could: it must not be taken for
 * one.
 */
export function emitForged(scan: Scan): void {
  const isVector = scan.member == MEMBER_VECTOR;
  store<u32>(scan.skeleton, isVector ? 0x6c6c756e : 0x736c6166);
  if (!isVector) store<u8>(scan.skeleton, 0x65, 4);
  scan.skeleton += isVector ? 4 : 5;
}

export function openVector(scan: Scan): void {
  scan.vectorCount += 1;
  scan.isMuted = 1;
  scan.floats = (scan.floats + 15) & ~15;
  const vector = lastVector(scan);
  vector.floats = scan.floats;
  vector.count = 0;
  vector.fault = VECTOR_SOUND;
  vector.faultIndex = 0;
  vector.row = scan.depth == 1 ? -1 : frameAt(2).count;
  vector.key = frameAt(1).key;
}

export function closeVector(scan: Scan): void {
  const vector = lastVector(scan);
  vector.count = <u32>((scan.floats - vector.floats) >> 2);
  scan.isMuted = 0;
  emitHandle(scan, scan.vectorCount - 1);
}

// @ts-ignore: decorator
@inline
function lastMetadata(scan: Scan): Metadata {
  return changetype<Metadata>(scan.metadata + <usize>(scan.metadataCount - 1) * METADATA_BYTES);
}

export function openMetadata(scan: Scan): void {
  scan.metadataCount += 1;
  scan.isMuted = 1;
  lastMetadata(scan).start = scan.position;
}

export function closeMetadata(scan: Scan, end: usize): void {
  lastMetadata(scan).end = end;
  scan.isMuted = 0;
  emitHandle(scan, scan.metadataCount - 1);
}

/** The string is valid; now it is walked again as base64. */
export function openBase64(scan: Scan): i32 {
  openVector(scan);
  scan.checked = scan.floats;
  scan.sextets = 0;
  scan.sextetCount = 0;
  scan.paddingCount = 0;
  // What is left of the budget goes back with the position.
  scan.limit -= scan.position - (scan.string + 1);
  scan.position = scan.string + 1;
  scan.expect = EXPECT_BASE64;
  return SCAN_MORE;
}

/**
 * Components, as long as they come one after the other and the budget lasts. The position is on the
 * first.
 */
export function stepComponents(scan: Scan): i32 {
  const limit = scan.limit;
  const frame = topFrame(scan);
  let position = scan.position;
  let target = scan.floats;
  let count = frame.count;
  do {
    const next = readComponent(position, target, DESK_POWERS);
    if (next == 0) {
      if (position == scan.position) return stepOddComponent(scan, frame);
      break;
    }
    target += 4;
    if (<u32>load<u8>(next) != COMMA) {
      scan.expect = EXPECT_COMMA_OR_END;
      position = next;
      break;
    }
    count++;
    position = next + 1;
    position += usize(<u32>load<u8>(position) == SPACE);
    scan.expect = EXPECT_VALUE;
  } while (position < limit);
  frame.count = count;
  scan.floats = target;
  scan.position = position;
  return SCAN_MORE;
}

/**
 * A number that the fast conversion refused: malformed, out of range, very long, or too near a
 * middle.
 */
function stepOddComponent(scan: Scan, frame: Frame): i32 {
  const start = scan.position;
  const end = skipNumber(scan, start, false);
  if (end == 0) return SCAN_FAULT;
  const found = readOddComponent(start, scan.floats, DESK_POWERS);
  const vector = lastVector(scan);
  if (found == COMPONENT_OUT_OF_RANGE) blame(vector, VECTOR_OUT_OF_RANGE, frame.count);
  else if (found != COMPONENT_READ) noteOddity(scan, start);
  scan.floats += 4;
  endValue(scan, end);
  return scan.oddityCount == ODDITIES_MAX ? SCAN_ODDITIES : SCAN_MORE;
}

function noteOddity(scan: Scan, source: usize): void {
  const oddity = changetype<Oddity>(<usize>DESK_ODDITIES + <usize>scan.oddityCount * ODDITY_BYTES);
  oddity.source = source;
  oddity.float = scan.floats;
  oddity.vector = scan.vectorCount - 1;
  scan.oddityCount += 1;
}

/** Between two elements of an array in the root: is it far enough from the last cut for another? */
export function noteCut(scan: Scan): void {
  const key = frameAt(1).key;
  const next = scan.cuts + <usize>scan.cutCount * CUT_BYTES;
  if (scan.skeleton - load<u32>(next - CUT_BYTES) < <usize>CUT_DISTANCE_BYTES) return;
  if (scan.cutCount != 0 && scan.cutKey != key) return;
  scan.cutKey = key;
  store<u32>(next, <u32>scan.skeleton);
  scan.cutCount += 1;
}
