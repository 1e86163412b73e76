/**
 * Spaces: how a walk measures. A space is a type argument of the search, so each walk is compiled
 * with its own kernel and makes no indirect call. All spaces return *keys*: unsigned 32-bit
 * numbers, smaller is nearer.
 *
 *   L2Coarse, DotCoarse     coarse halves of codes of one generation; keys are exact integers
 *   L2Codes, DotCodes       whole codes of one generation; keys are exact integers
 *   L2Floats, OtherFloats   float32; keys are ordered bits of the distance (l2: its square)
 *   Careful                 each row by its own kind; ordered bits of a distance in real units
 *
 * Cosine walks its codes as l2 does, for they are codes of unit vectors. `one` and `four` measure
 * from the query, `fromHeld` from the row that `hold` has taken in hand.
 */
import { floatsOf, sheds, touchShed } from "../bays";
import { fromOrderedBits, MODE_CODES, orderedBits } from "../codebook";
import { codebook, header } from "../header";
import * as L from "../layout";
import { flagsOf, generationOf, vectorOf } from "../row";
import { Worker } from "../worker";
import { codedDistance, DotCodes, holdOf, L2Codes, touchLines } from "./coded";
import { cosine, dot, norm, squaredL2 } from "./lanes";

export { DotCoarse, DotCodes, L2Coarse, L2Codes } from "./coded";

/**
 * Distance of the caller's metric over float32: what is reported, and what `exact` sorts by (l2:
 * squared).
 */
// @ts-ignore: decorator
@inline
export function floatDistance(worker: Worker, slot: u32): f32 {
  const h = header();
  const vector = floatsOf(slot, worker.floatsA);
  if (h.metric == L.METRIC_L2) return squaredL2(worker.query, vector, h.vectorStride);
  if (h.metric == L.METRIC_DOT) return -dot(worker.query, vector, h.vectorStride);
  return cosine(worker.query, vector, h.vectorStride, worker.inverseNorm);
}

/**
 * A walk's key in units of the float32 distance, but for what is the same for all rows of a query.
 */
export function estimated(worker: Worker, key: u32): f32 {
  if (worker.mode > MODE_CODES) return fromOrderedBits(key);
  if (header().metric == L.METRIC_DOT) return worker.unit * changetype<DotCodes>(0).value(key);
  return worker.unit * changetype<L2Codes>(0).value(key);
}

function floatBetween(worker: Worker, a: u32, b: u32): f32 {
  const h = header();
  const va = floatsOf(a, worker.floatsA);
  const vb = floatsOf(b, worker.floatsB);
  if (h.metric == L.METRIC_L2) return squaredL2(va, vb, h.vectorStride);
  if (h.metric == L.METRIC_DOT) return -dot(va, vb, h.vectorStride);
  const length = norm(va, h.vectorStride);
  return cosine(va, vb, h.vectorStride, length > 0 ? 1 / length : 0);
}

// @ts-ignore: decorator
@inline
function squaredTo(worker: Worker, slot: u32): f32 {
  return squaredL2(worker.query, floatsOf(slot, worker.floatsA), header().vectorStride);
}

// @ts-ignore: decorator
@inline
function touchFloats(slot: u32): u32 {
  return sheds() ? touchShed(slot) : touchLines(vectorOf(slot), header().vectorStride);
}

@unmanaged
export class L2Floats {
  @inline
  touch(slot: u32): u32 {
    return touchFloats(slot);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return fourKeys(
      squaredTo(worker, a),
      squaredTo(worker, b),
      squaredTo(worker, c),
      squaredTo(worker, d),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return orderedBits(squaredTo(worker, slot));
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    worker.holder = slot;
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return orderedBits(floatBetween(worker, worker.holder, other));
  }

  @inline
  value(key: u32): f32 {
    return fromOrderedBits(key);
  }
}

@unmanaged
export class OtherFloats {
  @inline
  touch(slot: u32): u32 {
    return touchFloats(slot);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return fourKeys(
      floatDistance(worker, a),
      floatDistance(worker, b),
      floatDistance(worker, c),
      floatDistance(worker, d),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return orderedBits(floatDistance(worker, slot));
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    worker.holder = slot;
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return orderedBits(floatBetween(worker, worker.holder, other));
  }

  @inline
  value(key: u32): f32 {
    return fromOrderedBits(key);
  }
}

@unmanaged
export class Careful {
  @inline
  touch(slot: u32): u32 {
    return touchFloats(slot);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return fourKeys(
      carefulDistance(worker, a),
      carefulDistance(worker, b),
      carefulDistance(worker, c),
      carefulDistance(worker, d),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return orderedBits(carefulDistance(worker, slot));
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    worker.holder = slot;
    holdOf(worker, slot, codebook(generationOf(slot)));
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return orderedBits(carefulBetween(worker, other));
  }

  @inline
  value(key: u32): f32 {
    return fromOrderedBits(key);
  }
}

// @ts-ignore: decorator
@inline
function fourKeys(a: f32, b: f32, c: f32, d: f32): v128 {
  let v = f32x4.splat(a);
  v = f32x4.replace_lane(v, 1, b);
  v = f32x4.replace_lane(v, 2, c);
  v = f32x4.replace_lane(v, 3, d);
  return v128.xor(v, v128.or(i32x4.shr_s(v, 31), i32x4.splat(0x80000000)));
}

function carefulDistance(worker: Worker, slot: u32): f32 {
  const own = generationOf(slot);
  if (own == 0 || flagsOf(slot) & L.FLAG_ROUGH) return floatDistance(worker, slot);
  const odd = own & 1;
  const code = odd ? worker.codeB : worker.codeA;
  const sum = odd ? worker.sumB : worker.sumA;
  return codedDistance(codebook(own), code, sum, slot);
}

function carefulBetween(worker: Worker, other: u32): f32 {
  const slot = worker.holder;
  const own = generationOf(slot);
  if (own == 0 || own != generationOf(other) || (flagsOf(slot) | flagsOf(other)) & L.FLAG_ROUGH)
    return floatBetween(worker, slot, other);
  return codedDistance(codebook(own), worker.held, worker.heldSum, other);
}
