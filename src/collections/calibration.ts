/**
 * Which width of walk gives which recall: the curve that linkers have measured (calibrator.ts), in
 * the state that all threads of a collection share.
 *
 * A curve for the first row, for 10 and for 100 rows; for other k it is read between them. What is
 * promised is not the mean but a bound below it, by the error that so few samples leave.
 *
 * offset | size | name (float64, from CURVES_BASE)
 *      0 |    8 | samples
 *      8 |    8 | living rows when it was measured
 *     16 |    8 | rows written, and rows removed, by then
 *     24 |    8 | when it was measured, milliseconds
 *     32 |    8 | how long that took, milliseconds
 *     40 |  24n | for each curve and width: mean recall, its standard error, distances
 */
import type { RecallEstimate } from "./database.ts";

export const EFS = [15, 20, 27, 36, 48, 64, 90, 128, 180, 256, 360, 512, 720, 1024] as const;
/** A walk for 100 rows is ten times as wide. */
export const CURVES = [
  { k: 1, factor: 1 },
  { k: 10, factor: 1 },
  { k: 100, factor: 10 },
] as const;
/** Samples of one measurement take no longer, all together. */
export const TOOK_MS_MAX = 20_000;
/** Wider ones are not measured. */
export const EF_MEASURED_MAX = 2560;

/** In words from the state's start: who calibrates (worker + 1), and the version, odd meanwhile. */
export const CALIBRATOR = 4;
const VERSION = 5;
export const CURVES_BASE = 64;
const HEAD = 5;
const POINT = 3;
const FLOATS = HEAD + CURVES.length * EFS.length * POINT;
export const CURVES_BYTES = 8 * FLOATS;

/** Standard errors between the mean and what is promised. */
const CAUTION = 1;
/** Of 95 % confidence, one-sided bounds, as they are shown. */
const SHOWN = 1.645;
/** Without a calibration: widths that sufficed for hard data, by target. */
const UNMEASURED: readonly (readonly [target: number, ef: number])[] = [
  [0.9, 64],
  [0.95, 128],
  [0.99, 320],
  [1, 768],
];
const LEAST_MISS = 1e-5;
/** By which factor rows may have grown in number since they were measured. */
const OUTGROWN = 1.2;

export interface Point {
  readonly recall: number;
  readonly error: number;
  readonly distances: number;
}

export interface Curves {
  readonly samples: number;
  readonly rows: number;
  readonly changes: number;
  readonly measuredAtMs: number;
  readonly tookMs: number;
  /** By curve and width; undefined where it was not measured. */
  readonly points: readonly (readonly (Point | undefined)[])[];
}

/** What a search is to do for a target: a width, or the exact scan where no width is enough. */
export interface Aim {
  readonly ef: number | undefined;
  readonly estimate: RecallEstimate;
}

export class Calibration {
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  #known: Curves | undefined;
  #knownVersion = 0;

  constructor(state: SharedArrayBuffer | ArrayBuffer) {
    this.#words = new Int32Array(state);
    this.#floats = new Float64Array(state, CURVES_BASE, FLOATS);
  }

  /** The newest curves; undefined until they have been measured for the first time. */
  get curves(): Curves | undefined {
    for (;;) {
      const version = Atomics.load(this.#words, VERSION);
      if (version === this.#knownVersion) return this.#known;
      if (version & 1) return this.#known;
      const read = decode(this.#floats.slice());
      if (Atomics.load(this.#words, VERSION) !== version) continue;
      [this.#known, this.#knownVersion] = [read, version];
      return read;
    }
  }

  /** By whoever calibrates. */
  publish(curves: Curves): void {
    Atomics.add(this.#words, VERSION, 1);
    this.#floats.set(encode(curves));
    Atomics.add(this.#words, VERSION, 1);
  }

  tryBegin(worker: number): boolean {
    return Atomics.compareExchange(this.#words, CALIBRATOR, 0, worker + 1) === 0;
  }

  end(): void {
    Atomics.store(this.#words, CALIBRATOR, 0);
  }

  aim(target: number, k: number, live: number): Aim {
    const { curves } = this;
    if (target >= 1) return { ef: undefined, estimate: exactly(target) };
    if (curves === undefined) return { ef: unmeasured(target, k), estimate: { target, sample: 0 } };
    const ef = widthFor(curves, target, k);
    if (ef === undefined) return { ef, estimate: exactly(target) };
    if (isOutgrown(curves, live)) {
      return { ef: Math.max(ef, unmeasured(target, k)), estimate: { target, sample: 0 } };
    }
    return { ef, estimate: { target, sample: curves.samples, ...estimateAt(curves, ef, k) } };
  }
}

/** Curves of fewer rows promise too much: more rows are harder to search. */
export function isOutgrown({ rows }: Curves, live: number): boolean {
  return live > OUTGROWN * rows;
}

function unmeasured(target: number, k: number): number {
  const [, ef] = UNMEASURED.find(([bar]) => target <= bar)!;
  return Math.ceil(ef * Math.max(1, k / 10));
}

/** The exact scan needs no sample. */
export function exactly(target: number): RecallEstimate {
  return { target, sample: 0, recall: 1, atLeast: 1 };
}

/** The least width whose bound reaches the target, between the curves of the ks around `k`. */
function widthFor(curves: Curves, target: number, k: number): number | undefined {
  const [low, high, share] = around(k);
  const a = leastWidth(curves.points[low]!, low, target);
  const b = leastWidth(curves.points[high]!, high, target);
  if (a === undefined || b === undefined) return undefined;
  const ef = Math.exp(Math.log(a) * (1 - share) + Math.log(b) * share);
  return Math.ceil(ef * Math.max(1, k / CURVES.at(-1)!.k));
}

/** The curves below and above a k, and how far it lies between them, by their logarithms. */
function around(k: number): [low: number, high: number, share: number] {
  const high = CURVES.findIndex((curve) => curve.k >= k);
  if (high < 0) return [CURVES.length - 1, CURVES.length - 1, 0];
  if (high === 0) return [0, 0, 0];
  const [below, above] = [CURVES[high - 1]!.k, CURVES[high]!.k];
  return [high - 1, high, Math.log(k / below) / Math.log(above / below)];
}

const widthAt = (curve: number, index: number) => EFS[index]! * CURVES[curve]!.factor;

function leastWidth(
  points: readonly (Point | undefined)[],
  curve: number,
  target: number,
): number | undefined {
  let missBefore = 1;
  for (const [index, point] of points.entries()) {
    if (point === undefined) continue;
    const miss = Math.max(LEAST_MISS, 1 - point.recall + CAUTION * point.error);
    const width = widthAt(curve, index);
    if (1 - miss >= target) {
      if (index === 0) return width;
      const before = Math.log(widthAt(curve, index - 1));
      const share = Math.log(missBefore / (1 - target)) / Math.log(missBefore / miss);
      return Math.exp(before + (Math.log(width) - before) * Math.min(1, Math.max(0, share)));
    }
    missBefore = Math.min(missBefore, miss);
  }
  return undefined;
}

/** What the curves say of a width, by the next narrower one that was measured. */
function estimateAt(curves: Curves, ef: number, k: number) {
  const [, curve] = around(k);
  const points = curves.points[curve]!;
  let found = points[0]!;
  for (const [index, point] of points.entries()) {
    if (point !== undefined && widthAt(curve, index) <= ef) found = point;
  }
  return { recall: found.recall, atLeast: lowerBound(found) };
}

/** With 95 % confidence recall is at least this. */
export function lowerBound({ recall, error }: Pick<Point, "recall" | "error">): number {
  return Math.max(0, recall - SHOWN * error);
}

function encode(curves: Curves): Float64Array {
  const floats = new Float64Array(FLOATS).fill(Number.NaN);
  const { samples, rows, changes, measuredAtMs, tookMs } = curves;
  floats.set([samples, rows, changes, measuredAtMs, tookMs]);
  for (const [curve, points] of curves.points.entries()) {
    for (const [index, point] of points.entries()) {
      if (point === undefined) continue;
      const at = HEAD + (curve * EFS.length + index) * POINT;
      floats.set([point.recall, point.error, point.distances], at);
    }
  }
  return floats;
}

function decode(floats: Float64Array): Curves {
  const [samples, rows, changes, measuredAtMs, tookMs] = floats as unknown as number[];
  const points = CURVES.map((_, curve) =>
    EFS.map((_, index) => {
      const at = HEAD + (curve * EFS.length + index) * POINT;
      const [recall, error, distances] = floats.subarray(at, at + POINT);
      return Number.isNaN(recall!) ? undefined : pointOf(recall!, error!, distances!);
    }),
  );
  return {
    samples: samples!,
    rows: rows!,
    changes: changes!,
    measuredAtMs: measuredAtMs!,
    tookMs: tookMs!,
    points,
  };
}

const pointOf = (recall: number, error: number, distances: number): Point => ({
  recall,
  error,
  distances,
});

/** As an image keeps them; nothing where there are none. */
export function curvesToBytes(curves: Curves | undefined): Uint8Array<ArrayBuffer> {
  if (curves === undefined) return new Uint8Array(0);
  const stated = { curves: CURVES, efs: EFS, ...curves };
  return new TextEncoder().encode(JSON.stringify(stated));
}

export const CURVES_JSON_BYTES_MAX = 64 * 1024;

/**
 * From an image, where anything may stand: undefined for what are no curves. "others" are curves of
 * widths that are not measured here; those are measured anew.
 */
export function curvesFromBytes(bytes: Uint8Array, nowMs: number): Curves | "others" | undefined {
  try {
    const { curves, efs, points, ...head } = JSON.parse(new TextDecoder().decode(bytes));
    if (JSON.stringify([curves, efs]) !== JSON.stringify([CURVES, EFS])) return "others";
    const { samples, rows, changes, measuredAtMs, tookMs } = head;
    const numbers = [samples, rows, changes, measuredAtMs, tookMs];
    if (!numbers.every((value) => Number.isFinite(value) && value >= 0)) return undefined;
    const read = CURVES.map((_, curve) => EFS.map((_, index) => pointIn(points[curve][index])));
    // A clock that went wrong must not keep linkers from measuring again.
    const whenMs = Math.min(measuredAtMs, nowMs);
    const lastedMs = Math.min(tookMs, TOOK_MS_MAX);
    return { samples, rows, changes, measuredAtMs: whenMs, tookMs: lastedMs, points: read };
  } catch {
    return undefined;
  }
}

/** Throws where it is no point. */
function pointIn(stated: unknown): Point | undefined {
  if (stated === null) return undefined;
  const { recall, error, distances } = stated as Point;
  const isSound = recall >= 0 && recall <= 1 && error >= 0 && distances >= 0;
  if (!isSound || !Number.isFinite(error) || !Number.isFinite(distances)) throw new Error();
  return pointOf(recall, error, distances);
}
