/**
 * `npm run bench:codes`: what a collection gives up and gains that keeps codes alone (`vectors:
 * "none"`). The same rows with float32 and without, in one process and one thread: recall@10
 * against the true neighbours by the rows as they were sent, by walks of several widths and by the
 * exact scan, which is the most that codes can give; CPU time of a search, both in turn, the median
 * of three; bytes a row, all parts, as stats say them.
 *
 * --only NAME takes one set alone (sift, cosine or dot).
 */
import { cpus } from "node:os";
import type { Collection } from "../src/collections/collection.ts";
import { chooseVariant, SHARED_VARIANTS } from "../src/engine/variant.ts";
import { readVariant } from "../src/threads/engineFiles.ts";
import { readArguments } from "./arguments.ts";
import { built } from "./built.ts";
import { type Dataset, generate, loadSift } from "./data.ts";
import { rowAt } from "./exact.ts";
import { median } from "./measure.ts";

const K = 10;
const EFS = [24, 48, 96, 200];
const QUERIES_MAX = 1000;
const ROUNDS = 3;
const KEEPINGS = ["memory", "none"] as const;
const SETS: Record<string, () => Dataset> = {
  sift: () => loadSift("sift100k"),
  cosine: () => generate({ rows: 30_000, dimensions: 768, metric: "cosine", queries: 1000 }),
  dot: () => generate({ rows: 50_000, dimensions: 64, metric: "dot", queries: 1000 }),
};

const { only } = readArguments(import.meta.url, { only: { type: "string" } }).values;
const variant = chooseVariant(SHARED_VARIANTS, readVariant);

interface Turn {
  readonly recall: number;
  readonly microseconds: number;
}

/** `ef` undefined is the exact scan. */
async function turn(collection: Collection, dataset: Dataset, ef?: number): Promise<Turn> {
  const { queries, truth, truthWidth } = dataset;
  const count = Math.min(QUERIES_MAX, queries.count);
  const how = ef === undefined ? { exact: true } : { exact: false, ef };
  let found = 0;
  const before = process.cpuUsage();
  for (let index = 0; index < count; index++) {
    const vector = rowAt(queries, index);
    const flags = { includeMetadata: false, includeVector: false };
    const { hits } = await collection.search({ vector, k: K, ...how, ...flags });
    const nearest = truth.subarray(index * truthWidth, index * truthWidth + K);
    for (const { id } of hits) found += Number(nearest.includes(Number(id)));
  }
  const { user, system } = process.cpuUsage(before);
  return { recall: found / (K * count), microseconds: (user + system) / count };
}

async function measure(dataset: Dataset): Promise<void> {
  const collections: Collection[] = [];
  for (const vectors of KEEPINGS) {
    const others = vectors === "none" ? { vectors } : {};
    collections.push((await built(variant, dataset, others)).collection);
  }
  const { count, dimensions } = dataset.base;
  console.log(`\n${dataset.name}: ${count} x ${dimensions}, ${dataset.metric}`);
  const bytes = collections.map((each) => each.stats().memoryBytes / count);
  const parts = collections.map((each) => each.memory().vectors / count);
  for (const [index, vectors] of KEEPINGS.entries()) {
    const share = (bytes[index]! / bytes[0]!).toFixed(2);
    const own = `${bytes[index]!.toFixed(0)} bytes a row (${share}), of float32`;
    console.log(`${vectors}: ${own} ${parts[index]!.toFixed(1)}`);
  }
  console.log("| ef | recall@10, memory | none | us a search, memory | none |");
  console.log("|---|---|---|---|---|");
  for (const ef of [...EFS, undefined]) {
    const turns: Turn[][] = KEEPINGS.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, collection] of collections.entries()) {
        turns[index]!.push(await turn(collection, dataset, ef));
      }
    }
    const cells = [
      ef ?? "exact",
      ...turns.map((own) => own[0]!.recall.toFixed(4)),
      ...turns.map((own) => median(own.map(({ microseconds }) => microseconds)).toFixed(1)),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

if (only !== undefined && !Object.hasOwn(SETS, only)) {
  throw new Error(`--only takes ${Object.keys(SETS).join(", ")}, got ${only}`);
}
const { model } = cpus()[0]!;
console.log(`${cpus().length} x ${model}, Node ${process.versions.node}, ${variant.name}`);
for (const [name, make] of Object.entries(SETS)) {
  if (only === undefined || only === name) await measure(make());
}
