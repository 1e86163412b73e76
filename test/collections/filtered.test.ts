/**
 * Searching under a filter: whatever share of the rows matches, and wherever they lie, k rows come
 * when k match, each of them matches, and the nearest are among them.
 */
import { expect } from "chai";
import { generate } from "../../perf/data.ts";
import { distance, rowAt } from "../../perf/exact.ts";
import { seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { compileFilter } from "../../src/collections/filter.ts";
import { linkSlice } from "../../src/engine/linking.ts";
import { Alone } from "./alone.ts";

const SEED = seedFromEnvironment() | 0;
const ROWS = 30_000;
const DIMENSIONS = 32;
const SHARES = [0.7, 0.4, 0.2, 0.05, 0.01, 0.001];
const K = 10;
const EF = 64;
const RECALL_MIN = 0.95;
const BATCH = 1000;

const random = seededRandom(SEED);
const data = generate({
  rows: ROWS,
  dimensions: DIMENSIONS,
  metric: "l2",
  queries: 40,
  seed: SEED,
});

/**
 * For each share a number per row: the share of rows below it is that of the rows. `independent` of
 * the vectors; `near` and `far` order rows by their distance from one of them.
 */
const orders: Record<string, Float64Array> = {
  independent: Float64Array.from({ length: ROWS }, () => random.next()),
  near: ranks((row) => distance("l2", rowAt(data.base, 0), rowAt(data.base, row))),
  far: ranks((row) => -distance("l2", rowAt(data.base, 0), rowAt(data.base, row))),
};

function ranks(measure: (row: number) => number): Float64Array {
  const values = Float64Array.from({ length: ROWS }, (_, row) => measure(row));
  const sorted = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const ranked = new Float64Array(ROWS);
  for (const [rank, row] of sorted.entries()) ranked[row] = rank / ROWS;
  return ranked;
}

async function load(shardRows: number, rows = ROWS): Promise<Alone> {
  const alone = await Alone.open(shardRows, { dimensions: DIMENSIONS });
  for (let start = 0; start < rows; start += BATCH) {
    await alone.put(
      Array.from({ length: Math.min(BATCH, rows - start) }, (_, index) => {
        const row = start + index;
        const { independent, near, far } = orders;
        const metadata = { independent: independent![row], near: near![row], far: far![row] };
        const vector = rowAt(data.base, row);
        return { id: String(row), vector, metadata: JSON.stringify(metadata) };
      }),
    );
  }
  return alone;
}

function link(alone: Alone): void {
  for (const { shard } of alone.collection.parts) while (linkSlice(shard, 1000, 64));
}

interface Seen {
  readonly recall: number;
  readonly strategies: Set<string>;
}

/** Every query under `order < share`: recall, and the strategies that were taken. */
async function ask(alone: Alone, order: string, share: number, rows = ROWS): Promise<Seen> {
  const filter = compileFilter({ [order]: { $lt: share } }, "");
  const matching = [...orders[order]!.subarray(0, rows).keys()].filter(
    (row) => orders[order]![row]! < share,
  );
  const strategies = new Set<string>();
  let right = 0;
  let owed = 0;
  for (let query = 0; query < data.queries.count; query++) {
    const vector = rowAt(data.queries, query);
    const { hits, explanation } = await alone.search(vector, { exact: false, ef: EF, filter });
    strategies.add(explanation.strategy);
    expect(explanation.matching).to.equal(matching.length);
    expect(hits.length, `rows for ${order} < ${share}`).to.equal(Math.min(K, matching.length));
    const distances = matching.map((row) => distance("l2", vector, rowAt(data.base, row)));
    const bound = distances.sort((a, b) => a - b)[hits.length - 1]! * (1 + 1e-6);
    for (const { id, distance: found } of hits) {
      expect(orders[order]![Number(id)], "a row that does not match").to.be.below(share);
      if (found * found <= bound) right++;
    }
    owed += hits.length;
  }
  return { recall: owed === 0 ? 1 : right / owed, strategies };
}

describe(`search under a filter, ${ROWS} x ${DIMENSIONS}, m 16, ef ${EF}, seed ${SEED}`, () => {
  it(`finds ${RECALL_MIN} of the nearest, and k rows, at every selectivity`, async () => {
    const alone = await load(ROWS + 1000);
    link(alone);
    const seen = new Set<string>();
    for (const order of Object.keys(orders)) {
      for (const share of SHARES) {
        const { recall, strategies } = await ask(alone, order, share);
        expect(recall, `recall of ${order} < ${share}`).to.be.at.least(RECALL_MIN);
        for (const strategy of strategies) seen.add(strategy);
      }
    }
    expect([...seen].sort()).to.deep.equal(["exact", "graph+filter"]);
  });

  it("works over several shards and rows that are not linked yet", async () => {
    const alone = await load(12_500);
    expect(alone.collection.parts).to.have.length.above(2);
    const [first, second] = alone.collection.parts;
    while (linkSlice(first!.shard, 1000, 64));
    linkSlice(second!.shard, 3000, 64);
    for (const share of SHARES) {
      const { recall } = await ask(alone, "independent", share);
      expect(recall, `recall at ${share}`).to.be.at.least(RECALL_MIN);
    }
    link(alone);
    const { recall } = await ask(alone, "far", 0.4);
    expect(recall).to.be.at.least(RECALL_MIN);
  });

  it("answers from one state while rows change their tags between its slices", async () => {
    const rows = 4000;
    const alone = await load(10_000, rows);
    link(alone);
    // Each write moves the one tag to another row: exactly one row matches at any sequence.
    let holder = 0;
    const vectorOf = (row: number) => rowAt(data.base, row);
    const tagged = (row: number, isHolder: boolean) => ({
      id: String(row),
      vector: vectorOf(row),
      metadata: JSON.stringify({ holder: isHolder }),
    });
    await alone.put([tagged(holder, true)]);
    let isMoving = false;
    const move = async () => {
      const next = random.integer(rows);
      if (isMoving || next === holder) return;
      isMoving = true;
      await alone.put([tagged(holder, false), tagged(next, true)]);
      holder = next;
      link(alone);
      isMoving = false;
    };
    alone.onPause = move;
    const filter = compileFilter({ holder: true }, "");
    for (let round = 0; round < 300; round++) {
      const searching = alone.search(vectorOf(random.integer(rows)), { exact: false, filter });
      const moving = move();
      const { hits } = await searching;
      expect(hits, `round ${round}`).to.have.length(1);
      await moving;
      const after = await alone.search(vectorOf(0), { exact: round % 2 === 0, filter });
      expect(after.hits.map(({ id }) => id)).to.deep.equal([String(holder)]);
    }
  });
});
