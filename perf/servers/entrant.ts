/**
 * A server in the comparison, from its first row to its restart: what is measured of it, in turns
 * with the others, and the median of its turns.
 */
import { type Dataset, recallOf } from "../data.ts";
import { exactNeighbours, type Rows, rowAt } from "../exact.ts";
import { median } from "../measure.ts";
import { cpuSecondsOf, untilAtRest } from "../process.ts";
import { startProgress } from "../progress.ts";
import { RARE_EVERY, type ServerPeer } from "./peer.ts";

export const CLIENTS = [1, 16] as const;
const RECALLS = [0.95, 0.99] as const;
const EFS = [10, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 400, 512, 800, 1000];
const RECALL_ENOUGH = 0.995;
const FILTERED_RECALL = 0.95;
export const K = 10;
const RECALL_QUERIES = 500;
const FILTERED_QUERIES = 200;
export const ROUNDS = 3;
const ROUND_SECONDS = 1.5;
const REST_SECONDS_MAX = 30;

interface Speed {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMicroseconds: number | null;
}

/** A width, what it gives and what it costs, one client. */
interface CurvePoint {
  readonly ef: number;
  readonly recall: number;
  readonly perSecond: number;
  readonly cpuMicroseconds: number | null;
}

interface Point {
  readonly target: number;
  /** null where no width reaches the recall. */
  readonly ef: number | null;
  readonly recall: number;
  readonly speeds: readonly (Speed & { readonly clients: number })[];
}

export interface ServerResult {
  readonly name: string;
  readonly version: string;
  readonly notes: readonly string[];
  readonly rowsPerSecond: number;
  readonly curve: readonly CurvePoint[];
  readonly points: readonly Point[];
  readonly filtered: Speed & {
    readonly ef: number;
    readonly recall: number;
    /** Of the queries, how many were answered with fewer than k rows. */
    readonly short: number;
  };
  readonly ownBytesPerRow: number | null;
  readonly residentBytesPerRow: number | null;
  readonly diskBytesPerRow: number | null;
  readonly restartSeconds: number | null;
  /** Why a figure is null, by its name. */
  readonly reasons: Readonly<Record<string, string>>;
}

/** A server in the comparison, and what was found so far. */
export class Entrant {
  readonly peer: ServerPeer;
  readonly rounds = new Map<string, Speed[]>();
  readonly reasons: Record<string, string> = {};
  #emptyOwn: number | string = 0;
  #emptyResident: number | string = 0;
  #rowsPerSecond = 0;
  #curve: CurvePoint[] = [];
  #filtered = { ef: 0, recall: 0, short: 0 };

  constructor(peer: ServerPeer) {
    this.peer = peer;
  }

  async load({ base }: Dataset): Promise<void> {
    const { peer } = this;
    this.#emptyOwn = await peer.ownBytes();
    this.#emptyResident = peer.residentBytes();
    const progress = startProgress(peer.name, base.count);
    let done = 0;
    const start = performance.now();
    await peer.load(base, (rows) => progress.update((done += rows)));
    this.#rowsPerSecond = (base.count * 1000) / (performance.now() - start);
    progress.end();
    // What it still does after it has called itself ready is not to burden the next one.
    await untilAtRest(() => cpuOf(peer), REST_SECONDS_MAX);
  }

  /** Finds what each width gives, from the least to the one that is enough. */
  async explore(dataset: Dataset, rare: Dataset): Promise<void> {
    const { peer } = this;
    for (const ef of EFS) {
      await peer.setEf(ef);
      const cpuBefore = cpuOf(peer);
      const start = performance.now();
      const recall = await recallAt(peer, dataset, false);
      const seconds = (performance.now() - start) / 1000;
      const count = Math.min(RECALL_QUERIES, dataset.queries.count);
      const cpuMicroseconds = perSearch(cpuBefore, cpuOf(peer), count);
      this.#curve.push({ ef, recall, perSecond: count / seconds, cpuMicroseconds });
      if (recall >= RECALL_ENOUGH) break;
    }
    for (const ef of EFS) {
      await peer.setEf(ef);
      let short = 0;
      const recall = await recallAt(peer, rare, true, (hits) => {
        if (hits.length < K) short++;
      });
      this.#filtered = { ef, recall, short };
      if (recall >= FILTERED_RECALL) break;
    }
  }

  /** One turn at everything; others have theirs before the next. */
  async turn(dataset: Dataset): Promise<void> {
    const note = async (name: string, clients: number, onlyRare: boolean) => {
      const speed = await speedOf(this.peer, dataset, clients, onlyRare);
      this.rounds.set(name, [...(this.rounds.get(name) ?? []), speed]);
    };
    for (const target of RECALLS) {
      const found = this.#curve.find(({ recall }) => recall >= target);
      if (found === undefined) continue;
      await this.peer.setEf(found.ef);
      for (const clients of CLIENTS) await note(`${target} ${clients}`, clients, false);
    }
    await this.peer.setEf(this.#filtered.ef);
    await note("filtered", 1, true);
  }

  /** Measures what is left, and sums it all up. */
  async finish({ base }: Dataset): Promise<ServerResult> {
    const { peer, reasons } = this;
    const ownBytes = await peer.ownBytes();
    const residentBytes = peer.residentBytes();
    const diskBytes = await peer.diskBytes();
    const known = (name: string, value: number | string, over = 1, less: number | string = 0) => {
      if (typeof value === "number" && typeof less === "number") return (value - less) / over;
      reasons[name] = String(typeof value === "string" ? value : less);
      return null;
    };
    const { count } = base;
    return {
      ...{ name: peer.name, version: peer.version, notes: peer.notes ?? [], reasons },
      rowsPerSecond: this.#rowsPerSecond,
      curve: this.#curve,
      points: RECALLS.map((target) => this.#pointAt(target)),
      filtered: { ...this.#filtered, ...this.#medianOf("filtered") },
      ownBytesPerRow: known("own bytes", ownBytes, count, this.#emptyOwn),
      residentBytesPerRow: known("resident bytes", residentBytes, count, this.#emptyResident),
      diskBytesPerRow: known("disk bytes", diskBytes, count),
      restartSeconds: known("restart", await peer.restart()),
    };
  }

  #pointAt(target: number): Point {
    const found = this.#curve.find(({ recall }) => recall >= target);
    if (found === undefined) {
      return { target, ef: null, recall: this.#curve.at(-1)!.recall, speeds: [] };
    }
    const speeds = CLIENTS.map((clients) => {
      return { clients, ...this.#medianOf(`${target} ${clients}`) };
    });
    return { target, ef: found.ef, recall: found.recall, speeds };
  }

  #medianOf(name: string): Speed {
    const rounds = this.rounds.get(name)!;
    const at = (key: keyof Speed) => median(rounds.map((round) => round[key]!));
    const hasCpu = rounds.every(({ cpuMicroseconds }) => cpuMicroseconds !== null);
    return {
      ...{ perSecond: at("perSecond"), p50Ms: at("p50Ms"), p99Ms: at("p99Ms") },
      cpuMicroseconds: hasCpu ? at("cpuMicroseconds") : null,
    };
  }
}

/** The rows that carry the tag, under their own numbers divided by RARE_EVERY. */
export function rareOf({ base, queries, metric, name }: Dataset): Dataset {
  const { dimensions } = base;
  const count = Math.ceil(base.count / RARE_EVERY);
  const values = new Float32Array(count * dimensions);
  for (let row = 0; row < count; row++) {
    values.set(rowAt(base, row * RARE_EVERY), row * dimensions);
  }
  const rare: Rows = { values, count, dimensions };
  const some: Rows = { ...queries, count: Math.min(queries.count, FILTERED_QUERIES) };
  const truth = exactNeighbours(rare, some, K, metric);
  return { name, metric, base: rare, queries: some, truth, truthWidth: K };
}

async function recallAt(
  peer: ServerPeer,
  dataset: Dataset,
  onlyRare: boolean,
  onHits?: (hits: readonly number[]) => void,
): Promise<number> {
  const count = Math.min(RECALL_QUERIES, dataset.queries.count);
  let sum = 0;
  for (let query = 0; query < count; query++) {
    const found = await peer.search(0, rowAt(dataset.queries, query), K, onlyRare);
    const hits = onlyRare ? found.map((row) => row / RARE_EVERY) : found;
    onHits?.(hits);
    sum += recallOf(dataset, query, hits, K);
  }
  return sum / count;
}

async function speedOf(
  peer: ServerPeer,
  { queries }: Dataset,
  clients: number,
  onlyRare: boolean,
): Promise<Speed> {
  const latencies: number[] = [];
  let next = 0;
  const cpuBefore = cpuOf(peer);
  const start = performance.now();
  const end = start + ROUND_SECONDS * 1000;
  const work = async (client: number) => {
    for (let now = performance.now(); now < end; ) {
      await peer.search(client, rowAt(queries, next++ % queries.count), K, onlyRare);
      const answered = performance.now();
      latencies.push(answered - now);
      now = answered;
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  const seconds = (performance.now() - start) / 1000;
  const cpuMicroseconds = perSearch(cpuBefore, cpuOf(peer), latencies.length);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)]!;
  return {
    ...{ perSecond: latencies.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) },
    cpuMicroseconds,
  };
}

function perSearch(before: number | undefined, after: number | undefined, count: number) {
  return before === undefined || after === undefined ? null : ((after - before) * 1e6) / count;
}

/** Undefined for no process, and where one of them is not known here. */
function cpuOf({ pids }: ServerPeer): number | undefined {
  const parts = pids.map(cpuSecondsOf);
  if (parts.length === 0) return undefined;
  return parts.reduce((sum, part) =>
    sum === undefined || part === undefined ? undefined : sum + part,
  );
}
