/**
 * `npm run bench:scale`: what a search costs as rows grow, beside hnswlib-node where perf/ has it: one
 * thread, CPU time, generated rows of 128 dimensions, each size the first rows of the next. At each
 * the smallest ef with recall@10 >= 0.95 over 200 queries, the distances that it computes, and
 * searches a second, rounds of both in turn.
 *
 * Ends with 1 when distances grow faster than 1.5 times the logarithm of the rows, or when the lead
 * at the largest size is below nine tenths of that at the one before.
 *
 *   node perf/scale.ts [--rows 1000000] [--json FILE]
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { loadEngine } from "../src/threads/engineFiles.ts";
import { numberOf, readArguments } from "./arguments.ts";
import { clustered, type Dataset } from "./data.ts";
import { exactNeighbours, rowAt } from "./exact.ts";
import { cpuMicrosecondsOf, meanRecall, median } from "./measure.ts";
import { openHnswlib } from "./peers/hnswlib.ts";
import { EnginePeer } from "./peers/omendb.ts";
import type { Peer } from "./peers/peer.ts";

const DIMENSIONS = 128;
const QUERIES = 200;
const K = 10;
const M = 16;
const EF_CONSTRUCTION = 64;
const EF_CONSTRUCTION_RIVAL = 128;
const RECALL = 0.95;
const EF_MAX = 1024;
const ROUNDS = 5;
const TURN_MICROSECONDS = 300_000;
const STEPS = [0.01, 0.1, 1];
const GROWTH_MAX = 1.5;
const LEAD_KEPT_MIN = 0.9;

export interface ScalePoint {
  readonly rows: number;
  readonly ef: number;
  readonly recall: number;
  readonly distances: number;
  readonly rowsPerSecond: number;
  readonly searchesPerSecond: number;
  readonly bytesPerRow: number;
  readonly rival?: {
    readonly ef: number;
    readonly rowsPerSecond: number;
    readonly searchesPerSecond: number;
  };
  /** Times the rival's searches; the median of rounds. */
  readonly lead: number | null;
}

type Queries = readonly Float32Array[];

function leastEf(peer: Peer, dataset: Dataset, queries: Queries): { ef: number; recall: number } {
  for (let ef = 15; ef <= EF_MAX; ef = Math.ceil(ef * 1.1)) {
    const recall = meanRecall(peer, dataset, queries, ef);
    if (recall >= RECALL) return { ef, recall };
  }
  throw new Error(`${peer.name} has no recall of ${RECALL} with ef ${EF_MAX}`);
}

function built(peer: Peer, { base, metric }: Dataset, efConstruction: number): number {
  const spent = cpuMicrosecondsOf(() => peer.build(base, { m: M, efConstruction, metric }));
  process.stderr.write(`built ${peer.name} of ${base.count} rows\n`);
  return (base.count * 1e6) / spent;
}

/** CPU microseconds a search of each peer, round after round, in turn. */
function searchRounds(peers: readonly { peer: Peer; ef: number }[], queries: Queries): number[][] {
  const searchAll = ({ peer, ef }: { peer: Peer; ef: number }, times: number) => {
    for (let time = 0; time < times; time++) for (const query of queries) peer.search(query, K, ef);
  };
  const times = peers.map((one) => {
    searchAll(one, 1);
    return Math.max(1, Math.round(TURN_MICROSECONDS / cpuMicrosecondsOf(() => searchAll(one, 1))));
  });
  return Array.from({ length: ROUNDS }, () =>
    peers.map((one, at) => {
      const spent = cpuMicrosecondsOf(() => searchAll(one, times[at]!));
      return spent / (times[at]! * queries.length);
    }),
  );
}

function measureAt(dataset: Dataset): ScalePoint {
  const { base } = dataset;
  const queries = Array.from({ length: QUERIES }, (_, at) => rowAt(dataset.queries, at));
  const ours = new EnginePeer(loadEngine().variant, EF_CONSTRUCTION);
  const rowsPerSecond = built(ours, dataset, EF_CONSTRUCTION);
  const { ef, recall } = leastEf(ours, dataset, queries);
  let distances = 0;
  for (const query of queries) {
    ours.search(query, K, ef);
    distances += ours.distances() / QUERIES;
  }
  const hnswlib = openHnswlib();
  const rivalRate = hnswlib && built(hnswlib, dataset, EF_CONSTRUCTION_RIVAL);
  const rivalEf = hnswlib && leastEf(hnswlib, dataset, queries).ef;
  const peers = [{ peer: ours as Peer, ef }, ...(hnswlib ? [{ peer: hnswlib, ef: rivalEf! }] : [])];
  const rounds = searchRounds(peers, queries);
  const rateOf = (at: number) => 1e6 / median(rounds.map((round) => round[at]!));
  const leads = rounds.map(([own, theirs]) => theirs! / own!);
  return {
    ...{ rows: base.count, ef, recall, distances, rowsPerSecond },
    ...{ searchesPerSecond: rateOf(0), bytesPerRow: ours.bytes() / base.count },
    ...(hnswlib && {
      rival: { ef: rivalEf!, rowsPerSecond: rivalRate!, searchesPerSecond: rateOf(1) },
    }),
    lead: hnswlib ? median(leads) : null,
  };
}

function cellsOf({ rival, lead, ...point }: ScalePoint): string[] {
  const whole = (value: number) => Math.round(value).toLocaleString("en-US");
  return [
    ...[whole(point.rows), whole(point.rowsPerSecond), String(point.ef), point.recall.toFixed(3)],
    ...[whole(point.distances), whole(point.searchesPerSecond), whole(point.bytesPerRow)],
    ...(rival ? [whole(rival.rowsPerSecond), whole(rival.searchesPerSecond)] : ["-", "-"]),
    lead === null ? "-" : `${lead.toFixed(2)}x`,
  ];
}

function main(): void {
  const { values } = readArguments(import.meta.url, {
    rows: { type: "string", default: "1000000" },
    json: { type: "string" },
  });
  const most = numberOf("rows", values.rows, 10_000);
  const about =
    `generated ${most} x ${DIMENSIONS}, l2; ${cpus().length} x ${cpus()[0]?.model}, ` +
    `Node ${process.versions.node}, one thread, CPU time`;
  console.log(`${about}\n`);
  const { base: all, queries } = clustered(most, QUERIES, DIMENSIONS);
  console.log(
    "| rows | build/s | ef | recall@10 | distances | QPS at 0.95 | bytes a row | hnswlib build/s | QPS | lead |",
  );
  console.log("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
  const points: ScalePoint[] = [];
  for (const step of STEPS) {
    const count = Math.round(most * step);
    const base = { ...all, values: all.values.subarray(0, count * DIMENSIONS), count };
    const truth = exactNeighbours(base, queries, K, "l2");
    const dataset: Dataset = { name: about, metric: "l2", base, queries, truth, truthWidth: K };
    const point = measureAt(dataset);
    points.push(point);
    console.log(`| ${cellsOf(point).join(" | ")} |`);
  }
  const [first, middle, last] = points as [ScalePoint, ScalePoint, ScalePoint];
  const grown = last.distances / first.distances;
  const allowed = (GROWTH_MAX * Math.log(last.rows)) / Math.log(first.rows);
  const kept = last.lead === null || middle.lead === null ? 1 : last.lead / middle.lead;
  console.log(
    `\ndistances grew ${grown.toFixed(2)}x, ${allowed.toFixed(2)}x allowed; ` +
      `of the lead at ${middle.rows} rows ${kept.toFixed(2)} is left, ${LEAD_KEPT_MIN} wanted`,
  );
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ about, points }));
  process.exitCode = grown <= allowed && kept >= LEAD_KEPT_MIN ? 0 : 1;
}

main();
