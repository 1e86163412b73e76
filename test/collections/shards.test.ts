/** A collection that outgrows its shards: one answer from all of them, and room that comes back. */
import { expect } from "chai";
import { type Random, seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { isSettled, tend } from "../../src/engine/linking.ts";
import { Alone } from "./alone.ts";

const SEED = seedFromEnvironment() | 0;
const SHARD_ROWS = 700;
const ROWS = 1900;
const DIMENSIONS = 24;
const K = 10;

describe(`shards, seed ${SEED}`, () => {
  let alone: Alone;
  let random: Random;
  let clock: number;
  const rows = new Map<string, Float32Array>();

  const idOf = (row: number) => `row-${row}`;
  const draw = () => Float32Array.from({ length: DIMENSIONS }, () => random.normal());

  async function put(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += 150) {
      const batch = ids.slice(at, at + 150).map((id) => ({ id, vector: draw() }));
      for (const { id, vector } of batch) rows.set(id, vector);
      await alone.put(batch);
    }
  }

  async function remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) rows.delete(id);
    await alone.remove(ids);
  }

  function settle(): void {
    const { parts, sequence } = alone.collection;
    for (const { shard } of parts) {
      for (; !isSettled(shard); clock += 10_000) tend(shard, 200, 64, sequence, clock);
      expect(shard.check()).to.equal(undefined);
    }
  }

  /** Every row is found under its id and by its own vector, and nothing else is. */
  async function expectWhole(): Promise<void> {
    expect(alone.collection.stats().vectors).to.equal(rows.size);
    let right = 0;
    for (const [id, vector] of rows) {
      expect(alone.collection.get(id)?.vector, id).to.deep.equal(vector);
      const { hits } = await alone.search(vector, { k: 1, exact: false, ef: 64 });
      if (hits[0]?.id === id) right++;
    }
    expect(right / rows.size).to.be.at.least(0.999);
  }

  async function expectOneAnswer(): Promise<void> {
    let found = 0;
    for (let query = 0; query < 20; query++) {
      const vector = draw();
      const far = (each: Float32Array) =>
        each.reduce((sum, x, at) => sum + (x - vector[at]!) ** 2, 0);
      const nearest = [...rows].sort((a, b) => far(a[1]) - far(b[1])).slice(0, K);
      const exact = await alone.search(vector, { k: K });
      expect(exact.hits.map(({ id }) => id)).to.deep.equal(nearest.map(([id]) => id));
      const walked = await alone.search(vector, { k: K, exact: false, ef: 100 });
      const ids = new Set(nearest.map(([id]) => id));
      found += walked.hits.filter(({ id }) => ids.has(id)).length;
    }
    expect(found / (20 * K)).to.be.at.least(0.95);
  }

  before(async () => {
    random = seededRandom(SEED);
    clock = 0;
    alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    await put(Array.from({ length: ROWS }, (_, row) => idOf(row)));
    settle();
  });

  it("open one after the other, and are searched as one", async () => {
    expect(alone.collection.parts.length).to.equal(3);
    expect(alone.collection.stats().capacity).to.include({ shards: 3, rowsPerShard: SHARD_ROWS });
    await expectOneAnswer();
    await expectWhole();
  });

  it("take updates of rows in any of them, also where they are full", async () => {
    for (let round = 0; round < 4; round++) {
      const ids = Array.from({ length: 100 }, () => idOf(random.integer(ROWS)));
      await put([...new Set(ids)]);
      settle();
    }
    expect(alone.collection.parts.length).to.equal(3);
    await expectWhole();
    await expectOneAnswer();
  });

  it("give their room back, and are filled again before another one opens", async () => {
    for (let round = 0; round < 2; round++) {
      const leaving = [...rows.keys()].filter(() => random.next() < 0.5);
      await remove(leaving);
      settle();
      await put(leaving.map((id) => `${id}-${round}`.slice(-40)));
      settle();
      await expectWhole();
    }
    expect(alone.collection.parts.length).to.equal(3);
    await expectOneAnswer();
  });

  it("may all be emptied, and are as good as new", async () => {
    await remove([...rows.keys()]);
    settle();
    expect(alone.collection.stats()).to.include({ vectors: 0 });
    expect((await alone.search(draw(), { k: K, exact: false })).hits).to.deep.equal([]);
    await put(Array.from({ length: ROWS }, (_, row) => idOf(row)));
    settle();
    expect(alone.collection.parts.length).to.equal(3);
    await expectWhole();
    await expectOneAnswer();
  }).timeout(30_000);
});
