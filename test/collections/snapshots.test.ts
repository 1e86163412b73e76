/** Searches that let others run in between: each sees one state only, from first slice to last. */
import { expect } from "chai";
import { rowAt } from "../../perf/exact.ts";
import { linkSlice } from "../../src/engine/linking.ts";
import { clustered } from "../engine/trial.ts";
import { Alone, type PlainRow, textOf } from "./alone.ts";

const DIMENSIONS = 8;
const SHARD_ROWS = 50;
const ROWS = 130;

const state = (name: string, shift: number): PlainRow[] =>
  Array.from({ length: ROWS }, (_, row) => ({
    id: `row-${row}`,
    vector: new Float32Array(DIMENSIONS).fill(row + shift),
    metadata: JSON.stringify({ state: name }),
  }));

const query = () => new Float32Array(DIMENSIONS);
const statesOf = (hits: readonly { metadata?: Uint8Array }[]) =>
  new Set(hits.map(({ metadata }) => textOf(metadata)));

describe("a search that pauses between slices", () => {
  it("sees the rows of its snapshot although all are replaced and some removed", async () => {
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    await alone.put(state("old", 0));
    let pauses = 0;
    alone.onPause = async () => {
      if (pauses++ > 0) return;
      await alone.put(state("new", 0.5));
      await alone.remove(["row-0", "row-1", "row-60"]);
    };
    const { hits } = await alone.search(query(), { k: ROWS });
    expect(pauses).to.be.above(0);
    expect(statesOf(hits)).to.deep.equal(new Set([`{"state":"old"}`]));
    expect(hits.map(({ id }) => id)).to.deep.equal(state("old", 0).map(({ id }) => id));
    expect(hits.map(({ vector }) => vector?.[0])).to.deep.equal(hits.map((_, row) => row));
    const after = await alone.search(query(), { k: ROWS });
    expect(statesOf(after.hits)).to.deep.equal(new Set([`{"state":"new"}`]));
    expect(after.hits).to.have.length(ROWS - 3);
  });

  it("sees nothing of a batch that is half applied, and then all of it", async () => {
    const alone = await Alone.open(10_000, { dimensions: DIMENSIONS });
    const rows = Array.from({ length: 4500 }, (_, row) => ({
      id: `row-${row}`,
      vector: new Float32Array(DIMENSIONS).fill(row),
    }));
    await alone.put(rows.slice(0, 3).map((row) => ({ ...row, metadata: `{"first":true}` })));
    let looks = 0;
    alone.onPause = async () => {
      if (looks++ > 0) return;
      for (const exact of [true, false]) {
        const { hits } = await alone.search(query(), { k: 10, exact });
        expect(hits.map(({ id }) => id)).to.deep.equal(["row-0", "row-1", "row-2"]);
        expect(statesOf(hits)).to.deep.equal(new Set([`{"first":true}`]));
      }
      expect(alone.collection.get("row-1")?.version).to.equal(1);
      expect(alone.collection.get("row-1500")).to.equal(undefined);
    };
    await alone.put(rows);
    expect(looks).to.be.above(0);
    expect(alone.collection.get("row-1")?.version).to.equal(2);
    expect((await alone.search(query(), { k: 5000 })).hits).to.have.length(4500);
  });
});

describe("a collection of several shards", () => {
  it("keeps recall@10 >= 0.95 by the graph: 400 clustered rows, l2, 1024 d, ef 96", async () => {
    const { base, queries } = clustered(400, 1024, "l2", 30);
    const alone = await Alone.open(150, { dimensions: 1024 });
    const rows = Array.from({ length: base.count }, (_, row) => ({
      id: `row-${row}`,
      vector: rowAt(base, row),
    }));
    await alone.put(rows);
    for (const { shard } of alone.collection.parts) while (linkSlice(shard, 100, 64));
    expect(alone.collection.parts).to.have.length(3);
    let found = 0;
    for (let index = 0; index < queries.count; index++) {
      const vector = rowAt(queries, index);
      const exact = await alone.search(vector);
      const walked = await alone.search(vector, { exact: false });
      expect(walked.explanation.strategy).to.equal("graph");
      expect(exact.explanation.strategy).to.equal("exact");
      const bar = exact.hits.at(-1)!.distance;
      found += walked.hits.filter(({ distance }) => distance <= bar).length;
    }
    expect(found / (10 * queries.count)).to.be.at.least(0.95);
  });
});
