/** Updates and deletes: each snapshot sees one state, whole, whatever was written since. */
import { expect } from "chai";
import fc from "fast-check";
import { rowAt } from "../../perf/exact.ts";
import { NO_SLOT, type Shard } from "../../src/engine/shard.ts";
import {
  append,
  clustered,
  linkAll,
  newShard,
  overVariants,
  recallToScan,
  replace,
  SEED,
  scan,
  search,
} from "./trial.ts";

const DIMENSIONS = 32;
const ROWS = 300;
const dataset = () => clustered(ROWS, DIMENSIONS, "l2");

overVariants("snapshots", (name) => {
  const filled = (): Shard => {
    const shard = newShard(name, { dimensions: DIMENSIONS });
    append(shard, dataset().base.values);
    return shard;
  };
  /** A row asked for by its own vector: by the walk and by the scan, which must agree. */
  const first = (shard: Shard, vector: Float32Array, snapshot: number) => {
    const [walked] = search(shard, vector, { snapshot });
    expect(scan(shard, vector, { k: 1, snapshot })[0]).to.equal(walked);
    return walked;
  };

  for (const isLinked of [false, true]) {
    const place = isLinked ? "in the graph" : "in the tail";

    it(`hide a deleted row from every answer at once, and from no older one: ${place}`, () => {
      const shard = filled();
      if (isLinked) linkAll(shard);
      for (let slot = 0; slot < ROWS; slot += 3) shard.engine.retireRow(slot, 2);
      for (let slot = 0; slot < ROWS; slot++) {
        const vector = rowAt(dataset().base, slot);
        expect(first(shard, vector, 1)).to.equal(slot);
        if (slot % 3 > 0) expect(first(shard, vector, 2)).to.equal(slot);
        else expect(search(shard, vector, { snapshot: 2 })).to.not.include(slot);
      }
      expect(shard.live).to.equal(200);
      expect(shard.dead).to.equal(100);
    });

    it(`show the old row before an update and the new one after, never both: ${place}`, () => {
      const shard = filled();
      if (isLinked) linkAll(shard);
      const changed = 50;
      for (let slot = 0; slot < changed; slot++) {
        const vector = rowAt(dataset().base, slot).map((x) => x + 0.001);
        expect(replace(shard, slot, vector, 2)).to.equal(ROWS + slot);
      }
      if (isLinked) linkAll(shard);
      for (let slot = 0; slot < changed; slot++) {
        const vector = rowAt(dataset().base, slot);
        for (const find of [search, scan]) {
          const before = find(shard, vector, { snapshot: 1 });
          const after = find(shard, vector, { snapshot: 2 });
          expect(before[0]).to.equal(slot);
          expect(before).to.not.include(ROWS + slot);
          expect(after[0]).to.equal(ROWS + slot);
          expect(after).to.not.include(slot);
        }
      }
      expect(shard.previous(ROWS)).to.equal(0);
      expect(shard.previous(0)).to.equal(NO_SLOT);
    });
  }

  it("do not see a row whose write is not published yet", () => {
    const shard = filled();
    append(shard, rowAt(dataset().queries, 0), 2);
    const vector = rowAt(dataset().queries, 0);
    expect(search(shard, vector, { snapshot: 1 })).to.not.include(ROWS);
    expect(search(shard, vector, { snapshot: 2 })[0]).to.equal(ROWS);
    linkAll(shard);
    expect(search(shard, vector, { snapshot: 1 })).to.not.include(ROWS);
    expect(search(shard, vector, { snapshot: 2 })[0]).to.equal(ROWS);
  });

  it("still show an old row that was replaced before it was linked, to older snapshots", () => {
    const shard = filled();
    const vector = rowAt(dataset().base, 7);
    replace(
      shard,
      7,
      vector.map((x) => x + 0.001),
      2,
    );
    linkAll(shard);
    expect(search(shard, vector, { snapshot: 1 })[0]).to.equal(7);
    expect(search(shard, vector, { snapshot: 2 })[0]).to.equal(ROWS);
  });

  it("find new rows after all old ones were deleted", () => {
    const shard = filled();
    linkAll(shard);
    for (let slot = 0; slot < ROWS; slot++) shard.engine.retireRow(slot, 2);
    append(shard, dataset().base.values, 3);
    linkAll(shard);
    expect(shard.check()).to.equal(undefined);
    expect(recallToScan(shard, dataset().queries, { snapshot: 3 })).to.be.at.least(0.98);
  });

  it("give ten rows when ten are left among hundreds deleted", () => {
    const shard = filled();
    linkAll(shard);
    for (let slot = 0; slot < ROWS; slot++) if (slot % 30 > 0) shard.engine.retireRow(slot, 2);
    const { queries } = dataset();
    expect(search(shard, rowAt(queries, 0), { snapshot: 2 })).to.have.length(10);
    expect(recallToScan(shard, queries, { snapshot: 2 })).to.equal(1);
  });

  it("keep recall and reach while every row is replaced, four times over", () => {
    const shard = filled();
    linkAll(shard);
    let slots = Array.from({ length: ROWS }, (_, slot) => slot);
    for (let sequence = 2; sequence <= 5; sequence++) {
      slots = slots.map((slot) => {
        const vector = shard.vector(slot).map((x) => x + 0.01);
        const fresh = replace(shard, slot, vector, sequence);
        if (fresh % 50 === 0) linkAll(shard);
        return fresh;
      });
      linkAll(shard);
      expect(shard.check()).to.equal(undefined);
      const recall = recallToScan(shard, dataset().queries, { snapshot: sequence });
      expect(recall, `after ${sequence - 1} rounds`).to.be.at.least(0.98);
    }
  });

  it("agree with the scan after every one of random writes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(ROWS - 1), fc.constantFrom("add", "update", "delete", "link")), {
          minLength: 20,
          maxLength: 80,
        }),
        (steps) => expectAgreement(name, steps),
      ),
      { seed: SEED, numRuns: 15 },
    );
  });
});

type Step = readonly [number, string];

/** Small enough that a walk of ef 96 meets every row: it must find just what the scan does. */
function expectAgreement(name: Parameters<typeof newShard>[0], steps: readonly Step[]): void {
  const { base, queries } = dataset();
  const shard = newShard(name, { dimensions: DIMENSIONS, capacity: 200 });
  const living: number[] = [];
  const distances = (found: number[]) => found.map((_, place) => shard.resultDistance(place));
  for (const [index, [row, action]] of steps.entries()) {
    const sequence = index + 2;
    const place = row % Math.max(1, living.length);
    if (action === "link") linkAll(shard);
    else if (action === "add" || living.length === 0) {
      living.push(append(shard, rowAt(base, row), sequence));
    } else if (action === "update") {
      living[place] = replace(shard, living[place]!, rowAt(base, row), sequence);
    } else shard.engine.retireRow(living.splice(place, 1)[0]!, sequence);
    const vector = rowAt(queries, index % queries.count);
    const options = { k: 5, snapshot: sequence };
    const walked = distances(search(shard, vector, options));
    expect(walked, `step ${index}`).to.deep.equal(distances(scan(shard, vector, options)));
  }
}
