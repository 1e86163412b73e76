/**
 * Whether a lane that no comparison of lanes can judge meets an instruction: strings in their order
 * or by what they contain, arrays element by element. Codes are few where rows are many, so what
 * was found is kept in a memo, by instruction and code.
 */
import * as C from "../columns";
import { addressIn, bytesIn, compareTexts, contains, entryOf } from "./dictionary";
import { LANE_MASK, tagOf } from "./lanes";

const MEMO_MULTIPLIER: u64 = 0x9e3779b97f4a7c15;

/** As filter.ts compares: by IEEE, so that a lane that is no number meets nothing. */
// @ts-ignore: decorator
@inline
function isNumberInOrder(lane: u64, target: f64, order: u32): bool {
  const value = reinterpret<f64>(lane ^ LANE_MASK);
  if (order == C.ORDER_GREATER) return value > target;
  if (order == C.ORDER_GREATER_EQUAL) return value >= target;
  if (order == C.ORDER_LESS) return value < target;
  return value <= target;
}

/** Whether a lane is in a set: a power of two of places, 0 where nothing is. */
export function isIn(lane: u64, set: usize, mask: u32): bool {
  let place = <u32>((lane * MEMO_MULTIPLIER) >> 32) & mask;
  while (true) {
    const held = load<u64>(set + (<usize>place << 3));
    if (held == 0) return false;
    if (held == lane) return true;
    place = (place + 1) & mask;
  }
  return false;
}

function isTextInOrder(instruction: usize, code: u32): bool {
  const entry = entryOf(code);
  const compared = compareTexts(
    addressIn(entry),
    bytesIn(entry),
    load<u32>(instruction, C.INSTRUCTION_ADDRESS),
    load<u32>(instruction, C.INSTRUCTION_LENGTH),
  );
  const order = load<u32>(instruction, C.INSTRUCTION_ORDER);
  if (order == C.ORDER_GREATER) return compared > 0;
  if (order == C.ORDER_GREATER_EQUAL) return compared >= 0;
  if (order == C.ORDER_LESS) return compared < 0;
  return compared <= 0;
}

function doesContain(instruction: usize, code: u32): bool {
  const entry = entryOf(code);
  const text = load<u32>(instruction, C.INSTRUCTION_ADDRESS);
  if (text == 0) return false;
  const length = load<u32>(instruction, C.INSTRUCTION_LENGTH);
  return contains(addressIn(entry), bytesIn(entry), text, length);
}

/** An element of an array: as a field of its own would be, but that it contains only what it is. */
function meetsAlone(instruction: usize, lane: u64): bool {
  const op = load<u32>(instruction);
  const target = load<u64>(instruction, C.INSTRUCTION_TARGET);
  if (op == C.OP_NUMBER)
    return isNumberInOrder(
      lane,
      reinterpret<f64>(target),
      load<u32>(instruction, C.INSTRUCTION_ORDER),
    );
  if (op == C.OP_IN)
    return isIn(
      lane,
      load<u32>(instruction, C.INSTRUCTION_ADDRESS),
      load<u32>(instruction, C.INSTRUCTION_LENGTH),
    );
  if (op == C.OP_TEXT) return tagOf(lane) == C.TAG_TEXT && isTextInOrder(instruction, <u32>lane);
  return lane == target;
}

function meetsAny(instruction: usize, code: u32): bool {
  const entry = entryOf(code);
  const lanes = addressIn(entry);
  const bytes = bytesIn(entry);
  for (let at: u32 = 0; at < bytes; at += 8) {
    if (meetsAlone(instruction, load<u64>(lanes + at))) return true;
  }
  return false;
}

/** What an instruction says of a row whose lane this is. */
export function meetsLane(
  memo: usize,
  epoch: u32,
  instruction: usize,
  number: u32,
  lane: u64,
): bool {
  if (lane == 0) return false;
  const op = load<u32>(instruction);
  if (op == C.OP_EXISTS) return true;
  const tag = tagOf(lane);
  const isText = tag == C.TAG_TEXT && (op == C.OP_TEXT || op == C.OP_CONTAINS);
  if (isText || tag == C.TAG_ARRAY) return meets(memo, epoch, instruction, number, lane);
  if (op == C.OP_CONTAINS) return false;
  return meetsAlone(instruction, lane);
}

/**
 * Judges a lane tagged as string or array. The memo holds epoch, number and code of what it knows.
 */
export function meets(memo: usize, epoch: u32, instruction: usize, number: u32, lane: u64): bool {
  const code = <u32>lane;
  const isArray = tagOf(lane) == C.TAG_ARRAY;
  const key = (<u64>epoch << 43) | (<u64>number << 33) | (<u64>code << 1);
  const place = memo + (<usize>((key * MEMO_MULTIPLIER) >> 51) << 3);
  const held = load<u64>(place);
  if ((held & ~1) == key) return (held & 1) != 0;
  let verdict: bool;
  if (isArray) verdict = meetsAny(instruction, code);
  else if (load<u32>(instruction) == C.OP_TEXT) verdict = isTextInOrder(instruction, code);
  else verdict = doesContain(instruction, code);
  store<u64>(place, key | u64(verdict));
  return verdict;
}
