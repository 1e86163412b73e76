/**
 * Whether a search that asks for a recall gets it: on sets of different hardness, the linkers'
 * calibration picks the width of the walk, and queries that it never saw measure what comes of it.
 * Beside it stands the least width that would have done. Ends with 1 when a target is missed by more
 * than 0.005, or when it cost over 1.3 times the distances that were needed.
 */
import type { Collection } from "../src/collections/collection.ts";
import { chooseVariant, SHARED_VARIANTS } from "../src/engine/variant.ts";
import { readVariant } from "../src/threads/engineFiles.ts";
import { linkRound } from "../src/threads/linking.ts";
import { readArguments } from "./arguments.ts";
import { built } from "./built.ts";
import { generate, loadSift } from "./data.ts";
import { type Metric, type Rows, rowAt } from "./exact.ts";
import { seededRandom } from "./random.ts";

const K = 10;
const TARGETS = [0.9, 0.95, 0.99];
const QUERIES_MAX = 1000;
const LOSS_MAX = 0.005;
const COST_MAX = 1.3;
const EFS = [15, 16, 17, 18, 20, 22, 24, 26, 28, 30, 33, 36, 40, 44, 48, 53, 58, 64, 70, 77].concat(
  [
    85, 94, 103, 113, 125, 137, 151, 166, 183, 201, 221, 243, 268, 295, 324, 356, 392, 431, 474,
    600,
  ],
);

interface Trial {
  readonly name: string;
  readonly metric: Metric;
  readonly base: Rows;
  readonly queries: Rows;
}

/** No surface of few dimensions to follow: the hardest there is. */
function noise(rows: number, dimensions: number): Trial {
  const random = seededRandom(11);
  const rowsOf = (count: number) => ({
    values: Float32Array.from({ length: count * dimensions }, () => random.normal()),
    count,
    dimensions,
  });
  const name = `noise ${rows} x ${dimensions}, l2`;
  return { name, metric: "l2", base: rowsOf(rows), queries: rowsOf(QUERIES_MAX) };
}

const trials: (() => Trial)[] = [
  () => loadSift("sift100k"),
  () => generate({ rows: 30_000, dimensions: 768, metric: "cosine", queries: 1000, truthWidth: 1 }),
  () => generate({ rows: 50_000, dimensions: 64, metric: "dot", queries: 1000, truthWidth: 1 }),
  () => noise(20_000, 24),
];

readArguments(import.meta.url, {});
const variant = chooseVariant(SHARED_VARIANTS, readVariant);

async function build(trial: Trial): Promise<Collection> {
  const { collection, catalog } = await built(variant, trial);
  while (collection.calibration.curves === undefined) linkRound(catalog, 500);
  return collection;
}

const query = (vector: Float32Array) => ({
  ...{ vector, k: K, exact: false, includeMetadata: false, includeVector: false },
});

async function barsOf(collection: Collection, queries: Rows): Promise<number[]> {
  const bars: number[] = [];
  for (let index = 0; index < Math.min(QUERIES_MAX, queries.count); index++) {
    const { hits } = await collection.search({ ...query(rowAt(queries, index)), exact: true });
    bars.push(hits.at(-1)!.distance);
  }
  return bars;
}

async function measure(
  collection: Collection,
  queries: Rows,
  bars: readonly number[],
  how: { readonly ef?: number; readonly recallTarget?: number },
) {
  let [found, distances, ef] = [0, 0, 0];
  for (const [index, bar] of bars.entries()) {
    const answer = await collection.search({ ...query(rowAt(queries, index)), ...how });
    found += answer.hits.filter((hit) => hit.distance <= bar).length;
    distances += answer.explanation.distancesComputed;
    ef = answer.explanation.ef;
  }
  return { recall: found / (K * bars.length), distances: distances / bars.length, ef };
}

let isKept = true;
console.log(`recall@${K} of queries that calibration never saw, ${variant.name}`);
console.log("target  recall  ef   distances  least ef  its distances  ratio");
for (const make of trials) {
  const trial = make();
  const collection = await build(trial);
  const { samples, tookMs } = collection.calibration.curves!;
  console.log(`${trial.name}: ${samples} samples, ${(tookMs / 1000).toFixed(1)} s`);
  const bars = await barsOf(collection, trial.queries);
  for (const recallTarget of TARGETS) {
    const aimed = await measure(collection, trial.queries, bars, { recallTarget });
    // Where no width does, the exact scan is what is needed.
    let least = { recall: 1, distances: trial.base.count, ef: Number.NaN };
    for (const ef of EFS) {
      const tried = await measure(collection, trial.queries, bars, { ef });
      if (tried.recall < recallTarget) continue;
      least = tried;
      break;
    }
    const ratio = aimed.distances / least.distances;
    const cells = [
      recallTarget.toFixed(2).padStart(6),
      aimed.recall.toFixed(4),
      (aimed.distances === trial.base.count ? "all" : String(aimed.ef)).padEnd(4),
      aimed.distances.toFixed(0).padStart(9),
      (Number.isNaN(least.ef) ? "all" : String(least.ef)).padStart(8),
      least.distances.toFixed(0).padStart(13),
      ratio.toFixed(2).padStart(6),
    ];
    console.log(cells.join("  "));
    isKept &&= aimed.recall >= recallTarget - LOSS_MAX && ratio <= COST_MAX;
  }
}
console.log(isKept ? "all promises kept" : "a promise is broken");
process.exitCode = isKept ? 0 : 1;
