/**
 * The spaces over codes (metric.ts says what a space is), and what a code is worth in real units.
 */
import { Codebook, codebook, generation, header } from "../header";
import * as L from "../layout";
import { codeOf, fineOf } from "../row";
import { Worker } from "../worker";
import { sumCode } from "./codes";
import {
  dotCoarse,
  dotCoarse4,
  dotWhole,
  squaredCoarse,
  squaredCoarse4,
  squaredWhole,
  sumWhole,
  unpack,
} from "./halves";

/** Loads from the first cache lines; the rest of a long row follows by itself. */
// @ts-ignore: decorator
@inline
export function touchLines(at: usize, bytes: u32): u32 {
  return load<u32>(at) + load<u32>(at + (bytes > 64 ? 64 : 0));
}

// @ts-ignore: decorator
@inline
function fourOf(a: u32, b: u32, c: u32, d: u32): v128 {
  let v = i32x4.splat(a);
  v = i32x4.replace_lane(v, 1, b);
  v = i32x4.replace_lane(v, 2, c);
  return i32x4.replace_lane(v, 3, d);
}

// @ts-ignore: decorator
@inline
function half(): usize {
  return header().codeBytes >> 1;
}

// @ts-ignore: decorator
@inline
function startsNow(): usize {
  return changetype<usize>(codebook(generation())) + L.CODEBOOK_STARTS;
}

// @ts-ignore: decorator
@inline
function levelsNow(): usize {
  return changetype<usize>(codebook(generation())) + L.CODEBOOK_LEVELS;
}

/** Unpacks the row's code, so that others are measured from it as from a query. */
function holdCode(worker: Worker, slot: u32): void {
  unpack(codeOf(slot), fineOf(slot), half(), startsNow(), worker.held);
}

/** As `holdCode`, of whichever generation the row's code is, and its sum. */
export function holdOf(worker: Worker, slot: u32, book: Codebook): void {
  const starts = changetype<usize>(book) + L.CODEBOOK_STARTS;
  unpack(codeOf(slot), fineOf(slot), half(), starts, worker.held);
  worker.heldSum = sumCode(worker.held, header().codeBytes);
}

/** The inner product's full form: both sums count here, for neither side is fixed. */
function heldDot(worker: Worker, other: u32): u32 {
  const starts = startsNow();
  const product = dotWhole(worker.held, codeOf(other), fineOf(other), half(), starts);
  const sum = worker.heldSum + sumOf(other, starts);
  return dotKey(product + sum * codebook(generation()).zero);
}

function sumOf(slot: u32, starts: usize): i32 {
  return sumWhole(codeOf(slot), fineOf(slot), half(), starts);
}

// @ts-ignore: decorator
@inline
function dotKey(product: i32): u32 {
  return <u32>-product ^ 0x80000000;
}

// @ts-ignore: decorator
@inline
function dotValue(key: u32): f32 {
  return <f32>(<i32>(key ^ 0x80000000));
}

@unmanaged
export class L2Coarse {
  @inline
  touch(slot: u32): u32 {
    return touchLines(codeOf(slot), header().codeStride);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return squaredCoarse4(
      worker.code,
      codeOf(a),
      codeOf(b),
      codeOf(c),
      codeOf(d),
      half(),
      levelsNow(),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return <u32>squaredCoarse(worker.code, codeOf(slot), half(), levelsNow());
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    holdCode(worker, slot);
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return <u32>squaredCoarse(worker.held, codeOf(other), half(), levelsNow());
  }

  @inline
  value(key: u32): f32 {
    return <f32>key;
  }
}

@unmanaged
export class DotCoarse {
  @inline
  touch(slot: u32): u32 {
    return touchLines(codeOf(slot), header().codeStride);
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    const products = dotCoarse4(
      worker.code,
      codeOf(a),
      codeOf(b),
      codeOf(c),
      codeOf(d),
      half(),
      levelsNow(),
    );
    return v128.xor(i32x4.neg(products), i32x4.splat(0x80000000));
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return dotKey(dotCoarse(worker.code, codeOf(slot), half(), levelsNow()));
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    holdOf(worker, slot, codebook(generation()));
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return heldDot(worker, other);
  }

  @inline
  value(key: u32): f32 {
    return dotValue(key);
  }
}

@unmanaged
export class L2Codes {
  @inline
  touch(slot: u32): u32 {
    return touchLines(codeOf(slot), header().codeStride) + load<u32>(fineOf(slot));
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return fourOf(
      this.one(worker, a),
      this.one(worker, b),
      this.one(worker, c),
      this.one(worker, d),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return <u32>squaredWhole(worker.code, codeOf(slot), fineOf(slot), half(), startsNow());
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    holdCode(worker, slot);
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return <u32>squaredWhole(worker.held, codeOf(other), fineOf(other), half(), startsNow());
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
    return touchLines(codeOf(slot), header().codeStride) + load<u32>(fineOf(slot));
  }

  @inline
  four(worker: Worker, a: u32, b: u32, c: u32, d: u32): v128 {
    return fourOf(
      this.one(worker, a),
      this.one(worker, b),
      this.one(worker, c),
      this.one(worker, d),
    );
  }

  @inline
  one(worker: Worker, slot: u32): u32 {
    return dotKey(dotWhole(worker.code, codeOf(slot), fineOf(slot), half(), startsNow()));
  }

  @inline
  hold(worker: Worker, slot: u32): void {
    holdOf(worker, slot, codebook(generation()));
  }

  @inline
  fromHeld(worker: Worker, other: u32): u32 {
    return heldDot(worker, other);
  }

  @inline
  value(key: u32): f32 {
    return dotValue(key);
  }
}

/** A distance in real units (l2: squared) between a code and a row's, both of one generation. */
export function codedDistance(book: Codebook, code: usize, sum: i32, slot: u32): f32 {
  const starts = changetype<usize>(book) + L.CODEBOOK_STARTS;
  const coarse = codeOf(slot);
  const fine = fineOf(slot);
  if (header().metric == L.METRIC_DOT) {
    const product = dotWhole(code, coarse, fine, half(), starts);
    return dotInUnits(book, product + (sum + sumOf(slot, starts)) * book.zero);
  }
  return squaredInUnits(book, squaredWhole(code, coarse, fine, half(), starts));
}

function dotInUnits(book: Codebook, product: i32): f32 {
  const zero = <f32>book.zero;
  return -book.scale * book.scale * (<f32>product + zero * zero * <f32>header().dimensions);
}

function squaredInUnits(book: Codebook, squared: i32): f32 {
  const distance = book.scale * book.scale * <f32>squared;
  return header().metric == L.METRIC_COSINE ? distance * 0.5 : distance;
}
