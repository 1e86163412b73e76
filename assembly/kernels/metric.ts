/**
 * Spaces: how a walk measures. A space is a type argument of the search, so each walk is compiled
 * with its own kernel and makes no indirect call. All spaces return *keys*: unsigned 32-bit
 * numbers, smaller is nearer.
 *
 *   L2Codes, DotCodes       codes of one generation; keys are exact integers
 *   L2Floats, OtherFloats   float32; keys are ordered bits of the distance (l2: its square)
 *   Careful                 each row by its own kind; ordered bits of a distance in real units
 *
 * Cosine walks its codes with L2Codes, for they are codes of unit vectors.
 */
import { fromOrderedBits, MODE_CODES, orderedBits } from "../codebook";
import { Codebook, codebook, generation, header } from "../header";
import * as L from "../layout";
import { codeOf, flagsOf, generationOf, sumOf, vectorOf } from "../row";
import { Worker } from "../worker";
import { dotCodes, dotCodes4, squaredCodes, squaredCodes4 } from "./codes";
import { cosine, dot, norm, squaredL2 } from "./lanes";

/**
 * Distance of the caller's metric over float32: what is reported, and what `exact` sorts by (l2:
 * squared).
 */
// @ts-ignore: decorator
@inline
export function floatDistance(worker: Worker, slot: u32): f32 {
  const h = header();
  const vector = vectorOf(slot);
  if (h.metric == L.METRIC_L2) return squaredL2(worker.query, vector, h.vectorStride);
  if (h.metric == L.METRIC_DOT) return -dot(worker.query, vector, h.vectorStride);
  return cosine(worker.query, vector, h.vectorStride, worker.inverseNorm);
}

/**
 * A walk's key in units of the float32 distance, but for what is the same for all rows of a query.
 */
export function estimated(worker: Worker, key: u32): f32 {
  if (worker.mode != MODE_CODES) return fromOrderedBits(key);
  const scale = codebook(generation()).scale;
  if (header().metric == L.METRIC_DOT) return scale * scale * changetype<DotCodes>(0).value(key);
  const squared = scale * scale * changetype<L2Codes>(0).value(key);
  return header().metric == L.METRIC_COSINE ? squared * 0.5 : squared;
}

/** Loads from the first cache lines; the rest of a long row follows by itself. */
// @ts-ignore: decorator
@inline
function touchLines(at: usize, bytes: u32): u32 {
  return load<u32>(at) + load<u32>(at + (bytes > 64 ? 64 : 0));
}

function floatBetween(a: u32, b: u32): f32 {
  const h = header();
  const va = vectorOf(a);
  const vb = vectorOf(b);
  if (h.metric == L.METRIC_L2) return squaredL2(va, vb, h.vectorStride);
  if (h.metric == L.METRIC_DOT) return -dot(va, vb, h.vectorStride);
  const length = norm(va, h.vectorStride);
  return cosine(va, vb, h.vectorStride, length > 0 ? 1 / length : 0);
}

@unmanaged
export class L2Codes {
  @inline
  touch(slot: u32): u32 {
    return touchLines(codeOf(slot), header().codeStride);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return squaredCodes4(
      worker.code,
      codeOf(a),
      codeOf(b),
      codeOf(c),
      codeOf(d),
      header().codeBytes,
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return <u32>squaredCodes(worker.code, codeOf(slot), header().codeBytes);
  }

  @inline
  between(a: u32, b: u32): u32 {
    return <u32>squaredCodes(codeOf(a), codeOf(b), header().codeBytes);
  }

  @inline
  value(key: u32): f32 {
    return <f32>key;
  }
}

@unmanaged
export class DotCodes {
  @inline
  touch(slot: u32): u32 {
    return touchLines(codeOf(slot), header().codeStride);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    const bytes = header().codeBytes;
    const products = dotCodes4(worker.code, codeOf(a), codeOf(b), codeOf(c), codeOf(d), bytes);
    let sums = i32x4.splat(sumOf(a));
    sums = i32x4.replace_lane(sums, 1, sumOf(b));
    sums = i32x4.replace_lane(sums, 2, sumOf(c));
    sums = i32x4.replace_lane(sums, 3, sumOf(d));
    const zero = i32x4.splat(codebook(generation()).zero);
    const negated = i32x4.neg(i32x4.add(products, i32x4.mul(sums, zero)));
    return v128.xor(negated, i32x4.splat(0x80000000));
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    const product = dotCodes(worker.code, codeOf(slot), header().codeBytes);
    const sum = sumOf(slot) * codebook(generation()).zero;
    return <u32>-(product + sum) ^ 0x80000000;
  }

  /** The inner product's full form: both sums count here, for neither side is fixed. */
  @inline
  between(a: u32, b: u32): u32 {
    const zero = codebook(generation()).zero;
    const sum = (sumOf(a) + sumOf(b)) * zero;
    return <u32>-(dotCodes(codeOf(a), codeOf(b), header().codeBytes) + sum) ^ 0x80000000;
  }

  @inline
  value(key: u32): f32 {
    return <f32>(<i32>(key ^ 0x80000000));
  }
}

@unmanaged
export class L2Floats {
  @inline
  touch(slot: u32): u32 {
    return touchLines(vectorOf(slot), header().vectorStride);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return fourKeys(
      squaredL2(worker.query, vectorOf(a), header().vectorStride),
      squaredL2(worker.query, vectorOf(b), header().vectorStride),
      squaredL2(worker.query, vectorOf(c), header().vectorStride),
      squaredL2(worker.query, vectorOf(d), header().vectorStride),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return orderedBits(squaredL2(worker.query, vectorOf(slot), header().vectorStride));
  }

  @inline
  between(a: u32, b: u32): u32 {
    return orderedBits(floatBetween(a, b));
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
    return touchLines(vectorOf(slot), header().vectorStride);
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
  between(a: u32, b: u32): u32 {
    return orderedBits(floatBetween(a, b));
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
    return touchLines(vectorOf(slot), header().vectorStride);
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
  between(a: u32, b: u32): u32 {
    return orderedBits(carefulBetween(a, b));
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

function carefulBetween(a: u32, b: u32): f32 {
  const own = generationOf(a);
  if (own == 0 || own != generationOf(b) || (flagsOf(a) | flagsOf(b)) & L.FLAG_ROUGH)
    return floatBetween(a, b);
  const sum = header().metric == L.METRIC_DOT ? sumOf(a) : 0;
  return codedDistance(codebook(own), codeOf(a), sum, b);
}

/** A distance in real units (l2: squared) between a code and a row's, both of one generation. */
function codedDistance(book: Codebook, a: usize, sum: i32, slot: u32): f32 {
  const h = header();
  const scale = book.scale;
  if (h.metric == L.METRIC_DOT) {
    const zero = <f32>book.zero;
    const products = <f32>dotCodes(a, codeOf(slot), h.codeBytes) + zero * <f32>(sum + sumOf(slot));
    return -scale * scale * (products + zero * zero * <f32>h.dimensions);
  }
  const squared = scale * scale * <f32>squaredCodes(a, codeOf(slot), h.codeBytes);
  return h.metric == L.METRIC_COSINE ? squared * 0.5 : squared;
}
