/** From the tail into the graph: what is appended is found, before, while and after it is linked. */
import { expect } from "chai";
import fc from "fast-check";
import { type Dataset, recallOf } from "../../perf/data.ts";
import { rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import { isSettled } from "../../src/engine/linking.ts";
import type { Shard } from "../../src/engine/shard.ts";
import type { VariantName } from "../../src/engine/variant.ts";
import { engineDistance } from "./distances.ts";
import {
  append,
  clustered,
  EF,
  EF_CONSTRUCTION,
  K,
  linkAll,
  M,
  METRICS,
  newShard,
  overVariants,
  recallAt,
  SEED,
  scan,
  search,
  searchPatiently,
  settle,
  settleCodes,
  sift,
} from "./trial.ts";

const RECALL_FLOOR = 0.95;
const ROWS = { 128: 2500, 768: 1000 } as const;
const SIFT_ROWS = 10_000;

overVariants("graph", (name) => {
  const small = () => clustered(400, 32, "l2");

  it("finds a row the moment it is appended, before any linking", () => {
    const { base } = small();
    const shard = newShard(name, { dimensions: 32 });
    for (let row = 0; row < 100; row++) {
      append(shard, rowAt(base, row), row + 1);
      expect(search(shard, rowAt(base, row), { k: 1, snapshot: row + 1 })).to.deep.equal([row]);
    }
    expect(shard.tail).to.equal(100);
  });

  it("finds a row of the tail and the linked ones in one answer", () => {
    const dataset = small();
    const shard = newShard(name, { dimensions: 32 });
    const half = dataset.base.values.length / 2;
    append(shard, dataset.base.values.subarray(0, half));
    linkAll(shard);
    append(shard, dataset.base.values.subarray(half));
    expect(shard.tail).to.equal(200);
    expect(recallAt(shard, dataset)).to.equal(1);
  });

  it("finds every row first by its own vector once all are linked", () => {
    const { base } = small();
    const shard = linked(name, small());
    for (let row = 0; row < base.count; row++) {
      const [found] = search(shard, rowAt(base, row));
      expect(engineDistance("l2", rowAt(base, row), shard.vector(found!)), `row ${row}`).to.equal(
        0,
      );
    }
  });

  it("leaves no tail, and nothing for the checker, after linking", () => {
    for (const metric of METRICS) {
      const shard = linked(name, clustered(400, 32, metric));
      expect(shard.tail).to.equal(0);
      expect(shard.check()).to.equal(undefined);
    }
  });

  it("gives the same answers while rows are linked a few at a time", () => {
    const dataset = small();
    const shard = newShard(name, { dimensions: 32 });
    append(shard, dataset.base.values);
    while (shard.tail > 0) {
      settleCodes(shard);
      shard.engine.linkTail(0, 40, EF_CONSTRUCTION, 8, 0);
      expect(recallAt(shard, dataset)).to.be.at.least(0.99);
    }
  });

  for (const dimensions of [128, 768] as const) {
    for (const metric of METRICS) {
      const rows = ROWS[dimensions];
      const title = `${rows} clustered rows, ${metric}, ${dimensions} d, m ${M}, ef ${EF}`;
      it(`keeps recall@${K} >= ${RECALL_FLOOR}: ${title}`, () => {
        const dataset = clustered(rows, dimensions, metric);
        expect(recallAt(linked(name, dataset), dataset)).to.be.at.least(RECALL_FLOOR);
      });
    }
  }

  it(`keeps recall@${K} >= ${RECALL_FLOOR}: sift10k, l2, m ${M}, ef ${EF}`, () => {
    const shard = linked(name, sift(), SIFT_ROWS);
    expect(recallAt(shard, firstQueries(sift(), 200))).to.be.at.least(RECALL_FLOOR);
    expect(shard.check()).to.equal(undefined);
  });

  it("answers as if float32 had been asked about every candidate, though it asks about few", () => {
    for (const metric of METRICS) {
      const dataset = clustered(2500, 128, metric);
      const shard = linked(name, dataset);
      let same = 0;
      for (let index = 0; index < dataset.queries.count; index++) {
        const query = rowAt(dataset.queries, index);
        const all = new Set(searchPatiently(shard, query));
        same += search(shard, query).filter((slot) => all.has(slot)).length;
      }
      expect(same / (dataset.queries.count * K), metric).to.be.at.least(0.995);
    }
  });

  it("links rows of a long tail in haste, and better once nothing else is to do", () => {
    const shard = newShard(name, { dimensions: 128, capacity: SIFT_ROWS });
    append(shard, sift().base.values);
    linkAll(shard);
    const queries = firstQueries(sift(), 200);
    const before = recallAt(shard, queries, 24);
    expect(isSettled(shard)).to.equal(false);
    settle(shard);
    expect(recallAt(shard, queries, 24)).to.be.above(before);
    expect(shard.check()).to.equal(undefined);
  });

  it("keeps recall where codes are too coarse for the data, learned early or late", () => {
    for (const first of [60, 1200]) {
      const { shard, dataset } = coarse(name, first);
      const title = `range learned from ${first} rows`;
      expect(recallAt(shard, dataset), title).to.be.at.least(RECALL_FLOOR);
    }
  });

  it("walks float32 where codes are not asked for", () => {
    const dataset = clustered(400, 32, "l2");
    const shard = newShard(name, { dimensions: 32, quantization: "none" });
    append(shard, dataset.base.values);
    linkAll(shard);
    expect(recallAt(shard, dataset)).to.be.at.least(RECALL_FLOOR);
  });
});

overVariants("exact scan", (name) => {
  for (const metric of METRICS) {
    it(`gives exactly the nearest rows, ties by slot, and says when more tie: ${metric}`, () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.integer({ min: 1, max: 40 }),
          fc.integer({ min: 1, max: 90 }),
          fc.integer({ min: 1, max: 20 }),
          (seed, dimensions, rows, k) => expectExact(name, { metric, seed, dimensions, rows, k }),
        ),
        { seed: SEED, numRuns: 40 },
      );
    });
  }
});

function linked(name: VariantName, dataset: Dataset, capacity = 4000): Shard {
  const { base, metric } = dataset;
  const shard = newShard(name, { dimensions: base.dimensions, metric, capacity });
  append(shard, base.values);
  linkAll(shard);
  return shard;
}

function firstQueries(dataset: Dataset, count: number): Dataset {
  const { queries } = dataset;
  const values = queries.values.subarray(0, count * queries.dimensions);
  return { ...dataset, queries: { ...queries, values, count } };
}

/** One component spans 1e5 times the others: seven bits a component see nothing of the rest. */
function coarse(name: VariantName, first: number) {
  const dataset = clustered(1200, 32, "l2");
  const stretch = (rows: typeof dataset.base) => ({
    ...rows,
    values: rows.values.map((value, i) => (i % rows.dimensions === 0 ? value : value * 1e-5)),
  });
  const base = stretch(dataset.base);
  const queries = stretch(dataset.queries);
  // With the wide component all but equal, the others decide.
  for (const rows of [base, queries]) {
    for (let row = 0; row < rows.count; row++) rows.values[row * 32] = row % 2;
  }
  const shard = newShard(name, { dimensions: 32 });
  append(shard, base.values.subarray(0, first * 32));
  linkAll(shard);
  append(shard, base.values.subarray(first * 32));
  linkAll(shard);
  const truth = new Int32Array(queries.count * K);
  for (let query = 0; query < queries.count; query++) {
    truth.set(scan(shard, rowAt(queries, query)), query * K);
  }
  return { shard, dataset: { ...dataset, base, queries, truth, truthWidth: K } };
}

interface ExactCase {
  readonly metric: (typeof METRICS)[number];
  readonly seed: number;
  readonly dimensions: number;
  readonly rows: number;
  readonly k: number;
}

/** Components of a few small integers, so that many rows are equally far. */
function expectExact(name: VariantName, { metric, seed, dimensions, rows, k }: ExactCase): void {
  const random = seededRandom(seed);
  const shard = newShard(name, { dimensions, metric, capacity: 100 });
  const draw = () => Float32Array.from({ length: dimensions }, () => 1 + random.integer(3));
  const vectors = Array.from({ length: rows }, draw);
  for (const vector of vectors) append(shard, vector);
  const query = draw();
  const expected = vectors
    .map((vector, slot) => ({ slot, distance: engineDistance(metric, query, vector) }))
    .sort((a, b) => a.distance - b.distance || a.slot - b.slot);
  const found = scan(shard, query, { k });
  expect(found).to.deep.equal(expected.slice(0, k).map(({ slot }) => slot));
  const last = expected[found.length - 1]!.distance;
  expect(found.map((_, i) => shard.resultDistance(i))).to.deep.equal(
    expected.slice(0, k).map(({ distance }) => distance),
  );
  expect(shard.hasTies).to.equal(expected[k]?.distance === last);
  const tied = shard.scanTies(0, rows, last, 1);
  expect(Array.from({ length: tied }, (_, i) => shard.resultSlot(i))).to.deep.equal(
    expected.filter(({ distance }) => distance === last).map(({ slot }) => slot),
  );
}

describe(`recall, seed ${SEED}`, () => {
  it("counts a hit no farther than the exact k-th neighbour, and nothing twice", () => {
    const dataset = clustered(400, 32, "l2");
    const truth = dataset.truth.subarray(0, K);
    expect(recallOf(dataset, 0, truth, K)).to.equal(1);
    expect(recallOf(dataset, 0, [truth[0]!, truth[0]!], K)).to.equal(1 / K);
  });
});
