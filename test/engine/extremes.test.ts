/** Data that nobody would call typical: no crash, nothing lost, recall kept. */
import { expect } from "chai";
import { rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import {
  append,
  linkAll,
  METRICS,
  newShard,
  overVariants,
  recallToScan,
  rowsOf,
  SEED,
} from "./trial.ts";

const FLOOR = 0.9;
const QUERIES = 20;

interface Shape {
  readonly rows: number;
  readonly dimensions: number;
  /** A component of a row; rows past the last are queries. */
  readonly component: (row: number, axis: number, normal: () => number) => number;
}

const SHAPES: Record<string, Shape> = {
  "rows that are all the same": { rows: 10_000, dimensions: 32, component: () => 0.7 },
  "hundreds of copies of one row among distinct ones": {
    rows: 1600,
    dimensions: 16,
    component: (row, axis, normal) => (row % 4 ? normal() : Math.cos(axis)),
  },
  "one row": { rows: 1, dimensions: 32, component: (_row, _axis, normal) => normal() },
  "fewer rows than k": { rows: 4, dimensions: 32, component: (_row, _axis, normal) => normal() },
  "one dimension": { rows: 500, dimensions: 1, component: (row) => 1 + ((row * 37) % 500) },
  "fifteen dimensions, walked on float32": {
    rows: 500,
    dimensions: 15,
    component: (_row, _axis, normal) => normal(),
  },
  "the most dimensions there may be": {
    rows: 60,
    dimensions: 8192,
    component: (_row, _axis, normal) => normal(),
  },
  "components about 1e15": {
    rows: 500,
    dimensions: 32,
    component: (_row, _axis, normal) => 1e15 * normal(),
  },
  "components about 1e-15": {
    rows: 500,
    dimensions: 32,
    component: (_row, _axis, normal) => 1e-15 * normal(),
  },
  "small differences about a large mean": {
    rows: 500,
    dimensions: 32,
    component: (_row, _axis, normal) => 1000 + 0.01 * normal(),
  },
  "both signs of the largest component allowed": {
    rows: 200,
    dimensions: 32,
    component: (row, axis) => ((row >> (axis % 8)) & 1 ? 1e16 : -1e16),
  },
  "rows that come in sorted order": {
    rows: 1500,
    dimensions: 16,
    component: (row, axis, normal) => row + 0.3 * axis + 0.1 * normal(),
  },
  "two clusters far apart": {
    rows: 1000,
    dimensions: 32,
    component: (row, _axis, normal) => (row % 2 ? 1000 : -1000) + normal(),
  },
  "two clusters far apart, one after the other": {
    rows: 1000,
    dimensions: 32,
    component: (row, _axis, normal) => (row % 1000 < 500 ? 1000 : -1000) + normal(),
  },
  "one component that varies among zeros": {
    rows: 500,
    dimensions: 64,
    component: (row, axis) => (axis === 7 ? 1 + (row % 50) : 0),
  },
};

overVariants("the engine", (name) => {
  for (const [title, { rows, dimensions, component }] of Object.entries(SHAPES)) {
    for (const metric of METRICS) {
      it(`bears ${title}: ${metric}`, () => {
        const random = seededRandom(SEED);
        const values = new Float32Array((rows + QUERIES) * dimensions);
        for (let i = 0; i < values.length; i++) {
          values[i] = component(Math.floor(i / dimensions), i % dimensions, random.normal);
        }
        const end = rows * dimensions;
        const shard = newShard(name, { dimensions, metric, capacity: rows });
        append(shard, values.subarray(0, end));
        const queries = rowsOf(values.subarray(end), dimensions);
        expect(recallToScan(shard, queries), "in the tail").to.be.at.least(FLOOR);
        linkAll(shard);
        expect(recallToScan(shard, queries), "in the graph").to.be.at.least(FLOOR);
        expect(shard.tail).to.equal(0);
      });
    }
  }

  // Under dot all zero rows are equally far from everything: there is nothing to walk by.
  for (const metric of ["l2"] as const) {
    it(`finds the one row that is not zero: ${metric}`, () => {
      const [rows, dimensions, odd] = [500, 32, 321];
      const shard = newShard(name, { dimensions, metric, capacity: rows });
      const values = new Float32Array(rows * dimensions);
      values.fill(1, odd * dimensions, (odd + 1) * dimensions);
      append(shard, values);
      linkAll(shard);
      const query = rowsOf(new Float32Array(dimensions).fill(1), dimensions);
      expect(recallToScan(shard, query, { k: 1 })).to.equal(1);
      shard.setQuery(rowAt(query, 0));
      shard.search(96, 40, 1);
      expect(shard.resultSlot(0)).to.equal(odd);
    });
  }
});
