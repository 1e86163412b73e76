/**
 * A filter at work: a small program run over the columns, up to a chunk of rows at a time, in
 * groups of 64. Each condition leaves a word a group, with a bit a row, on the stack, the others
 * combine words. Bits of rows that have to be looked up in their JSON are gathered beside; what the
 * program says of those is void.
 */
import * as C from "../columns";
import { bytesEqual, eachBits, fewWords, verdictOf } from "./coded";
import { chunkOf, columnAt, presentIn } from "./lanes";
import { flagBits, laneBits } from "./words";

const CHUNK_GROUPS: u32 = C.CHUNK_ROWS / C.GROUP_ROWS;
const STACK_WORDS: u32 = (C.WORKER_MEMO - C.WORKER_STACK) / 8;

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
  const step = min(CHUNK_GROUPS, max<u32>(STACK_WORDS / depthOf(own + C.WORKER_PROGRAM), 1));
  let unsureRows: u32 = 0;
  for (let first = from; first < to; ) {
    const chunkEnd = (first / CHUNK_GROUPS + 1) * CHUNK_GROUPS;
    const count = min(min(first + step, chunkEnd), to) - first;
    const unsure = own + C.WORKER_UNSURE + (<usize>(first - from) << 3);
    const matches = own + C.WORKER_MATCHES + (<usize>(first - from) << 3);
    memory.fill(unsure, 0, count << 3);
    judge(own, first, count, epoch, unsure);
    for (let i: u32 = 0; i < count; i++) {
      const at = <usize>i << 3;
      const present = presentIn(first + i);
      store<u64>(matches + at, load<u64>(own + C.WORKER_STACK + at) & present);
      store<u64>(unsure + at, load<u64>(unsure + at) & present);
      unsureRows += <u32>popcnt<u64>(load<u64>(unsure + at));
    }
    first += count;
  }
  return unsureRows;
}

/** How many words a program keeps on its stack, at most. */
function depthOf(program: usize): u32 {
  let depth: i32 = 0;
  let most: i32 = 1;
  for (let instruction = program; ; instruction += C.INSTRUCTION_BYTES) {
    const op = load<u32>(instruction);
    if (op == C.OP_END) return most;
    if (op >= <u32>C.OP_EQUALS || op == C.OP_ALL) depth++;
    else if (op == C.OP_AND || op == C.OP_OR) depth--;
    most = max(most, depth);
  }
  return most;
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

/**
 * `count` groups of a chunk through the whole program, whose words come out at the stack's bottom.
 * A group whose outcome is known rests until the instruction in its place of WORKER_RESTS: what the
 * program does to its words meanwhile changes nothing, and no row of it is looked at.
 */
function judge(own: usize, first: u32, count: u32, epoch: u32, unsure: usize): void {
  const program = own + C.WORKER_PROGRAM;
  const rests = own + C.WORKER_RESTS;
  const width = <usize>count << 3;
  memory.fill(rests, 0, count << 2);
  let top = own + C.WORKER_STACK - width;
  let number: u32 = 0;
  while (true) {
    const instruction = program + <usize>number * C.INSTRUCTION_BYTES;
    const op = load<u32>(instruction);
    if (op >= <u32>C.OP_EQUALS) {
      top += width;
      condition(own, instruction, number, first, count, epoch, unsure, top);
    } else if (op == C.OP_END) return;
    else if (op == C.OP_AND) {
      top -= width;
      for (let at = top; at < top + width; at += 8)
        store<u64>(at, load<u64>(at) & load<u64>(at + width));
    } else if (op == C.OP_OR) {
      top -= width;
      for (let at = top; at < top + width; at += 8)
        store<u64>(at, load<u64>(at) | load<u64>(at + width));
    } else if (op == C.OP_NOT) {
      for (let at = top; at < top + width; at += 8) store<u64>(at, ~load<u64>(at));
    } else if (op == C.OP_ALL) {
      top += width;
      memory.fill(top, 255, width);
    } else {
      const until = load<u32>(instruction, C.INSTRUCTION_LENGTH);
      const known: u64 = op == C.OP_SKIP_IF_NONE ? 0 : ~(<u64>0);
      if (!rest(rests, top, count, known, number, until)) {
        number = until;
        continue;
      }
    }
    number++;
  }
}

/** Lets groups whose word is `known` rest; whether any is left that does not. */
function rest(
  rests: usize,
  words: usize,
  count: u32,
  known: u64,
  number: u32,
  until: u32,
): bool {
  let left = false;
  for (let i: u32 = 0; i < count; i++) {
    const at = rests + (<usize>i << 2);
    if (load<u32>(at) > number) continue;
    if (load<u64>(words + (<usize>i << 3)) == known) store<u32>(at, until);
    else left = true;
  }
  return left;
}

/** The words of a condition for `count` groups of a chunk. */
function condition(
  own: usize,
  instruction: usize,
  number: u32,
  first: u32,
  count: u32,
  epoch: u32,
  unsure: usize,
  words: usize,
): void {
  const column = load<u32>(instruction, C.INSTRUCTION_COLUMN);
  const seen = atomic.load<u32>(columnAt(column), C.COLUMN_SEEN);
  const op = load<u32>(instruction);
  const length = load<u32>(instruction, C.INSTRUCTION_LENGTH);
  // Where no row overflows, a path without a column is a path that no row has.
  const isNowhere = op == C.OP_UNKNOWN && length == C.ROW_FLAG_OVERFLOW && !(seen & C.SEEN_JSON);
  const chunk: usize = isNowhere ? 0 : chunkOf(column, first / CHUNK_GROUPS);
  if (chunk == 0) return memory.fill(words, 0, count << 3);
  const rests = own + C.WORKER_RESTS;
  const inChunk = <usize>(first % CHUNK_GROUPS);
  const lanes = chunk + (inChunk << 9);
  if (chunk == C.CHUNK_NO_ROOM || op == C.OP_UNKNOWN) {
    memory.fill(words, 0, count << 3);
    for (let i: u32 = 0; i < count; i++) {
      if (load<u32>(rests + (<usize>i << 2)) > number) continue;
      const at = unsure + (<usize>i << 3);
      const bits =
        chunk == C.CHUNK_NO_ROOM ? ~(<u64>0) : flagBits(lanes + (<usize>i << 9), length);
      store<u64>(at, load<u64>(at) | bits);
    }
    return;
  }
  const codes = chunk + C.CHUNK_CODES + (inChunk << 6);
  const verdict = verdictOf(own, instruction, number, epoch, column);
  const isMany = load<u32>(verdict, C.VERDICT_FEW) == C.VERDICT_MANY;
  if (isMany) memory.fill(words, 0, count << 3);
  else if (!fewWords(verdict, codes, count, words)) return;
  for (let i: usize = 0; i < <usize>count; i++) {
    const group = codes + (i << 6);
    if (load<u32>(rests + (i << 2)) > number) continue;
    const others = bytesEqual(group, C.CODE_OTHER);
    const at = words + (i << 3);
    if (isMany && others != ~(<u64>0)) store<u64>(at, eachBits(verdict, group));
    if (others == 0) continue;
    const bits = laneBits(own, instruction, number, lanes + (i << 9), epoch, unsure + (i << 3));
    store<u64>(at, (load<u64>(at) & ~others) | (bits & others));
  }
}
