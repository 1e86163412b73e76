/** Data that nobody would call typical: no crash, nothing lost, recall kept. */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import type { Shard } from "../../src/engine/shard.ts";
import {
  append,
  linkAll,
  METRICS,
  newShard,
  overVariants,
  recallToScan,
  rowsOf,
  SEED,
  settle,
  words,
} from "./trial.ts";

const FLOOR = 0.9;
const QUERIES = 20;

/** Of the 32 links of a list. */
const COPIES_MAX = 4;

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
  "copies of one row among distinct ones of 32 dimensions": {
    rows: 2000,
    dimensions: 32,
    component: (row, axis, normal) => (row % 4 || row >= 2000 ? normal() : Math.cos(axis)),
  },
  "copies of a row that lies between all others": {
    rows: 2000,
    dimensions: 32,
    component: (row, axis, normal) => (row % 4 || row >= 2000 ? normal() : 0.01 * Math.cos(axis)),
  },
  "a hundred copies of each of twenty rows among distinct ones": {
    rows: 3000,
    dimensions: 32,
    component: (row, axis, normal) => (row < 2000 ? drawn(row % 20, axis) : normal()),
  },
  "twenty copies of every row": {
    rows: 2000,
    dimensions: 128,
    component: (row, axis, normal) => (row < 2000 ? drawn(row % 100, axis) : normal()),
  },
  "rows along the axes, of which many point the same way": {
    rows: 1600,
    dimensions: 64,
    component: (row, axis) => (axis === row % 64 ? 1 + (row % 100) : 0),
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

/** A component of the row that copies are made of, about normal. */
function drawn(row: number, axis: number): number {
  const random = seededRandom(1 + row * 8192 + axis);
  return random.normal();
}

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

  for (const metric of METRICS) {
    it(`links copies so that each can be reached and none fill a list: ${metric}`, () => {
      const [rows, dimensions] = [1500, 32];
      const isCopied = (row: number) => row % 3 === 0;
      const random = seededRandom(SEED);
      const values = new Float32Array(rows * dimensions);
      for (let i = 0; i < values.length; i++) {
        const [row, axis] = [Math.floor(i / dimensions), i % dimensions];
        values[i] = isCopied(row) ? 3 * Math.cos(axis) : random.normal();
      }
      const shard = newShard(name, { dimensions, metric, capacity: rows });
      append(shard, values);
      linkAll(shard);
      const expectFew = () => {
        const others: number[] = [];
        for (let row = 0; row < rows; row++) {
          const copies = linksOf(shard, row).filter(isCopied).length;
          // One may have to take more than it should, where no other has room.
          if (isCopied(row)) expect(copies).to.be.within(1, 2 * COPIES_MAX);
          else others.push(copies);
        }
        expect(Math.max(...others)).to.be.at.most(COPIES_MAX);
      };
      expectFew();
      // A row that lost its last link to a fuller list is linked again once all is quiet.
      settle(shard);
      expect(shard.check()).to.equal(undefined);
      expectFew();
    });
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

/** What a row leads to on level 0. */
function linksOf(shard: Shard, slot: number): number[] {
  const all = words(shard);
  const at =
    (all[L.HEADER_ROWS_BASE >>> 2]! + slot * all[L.HEADER_ROW_STRIDE >>> 2]! + L.ROW_COUNT) >>> 2;
  return Array.from(all.subarray(at + 1, at + 1 + all[at]!));
}
