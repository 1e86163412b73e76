/**
 * Walks that are as wide as a question needs: by what linking has learned of how distances grow,
 * and by a fixed width where that is unknown, no number, or says nothing.
 */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { type Rows, rowAt } from "../../perf/exact.ts";
import type { Shard } from "../../src/engine/shard.ts";
import {
  append,
  clustered,
  linkAll,
  newShard,
  overVariants,
  recallToScan,
  search,
  words,
} from "./trial.ts";

const ROWS = 1500;
const DIMENSIONS = 32;
/** What stands in the header while nothing has been learned. */
const UNKNOWN = 0;

const spreadOf = (shard: Shard) => floats(shard)[L.HEADER_SPREAD >>> 2]!;
const floats = (shard: Shard) => new Float32Array(words(shard).buffer);

function filled(name: Parameters<typeof newShard>[0], metric: "l2" | "cosine" | "dot") {
  const { base, queries } = clustered(ROWS, DIMENSIONS, metric);
  const shard = newShard(name, { dimensions: DIMENSIONS, metric });
  append(shard, base.values);
  linkAll(shard);
  return { shard, queries };
}

/** All answers, and what they took, under a spread that is put in place of the learned one. */
function answersBy(shard: Shard, queries: Rows, spread: number, ef = 96) {
  const learned = spreadOf(shard);
  floats(shard)[L.HEADER_SPREAD >>> 2] = spread;
  let distances = 0;
  const found = Array.from({ length: queries.count }, (_, query) => {
    const slots = search(shard, rowAt(queries, query), { ef });
    distances += shard.distancesComputed;
    return slots;
  });
  const recall = recallToScan(shard, queries, { ef });
  floats(shard)[L.HEADER_SPREAD >>> 2] = learned;
  return { found, distances, recall };
}

overVariants("the width of a walk", (name) => {
  for (const metric of ["l2", "cosine"] as const) {
    it(`follows how distances grow, between a third of ef and twice: ${metric}`, () => {
      const { shard, queries } = filled(name, metric);
      expect(spreadOf(shard)).to.be.within(1, 4);
      const fixed = answersBy(shard, queries, UNKNOWN);
      const [narrow, wide] = [answersBy(shard, queries, 1), answersBy(shard, queries, 4)];
      expect(narrow.distances).to.be.below(fixed.distances);
      expect(wide.distances).to.be.above(fixed.distances);
      expect(narrow.distances).to.be.above(answersBy(shard, queries, UNKNOWN, 15).distances);
      const adapting = answersBy(shard, queries, spreadOf(shard));
      expect(adapting.distances).to.be.within(narrow.distances, wide.distances);
      expect(adapting.recall).to.be.at.least(fixed.recall - 0.02);
    });
  }

  it("is fixed where the spread is unknown or no number, and is learned anew", () => {
    const { shard, queries } = filled(name, "l2");
    const fixed = answersBy(shard, queries, UNKNOWN);
    for (const spread of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 1e30]) {
      expect(answersBy(shard, queries, spread), `${spread}`).to.deep.equal(fixed);
    }
    floats(shard)[L.HEADER_SPREAD >>> 2] = Number.NaN;
    append(shard, clustered(ROWS, DIMENSIONS, "l2").base.values.subarray(0, 100 * DIMENSIONS));
    linkAll(shard);
    expect(spreadOf(shard)).to.be.within(1, 4);
  });

  it("is fixed for inner products, which grow from no zero", () => {
    const { shard, queries } = filled(name, "dot");
    expect(spreadOf(shard)).to.equal(UNKNOWN);
    expect(answersBy(shard, queries, 2)).to.deep.equal(answersBy(shard, queries, UNKNOWN));
  });
});
