/**
 * Rows go and others come: the graph is repaired around what died, slots and upper units come back,
 * and nobody who may still be owed a row loses it.
 */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { rowAt } from "../../perf/exact.ts";
import { type Random, seededRandom } from "../../perf/random.ts";
import { address } from "../../src/engine/exports.ts";
import { NO_SLOT, type Shard } from "../../src/engine/shard.ts";
import type { VariantName } from "../../src/engine/variant.ts";
import { retire, takeFreed } from "../../src/engine/writing.ts";
import {
  clustered,
  METRICS,
  newShard,
  overVariants,
  recallToScan,
  replace,
  SEED,
  scan,
  search,
  settle,
  tendOnce,
  words,
} from "./trial.ts";

const DIMENSIONS = 32;
const ROWS = 1200;
const POOL = 2 * ROWS;
const ROUNDS = 4;
const HARD_ROWS = 600;
const RECALL_LOSS_MAX = 0.005;

/** What the writer does before it writes. */
function takeBack(shard: Shard): number {
  let slots = 0;
  while (takeFreed(shard) !== NO_SLOT) slots++;
  return slots;
}

/** A shard under churn: which row of the pool lies in which slot. */
class Herd {
  readonly shard: Shard;
  readonly metric: (typeof METRICS)[number];
  readonly slots = new Map<number, number>();
  readonly random: Random = seededRandom(SEED);
  sequence = 0;

  constructor(name: VariantName, metric: (typeof METRICS)[number] = "l2") {
    this.metric = metric;
    this.shard = newShard(name, { dimensions: DIMENSIONS, metric, capacity: POOL });
  }

  get pool() {
    return clustered(POOL, DIMENSIONS, this.metric);
  }

  vector(row: number): Float32Array {
    return rowAt(this.pool.base, row);
  }

  put(rows: readonly number[]): void {
    this.sequence++;
    takeBack(this.shard);
    for (const row of rows) {
      this.slots.set(row, replace(this.shard, NO_SLOT, this.vector(row), this.sequence));
    }
  }

  remove(rows: readonly number[]): void {
    this.sequence++;
    for (const row of rows) {
      retire(this.shard, this.slots.get(row)!, this.sequence);
      this.slots.delete(row);
    }
  }

  settle(): void {
    settle(this.shard, this.sequence);
    expect(this.shard.check(), "the checker").to.equal(undefined);
  }

  recall(): number {
    return recallToScan(this.shard, this.pool.queries, { snapshot: this.sequence });
  }

  /** Rows that a search for their own vector finds at no distance. */
  selves(): number {
    let found = 0;
    for (const row of this.slots.keys()) {
      search(this.shard, this.vector(row), { k: 1, snapshot: this.sequence });
      const self = this.shard.resultDistance(0);
      if (self <= scanDistance(this.shard, this.vector(row), this.sequence)) found++;
    }
    return found / this.slots.size;
  }

  shuffled(rows: Iterable<number>): number[] {
    const keyed = [...rows].map((row) => ({ row, key: this.random.next() }));
    return keyed.sort((a, b) => a.key - b.key).map(({ row }) => row);
  }

  get absent(): number[] {
    return Array.from({ length: POOL }, (_, row) => row).filter((row) => !this.slots.has(row));
  }
}

function scanDistance(shard: Shard, vector: Float32Array, snapshot: number): number {
  scan(shard, vector, { k: 1, snapshot });
  return shard.resultDistance(0);
}

const upperUsed = (shard: Shard) => words(shard)[L.HEADER_UPPER_USED >>> 2]!;
const entryOf = (shard: Shard) => words(shard)[L.HEADER_ENTRY >>> 2]! & L.NO_SLOT;

/** Data that graphs do not like, a row from its number. */
const HARD: Record<string, (row: number, random: Random) => number[]> = {
  "one vector over and over": () => axes(() => 1),
  "copies among others": (row, random) => axes(() => (row % 3 ? 2 : random.normal())),
  "two far clusters": (row, random) => axes(() => (row % 2 ? 1e6 : 0) + random.normal()),
  "zeros but one": (row) => axes((axis) => (axis === row % DIMENSIONS ? 1 + (row % 100) : 0)),
  "norms of six orders": (_row, random) => {
    const norm = 10 ** (random.next() * 6 - 3);
    return axes(() => norm * random.normal());
  },
};

const axes = (component: (axis: number) => number) =>
  Array.from({ length: DIMENSIONS }, (_, axis) => component(axis));

overVariants("churn", (name) => {
  for (const [title, make] of Object.entries(HARD)) {
    for (const metric of METRICS) {
      it(`of ${title} leaves every row reachable: ${metric}`, () => {
        const random = seededRandom(SEED);
        const shard = newShard(name, { dimensions: DIMENSIONS, metric, capacity: 2 * HARD_ROWS });
        const slots: number[] = [];
        let sequence = 0;
        for (let round = 0; round < 3; round++) {
          sequence++;
          takeBack(shard);
          for (let row = slots.length; row < HARD_ROWS; row++) {
            slots.push(replace(shard, NO_SLOT, Float32Array.from(make(row, random)), sequence));
          }
          settle(shard, sequence);
          expect(shard.check()).to.equal(undefined);
          sequence++;
          for (const slot of slots.splice(0, HARD_ROWS / 2)) retire(shard, slot, sequence);
          settle(shard, sequence);
          expect(shard.check()).to.equal(undefined);
        }
        expect(shard.slotsUsed).to.equal(HARD_ROWS);
      });
    }
  }

  for (const metric of METRICS) {
    it(`of half the rows, ${ROUNDS} times, leaves an index like a fresh one: ${metric}`, () => {
      const herd = new Herd(name, metric);
      herd.put(herd.shuffled(herd.absent).slice(0, ROWS));
      herd.settle();
      for (let round = 1; round <= ROUNDS; round++) {
        herd.remove(herd.shuffled(herd.slots.keys()).slice(0, ROWS / 2));
        herd.settle();
        herd.put(herd.shuffled(herd.absent).slice(0, ROWS / 2));
        herd.settle();
      }
      const fresh = new Herd(name, metric);
      fresh.put(herd.shuffled(herd.slots.keys()));
      fresh.settle();
      expect(herd.recall()).to.be.at.least(fresh.recall() - RECALL_LOSS_MAX);
      expect(herd.selves()).to.be.at.least(0.999);
      expect(herd.shard.slotsUsed).to.equal(ROWS);
      expect(upperUsed(herd.shard)).to.be.at.most(1.5 * upperUsed(fresh.shard) + 8);
      expect(herd.shard.dead).to.equal(0);
    });
  }

  it("of whole regions leaves an index like a fresh one", () => {
    const herd = new Herd(name);
    herd.put(herd.shuffled(herd.absent).slice(0, ROWS));
    herd.settle();
    for (let round = 1; round <= ROUNDS; round++) {
      const centre = rowAt(herd.pool.queries, round);
      const found = scan(herd.shard, centre, { k: ROWS / 2, snapshot: herd.sequence });
      const near = new Set(found);
      herd.remove([...herd.slots].filter(([, slot]) => near.has(slot)).map(([row]) => row));
      if (round % 2 === 0) herd.settle();
      herd.put(herd.shuffled(herd.absent).slice(0, ROWS / 2));
      herd.settle();
    }
    const fresh = new Herd(name);
    fresh.put(herd.shuffled(herd.slots.keys()));
    fresh.settle();
    expect(herd.recall()).to.be.at.least(fresh.recall() - RECALL_LOSS_MAX);
    expect(herd.selves()).to.be.at.least(0.999);
  });

  it("may take the entry point, again and again", () => {
    const herd = new Herd(name);
    herd.put(herd.shuffled(herd.absent).slice(0, 300));
    herd.settle();
    for (let round = 0; round < 40; round++) {
      const door = entryOf(herd.shard);
      const [row] = [...herd.slots].find(([, slot]) => slot === door)!;
      herd.remove([row]);
      herd.settle();
      expect(entryOf(herd.shard)).to.not.equal(door);
    }
    expect(herd.selves()).to.equal(1);
  });

  it("down to nothing and up again leaves an index as good as new, in the same room", () => {
    const herd = new Herd(name);
    const rows = herd.shuffled(herd.absent).slice(0, ROWS);
    herd.put(rows);
    herd.settle();
    const [recall, units] = [herd.recall(), upperUsed(herd.shard)];
    for (let round = 0; round < 3; round++) {
      herd.remove([...herd.slots.keys()]);
      herd.settle();
      expect(entryOf(herd.shard)).to.equal(NO_SLOT);
      herd.put(herd.shuffled(rows));
      herd.settle();
      expect(herd.shard.slotsUsed).to.equal(ROWS);
      expect(upperUsed(herd.shard)).to.be.at.most(1.5 * units);
      expect(herd.recall()).to.be.at.least(recall - RECALL_LOSS_MAX);
    }
  });

  it("of rows that no linker has seen goes on for ever: they are passed by", () => {
    const herd = new Herd(name);
    herd.put(herd.shuffled(herd.absent).slice(0, 50));
    for (let round = 0; round < 4 * POOL; round += 100) {
      const rows = herd.absent.slice(0, 100);
      herd.put(rows);
      herd.remove(rows);
      if (round % 1000 === 0) herd.settle();
    }
    herd.settle();
    takeBack(herd.shard);
    expect(herd.shard.live).to.equal(50);
    expect(herd.shard.slotsUsed).to.be.below(POOL);
    expect(herd.selves()).to.equal(1);
  });

  it("takes nothing from a reader that has pinned its snapshot, and all of it later", () => {
    const herd = new Herd(name);
    const rows = herd.shuffled(herd.absent).slice(0, 300);
    herd.put(rows);
    herd.settle();
    expect(herd.shard.pin(herd.sequence)).to.equal(true);
    const before = new Map(herd.slots);
    const snapshot = herd.sequence;
    herd.remove(rows.slice(0, 200));
    for (let slice = 0; slice < 100; slice++) {
      tendOnce(herd.shard, herd.sequence);
    }
    expect(takeBack(herd.shard)).to.equal(0);
    for (const row of rows) {
      const found = search(herd.shard, herd.vector(row), { k: 1, snapshot });
      expect(found[0]).to.equal(before.get(row));
    }
    // The linkers have gone past it: whoever comes now must take a newer snapshot.
    herd.shard.pin(0);
    herd.settle();
    expect(herd.shard.pin(snapshot)).to.equal(false);
    expect(herd.shard.pin(herd.sequence)).to.equal(true);
    expect(takeBack(herd.shard)).to.equal(200);
  });

  it("shows a reader without a pin, by the stamp, that its row is gone", () => {
    const herd = new Herd(name);
    herd.put([0, 1, 2]);
    herd.settle();
    const slot = herd.slots.get(1)!;
    const { shard, sequence } = herd;
    const stamp = shard.stamp(slot);
    expect(shard.isStillVisible(slot, stamp, sequence)).to.equal(true);
    herd.remove([1]);
    herd.settle();
    expect(shard.isStillVisible(slot, stamp, sequence)).to.equal(true);
    expect(takeBack(shard)).to.equal(1);
    expect(shard.isStillVisible(slot, stamp, sequence)).to.equal(false);
    herd.put([7]);
    expect(herd.slots.get(7)).to.equal(slot);
    expect(shard.stamp(slot)).to.be.above(stamp);
    expect(shard.isStillVisible(slot, stamp, herd.sequence)).to.equal(false);
  });

  it("ties in a row that nothing leads to any more", () => {
    const herd = new Herd(name);
    herd.put(herd.shuffled(herd.absent).slice(0, 400));
    herd.settle();
    const memory = words(herd.shard);
    const lost = [...herd.slots.values()].find((slot) => slot !== entryOf(herd.shard))!;
    for (const slot of herd.slots.values()) {
      const list = (address(herd.shard.engine.headAddress(slot)) + L.ROW_COUNT) >>> 2;
      const links = Array.from(memory.subarray(list + 1, list + 1 + memory[list]!));
      const kept = links.filter((link) => link !== lost);
      memory.set([kept.length, ...kept], list);
    }
    expect(herd.shard.engine.check(0)).to.equal(L.FAULT_UNREACHABLE);
    herd.put(herd.absent.slice(0, 1));
    herd.settle();
    expect(herd.selves()).to.equal(1);
  });
});
