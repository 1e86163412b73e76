/**
 * Rows in a cloud of many dimensions, which few others choose to link to, are found all the same, and
 * so are rows that only links from afar lead to.
 */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import type { Rows } from "../../perf/exact.ts";
import { rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import type { Shard } from "../../src/engine/shard.ts";
import { retire } from "../../src/engine/writing.ts";
import {
  append,
  linkAll,
  M,
  newShard,
  overVariants,
  SEED,
  search,
  settle,
  words,
} from "./trial.ts";

const DIMENSIONS = 96;
const ROWS = 2000;
const CENTRES = 4;
/** As many links as thin.ts wants to lead to a row. */
const ENOUGH = 6;

function clouds(): Rows {
  const random = seededRandom(SEED);
  const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const centres = normals(CENTRES * DIMENSIONS);
  const values = normals(ROWS * DIMENSIONS).map((value, at) => {
    const centre = Math.floor(at / DIMENSIONS) % CENTRES;
    return 0.4 * value + centres[centre * DIMENSIONS + (at % DIMENSIONS)]!;
  });
  return { values, count: ROWS, dimensions: DIMENSIONS };
}

/** Index of the count of a row's list on level 0; its links follow. */
function listAt(memory: Uint32Array, slot: number): number {
  const [base, stride] = [memory[L.HEADER_ROWS_BASE >>> 2]!, memory[L.HEADER_ROW_STRIDE >>> 2]!];
  return (base + slot * stride + L.ROW_COUNT) >>> 2;
}

function linksOf(memory: Uint32Array, slot: number): number[] {
  const list = listAt(memory, slot);
  return Array.from(memory.subarray(list + 1, list + 1 + memory[list]!));
}

function relist(memory: Uint32Array, slot: number, links: readonly number[]): void {
  memory.set([links.length, ...links], listAt(memory, slot));
}

/** How many rows fewer links than enough lead to. */
function thin(shard: Shard): number {
  const memory = words(shard);
  const leading = new Uint32Array(shard.slotsUsed);
  for (let slot = 0; slot < shard.slotsUsed; slot++) {
    for (const link of linksOf(memory, slot)) leading[link]!++;
  }
  return leading.filter((count) => count < ENOUGH).length;
}

overVariants("rows that few links lead to", (name) => {
  it("get more, and find themselves", function () {
    this.timeout(60_000);
    const rows = clouds();
    const shard = newShard(name, { dimensions: DIMENSIONS, capacity: ROWS });
    append(shard, rows.values);
    linkAll(shard);
    const lost = () => {
      let count = 0;
      for (let row = 0; row < ROWS; row++) {
        if (search(shard, rowAt(rows, row), { ef: 40 })[0] !== row) count++;
      }
      return count;
    };
    const [thinBefore, lostBefore] = [thin(shard), lost()];
    expect(thinBefore).to.be.above(ROWS / 50);
    settle(shard);
    expect(shard.check(), "the checker").to.equal(undefined);
    expect(thin(shard)).to.be.below(thinBefore / 20);
    expect(lost()).to.be.at.most(lostBefore / 3 + 2);
  });

  it("are found when only links from afar are left to them", function () {
    this.timeout(60_000);
    const rows = clouds();
    const shard = newShard(name, { dimensions: DIMENSIONS, capacity: ROWS });
    append(shard, rows.values);
    settle(shard);
    const memory = words(shard);
    const door = memory[L.HEADER_ENTRY >>> 2]!;
    // Rows of one cloud that another cloud's rows alone lead to, and that lead nowhere else.
    const away = Array.from({ length: 8 }, (_, at) => 4 * (100 + at)).filter((row) => row !== door);
    const isAway = new Set(away);
    const hosts = Array.from({ length: ROWS / CENTRES }, (_, at) => CENTRES * at + 1);
    const isFree = (host: number) => memory[listAt(memory, host)]! < 2 * M;
    for (let slot = 0; slot < ROWS; slot++) {
      relist(
        memory,
        slot,
        linksOf(memory, slot).filter((link) => !isAway.has(link)),
      );
    }
    for (const row of away) {
      const open = hosts.filter(isFree).slice(0, 2 * ENOUGH);
      for (const host of open) relist(memory, host, [...linksOf(memory, host), row]);
      relist(memory, row, open);
    }
    const lost = () => away.filter((row) => search(shard, rowAt(rows, row))[0] !== row).length;
    expect(lost()).to.be.above(away.length / 2);
    expect(shard.check(), "the checker").to.equal(undefined);
    // Every row is owed a visit once so many have died.
    for (let slot = ROWS / 2; slot < ROWS; slot++) retire(shard, slot, 2);
    settle(shard, 2);
    expect(shard.check(), "the checker").to.equal(undefined);
    expect(
      away.filter((row) => search(shard, rowAt(rows, row), { snapshot: 2 })[0] !== row),
    ).to.eql([]);
  });
});
