/**
 * A filter at work: a small program run over the columns, a group of 64 rows at a time. Each
 * condition leaves a word with a bit a row on the stack, the others combine words. Bits of rows
 * that have to be looked up in their JSON are gathered beside; what the program says of those is
 * void.
 *
 * A lane of a number is compared as float64, any other as a whole, two rows an instruction. Only
 * columns that have ever held strings or arrays are looked at again for those.
 */
import * as C from "../columns";
import { bytesEqual, codedBits, verdictOf } from "./coded";
import { isIn, meets } from "./meets";
import { chunkOf, columnAt, LANE_MASK, presentIn, tagged } from "./lanes";

/** A set of so few places is compared lane by lane of its own. */
const FEW_PLACES: u32 = 16;

// @ts-ignore: decorator
@inline
export function workerAt(worker: u32): usize {
  return <usize>load<u32>(C.COLUMNS_WORKERS_BASE) + <usize>worker * C.COLUMNS_WORKER_BYTES;
}

/**
 * Runs the worker's program over the groups from..to, at most RUN_ROWS of rows. Words of matches
 * and of unsure rows lie at WORKER_MATCHES and WORKER_UNSURE. Returns how many rows are unsure.
 */
export function run(worker: u32, from: u32, to: u32): u32 {
  const own = workerAt(worker);
  const epoch = beginEpoch(own);
  let unsureRows: u32 = 0;
  for (let group = from; group < to; group++) {
    const out = <usize>(group - from) << 3;
    const unsure = own + C.WORKER_UNSURE + out;
    const present = presentIn(group);
    store<u64>(unsure, 0);
    store<u64>(own + C.WORKER_MATCHES + out, judge(own, group, epoch, unsure) & present);
    store<u64>(unsure, load<u64>(unsure) & present);
    unsureRows += <u32>popcnt<u64>(load<u64>(unsure));
  }
  return unsureRows;
}

/** What the memo holds of other runs is void; once in 2^21 runs all is wiped. */
function beginEpoch(own: usize): u32 {
  const epoch = load<u32>(own, C.WORKER_EPOCH) + 1;
  if (epoch < 0x200000) {
    store<u32>(own, epoch, C.WORKER_EPOCH);
    return epoch;
  }
  memory.fill(own + C.WORKER_MEMO, 0, C.MEMO_SLOTS << 3);
  memory.fill(own + C.WORKER_VERDICTS, 0, C.PROGRAM_INSTRUCTIONS_MAX * C.VERDICT_BYTES);
  store<u32>(own, 1, C.WORKER_EPOCH);
  return 1;
}

/** One group through the whole program. */
function judge(own: usize, group: u32, epoch: u32, unsure: usize): u64 {
  const program = own + C.WORKER_PROGRAM;
  let top = own + C.WORKER_STACK;
  let number: u32 = 0;
  while (true) {
    const instruction = program + <usize>number * C.INSTRUCTION_BYTES;
    const op = load<u32>(instruction);
    if (op >= <u32>C.OP_EQUALS) {
      top += 8;
      store<u64>(top, condition(own, instruction, number, group, epoch, unsure));
    } else if (op == C.OP_END) return load<u64>(top);
    else if (op == C.OP_AND) {
      top -= 8;
      store<u64>(top, load<u64>(top) & load<u64>(top, 8));
    } else if (op == C.OP_OR) {
      top -= 8;
      store<u64>(top, load<u64>(top) | load<u64>(top, 8));
    } else if (op == C.OP_NOT) store<u64>(top, ~load<u64>(top));
    else if (op == C.OP_ALL) {
      top += 8;
      store<u64>(top, ~(<u64>0));
    } else if (
      load<u64>(top) == (op == C.OP_SKIP_IF_NONE ? 0 : ~(<u64>0))
    ) {
      number = load<u32>(instruction, C.INSTRUCTION_LENGTH);
      continue;
    }
    number++;
  }
  return 0;
}

function condition(
  own: usize,
  instruction: usize,
  number: u32,
  group: u32,
  epoch: u32,
  unsure: usize,
): u64 {
  const column = load<u32>(instruction, C.INSTRUCTION_COLUMN);
  const seen = atomic.load<u32>(columnAt(column), C.COLUMN_SEEN);
  const op = load<u32>(instruction);
  const length = load<u32>(instruction, C.INSTRUCTION_LENGTH);
  // Where no row overflows, a path without a column is a path that no row has.
  if (op == C.OP_UNKNOWN && length == C.ROW_FLAG_OVERFLOW && !(seen & C.SEEN_JSON)) return 0;
  const chunk = chunkOf(column, group / (C.CHUNK_ROWS / C.GROUP_ROWS));
  if (chunk == 0) return 0;
  if (chunk == C.CHUNK_NO_ROOM) {
    store<u64>(unsure, ~(<u64>0));
    return 0;
  }
  const inChunk = <usize>(group % (C.CHUNK_ROWS / C.GROUP_ROWS));
  const lanes = chunk + (inChunk << 9);
  if (op == C.OP_UNKNOWN) {
    store<u64>(unsure, load<u64>(unsure) | flagBits(lanes, length));
    return 0;
  }
  const codes = chunk + C.CHUNK_CODES + (inChunk << 6);
  const others = bytesEqual(codes, C.CODE_OTHER);
  if (others == ~(<u64>0)) return laneBits(own, instruction, number, lanes, epoch, unsure);
  const bits = codedBits(verdictOf(own, instruction, number, epoch, column), codes) & ~others;
  if (others == 0) return bits;
  return bits | (laneBits(own, instruction, number, lanes, epoch, unsure) & others);
}

/** The bits of a group by its lanes; rows to be seen in JSON are added to `unsure`. */
function laneBits(
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
function flagBits(lanes: usize, mask: u32): u64 {
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
