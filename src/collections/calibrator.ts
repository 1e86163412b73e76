/**
 * Measures a collection's recall by itself, in the background: linkers take a step of it whenever
 * they have nothing else to do, one linker at a time.
 *
 * It begins when there are no curves yet, when the collection has outgrown them, or when a fifth of
 * the rows has come or gone since; for that it rests a hundred times as long as it took, so that it
 * never takes more than one core in a hundred, and an idle collection nothing at all. It ends when
 * the error is small where targets lie, or when it has taken long enough.
 */
import {
  CURVES,
  type Curves,
  EF_MEASURED_MAX,
  EFS,
  isOutgrown,
  type Point,
  TOOK_MS_MAX,
} from "./calibration.ts";
import type { Collection } from "./collection.ts";
import { EXACT_COMPONENTS } from "./planner.ts";
import { drawRow, type Outcome, probe, type Trial } from "./probing.ts";

const SAMPLES_MIN = 200;
const SAMPLES_MAX = 1000;
/** Good enough, where recall is below one by more than a few. */
const ERROR_MAX = 0.0015;
const CHANGED_SHARE = 0.2;
const REST_FACTOR = 100;
/** Walks for 100 rows are dear: one sample in so many tries them. */
const WIDE_EVERY = 4;
/** From so many samples on, widths beyond the first that misses nothing are left out. */
const TRIMMED_AT = 50;
const ALL_BUT = 0.0005;

/** Sums of what walks of one curve and width gave. */
class Sum {
  count = 0;
  #recall = 0;
  #squares = 0;
  #distances = 0;

  add(recall: number, distances: number): void {
    this.count++;
    this.#recall += recall;
    this.#squares += recall * recall;
    this.#distances += distances;
  }

  get point(): Point | undefined {
    if (this.count === 0) return undefined;
    const recall = this.#recall / this.count;
    const variance = Math.max(0, this.#squares / this.count - recall * recall);
    return {
      recall,
      // Where no sample missed anything, one more still might have.
      error: Math.sqrt(variance / this.count) + 1 / (10 * this.count * this.count),
      distances: this.#distances / this.count,
    };
  }
}

interface Sample {
  readonly snapshot: number;
  readonly trials: readonly Trial[];
  readonly steps: Generator<void, Outcome[] | undefined>;
}

export class Calibrator {
  readonly #collection: Collection;
  #sums: Sum[][] | undefined;
  #samples = 0;
  #tookMs = 0;
  #sample: Sample | undefined;

  constructor(collection: Collection) {
    this.#collection = collection;
  }

  /** A few milliseconds of work, if any is due; returns whether there was. */
  step(nowMs = Date.now()): boolean {
    if (this.#sums === undefined && !this.#begin(nowMs)) return false;
    const begunAtMs = performance.now();
    this.#advance();
    this.#tookMs += performance.now() - begunAtMs;
    if (this.#isDone()) this.#end(nowMs);
    return true;
  }

  /** Other work has come: nothing may be held back for a sample that is half done. */
  rest(): void {
    if (this.#sample === undefined) return;
    this.#collection.readings.end(this.#sample.snapshot);
    this.#sample = undefined;
  }

  #begin(nowMs: number): boolean {
    const collection = this.#collection;
    const { live, calibration, settings } = collection;
    if (live * settings.dimensions <= EXACT_COMPONENTS) return false;
    const { curves } = calibration;
    if (curves !== undefined) {
      const changed = collection.changes - curves.changes;
      if (changed < CHANGED_SHARE * curves.rows) return false;
      const isResting = nowMs - curves.measuredAtMs < REST_FACTOR * curves.tookMs;
      if (isResting && !isOutgrown(curves, live)) return false;
    }
    if (!calibration.tryBegin(collection.thread.worker)) return false;
    this.#sums = CURVES.map(() => EFS.map(() => new Sum()));
    this.#samples = 0;
    this.#tookMs = 0;
    return true;
  }

  #advance(): void {
    this.#sample ??= this.#draw();
    if (this.#sample === undefined) return;
    const step = this.#sample.steps.next();
    if (!step.done) return;
    const { trials } = this.#sample;
    this.rest();
    if (step.value === undefined) return;
    this.#samples++;
    for (const [index, outcome] of step.value.entries()) this.#add(trials[index]!, outcome);
  }

  #draw(): Sample | undefined {
    const collection = this.#collection;
    const snapshot = collection.readings.begin();
    const row = drawRow(collection, Math.random);
    const trials = this.#trials();
    if (row === undefined) {
      collection.readings.end(snapshot);
      this.#tookMs = TOOK_MS_MAX;
      return undefined;
    }
    return { snapshot, trials, steps: probe(collection, row, trials, snapshot) };
  }

  /** The curve for the first row comes with that for ten. */
  #trials(): Trial[] {
    const trials: Trial[] = [];
    for (const [curve, { k, factor }] of CURVES.entries()) {
      if (k === 1 || (k > 10 && this.#samples % WIDE_EVERY > 0)) continue;
      if (this.#collection.live <= 4 * k) continue;
      for (const [index, ef] of EFS.entries()) {
        if (ef * factor > EF_MEASURED_MAX) break;
        trials.push({ k, ef: ef * factor });
        const { point, count } = this.#sumOf(curve, index);
        if (count >= TRIMMED_AT / factor && point!.recall >= 1 - ALL_BUT) break;
      }
    }
    return trials;
  }

  #sumOf(curve: number, index: number): Sum {
    return this.#sums![curve]![index]!;
  }

  #add({ k, ef }: Trial, { recall, first, distances }: Outcome): void {
    const curve = CURVES.findIndex((each) => each.k === k);
    const index = EFS.findIndex((each) => each * CURVES[curve]!.factor === ef);
    this.#sumOf(curve, index).add(recall, distances);
    if (k === 10) this.#sumOf(0, index).add(first ? 1 : 0, distances);
  }

  #isDone(): boolean {
    if (this.#sample !== undefined) return false;
    if (this.#samples >= SAMPLES_MAX || this.#tookMs >= TOOK_MS_MAX) return true;
    if (this.#samples < SAMPLES_MIN) return false;
    const points = this.#sums![1]!.map(({ point }) => point);
    return points.every((point) => !point || point.recall < 0.85 || point.error <= ERROR_MAX);
  }

  #end(nowMs: number): void {
    const collection = this.#collection;
    const curves: Curves = {
      samples: this.#samples,
      rows: collection.live,
      changes: collection.changes,
      measuredAtMs: nowMs,
      tookMs: this.#tookMs,
      points: this.#sums!.map((sums) => sums.map(({ point }) => point)),
    };
    this.#sums = undefined;
    // Rows that come and go too fast to be measured leave the curves as they were.
    if (this.#samples > 0) collection.calibration.publish(curves);
    collection.calibration.end();
  }
}
