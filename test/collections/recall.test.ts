/** Recall as something to ask for: measured by linkers, kept for all threads, and held. */
import { expect } from "chai";
import { generate } from "../../perf/data.ts";
import { type Rows, rowAt } from "../../perf/exact.ts";
import { seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { CURVES, EFS } from "../../src/collections/calibration.ts";
import { Catalog } from "../../src/collections/catalog.ts";
import type { SearchQuery } from "../../src/collections/database.ts";
import { compileFilter } from "../../src/collections/filter.ts";
import { EXACT_COMPONENTS } from "../../src/collections/planner.ts";
import { linkRound } from "../../src/threads/linking.ts";
import { Alone, NAME } from "./alone.ts";

const SEED = seedFromEnvironment() | 0;
const DIMENSIONS = 24;
const ROWS = 14_000;
const QUERIES = 300;
const K = 10;
/** So few queries leave this much to chance. */
const CHANCE = 0.02;

/** Rows without any order, the hardest to walk through. */
function noise(count: number, seed: number): Rows {
  const random = seededRandom(seed);
  const values = Float32Array.from({ length: count * DIMENSIONS }, () => random.normal());
  return { values, count, dimensions: DIMENSIONS };
}

async function put(alone: Alone, rows: Rows, from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += 1000) {
    const ids = Array.from({ length: Math.min(1000, to - first) }, (_, at) => first + at);
    await alone.put(ids.map((row) => ({ id: `row-${row}`, vector: rowAt(rows, row) })));
    while (alone.collection.backlog > 0) linkRound(alone.catalog, 500);
  }
}

function calibrate(alone: Alone): void {
  for (let round = 0; alone.collection.calibration.curves === undefined; round++) {
    if (round > 1e6) throw new Error("the linkers never calibrate");
    linkRound(alone.catalog, 500);
  }
}

async function recallOf(alone: Alone, queries: Rows, recallTarget: number) {
  let [found, distances] = [0, 0];
  for (let index = 0; index < QUERIES; index++) {
    const vector = rowAt(queries, index);
    const options = { k: K, includeMetadata: false, includeVector: false };
    const exact = await alone.search(vector, options);
    const bar = exact.hits.at(-1)!.distance;
    const walked = await alone.search(vector, { ...options, exact: false, recallTarget });
    found += walked.hits.filter(({ distance }) => distance <= bar).length;
    distances += walked.explanation.distancesComputed;
  }
  return { recall: found / (K * QUERIES), distances: distances / QUERIES };
}

describe(`recall, seed ${SEED}`, () => {
  let alone: Alone;
  const rows = noise(ROWS, SEED);
  const queries = noise(QUERIES, SEED + 1);

  before(async function () {
    this.timeout(60_000);
    alone = await Alone.open(2 * ROWS, { dimensions: DIMENSIONS });
    await put(alone, rows, 0, ROWS);
    calibrate(alone);
  });

  it(`that was asked for is had by queries never seen: ${ROWS} x ${DIMENSIONS} noise`, async () => {
    let before = 0;
    for (const target of [0.8, 0.9, 0.95, 0.99]) {
      const { recall, distances } = await recallOf(alone, queries, target);
      expect(recall, `target ${target}`).to.be.at.least(target - CHANCE);
      // A higher target costs more, and a low one is not bought at the price of a high one.
      expect(distances).to.be.above(before);
      before = distances;
    }
    expect((await recallOf(alone, queries, 0.8)).distances).to.be.below(before / 2);
  });

  it("is explained: what was asked for, what is known, and from how many rows", async () => {
    const options = { exact: false, recallTarget: 0.95 };
    const { explanation } = await alone.search(rowAt(queries, 0), options);
    expect(explanation.strategy).to.equal("graph");
    const { target, sample, recall, atLeast } = explanation.recall!;
    expect(target).to.equal(0.95);
    expect(sample).to.be.within(200, 1000);
    expect(recall).to.be.within(0.9, 1);
    expect(atLeast).to.be.below(recall!);
    const plain = await alone.search(rowAt(queries, 0), { exact: false });
    expect(plain.explanation).to.not.have.property("recall");
  });

  it("is judged by what will really be done, whoever chose it", () => {
    const vector = rowAt(queries, 0);
    const work = (query: Partial<SearchQuery>) =>
      alone.collection.work({ vector, k: K, exact: false, ...query } as SearchQuery);
    const scan = { components: ROWS * DIMENSIONS, isWalk: false };
    for (const query of [{ exact: true }, { k: ROWS / 4 }, { recallTarget: 1 }]) {
      expect(work(query), JSON.stringify(query)).to.deep.equal(scan);
    }
    const [narrow, wide] = [work({ ef: 100 }), work({ ef: 2000 })];
    expect([narrow.isWalk, wide.isWalk]).to.deep.equal([true, true]);
    expect(wide.components).to.equal(20 * narrow.components);
    const filter = compileFilter({ n: 1 }, "/filter");
    expect(work({ filter })).to.deep.equal({ components: ROWS * 16, isWalk: false });
  });

  it("of 1 is the exact scan", async () => {
    const vector = rowAt(queries, 0);
    const { explanation } = await alone.search(vector, { exact: false, recallTarget: 1 });
    expect(explanation).to.include({ strategy: "exact" });
    expect(explanation.recall).to.deep.equal({ target: 1, sample: 0, recall: 1, atLeast: 1 });
  });

  it("widens with k, between the curves and beyond them", () => {
    const { calibration } = alone.collection;
    const widths = [1, 3, 10, 30, 100, 200].map((k) => calibration.aim(0.9, k, ROWS).ef!);
    for (const [index, ef] of widths.entries()) {
      if (index > 0) expect(ef, `${widths}`).to.be.at.least(widths[index - 1]!);
    }
    expect(widths.at(-1)).to.be.at.least(2 * widths.at(-2)! - 1);
  });

  it("is known to every thread that holds the collection", () => {
    const other = new Catalog({ ...alone.catalog.thread });
    const held = other.attach(alone.collection.memories);
    const { curves } = alone.collection.calibration;
    expect(held.calibration.curves).to.deep.equal(curves);
    expect(curves!.points).to.have.length(CURVES.length);
    expect(curves!.points[1]!.filter(Boolean).length).to.be.above(EFS.length / 3);
  });

  it("is measured on demand, and says what targets come to", async () => {
    const report = await alone.collection.recall({ sample: 60, k: K });
    expect(report.sample).to.equal(60);
    expect(report.calibration).to.include({ rows: ROWS });
    const recalls = report.curve.map(({ recall }) => recall);
    expect(recalls.at(-1)).to.be.above(0.97).and.above(recalls[0]!);
    for (const { recall, atLeast, distances, p50Ms } of report.curve) {
      expect(atLeast).to.be.at.most(recall);
      expect(distances).to.be.above(0);
      expect(p50Ms).to.be.above(0);
    }
    const efs = report.targets.map(({ ef }) => ef!);
    expect(efs).to.deep.equal([...efs].sort((a, b) => a - b));
  });

  it("is measured again when a fifth has changed, not sooner and not too soon", async () => {
    const { collection } = alone;
    const first = collection.calibration.curves!;
    const rested = first.measuredAtMs + 100 * first.tookMs + 1;
    expect(collection.calibrator.step(rested)).to.equal(false);
    await put(alone, rows, 0, ROWS / 8);
    while (linkRound(alone.catalog, 500) === "busy");
    expect(collection.calibrator.step(first.measuredAtMs + 50 * first.tookMs)).to.equal(false);
    expect(collection.calibrator.step(rested)).to.equal(true);
    // Other work comes: the sample is dropped, and with it what it held.
    collection.calibrator.rest();
    expect(collection.parts[0]!.shard.pin(0)).to.equal(true);
    while (collection.calibrator.step(rested));
    expect(collection.calibration.curves!.measuredAtMs).to.equal(rested);
  });

  it("is measured again at once when there are a third more rows", async () => {
    const more = noise(Math.ceil(1.6 * ROWS), SEED);
    const grown = await Alone.open(2 * ROWS, { dimensions: DIMENSIONS });
    await put(grown, more, 0, ROWS);
    calibrate(grown);
    const { calibrator, calibration } = grown.collection;
    const { measuredAtMs } = calibration.curves!;
    await put(grown, more, ROWS, more.count);
    expect(calibrator.step(measuredAtMs + 1)).to.equal(true);
    calibrator.rest();
  });

  it("can be asked for before anybody has measured it, and where all rows are compared", async () => {
    const small = await Alone.open(1000, { dimensions: DIMENSIONS });
    const few = Math.floor(EXACT_COMPONENTS / DIMENSIONS / 20);
    await put(small, rows, 0, few);
    expect(small.catalog.get(NAME)!.calibrator.step()).to.equal(false);
    const options = { exact: false, recallTarget: 0.95 };
    const { explanation } = await small.search(rowAt(queries, 0), options);
    expect(explanation).to.include({ strategy: "exact", matching: few });
    expect(small.collection.calibration.aim(0.95, K, few).estimate).to.include({ sample: 0 });
    expect(small.collection.calibration.aim(0.95, K, few).ef).to.be.at.least(96);
  });

  it("of clustered rows costs no more than the least width gives", async function () {
    this.timeout(60_000);
    const easy = generate({
      ...{ rows: 12_000, dimensions: 32, metric: "l2", queries: 50, truthWidth: 1 },
    });
    const calm = await Alone.open(20_000, { dimensions: 32 });
    await put(calm, easy.base, 0, easy.base.count);
    calibrate(calm);
    const { calibration } = calm.collection;
    expect(calibration.aim(0.9, K, easy.base.count).ef).to.be.below(30);
    // What few rows have shown is not trusted for many.
    const { ef, estimate } = calibration.aim(0.9, K, 2 * easy.base.count);
    expect(ef).to.be.at.least(64);
    expect(estimate).to.deep.equal({ target: 0.9, sample: 0 });
  });
});
