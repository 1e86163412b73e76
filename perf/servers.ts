/**
 * `npm run bench:servers`: this server beside others, one after the other on this machine, the same
 * rows, queries and recall. Ingest until everything is indexed; searches at recall@10 0.95 and 0.99
 * with 1 and 16 clients; searches among one row in a hundred; restart to first answer; bytes. The
 * client's own work is not counted: CPU is that of the server's process, from the OS.
 *
 *   --only NAME,..   some of them      --rows N   fewer rows      --json FILE   the figures
 *   REDIS_URL, POSTGRES_URL   servers that run already (Redis 8, PostgreSQL with pgvector)
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Dataset, generate, loadSift, recallOf } from "./data.ts";
import { exactNeighbours, type Rows, rowAt } from "./exact.ts";
import { cpuSecondsOf, residentBytesOf } from "./process.ts";
import { startProgress } from "./progress.ts";
import { startChroma } from "./servers/chroma.ts";
import { startOmenDb } from "./servers/omendb.ts";
import { type PeerStart, RARE_EVERY, type ServerPeer } from "./servers/peer.ts";
import { startPostgres } from "./servers/postgres.ts";
import { startRedis } from "./servers/redis.ts";

const PEERS: Record<string, PeerStart> = {
  omendb: startOmenDb,
  chroma: startChroma,
  redis: startRedis,
  postgres: startPostgres,
};
const CLIENTS = [1, 16] as const;
const RECALLS = [0.95, 0.99] as const;
const EFS = [10, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 400, 512, 800, 1000];
const K = 10;
const RECALL_QUERIES = 500;
const SECONDS = 5;
const FILTERED_EF = 96;

interface Speed {
  readonly clients: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMicroseconds: number | null;
}

interface Point {
  readonly target: number;
  /** null where no width reaches the recall. */
  readonly ef: number | null;
  readonly recall: number;
  readonly speeds: readonly Speed[];
}

export interface ServerResult {
  readonly name: string;
  readonly version: string;
  readonly rowsPerSecond: number;
  readonly points: readonly Point[];
  readonly filtered: { readonly recall: number; readonly short: number; readonly speed: Speed };
  readonly residentBytesPerRow: number | null;
  readonly diskBytesPerRow: number | null;
  readonly restartSeconds: number | null;
}

async function measure(peer: ServerPeer, dataset: Dataset): Promise<ServerResult> {
  const { base } = dataset;
  const progress = startProgress(peer.name, base.count);
  let done = 0;
  const emptyBytes = residentOf(peer);
  const start = performance.now();
  await peer.load(base, (rows) => progress.update((done += rows)));
  const rowsPerSecond = (base.count * 1000) / (performance.now() - start);
  progress.end();
  const points: Point[] = [];
  for (const target of RECALLS) points.push(await measureAt(peer, dataset, target));
  const filtered = await measureFiltered(peer, dataset);
  const fullBytes = residentOf(peer);
  const isKnown = emptyBytes !== undefined && fullBytes !== undefined;
  const diskBytes = peer.diskBytes?.();
  const restart = performance.now();
  await peer.restart?.();
  return {
    ...{ name: peer.name, version: peer.version, rowsPerSecond, points, filtered },
    residentBytesPerRow: isKnown ? (fullBytes - emptyBytes) / base.count : null,
    diskBytesPerRow: diskBytes === undefined ? null : diskBytes / base.count,
    restartSeconds: peer.restart ? (performance.now() - restart) / 1000 : null,
  };
}

async function measureAt(peer: ServerPeer, dataset: Dataset, target: number): Promise<Point> {
  let recall = 0;
  for (const ef of EFS) {
    await peer.setEf(ef);
    recall = await recallAt(peer, dataset, false);
    if (recall < target) continue;
    const speeds: Speed[] = [];
    for (const clients of CLIENTS) speeds.push(await speedOf(peer, dataset, clients, false));
    return { target, ef, recall, speeds };
  }
  return { target, ef: null, recall, speeds: [] };
}

/** Among the rows that carry the tag: their own truth, and how many answers had fewer than k. */
async function measureFiltered(peer: ServerPeer, dataset: Dataset) {
  await peer.setEf(FILTERED_EF);
  const rare = rareOf(dataset);
  let short = 0;
  const recall = await recallAt(peer, rare, true, (hits) => {
    if (hits.length < K) short++;
  });
  return { recall, short, speed: await speedOf(peer, dataset, 1, true) };
}

/** The rows that carry the tag, under their own numbers divided by RARE_EVERY. */
function rareOf({ base, queries, metric, name }: Dataset): Dataset {
  const { dimensions } = base;
  const count = Math.ceil(base.count / RARE_EVERY);
  const values = new Float32Array(count * dimensions);
  for (let row = 0; row < count; row++) {
    values.set(rowAt(base, row * RARE_EVERY), row * dimensions);
  }
  const rare: Rows = { values, count, dimensions };
  const some: Rows = { ...queries, count: Math.min(queries.count, RECALL_QUERIES) };
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
  const end = start + SECONDS * 1000;
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
  const cpuAfter = cpuOf(peer);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)]!;
  const isKnown = cpuBefore !== undefined && cpuAfter !== undefined;
  return {
    clients,
    perSecond: latencies.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    cpuMicroseconds: isKnown ? ((cpuAfter - cpuBefore) * 1e6) / latencies.length : null,
  };
}

const cpuOf = ({ pids }: ServerPeer) => sumOf(pids.map(cpuSecondsOf));
const residentOf = ({ pids }: ServerPeer) => sumOf(pids.map(residentBytesOf));

/** Undefined for no process, and where one of them is not known here. */
function sumOf(parts: readonly (number | undefined)[]): number | undefined {
  if (parts.length === 0) return undefined;
  return parts.reduce((sum, part) =>
    sum === undefined || part === undefined ? undefined : sum + part,
  );
}

const whole = (value: number | null) =>
  value === null ? "-" : Math.round(value).toLocaleString("en-US");

function speedCells({ ef, recall, speeds }: Point): string[] {
  if (ef === null) return [`never (${recall.toFixed(3)})`, "-", "-"];
  const [one, many] = speeds;
  return [
    whole(one!.cpuMicroseconds),
    `${whole(one!.perSecond)}/s, p99 ${one!.p99Ms.toFixed(1)} ms`,
    `${whole(many!.perSecond)}/s, p99 ${many!.p99Ms.toFixed(1)} ms`,
  ];
}

function report(results: readonly ServerResult[]): void {
  for (const [index, target] of RECALLS.entries()) {
    console.log(`\n| recall@10 ${target} | us CPU a search | 1 client | 16 clients |`);
    console.log("|---|---|---|---|");
    for (const { name, points } of results) {
      console.log(`| ${[name, ...speedCells(points[index]!)].join(" | ")} |`);
    }
  }
  const heads = [
    "rows/s until indexed",
    "1 % filter: recall",
    "searches/s",
    "us CPU",
    "short of k",
  ];
  const more = ["resident bytes a row", "disk bytes a row", "restart, s"];
  console.log(`\n| | ${[...heads, ...more].join(" | ")} |\n|---|${"---|".repeat(8)}`);
  for (const result of results) {
    const { speed, recall, short } = result.filtered;
    const cells = [
      ...[result.name, whole(result.rowsPerSecond), recall.toFixed(3), whole(speed.perSecond)],
      ...[whole(speed.cpuMicroseconds), String(short), whole(result.residentBytesPerRow)],
      ...[whole(result.diskBytesPerRow), result.restartSeconds?.toFixed(2) ?? "-"],
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      rows: { type: "string" },
      json: { type: "string" },
    },
  });
  const rows = values.rows === undefined ? undefined : Number(values.rows);
  const dataset =
    rows === undefined
      ? loadSift("sift100k")
      : generate({ rows, dimensions: 128, metric: "l2", queries: 500 });
  const names = values.only?.split(",") ?? Object.keys(PEERS);
  const results: ServerResult[] = [];
  const absent: Record<string, string> = {};
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  console.log(`${dataset.name}, k ${K}\n${machine}, client on the same machine`);
  for (const name of names) {
    const start = PEERS[name];
    if (start === undefined) throw new Error(`there is no server called ${name}`);
    const folder = mkdtempSync(join(tmpdir(), "omendb-servers-"));
    const peer = await start(folder, Math.max(...CLIENTS));
    if (typeof peer === "string") {
      absent[name] = peer;
      continue;
    }
    try {
      results.push(await measure(peer, dataset));
    } finally {
      await peer.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  report(results);
  for (const [name, why] of Object.entries(absent)) console.log(`\n${name} was not run: ${why}`);
  if (values.json !== undefined) {
    const about = { machine, data: dataset.name, date: new Date().toISOString() };
    writeFileSync(values.json, JSON.stringify({ about, results, absent }, null, 2));
  }
}

await main();
