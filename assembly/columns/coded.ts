/**
 * Conditions over codes of one byte. What an instruction says of each code of the column's palette
 * is found once a run; then a group of 64 rows is four loads and, mostly, a few comparisons.
 */
import * as C from "../columns";
import { meetsLane } from "./meets";
import { codeCount, laneOfCode } from "./palette";

/** The rows of a group whose code is `code`. */
export function bytesEqual(codes: usize, code: u32): u64 {
  const wanted = i8x16.splat(<i8>code);
  const a = <u32>i8x16.bitmask(i8x16.eq(v128.load(codes), wanted));
  const b = <u32>i8x16.bitmask(i8x16.eq(v128.load(codes, 16), wanted));
  const c = <u32>i8x16.bitmask(i8x16.eq(v128.load(codes, 32), wanted));
  const d = <u32>i8x16.bitmask(i8x16.eq(v128.load(codes, 48), wanted));
  return <u64>(a | (b << 16)) | ((<u64>(c | (d << 16))) << 32);
}

/**
 * A word a group, of the rows whose code a verdict of few passes; what it says of CODE_OTHER is
 * void. Whether there is such a code among them.
 */
export function fewWords(verdict: usize, codes: usize, count: u32, words: usize): bool {
  const few = load<u32>(verdict, C.VERDICT_FEW);
  const flip: u64 = few & C.VERDICT_INVERTED ? ~(<u64>0) : 0;
  const met = few & 255;
  const first = i8x16.splat(load<i8>(verdict, C.VERDICT_CODES));
  let largest = i8x16.splat(0);
  for (let i: u32 = 0; i < count; i++) {
    const group = codes + (<usize>i << 6);
    const a = v128.load(group);
    const b = v128.load(group, 16);
    const c = v128.load(group, 32);
    const d = v128.load(group, 48);
    // CODE_OTHER is the largest that a byte can be.
    largest = i8x16.max_u(largest, i8x16.max_u(i8x16.max_u(a, b), i8x16.max_u(c, d)));
    let bits = flip;
    if (met > 0) bits ^= <u64>pairEqual(a, b, first) | (<u64>pairEqual(c, d, first) << 32);
    for (let m: u32 = 1; m < met; m++)
      bits ^= bytesEqual(group, <u32>load<u8>(verdict + m, C.VERDICT_CODES));
    store<u64>(words + (<usize>i << 3), bits);
  }
  return v128.any_true(i8x16.eq(largest, i8x16.splat(<i8>C.CODE_OTHER)));
}

// @ts-ignore: decorator
@inline
function pairEqual(a: v128, b: v128, wanted: v128): u32 {
  return <u32>(
    i8x16.bitmask(i8x16.eq(a, wanted)) | (i8x16.bitmask(i8x16.eq(b, wanted)) << 16)
  );
}

/** The word of a group by a verdict that has to be asked about each code. */
export function eachBits(verdict: usize, codes: usize): u64 {
  let bits: u64 = 0;
  for (let i: usize = 0; i < 64; i++) {
    const code = <usize>load<u8>(codes + i);
    bits |= (<u64>load<u8>(verdict + code, C.VERDICT_EACH)) << i;
  }
  return bits;
}

/** Where the verdict of an instruction lies, made anew for each run. */
export function verdictOf(
  own: usize,
  instruction: usize,
  number: u32,
  epoch: u32,
  column: u32,
): usize {
  const verdict = own + C.WORKER_VERDICTS + <usize>number * C.VERDICT_BYTES;
  if (load<u32>(verdict) == epoch) return verdict;
  const count = codeCount(column);
  memory.fill(verdict + C.VERDICT_EACH, 0, 256);
  let met: u32 = 0;
  for (let code: u32 = 0; code <= count; code++) {
    const lane: u64 = code == 0 ? 0 : laneOfCode(column, code);
    const isMet = meetsLane(own + C.WORKER_MEMO, epoch, instruction, number, lane);
    store<u8>(verdict + code, u8(isMet), C.VERDICT_EACH);
    met += u32(isMet);
  }
  const isInverted = met > <u32>C.VERDICT_FEW_MAX;
  const few = isInverted ? count + 1 - met : met;
  if (few > <u32>C.VERDICT_FEW_MAX) store<u32>(verdict, C.VERDICT_MANY, C.VERDICT_FEW);
  else {
    store<u32>(verdict, few | (isInverted ? C.VERDICT_INVERTED : 0), C.VERDICT_FEW);
    let at: usize = 0;
    for (let code: u32 = 0; code <= count; code++) {
      if ((load<u8>(verdict + code, C.VERDICT_EACH) != 0) == isInverted) continue;
      store<u8>(verdict + at, <u8>code, C.VERDICT_CODES);
      at++;
    }
  }
  store<u32>(verdict, epoch);
  return verdict;
}
