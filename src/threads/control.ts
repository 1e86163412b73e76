/**
 * The control memory: one small SharedArrayBuffer that the supervisor makes and hands to every
 * thread. It holds the bell that wakes the linkers, and what all threads count together. Nothing in
 * it takes a lock; each cell is changed by one atomic operation, so that a thread may die anywhere.
 *
 *   offset | size              | name
 *        0 | 4                 | bell: rung once for every call of ring()
 *        4 | 4                 | seed of the windows' hash
 *       64 | 8 each            | counters, in the order of COUNTERS
 *          | 8 each            | histograms: for each series its buckets, then the sum
 *          | 8 x LISTENERS_MAX | event loop delay of each listener in microseconds, plus one
 *          | 8 x REQUEST_CELLS | request windows
 *          | 8 x FAILURE_CELLS | windows of failed credentials
 */
import { getRandomValues } from "node:crypto";
import {
  COUNTERS,
  type Control,
  type CounterName,
  HISTOGRAMS,
  type HistogramName,
  type HistogramReading,
} from "../http/meters.ts";

const LISTENERS_MAX = 256;
const REQUEST_CELLS = 65_536;
const FAILURE_CELLS = 16_384;

const BELL_WORD = 0;
const SEED_WORD = 1;
const COUNTERS_CELL = 8;

const counterNames = Object.keys(COUNTERS) as CounterName[];
const counterCells = new Map(counterNames.map((name, index) => [name, COUNTERS_CELL + index]));

interface Place {
  readonly cell: number;
  readonly cellsPerSeries: number;
  readonly bounds: readonly number[];
}

let cellCount = COUNTERS_CELL + counterNames.length;
const histogramPlaces = new Map<HistogramName, Place>();
for (const [name, { bounds, seriesCount }] of Object.entries(HISTOGRAMS)) {
  const cellsPerSeries = bounds.length + 2;
  histogramPlaces.set(name as HistogramName, { cell: cellCount, cellsPerSeries, bounds });
  cellCount += cellsPerSeries * seriesCount;
}
const LAG_CELL = cellCount;
/** A probe reads eight cells, and eight cells are one cache line when they start on one. */
const REQUEST_CELL = Math.ceil((LAG_CELL + LISTENERS_MAX) / 8) * 8;
const FAILURE_CELL = REQUEST_CELL + REQUEST_CELLS;
const CELLS_TOTAL = FAILURE_CELL + FAILURE_CELLS;

export class ControlMemory implements Control {
  readonly memory: SharedArrayBuffer;
  readonly seed: number;
  readonly requestCells: BigUint64Array<SharedArrayBuffer>;
  readonly failureCells: BigUint64Array<SharedArrayBuffer>;
  private readonly words: Int32Array<SharedArrayBuffer>;
  private readonly cells: BigUint64Array<SharedArrayBuffer>;

  /** Without `memory` a new one is made; every other thread is given that one. */
  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(CELLS_TOTAL * 8);
    this.words = new Int32Array(this.memory, 0, 2);
    this.cells = new BigUint64Array(this.memory, 0, REQUEST_CELL);
    this.requestCells = new BigUint64Array(this.memory, REQUEST_CELL * 8, REQUEST_CELLS);
    this.failureCells = new BigUint64Array(this.memory, FAILURE_CELL * 8, FAILURE_CELLS);
    if (memory === undefined) {
      Atomics.store(this.words, SEED_WORD, getRandomValues(new Int32Array(1))[0]!);
    }
    this.seed = Atomics.load(this.words, SEED_WORD);
  }

  /** Wakes every linker that sleeps, and keeps one that is about to sleep awake. */
  ring(): void {
    Atomics.add(this.words, BELL_WORD, 1);
    Atomics.notify(this.words, BELL_WORD);
  }

  /** What to hand to sleep(): read it before looking for work, so that no ring is missed. */
  heard(): number {
    return Atomics.load(this.words, BELL_WORD);
  }

  /** Blocks the thread until the bell has rung since `heard`. Never for a thread that listens. */
  sleep(heard: number, timeoutMs = Number.POSITIVE_INFINITY): "rung" | "timed-out" {
    const outcome = Atomics.wait(this.words, BELL_WORD, heard, timeoutMs);
    return outcome === "timed-out" ? "timed-out" : "rung";
  }

  count(counter: CounterName, by = 1): void {
    Atomics.add(this.cells, counterCells.get(counter)!, BigInt(Math.round(by)));
  }

  total(counter: CounterName): number {
    return this.cell(counterCells.get(counter)!) / COUNTERS[counter].cellsPerUnit;
  }

  observe(histogram: HistogramName, value: number, series = 0): void {
    const { cell, cellsPerSeries, bounds } = histogramPlaces.get(histogram)!;
    const first = cell + series * cellsPerSeries;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    Atomics.add(this.cells, first + bucket, 1n);
    Atomics.add(this.cells, first + bounds.length + 1, BigInt(Math.round(Math.max(0, value))));
  }

  read(histogram: HistogramName, series = 0): HistogramReading {
    const { cell, cellsPerSeries, bounds } = histogramPlaces.get(histogram)!;
    const first = cell + series * cellsPerSeries;
    const buckets = Array.from({ length: bounds.length + 1 }, (_, index) =>
      this.cell(first + index),
    );
    const sum = this.cell(first + bounds.length + 1) / HISTOGRAMS[histogram].cellsPerUnit;
    return { buckets, sum };
  }

  setLag(listener: number, milliseconds: number): void {
    if (listener >= LISTENERS_MAX) return;
    Atomics.store(this.cells, LAG_CELL + listener, BigInt(Math.round(milliseconds * 1000)) + 1n);
  }

  lags(): (number | undefined)[] {
    return Array.from({ length: LISTENERS_MAX }, (_, listener) => {
      const stored = this.cell(LAG_CELL + listener);
      return stored === 0 ? undefined : (stored - 1) / 1000;
    });
  }

  private cell(index: number): number {
    return Number(Atomics.load(this.cells, index));
  }
}
