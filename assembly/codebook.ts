/**
 * Codes: how float32 rows become 7-bit components, and when that changes.
 *
 * One range (low, scale) holds for all components of a generation: x ~ low + scale * code. It is
 * cut into 16 cells, narrow where many components lie (cells.ts); a walk tells components by their
 * cells alone, unless that would cost true neighbours. Under cosine the row is brought to unit
 * length first. Under dot `low` is a whole multiple of the scale
 * (`zero`), so that an inner product is an exact integer of the codes, their sums and that
 * multiple. A row that the range cannot hold is *rough*: its code stays a clamped one, and whoever
 * meets the row measures it on its float32.
 *
 * A generation ends when the data has left its range. The new codebook is written beside the old
 * one, the generation is stored, and from then on new rows are encoded by it, while `reencode`
 * moves the old ones over in slices. Meanwhile `irregular` is above zero, every walk looks at each
 * row's own generation, and a search that was under way when the generation began starts again. One
 * thread at a time learns or re-encodes (the maintenance lock); the writer may append.
 */
import { bayAddress, floatsOf, keepInBay, leaveBay, lockBays, sheds, unlockBays } from "./bays";
import { encodeHalves, unitFactor } from "./encode";
import { codebook, fence, generation, header, irregular, slotsUsed } from "./header";
import * as L from "./layout";
import { birthOf, codeOf, deathOf, fineOf, generationOf, headOf, stampOf, vectorOf } from "./row";

/** A range learned from fewer rows is looked at again sooner. */
const LEARNED_FIRMLY: u32 = 1024;
/**
 * Under l2 and cosine so many rough rows, and one in so many more, do not make walks careful: see
 * modeNow.
 */
const ROUGH_FREE: u32 = 8;
const ROUGH_SHARE: u32 = 256;
export const MODE_COARSE: u32 = 0;
export const MODE_CODES: u32 = 1;
export const MODE_CAREFUL: u32 = 2;
export const MODE_FLOATS: u32 = 3;

if (MODE_CODES != L.MODE_BY_CODES_MAX) ERROR("The modes drifted from layout.ts");

/**
 * How a walk measures rows now. Clamping brings a row nearer to every query within the range, never
 * farther, and a query outside is walked on float32: so a few rough rows cost some candidates and
 * lose nobody. Inner products know no such bound, and there each rough row counts.
 */
export function modeNow(): u32 {
  const current = generation();
  if (current == 0 || codebook(current).lossy) return MODE_FLOATS;
  const regular = codebook(current).coarse ? MODE_COARSE : MODE_CODES;
  const count = irregular();
  if (count == 0) return regular;
  if (header().metric == L.METRIC_DOT) return MODE_CAREFUL;
  return isBorne(count) ? regular : MODE_CAREFUL;
}

/** Whether walks bear so many rough rows, but under dot. */
// @ts-ignore: decorator
@inline
function isBorne(rough: u32): bool {
  return rough <= ROUGH_FREE + atomic.load<u32>(L.HEADER_LIVE) / ROUGH_SHARE;
}

/**
 * Where float32 is not kept, with the bays' lock: the row becomes its code, or has a bay where a
 * code would not do. When no bay is left, the code has to.
 */
function encodeOrKeep(slot: u32, vector: usize): void {
  const head = headOf(slot);
  const current = generation();
  let keeps = current == 0;
  if (!keeps) {
    const book = codebook(current);
    const factor = unitFactor(vector);
    const rough = encodeHalves(vector, factor, codeOf(slot), fineOf(slot), book);
    keeps = rough != 0 && keepInBay(slot, vector);
    markRough(slot, <u32>keeps);
  } else keepInBay(slot, vector);
  store<u8>(head, <u8>current, L.ROW_GENERATION);
  if (!keeps) leaveBay(slot);
}

/** The vector that the writer has staged becomes the row's. */
function encodeStaged(slot: u32): void {
  lockBays();
  encodeOrKeep(slot, bayAddress(0));
  unlockBays();
}

/**
 * Encodes a row in place and keeps the account of irregular rows. The row's vector is there
 * already.
 */
export function encodeRow(slot: u32): void {
  const h = header();
  if (h.codeBytes == 0) return;
  if (sheds()) return encodeStaged(slot);
  const head = headOf(slot);
  while (true) {
    const current = generation();
    if (current == 0) {
      store<u8>(head, 0, L.ROW_GENERATION);
    } else {
      const vector = vectorOf(slot);
      const factor = unitFactor(vector);
      const book = codebook(current);
      const rough = encodeHalves(vector, factor, codeOf(slot), fineOf(slot), book);
      store<u8>(head, <u8>current, L.ROW_GENERATION);
      markRough(slot, rough);
    }
    fence();
    // A generation that began meanwhile may have passed this row by: then it is ours to encode
    // again.
    if (generation() == current) return;
  }
}

function markRough(slot: u32, rough: u32): void {
  const address = headOf(slot) + L.ROW_FLAGS;
  if (rough) {
    const before = atomic.or<u16>(address, <u16>L.FLAG_ROUGH);
    if (!(before & <u16>L.FLAG_ROUGH)) atomic.add<u32>(L.HEADER_IRREGULAR, 1);
  } else {
    const before = atomic.and<u16>(address, ~(<u16>L.FLAG_ROUGH));
    if (before & <u16>L.FLAG_ROUGH) atomic.sub<u32>(L.HEADER_IRREGULAR, 1);
  }
}

/**
 * The stamp is even now, so re-encoding sees the row from here on; one that passed before did not.
 */
export function settleCode(slot: u32): void {
  fence();
  if (header().codeBytes == 0 || <u8>generationOf(slot) == <u8>generation()) return;
  if (sheds()) moveShed(slot, <u8>generation());
  else encodeRow(slot);
}

/** A row leaves its slot: it no longer counts as irregular. */
export function forgetCode(slot: u32): void {
  markRough(slot, 0);
}

/**
 * Whether the range should be learned (again): at first, and when the rows have grown many times or
 * left it.
 */
export function needsLearning(): bool {
  const h = header();
  if (h.codeBytes == 0 || atomic.load<u32>(L.HEADER_LIVE) == 0) return false;
  if (isReencoding()) return false;
  const live = atomic.load<u32>(L.HEADER_LIVE);
  const learnedAt = atomic.load<u32>(L.HEADER_LEARNED_AT);
  // Where only codes stay, the range is learned once, from many.
  if (generation() == 0) return live != learnedAt && (!sheds() || live >= LEARNED_FIRMLY);
  const growth: u32 = learnedAt < LEARNED_FIRMLY ? 4 : 16;
  if (live / growth >= learnedAt && live >= 64) return true;
  if (codebook(generation()).lossy) return false;
  const rough = atomic.load<u32>(L.HEADER_IRREGULAR);
  const known = atomic.load<u32>(L.HEADER_ROUGH_SEEN);
  if (rough > known + max<u32>(4, live / 64)) return true;
  // Where walks are careful because of them, a look is worth it sooner.
  if (h.metric == L.METRIC_DOT || isBorne(rough)) return false;
  return rough > known + max<u32>(ROUGH_FREE, known / 4);
}

export function isReencoding(): bool {
  return atomic.load<u32>(L.HEADER_REENCODE_NEXT) != 0;
}

/**
 * From here on walks are careful; the old rows count as irregular until the last of them has moved
 * over.
 */
export function beginGeneration(next: u32): void {
  atomic.add<u32>(L.HEADER_IRREGULAR, L.NO_SLOT);
  atomic.store<u32>(L.HEADER_REENCODE_NEXT, 1);
  atomic.store<u32>(L.HEADER_GENERATION, next);
  atomic.add<u32>(L.HEADER_CODES_EPOCH, 1);
  atomic.store<u32>(L.HEADER_LEARNED_AT, atomic.load<u32>(L.HEADER_LIVE));
}

/** Moves at most `count` slots to the current generation; returns true when all are there. */
export function reencode(count: u32): bool {
  const at = atomic.load<u32>(L.HEADER_REENCODE_NEXT);
  if (at == 0) return true;
  const current = generation();
  let slot = at - 1;
  let left = count;
  while (slot < slotsUsed() && left > 0) {
    moveRow(slot, <u8>current);
    slot++;
    left--;
  }
  if (slot < slotsUsed()) {
    atomic.store<u32>(L.HEADER_REENCODE_NEXT, slot + 1);
    return false;
  }
  const rough = atomic.sub<u32>(L.HEADER_IRREGULAR, <u32>L.NO_SLOT) - <u32>L.NO_SLOT;
  atomic.store<u32>(L.HEADER_ROUGH_SEEN, rough);
  if (!sheds() && rough > atomic.load<u32>(L.HEADER_LIVE) / 8 + 8) codebook(current).lossy = 1;
  atomic.add<u32>(L.HEADER_CODES_EPOCH, 1);
  atomic.store<u32>(L.HEADER_REENCODE_NEXT, 0);
  return true;
}

/**
 * The writer may be giving the slot to another row: then the stamp has changed and the code is
 * written once more.
 */
function moveRow(slot: u32, current: u8): void {
  if (sheds()) return moveShed(slot, current);
  while (true) {
    const stamp = stampOf(slot);
    if (stamp & 1 || birthOf(slot) == 0 || <u8>generationOf(slot) == current) return;
    encodeRow(slot);
    // retireRow stores the death first and then forgets, so one of us sees the other.
    if (deathOf(slot) != 0) forgetCode(slot);
    fence();
    if (stampOf(slot) == stamp) return;
  }
}

/**
 * The same where float32 is not kept. The stamp is odd meanwhile: what readers take from a code
 * that is half written, or from a bay that is given to another row, counts for nothing.
 */
function moveShed(slot: u32, current: u8): void {
  lockBays();
  const stamp = stampOf(slot);
  if (!(stamp & 1) && birthOf(slot) != 0 && <u8>generationOf(slot) != current) {
    const head = headOf(slot);
    atomic.store<u32>(head, stamp + 1, L.ROW_STAMP);
    fence();
    encodeOrKeep(slot, floatsOf(slot, bayAddress(1)));
    // What the code was unpacked to, and stood for, is no row's: an image is held to rows' bounds.
    memory.fill(bayAddress(1), 0, header().vectorStride + header().codeBytes);
    if (deathOf(slot) != 0) forgetCode(slot);
    fence();
    atomic.store<u32>(head, stamp + 2, L.ROW_STAMP);
  }
  unlockBays();
}

/** Bits of a float32 as an unsigned number of the same order. */
// @ts-ignore: decorator
@inline
export function orderedBits(value: f32): u32 {
  const bits = reinterpret<i32>(value);
  return <u32>(bits ^ ((bits >> 31) | <i32>0x80000000));
}

// @ts-ignore: decorator
@inline
export function fromOrderedBits(key: u32): f32 {
  const bits = <i32>key;
  return reinterpret<f32>(bits < 0 ? bits ^ <i32>0x80000000 : ~bits);
}
