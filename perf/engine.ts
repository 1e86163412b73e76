/**
 * `npm run bench:engine`: the engine beside the rivals that are installed in perf/, on sift100k, one
 * thread, by CPU time, in one run. `npm ci` in perf/ installs them; for hnswlib-node's best,
 * `CXXFLAGS=-march=native npm ci`.
 *
 * The machine is shared and its pace drifts, so nothing is compared over a distance of time: every
 * turn of a rival stands between two of the engine's, and a ratio is the rival's CPU time over the
 * mean of those two. What is printed are medians. A search's ef is the smallest that reaches the
 * recall, found before the clock starts. Rivals build with efConstruction 128; the engine is shown
 * with its default, 64, which is what a collection gets, and with 128. A rival that cannot take any
 * ef is shown with the smallest of its own that does.
 *
 * A vector's bytes are all that an index holds for it, its own copy of the vector included: what
 * omendb, hnswlib and edgevec hold in memory, and the files of the others, which do not tell.
 *
 * A rival builds once (`--builds 3` for more), for each takes half a minute; the engine builds again
 * before and after each of them. `--only hnswlib,usearch-bf16` limits the run to some.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { loadEngine } from "../src/threads/engineFiles.ts";
import { readArguments } from "./arguments.ts";
import { type Dataset, loadSift } from "./data.ts";
import { rowAt } from "./exact.ts";
import { cpuMicrosecondsOf, meanRecall, median } from "./measure.ts";
import { EnginePeer } from "./peers/omendb.ts";
import type { Peer } from "./peers/peer.ts";
import { describeRivals, openRivals } from "./peers/rivals.ts";

/** The lowest is for those that reach no other. */
const RECALL_TARGETS = [0.9, 0.95, 0.99];
const K = 10;
const M = 16;
const EF_CONSTRUCTION = 64;
const EF_CONSTRUCTION_RIVALS = 128;
const EF_MAX = 512;
const SEARCH_ROUNDS = 5;
/** CPU time of one turn of searches. */
const TURN_MICROSECONDS = 300_000;

/** Of usearch those that others do not leave behind in every figure; sqlite-vec has no index. */
const RIVAL_NAMES = [
  ...["hnswlib", "usearch-bf16", "usearch-f32", "usearch-i8", "usearch-u8"],
  ...["zvec-f32", "lancedb", "edgevec"],
];

/** A peer and all that was measured of it; ratios are over the engine's turns beside its own. */
interface Entrant {
  readonly peer: Peer;
  readonly efConstruction: number;
  readonly builds: number[];
  readonly buildRatios: number[];
  readonly searches: Searches[];
}

interface Searches {
  readonly recallTarget: number;
  /** Undefined when no ef up to EF_MAX reaches the recall. */
  readonly ef: number | undefined;
  readonly recall: number;
  /** CPU microseconds a search, a value a turn. */
  readonly turns: number[];
  readonly ratios: number[];
}

const entrant = (peer: Peer, efConstruction: number): Entrant => ({
  ...{ peer, efConstruction, builds: [], buildRatios: [], searches: [] },
});

/** Turns go engine, rival, engine, rival ..., engine: each rival between two of ours. */
function interleave(
  [ours, others]: readonly [Entrant, readonly Entrant[]],
  turn: (entrant: Entrant) => number,
  note: (other: Entrant, ratio: number) => void,
): void {
  let before = turn(ours);
  for (const other of others) {
    const theirs = turn(other);
    const after = turn(ours);
    note(other, (2 * theirs) / (before + after));
    before = after;
  }
}

function buildAll(ours: Entrant, others: readonly Entrant[], { base, metric }: Dataset): void {
  const turn = ({ peer, efConstruction, builds }: Entrant) => {
    const options = { m: M, efConstruction, metric };
    const spent = cpuMicrosecondsOf(() => peer.build(base, options)) / base.count;
    builds.push(spent);
    process.stderr.write(`built ${peer.name}: ${whole(1e6 / spent)} vectors/s\n`);
    return spent;
  };
  interleave([ours, others], turn, ({ buildRatios }, ratio) => buildRatios.push(ratio));
}

function searchAll(ours: Entrant, others: readonly Entrant[], dataset: Dataset): void {
  const { count } = dataset.queries;
  const queries = Array.from({ length: count }, (_, query) => rowAt(dataset.queries, query));
  for (const recallTarget of RECALL_TARGETS) {
    const repeats = new Map<Entrant, number>();
    for (const one of [ours, ...others]) {
      const { ef, recall } = smallestEf(one.peer, dataset, queries, recallTarget);
      one.searches.push({ recallTarget, ef, recall, turns: [], ratios: [] });
      if (ef === undefined) continue;
      searchEach(one.peer, queries, ef);
      const spent = cpuMicrosecondsOf(() => searchEach(one.peer, queries, ef));
      repeats.set(one, Math.max(1, Math.round(TURN_MICROSECONDS / spent)));
    }
    if (!repeats.has(ours)) continue;
    const able = others.filter((other) => repeats.has(other));
    const turn = (one: Entrant) => {
      const { ef, turns } = one.searches.at(-1)!;
      const times = repeats.get(one)!;
      const spent = cpuMicrosecondsOf(() => {
        for (let repeat = 0; repeat < times; repeat++) searchEach(one.peer, queries, ef!);
      });
      turns.push(spent / (times * count));
      return turns.at(-1)!;
    };
    const note = ({ searches }: Entrant, ratio: number) => searches.at(-1)!.ratios.push(ratio);
    for (let round = 0; round < SEARCH_ROUNDS; round++) interleave([ours, able], turn, note);
  }
}

function searchEach(peer: Peer, queries: readonly Float32Array[], ef: number): void {
  for (const query of queries) peer.search(query, K, ef);
}

/**
 * By doubling, then halving: recall grows with ef. No ef below 1.5 k is tried, for the planner
 * raises those.
 */
function smallestEf(
  peer: Peer,
  dataset: Dataset,
  queries: readonly Float32Array[],
  target: number,
): { ef: number | undefined; recall: number } {
  if (peer.widths !== undefined) {
    let recall = 0;
    for (const ef of peer.widths) {
      recall = meanRecall(peer, dataset, queries, ef);
      if (recall >= target) return { ef, recall };
    }
    return { ef: undefined, recall };
  }
  let low = Math.ceil(K * 1.5);
  let high = low;
  let recall = meanRecall(peer, dataset, queries, high);
  while (recall < target) {
    if (high === EF_MAX) return { ef: undefined, recall };
    low = high + 1;
    high = Math.min(high * 2, EF_MAX);
    recall = meanRecall(peer, dataset, queries, high);
  }
  while (low < high) {
    const middle = (low + high) >>> 1;
    const reached = meanRecall(peer, dataset, queries, middle);
    if (reached < target) low = middle + 1;
    else [high, recall] = [middle, reached];
  }
  return { ef: high, recall };
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

const perSecond = (microseconds: readonly number[]) => 1e6 / median(microseconds);

/** Whose time over ours: 2 means that the engine does twice as much in the same time. */
const times = (ratios: readonly number[]) =>
  ratios.length === 0 ? "-" : `${median(ratios).toFixed(2)}x`;

function rowsOf(entrants: readonly Entrant[], rows: number): string[] {
  const targets = RECALL_TARGETS.map((target) => `QPS at ${target} (ef)`);
  const head = ["", "walks by", "build/s", ...targets, "bytes a vector"];
  const lines = entrants.map(({ peer, builds, searches }) => [
    ...[peer.name, peer.measures, whole(perSecond(builds))],
    ...searches.map(({ ef, recall, turns }) =>
      ef === undefined ? `never (${recall.toFixed(3)})` : `${whole(perSecond(turns))} (${ef})`,
    ),
    bytesOf(peer, rows),
  ]);
  return tableOf([head, ...lines]);
}

const bytesOf = (peer: Peer, rows: number) =>
  peer.bytes === undefined ? "-" : whole(peer.bytes() / rows);

/** With the higher efConstruction, its own times stand in for the default's. */
function ratiosOf(ours: Entrant, careful: Entrant, rivals: readonly Entrant[]): string[] {
  const head = ["omendb / rival", "build", ...RECALL_TARGETS.map((target) => `QPS at ${target}`)];
  const lines = rivals.flatMap((rival) => [
    [
      `efConstruction ${ours.efConstruction} / ${rival.peer.name}`,
      times(rival.buildRatios),
      ...rival.searches.map(({ ratios }) => times(ratios)),
    ],
    [
      `efConstruction ${careful.efConstruction} / ${rival.peer.name}`,
      times(divided(rival.buildRatios, careful.buildRatios)),
      ...rival.searches.map(({ ratios }, at) =>
        times(divided(ratios, careful.searches[at]!.ratios)),
      ),
    ],
  ]);
  return tableOf([head, ...lines]);
}

/** Round by round; both are ratios over the default's time. */
function divided(ratios: readonly number[], by: readonly number[]): number[] {
  return ratios.flatMap((ratio, round) => (by[round] === undefined ? [] : ratio / by[round]));
}

function tableOf(lines: readonly (readonly string[])[]): string[] {
  const widths = lines[0]!.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  const [head, ...rest] = lines.map((line) => {
    const cells = line.map((cell, at) =>
      at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!),
    );
    return `| ${cells.join(" | ")} |`;
  });
  const rule = widths.map((width, at) => "-".repeat(width + 1) + (at === 0 ? "-" : ":"));
  return [head!, `|${rule.join("|")}|`, ...rest];
}

function main(): void {
  const { json, builds, only } = readArguments(import.meta.url, {
    json: { type: "string" },
    builds: { type: "string", default: "1" },
    only: { type: "string" },
  }).values;
  const dataset = loadSift("sift100k");
  const { variant } = loadEngine();
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  const about = [
    `${dataset.name}, ${machine}, one thread, CPU time, wasm ${variant.name}`,
    `k ${K}, m ${M}; rivals with efConstruction ${EF_CONSTRUCTION_RIVALS}: ${describeRivals()}`,
  ];
  console.log(about.join("\n"));
  const [ours, careful] = [EF_CONSTRUCTION, EF_CONSTRUCTION_RIVALS].map((efConstruction) =>
    entrant(new EnginePeer(variant, efConstruction), efConstruction),
  ) as [Entrant, Entrant];
  const names = only?.split(",") ?? RIVAL_NAMES;
  const { peers, absent } = openRivals(names);
  const rivals = peers.map((peer) => entrant(peer, EF_CONSTRUCTION_RIVALS));
  const others = [careful, ...rivals];
  for (let round = 0; round < Number(builds); round++) buildAll(ours, others, dataset);
  searchAll(ours, others, dataset);
  console.log(["", ...rowsOf([ours, ...others], dataset.base.count)].join("\n"));
  if (rivals.length > 0) console.log(["", ...ratiosOf(ours, careful, rivals)].join("\n"));
  const missing = Object.entries(absent).map(([name, why]) => `${name} was not run: ${why}`);
  console.log(["", ...missing].join("\n"));
  if (json !== undefined) {
    const results = [ours, ...others].map((one) => resultOf(one, dataset.base.count));
    writeFileSync(json, `${JSON.stringify({ about, results, absent }, undefined, 2)}\n`);
  }
  for (const { peer } of others) peer.close?.();
}

/** Medians, and every turn they come from: microseconds of CPU time a row and a search. */
function resultOf({ peer, efConstruction, builds, buildRatios, searches }: Entrant, rows: number) {
  const bytes = peer.bytes?.();
  const bytesPerVector = bytes === undefined ? null : bytes / rows;
  return {
    ...{ name: peer.name, measures: peer.measures, widths: peer.widths, efConstruction },
    ...{ bytes, bytesPerVector },
    build: { rowsPerSecond: perSecond(builds), microseconds: builds, ratios: buildRatios },
    searches: searches.map(({ recallTarget, ef, recall, turns, ratios }) => {
      const searchesPerSecond = turns.length === 0 ? null : perSecond(turns);
      return { recallTarget, ef, recall, searchesPerSecond, microseconds: turns, ratios };
    }),
  };
}

main();
