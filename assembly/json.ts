/**
 * Reads a JSON body once, from the first byte to the last, in steps of a bounded size.
 *
 * It checks everything RFC 8259 asks and more (see the limits in desk.ts; no name twice in an
 * object, no lone surrogates, no integers that float64 cannot hold), and writes a *skeleton*: the
 * same JSON without the space between tokens and without the bulk. At a row position (the root
 * object, or an object in an array that is a member of the root) `vector` becomes a handle, its
 * components already float32, and a `metadata` object becomes a handle to its source bytes. A
 * handle is a bare number; a bare number that a client puts there is replaced by null or false, so
 * none can be forged. The skeleton is small and is left to JSON.parse.
 *
 * There is no recursion: open objects and arrays are frames in the desk memory. A step goes token
 * by token and may stop between two tokens, between two components, or between two characters of a
 * string; it never depends on where the step before it stopped. Inside vectors and metadata the
 * same grammar runs, muted.
 *
 * Here is the grammar. json/rows.ts has what becomes of vectors and metadata, json/base64.ts
 * vectors sent as text, json/text.ts strings, json/keys.ts duplicate names, json/tokens.ts the
 * short tokens.
 */
import {
  DEPTH_MAX,
  DESK_SCRATCH,
  FAULT_DEPTH,
  FAULT_DUPLICATE,
  FAULT_EMPTY,
  FAULT_KEY_BYTES,
  FAULT_METADATA_BYTES,
  FAULT_SKELETON,
  FAULT_TRAILING,
  KEY_BYTES_MAX,
  KIND_ARRAY,
  KIND_OBJECT,
  METADATA_BYTES_MAX,
  SCAN_DONE,
  SCAN_FAULT,
  SCAN_MORE,
  VECTOR_NOT_A_NUMBER,
} from "./desk";
import { walkBase64 } from "./json/base64";
import { addKey, hashKey } from "./json/keys";
import {
  closeMetadata,
  closeVector,
  emitForged,
  openBase64,
  noteCut,
  openMetadata,
  openVector,
  stepComponents,
} from "./json/rows";
import {
  blame,
  emitByte,
  emitSpan,
  endValue,
  EXPECT_BASE64,
  EXPECT_COLON,
  EXPECT_COMMA_OR_END,
  EXPECT_KEY,
  EXPECT_KEY_OR_END,
  EXPECT_STRING,
  EXPECT_VALUE,
  EXPECT_VALUE_OR_END,
  fail,
  lastVector,
  MEMBER_METADATA,
  MEMBER_PLAIN,
  MEMBER_VECTOR,
  ROLE_METADATA,
  ROLE_PLAIN,
  ROLE_ROW,
  ROLE_ROWS,
  ROLE_VECTOR,
  Scan,
  topFrame,
} from "./json/state";
import { unescape, walkString } from "./json/text";
import { failAt, skipLiteral, skipNumber, skipSpace } from "./json/tokens";

const QUOTE: u32 = 0x22;
const COMMA: u32 = 0x2c;
const MINUS: u32 = 0x2d;
const COLON: u32 = 0x3a;
const ARRAY_OPEN: u32 = 0x5b;
const ARRAY_CLOSE: u32 = 0x5d;
const OBJECT_OPEN: u32 = 0x7b;
const OBJECT_CLOSE: u32 = 0x7d;
/** "vector" and "metadata" as little-endian words. */
const VECTOR_WORD: u64 = 0x0000726f74636576;
const METADATA_WORD: u64 = 0x617461646174656d;

/**
 * Reads on for about `budgetBytes`, at least one token, and returns a SCAN_* status. The host fills
 * in the state (see SCAN_* in desk.ts) and zeroes the rest of it before the first step. After
 * SCAN_DONE and SCAN_FAULT the body is over; after SCAN_ODDITIES the list at DESK_ODDITIES must be
 * emptied first.
 */
export function jsonStep(state: usize, budgetBytes: u32): i32 {
  const scan = changetype<Scan>(state);
  const left = <u32>(scan.end - scan.position);
  // One past the end, so that the end itself is seen and judged.
  scan.limit = budgetBytes > left ? scan.end + 1 : scan.position + max(budgetBytes, 1);
  let status = SCAN_MORE;
  while (status == SCAN_MORE && scan.position < scan.limit) {
    if (scan.skeleton > scan.skeletonEnd) return fail(scan, FAULT_SKELETON, scan.position);
    status = scan.expect >= EXPECT_STRING ? stepInString(scan) : stepToken(scan);
  }
  return status;
}

function stepToken(scan: Scan): i32 {
  const position = skipSpace(scan.position, scan.limit);
  scan.position = position;
  if (position >= scan.limit) return SCAN_MORE;
  const character = <u32>load<u8>(position);
  switch (scan.expect) {
    case EXPECT_VALUE_OR_END:
      if (character == ARRAY_CLOSE) return close(scan, KIND_ARRAY);
      return stepValue(scan, character);
    case EXPECT_VALUE:
      return stepValue(scan, character);
    case EXPECT_KEY_OR_END:
      if (character == OBJECT_CLOSE) return close(scan, KIND_OBJECT);
    case EXPECT_KEY:
      if (character != QUOTE) return failAt(scan, position);
      return openString(scan, 1);
    case EXPECT_COLON:
      if (character != COLON) return failAt(scan, position);
      emitByte(scan, COLON);
      scan.expect = EXPECT_VALUE;
      scan.position = position + 1;
      return SCAN_MORE;
    case EXPECT_COMMA_OR_END:
      return stepAfterValue(scan, character);
    default:
      return position == scan.end ? SCAN_DONE : fail(scan, FAULT_TRAILING, position);
  }
}

function stepAfterValue(scan: Scan, character: u32): i32 {
  const frame = topFrame(scan);
  if (character == COMMA) {
    emitByte(scan, COMMA);
    frame.count += 1;
    frame.key = 0;
    if (frame.role == ROLE_ROWS) noteCut(scan);
    scan.expect = frame.kind == KIND_OBJECT ? EXPECT_KEY : EXPECT_VALUE;
    scan.position += 1;
    return SCAN_MORE;
  }
  if (character == ARRAY_CLOSE && frame.kind == KIND_ARRAY) return close(scan, KIND_ARRAY);
  if (character == OBJECT_CLOSE && frame.kind == KIND_OBJECT) return close(scan, KIND_OBJECT);
  return failAt(scan, scan.position);
}

function stepValue(scan: Scan, character: u32): i32 {
  const position = scan.position;
  const isNumber = character == MINUS || character - 0x30 <= 9;
  if (scan.depth != 0 && topFrame(scan).role == ROLE_VECTOR) {
    if (isNumber) return stepComponents(scan);
    // The array goes on to be checked as JSON; only the vector is spoilt.
    blame(lastVector(scan), VECTOR_NOT_A_NUMBER, topFrame(scan).count);
  }
  switch (character) {
    case OBJECT_OPEN:
      return open(scan, KIND_OBJECT);
    case ARRAY_OPEN:
      return open(scan, KIND_ARRAY);
    case QUOTE:
      return openString(scan, 0);
    case 0:
      if (position == scan.end && scan.depth == 0) return fail(scan, FAULT_EMPTY, position);
  }
  const end = isNumber ? skipNumber(scan, position, true) : skipLiteral(scan, position);
  if (end == 0) return SCAN_FAULT;
  return endPlainValue(scan, end, isNumber);
}

function endPlainValue(scan: Scan, end: usize, isNumber: bool): i32 {
  if (isNumber && scan.member != MEMBER_PLAIN && !scan.isMuted) emitForged(scan);
  else if (!emitSpan(scan, scan.position, end)) return fail(scan, FAULT_SKELETON, scan.position);
  return endValue(scan, end);
}

function open(scan: Scan, kind: u32): i32 {
  if (scan.depth == DEPTH_MAX) return fail(scan, FAULT_DEPTH, scan.position);
  const role = roleOf(scan, kind);
  if (role == ROLE_VECTOR) openVector(scan);
  else if (role == ROLE_METADATA) openMetadata(scan);
  else emitByte(scan, kind == KIND_OBJECT ? OBJECT_OPEN : ARRAY_OPEN);
  scan.depth += 1;
  const frame = topFrame(scan);
  frame.kind = kind;
  frame.key = 0;
  frame.count = 0;
  frame.role = role;
  frame.start = scan.position;
  frame.keyCount = 0;
  frame.isInTable = 0;
  scan.member = MEMBER_PLAIN;
  scan.expect = kind == KIND_OBJECT ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
  scan.position += 1;
  return SCAN_MORE;
}

function roleOf(scan: Scan, kind: u32): u32 {
  if (scan.isMuted) return ROLE_PLAIN;
  const parent = topFrame(scan);
  if (kind == KIND_OBJECT) {
    if (scan.member == MEMBER_METADATA) return ROLE_METADATA;
    return scan.depth == 0 || parent.role == ROLE_ROWS ? ROLE_ROW : ROLE_PLAIN;
  }
  if (scan.member == MEMBER_VECTOR) return ROLE_VECTOR;
  return scan.depth == 1 && parent.role == ROLE_ROW ? ROLE_ROWS : ROLE_PLAIN;
}

function close(scan: Scan, kind: u32): i32 {
  const frame = topFrame(scan);
  const end = scan.position + 1;
  scan.depth -= 1;
  if (frame.role == ROLE_VECTOR) closeVector(scan);
  else if (frame.role == ROLE_METADATA) {
    if (end - frame.start > <usize>METADATA_BYTES_MAX) {
      return fail(scan, FAULT_METADATA_BYTES, frame.start);
    }
    closeMetadata(scan, end);
  } else {
    if (frame.role == ROLE_ROWS && scan.cutKey == topFrame(scan).key) scan.cutEnd = scan.skeleton;
    emitByte(scan, kind == KIND_OBJECT ? OBJECT_CLOSE : ARRAY_CLOSE);
  }
  return endValue(scan, end);
}

function openString(scan: Scan, isKey: u32): i32 {
  scan.string = scan.position;
  scan.stringIsKey = isKey;
  scan.stringHasEscape = 0;
  scan.position += 1;
  scan.expect = EXPECT_STRING;
  return SCAN_MORE;
}

function stepInString(scan: Scan): i32 {
  if (scan.expect == EXPECT_BASE64) {
    const status = walkBase64(scan);
    if (status != SCAN_DONE) return status;
    closeVector(scan);
    return endValue(scan, scan.position + 1);
  }
  const status = walkString(scan);
  if (status != SCAN_DONE) return status;
  if (scan.stringIsKey) return endKey(scan);
  if (scan.member == MEMBER_VECTOR && !scan.isMuted) return openBase64(scan);
  const end = scan.position + 1;
  if (!emitSpan(scan, scan.string, end)) return fail(scan, FAULT_SKELETON, scan.string);
  return endValue(scan, end);
}

function endKey(scan: Scan): i32 {
  const start = scan.string;
  const frame = topFrame(scan);
  let text = start + 1;
  let length = scan.position - text;
  if (length > <usize>KEY_BYTES_MAX) return fail(scan, FAULT_KEY_BYTES, start);
  if (scan.stringHasEscape) {
    length = unescape(start, DESK_SCRATCH);
    text = DESK_SCRATCH;
  }
  // From here on a fault's pointer names this member.
  frame.key = start;
  scan.member = frame.role == ROLE_ROW ? memberOf(text, length) : MEMBER_PLAIN;
  if (!addKey(scan, frame, start, hashKey(scan, text, length))) {
    return fail(scan, FAULT_DUPLICATE, start);
  }
  const end = scan.position + 1;
  if (!emitSpan(scan, start, end)) return fail(scan, FAULT_SKELETON, start);
  scan.position = end;
  scan.expect = EXPECT_COLON;
  return SCAN_MORE;
}

function memberOf(text: usize, length: usize): u32 {
  const word = load<u64>(text);
  if (length == 8) return word == METADATA_WORD ? MEMBER_METADATA : MEMBER_PLAIN;
  if (length == 6 && (word & 0x0000ffffffffffff) == VECTOR_WORD) return MEMBER_VECTOR;
  return MEMBER_PLAIN;
}
