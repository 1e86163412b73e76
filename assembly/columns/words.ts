/**
 * The words of a group of 64 rows by their lanes, a bit a row. A lane of a number is compared as
 * float64, any other as a whole, two rows an instruction. Only columns that have ever held strings
 * or arrays are looked at again for those.
 */
import * as C from "../columns";
import { columnAt, LANE_MASK, tagged } from "./lanes";
import { isIn, meets } from "./meets";

/** A set of so few places is compared lane by lane of its own. */
const FEW_PLACES: u32 = 16;

/** The bits of a group by its lanes; rows to be seen in JSON are added to `unsure`. */
export function laneBits(
  own: usize,
  instruction: usize,
  number: u32,
  lanes: usize,
  epoch: u32,
  unsure: usize,
): u64 {
  const op = load<u32>(instruction);
  if (op == C.OP_EXISTS) return ~equalsBits(lanes, 0);
  const column = load<u32>(instruction, C.INSTRUCTION_COLUMN);
  const seen = atomic.load<u32>(columnAt(column), C.COLUMN_SEEN);
  let bits: u64 = 0;
  if (op == C.OP_EQUALS) bits = equalsBits(lanes, load<u64>(instruction, C.INSTRUCTION_TARGET));
  else if (op == C.OP_NUMBER) bits = numberBits(lanes, instruction);
  else if (op == C.OP_IN) bits = inBits(lanes, instruction);
  else if (seen & C.SEEN_TEXT)
    bits = codeBits(own, lanes, C.TAG_TEXT, instruction, number, epoch);
  if (seen & C.SEEN_ARRAY) bits |= codeBits(own, lanes, C.TAG_ARRAY, instruction, number, epoch);
  if (seen & C.SEEN_JSON)
    store<u64>(unsure, load<u64>(unsure) | equalsBits(lanes, tagged(C.TAG_JSON, 0)));
  return bits;
}

function equalsBits(lanes: usize, target: u64): u64 {
  const wanted = i64x2.splat(target);
  let bits: u64 = 0;
  for (let i: usize = 0; i < 64; i += 4) {
    const at = lanes + (i << 3);
    const low = i64x2.bitmask(i64x2.eq(v128.load(at), wanted));
    const high = i64x2.bitmask(i64x2.eq(v128.load(at, 16), wanted));
    bits |= <u64>(low | (high << 2)) << i;
  }
  return bits;
}

/** Column 0's rows whose flags have one of `mask`. */
export function flagBits(lanes: usize, mask: u32): u64 {
  const wanted = i64x2.splat(mask);
  const none = i64x2.splat(0);
  let bits: u64 = 0;
  for (let i: usize = 0; i < 64; i += 2) {
    const flags = v128.and(v128.load(lanes + (i << 3)), wanted);
    bits |= <u64>i64x2.bitmask(i64x2.ne(flags, none)) << i;
  }
  return bits;
}

function numberBits(lanes: usize, instruction: usize): u64 {
  const target = f64x2.splat(load<f64>(instruction, C.INSTRUCTION_TARGET));
  const order = load<u32>(instruction, C.INSTRUCTION_ORDER);
  const masked = i64x2.splat(LANE_MASK);
  let bits: u64 = 0;
  for (let i: usize = 0; i < 64; i += 2) {
    const values = v128.xor(v128.load(lanes + (i << 3)), masked);
    let met: v128;
    if (order == C.ORDER_GREATER) met = f64x2.gt(values, target);
    else if (order == C.ORDER_GREATER_EQUAL) met = f64x2.ge(values, target);
    else if (order == C.ORDER_LESS) met = f64x2.lt(values, target);
    else met = f64x2.le(values, target);
    bits |= <u64>i64x2.bitmask(met) << i;
  }
  return bits;
}

function inBits(lanes: usize, instruction: usize): u64 {
  const set = load<u32>(instruction, C.INSTRUCTION_ADDRESS);
  const mask = load<u32>(instruction, C.INSTRUCTION_LENGTH);
  let bits: u64 = 0;
  if (mask < FEW_PLACES) {
    for (let place: u32 = 0; place <= mask; place++) {
      const lane = load<u64>(<usize>set + (<usize>place << 3));
      if (lane != 0) bits |= equalsBits(lanes, lane);
    }
    return bits;
  }
  for (let i: usize = 0; i < 64; i++) {
    const lane = load<u64>(lanes + (i << 3));
    if (lane != 0 && isIn(lane, set, mask)) bits |= <u64>1 << i;
  }
  return bits;
}

/** Rows whose lane has the tag, a string's or an array's, and meets the instruction. */
function codeBits(
  own: usize,
  lanes: usize,
  tag: u64,
  instruction: usize,
  number: u32,
  epoch: u32,
): u64 {
  const wanted = i64x2.splat(tag);
  let bits: u64 = 0;
  for (let i: usize = 0; i < 64; i += 2) {
    const found = i64x2.eq(i64x2.shr_u(v128.load(lanes + (i << 3)), 32), wanted);
    bits |= <u64>i64x2.bitmask(found) << i;
  }
  let met: u64 = 0;
  for (let rest = bits; rest != 0; rest &= rest - 1) {
    const i = ctz(rest);
    const lane = load<u64>(lanes + (<usize>i << 3));
    if (meets(own + C.WORKER_MEMO, epoch, instruction, number, lane)) met |= <u64>1 << i;
  }
  return met;
}
