/**
 * Codes and their generations: data that leaves the learned range, rows the range cannot hold, and
 * answers given while rows are encoded anew.
 */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { type Metric, type Rows, rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import type { Shard } from "../../src/engine/shard.ts";
import { VARIANTS, type VariantName } from "../../src/engine/variant.ts";
import {
  append,
  clustered,
  linkAll,
  METRICS,
  newShard,
  overVariants,
  recallToScan,
  rowsOf,
  SEED,
  scan,
  search,
  settleCodes,
  words,
} from "./trial.ts";

const DIMENSIONS = 32;
const FLOOR = 0.95;
/** Rows of a second kind are so many times as far from the origin, and so far apart. */
const FAR = 10;
const ROWS = 600;

const generationOf = (shard: Shard) => words(shard)[L.HEADER_GENERATION >>> 2]!;
const irregularOf = (shard: Shard) => words(shard)[L.HEADER_IRREGULAR >>> 2]!;

/** Clustered rows and queries, scaled and moved. */
function moved(metric: Metric, factor: number, shift: number): { base: Rows; queries: Rows } {
  const { base, queries } = clustered(ROWS, DIMENSIONS, metric, 30);
  const move = (rows: Rows) => ({ ...rows, values: rows.values.map((x) => x * factor + shift) });
  return { base: move(base), queries: move(queries) };
}

function filled(name: VariantName, metric: Metric): Shard {
  const shard = newShard(name, { dimensions: DIMENSIONS, metric });
  append(shard, moved(metric, 1, 0).base.values);
  linkAll(shard);
  return shard;
}

/** Rows are found by their own vectors; an inner product promises nobody that. */
function expectFound(shard: Shard, rows: Rows, firstSlot: number, snapshot: number): void {
  for (let row = 0; row < rows.count; row += 7) {
    const slot = firstSlot + row;
    expect(search(shard, rowAt(rows, row), { snapshot }), `slot ${slot}`).to.include(slot);
  }
}

overVariants("codes", (name) => {
  for (const metric of METRICS) {
    it(`keep recall when rows come from far outside the first range: ${metric}`, () => {
      const shard = filled(name, metric);
      expect(generationOf(shard)).to.equal(1);
      const far = moved(metric, FAR, 0);
      append(shard, far.base.values, 2);
      expect(recallToScan(shard, far.queries, { snapshot: 2 })).to.be.at.least(FLOOR);
      linkAll(shard);
      if (metric !== "cosine") expect(generationOf(shard)).to.be.above(1);
      const near = moved(metric, 1, 0).queries;
      expect(recallToScan(shard, far.queries, { snapshot: 2 })).to.be.at.least(FLOOR);
      expect(recallToScan(shard, near, { snapshot: 2 })).to.be.at.least(FLOOR);
      expect(shard.check()).to.equal(undefined);
    });
  }

  for (const metric of METRICS) {
    it(`answer rightly after every few rows that are encoded anew: ${metric}`, () => {
      const { shard, far } = inTransition(name, metric);
      const near = moved(metric, 1, 0);
      const random = seededRandom(SEED);
      for (let isDone = false; !isDone; ) {
        isDone = shard.engine.reencode(1 + random.integer(150)) !== 0;
        for (const { queries } of [near, far]) {
          expect(recallToScan(shard, queries, { snapshot: 2 })).to.be.at.least(FLOOR);
        }
      }
      expect(shard.engine.isReencoding()).to.equal(0);
      expect(irregularOf(shard)).to.be.below(ROWS);
      if (metric !== "dot") expectFound(shard, far.base, ROWS, 2);
    });

    it(`link and append while rows are encoded anew: ${metric}`, () => {
      const { shard, far } = inTransition(name, metric);
      const more = moved(metric, FAR, 1);
      for (let row = 0; row < ROWS; row += 100) {
        const batch = more.base.values.subarray(row * DIMENSIONS, (row + 100) * DIMENSIONS);
        append(shard, batch, 2);
        shard.engine.reencode(60);
        shard.engine.linkTail(0, 130, 64, 8, 0);
      }
      linkAll(shard);
      expect(recallToScan(shard, far.queries, { snapshot: 2 })).to.be.at.least(FLOOR);
      if (metric !== "dot") expectFound(shard, more.base, 2 * ROWS, 2);
      if (metric !== "dot") expect(shard.check()).to.equal(undefined);
    });
  }

  for (const metric of METRICS) {
    it(`lose no row that the range cannot hold, nor one beside it: ${metric}`, () => {
      const shard = filled(name, metric);
      const random = seededRandom(SEED);
      const spikes = rowsOf(moved(metric, 1, 0).base.values.slice(0, 6 * DIMENSIONS), DIMENSIONS);
      for (let row = 0; row < spikes.count; row++) {
        spikes.values[row * DIMENSIONS + random.integer(DIMENSIONS)] = 50;
      }
      append(shard, spikes.values, 2);
      expectOwn(shard, spikes);
      linkAll(shard);
      expectOwn(shard, spikes);
      const { queries } = moved(metric, 1, 0);
      // Inner products keep the whole range, so a few long rows make all codes coarser.
      const floor = metric === "dot" ? 0.9 : FLOOR;
      expect(recallToScan(shard, queries, { snapshot: 2 })).to.be.at.least(floor);
      expect(recallToScan(shard, spikes, { snapshot: 2 })).to.be.at.least(FLOOR);
    });
  }

  it("find rows while the range changes again and again", () => {
    const shard = filled(name, "l2");
    for (let round = 1; round <= 5; round++) {
      const { base, queries } = moved("l2", 4 ** round, 0);
      append(shard, base.values, 1);
      linkAll(shard);
      expect(recallToScan(shard, queries)).to.be.at.least(FLOOR);
    }
    expect(generationOf(shard)).to.be.above(3);
    expect(shard.check()).to.equal(undefined);
  });

  it("have nothing to do once they are learned", () => {
    const shard = filled(name, "l2");
    expect(shard.engine.needsLearning()).to.equal(0);
    expect(shard.engine.isReencoding()).to.equal(0);
    expect(shard.engine.reencode(100)).to.equal(1);
    expect(irregularOf(shard)).to.be.at.most(8);
  });

  it("are learned by one thread at a time", () => {
    const { engine } = filled(name, "l2");
    expect(engine.tryMaintenance()).to.equal(1);
    expect(engine.tryMaintenance()).to.equal(0);
    engine.endMaintenance();
    expect(engine.tryMaintenance()).to.equal(1);
  });
});

describe(`codes of all variants, seed ${SEED}`, () => {
  for (const metric of METRICS) {
    it(`are the same bytes, and so are the links and the answers: ${metric}`, () => {
      const traces = VARIANTS.map((name) => traceOf(name, metric));
      for (const trace of traces) expect(trace).to.deep.equal(traces[0]);
    });
  }
});

/** Far rows have come and a new generation has begun, but no old row is encoded in it yet. */
function inTransition(name: VariantName, metric: Metric) {
  const shard = filled(name, metric);
  const far = metric === "cosine" ? spiked() : moved(metric, FAR, 0);
  append(shard, far.base.values, 2);
  while (shard.engine.isReencoding() === 0) {
    if (shard.engine.needsLearning() === 0) throw new Error("the range has not been left");
    shard.engine.learn(0);
  }
  expect(generationOf(shard)).to.equal(2);
  return { shard, far };
}

/** Directions near an axis: unit vectors whose largest component is beyond the others' range. */
function spiked(): { base: Rows; queries: Rows } {
  const far = moved("cosine", 1, 0);
  for (const rows of [far.base, far.queries]) {
    for (let row = 0; row < rows.count; row++) rows.values[row * DIMENSIONS] = 20;
  }
  return far;
}

function expectOwn(shard: Shard, rows: Rows): void {
  for (let row = 0; row < rows.count; row++) {
    expect(search(shard, rowAt(rows, row), { snapshot: 2 })).to.include(ROWS + row);
  }
}

/** Codes, level 0 of the graph, and answers with their distances' bits. */
function traceOf(name: VariantName, metric: Metric) {
  const shard = filled(name, metric);
  const far = moved(metric, 3, 1);
  append(shard, far.base.values, 1);
  settleCodes(shard);
  linkAll(shard);
  const at = (offset: number) => words(shard)[offset >>> 2]! >>> 2;
  const part = (base: number, words_: number) => words(shard).slice(base, base + words_);
  const rows = shard.slotsUsed;
  const answers = Array.from({ length: far.queries.count }, (_, query) => {
    const walked = search(shard, rowAt(far.queries, query));
    const distances = walked.map((_, place) => shard.resultDistance(place));
    return [walked, distances, scan(shard, rowAt(far.queries, query))];
  });
  return {
    codes: part(at(L.HEADER_CODES_BASE), rows * at(L.HEADER_CODE_STRIDE)),
    fines: part(at(L.HEADER_FINES_BASE), (rows * words(shard)[L.HEADER_CODE_BYTES >>> 2]!) / 8),
    links: part(at(L.HEADER_ROWS_BASE), rows * at(L.HEADER_ROW_STRIDE)),
    answers,
  };
}

overVariants("upkeep of codes", (name) => {
  /** Even rows; every n-th has two components at `peak`. */
  const peaked = (rows: number, every: number, peak: number) => {
    const random = seededRandom(SEED);
    const values = Float32Array.from({ length: rows * DIMENSIONS }, () => 2 * random.next() - 1);
    for (let row = 0; row < rows; row += every) {
      values[row * DIMENSIONS + random.integer(16)] = peak;
      values[row * DIMENSIONS + 16 + random.integer(16)] = -peak;
    }
    return values;
  };
  const isCareful = (shard: Shard) => irregularOf(shard) > 8 + shard.live / 256;

  it("widens the range for rows in a hundred that lie not far outside", () => {
    const shard = newShard(name, { dimensions: DIMENSIONS });
    append(shard, peaked(4000, 100, 1.8));
    linkAll(shard);
    expect(isCareful(shard)).to.equal(false);
  });

  it("leaves the range narrow beside rows that lie far outside", () => {
    const shard = newShard(name, { dimensions: DIMENSIONS });
    append(shard, peaked(4000, 100, 9));
    linkAll(shard);
    expect(irregularOf(shard)).to.equal(40);
  });

  it("learns again once walks are careful, long before a row in 64 is rough", () => {
    const shard = newShard(name, { dimensions: DIMENSIONS });
    append(shard, peaked(3900, 3900, 1));
    linkAll(shard);
    append(shard, peaked(40, 1, 1.8), 2);
    expect(isCareful(shard)).to.equal(true);
    linkAll(shard);
    expect(generationOf(shard)).to.equal(2);
    expect(isCareful(shard)).to.equal(false);
    expect(shard.engine.needsLearning()).to.equal(0);
  });

  it("comes to an end when few rows live among many dead ones", () => {
    const shard = newShard(name, { dimensions: DIMENSIONS });
    append(shard, clustered(3000, DIMENSIONS, "l2", 1).base.values);
    for (let slot = 0; slot < 3000; slot++) if (slot !== 1501) shard.engine.retireRow(slot, 2);
    linkAll(shard);
    expect(generationOf(shard)).to.equal(1);
  });

  it("does not hold dead rows against a new range", () => {
    const shard = filled(name, "l2");
    append(shard, moved("l2", 1, 500).base.values, 2);
    for (let slot = ROWS; slot < 2 * ROWS; slot++) shard.engine.retireRow(slot, 3);
    append(shard, moved("l2", 4, 0).base.values, 4);
    linkAll(shard);
    expect(generationOf(shard)).to.equal(2);
    expect(irregularOf(shard)).to.be.below(20);
  });
});
