/** Rows in a cloud of many dimensions, which few others choose to link to, are found all the same. */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import type { Rows } from "../../perf/exact.ts";
import { rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import type { Shard } from "../../src/engine/shard.ts";
import { append, linkAll, newShard, overVariants, SEED, search, settle, words } from "./trial.ts";

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

/** How many rows fewer links than enough lead to. */
function thin(shard: Shard): number {
  const memory = words(shard);
  const leading = new Uint32Array(shard.slotsUsed);
  const [base, stride] = [memory[L.HEADER_ROWS_BASE >>> 2]!, memory[L.HEADER_ROW_STRIDE >>> 2]!];
  for (let slot = 0; slot < shard.slotsUsed; slot++) {
    const head = (base + slot * stride) >>> 2;
    const links = head + (L.ROW_HEAD_BYTES >>> 2);
    for (let at = 0; at < memory[head + (L.ROW_COUNT >>> 2)]!; at++)
      leading[memory[links + at]!]!++;
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
});
