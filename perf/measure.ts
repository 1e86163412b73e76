/**
 * How fast an index is at a given recall, by CPU time: what a search costs must not depend on what
 * else the machine is doing. The smallest ef that reaches a recall is found first, without the clock.
 */
import type { Dataset } from "./data.ts";
import { recallOf } from "./data.ts";
import { rowAt } from "./exact.ts";
import type { BuildOptions, Peer } from "./peers/peer.ts";

export interface SearchPoint {
  readonly recallTarget: number;
  /** Undefined when no ef up to the largest reaches the target. */
  readonly ef: number | undefined;
  readonly recall: number;
  readonly cpuMicroseconds: number;
  readonly searchesPerSecond: number;
}

export interface Measurement {
  readonly name: string;
  readonly rowsPerSecond: number;
  readonly bytesPerRow: number | undefined;
  readonly points: readonly SearchPoint[];
}

const K = 10;
const EFS = [
  10, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 72, 80, 88, 96, 112,
].concat([128, 144, 160, 192, 224, 256, 320, 384, 512]);
const CPU_SECONDS_MIN = 1;
const ROUNDS = 3;

/** CPU microseconds that `work` takes in all threads of this process. */
export function cpuMicrosecondsOf(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

/** Builds the index from the dataset's rows and measures it at each recall@10. */
export function measure(
  peer: Peer,
  dataset: Dataset,
  options: BuildOptions,
  recallTargets: readonly number[],
): Measurement {
  const buildMicroseconds = cpuMicrosecondsOf(() => peer.build(dataset.base, options));
  const bytes = peer.bytes?.();
  const { count } = dataset.queries;
  const queries = Array.from({ length: count }, (_, query) => rowAt(dataset.queries, query));
  return {
    name: peer.name,
    rowsPerSecond: (dataset.base.count * 1e6) / buildMicroseconds,
    bytesPerRow: bytes === undefined ? undefined : bytes / dataset.base.count,
    points: recallTargets.map((target) => measureAt(peer, dataset, queries, target)),
  };
}

function measureAt(
  peer: Peer,
  dataset: Dataset,
  queries: readonly Float32Array[],
  recallTarget: number,
): SearchPoint {
  let recall = 0;
  const reaches = (ef: number) => {
    recall = meanRecall(peer, dataset, queries, ef);
    return recall >= recallTarget;
  };
  const ef = EFS.find(reaches);
  if (ef === undefined) {
    return { recallTarget, ef, recall, cpuMicroseconds: Number.NaN, searchesPerSecond: Number.NaN };
  }
  const cpuMicroseconds = fastestRound(peer, queries, ef);
  return { recallTarget, ef, recall, cpuMicroseconds, searchesPerSecond: 1e6 / cpuMicroseconds };
}

export function meanRecall(
  peer: Peer,
  dataset: Dataset,
  queries: readonly Float32Array[],
  ef: number,
): number {
  let sum = 0;
  for (const [index, query] of queries.entries()) {
    sum += recallOf(dataset, index, peer.search(query, K, ef), K);
  }
  return sum / queries.length;
}

/** CPU microseconds a search, the best of a few rounds of at least a second each. */
function fastestRound(peer: Peer, queries: readonly Float32Array[], ef: number): number {
  const searchAll = () => {
    for (const query of queries) peer.search(query, K, ef);
  };
  const warm = cpuMicrosecondsOf(searchAll);
  const repeats = Math.max(1, Math.ceil((CPU_SECONDS_MIN * 1e6) / warm));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const spent = cpuMicrosecondsOf(() => {
      for (let repeat = 0; repeat < repeats; repeat++) searchAll();
    });
    best = Math.min(best, spent / (repeats * queries.length));
  }
  return best;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
