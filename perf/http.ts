/**
 * `npm run bench:http`: what HTTP costs. The server is a process of its own, the driver is this one,
 * and what a search costs is the server's CPU time as the kernel counts it, all of its threads. Each
 * way of searching is measured in turn, several rounds of all, and the median is printed, beside
 * what express.json() and res.json take over the same engine, and a node:http server that does
 * nothing, which tells machines and hours apart. Then 100,000 rows go in, each way into
 * a server and a folder of their own, strict: until they are acknowledged, and until they are in the
 * graph. Ends with 1 when recall is below what it should be.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pause, type Server, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { type Dataset, loadSift, recallOf } from "./data.ts";
import { type Rows, rowAt } from "./exact.ts";
import { type BodyKind, batchBody } from "./prepared.ts";
import { cpuSecondsOf, cpuSecondsOfThreads } from "./process.ts";
import { requestBytes, Wire } from "./wire.ts";

const K = 10;
const BATCH_ROWS = 1000;
const LOADERS = 4;
const ROUNDS = 5;
const SEARCHES = 4000;
const WARM_SEARCHES = 4000;
const RECALL = 0.95;
const EFS = [32, 40, 48, 56, 64, 80, 96];
const NOTHING = "an empty answer, node:http";
const emptyRequest = Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
const POLL_MS = 20;
/** A server is still when it takes less than so much of a processor, so often in a row. */
const STILL_SHARE = 0.03;
const STILL_MS = 400;
const STILL_TIMES = 3;
const JSON_TYPE = "application/json";
const TYPES: Record<BodyKind, string> = {
  json: JSON_TYPE,
  base64: JSON_TYPE,
  ndjson: "application/x-ndjson",
  arrow: "application/vnd.apache.arrow.stream",
};

/** One way of searching, at one server. */
interface Way {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly connections: number;
  readonly requests: readonly Buffer[];
}

interface Round {
  readonly cpuMicroseconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    only: { type: "string" },
    rounds: { type: "string", default: String(ROUNDS) },
    tails: { type: "string" },
  });
  const dataset = loadSift("sift100k");
  const { count, dimensions } = dataset.base;
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  console.log(`${dataset.name}: ${count} x ${dimensions}, k ${K}; ${machine}\n`);
  if (values.only !== "ingest") await benchSearch(dataset, Number(values.rounds));
  if (values.only !== "search") {
    const tails = values.tails?.split(",").map(Number) ?? [undefined, count * 2];
    await benchIngest(dataset.base, tails);
  }
}

async function benchSearch(dataset: Dataset, rounds: number): Promise<void> {
  const server = await startServer({ LOG_LEVEL: "warn" });
  const plain = startPlain(dataset.base.count);
  try {
    await loadAll(server, bodiesFor(dataset.base, "base64"), TYPES.base64);
    await untilIndexed(server);
    await untilStill(server.pid);
    const ef = await efFor(server, dataset);
    const [plainPort, emptyPort] = await plain.ports;
    const { port, pid } = server;
    const json = jsonSearches(dataset.queries, ef);
    const octets = octetSearches(dataset.queries, ef);
    const ways: Way[] = [1, 16].flatMap((connections) => [
      { name: "JSON", pid, port, connections, requests: json },
      { name: "octet-stream", pid, port, connections, requests: octets },
      { name: "express.json()", pid: plain.pid, port: plainPort!, connections, requests: json },
      { name: NOTHING, pid: plain.pid, port: emptyPort!, connections, requests: [emptyRequest] },
    ]);
    const atDefault = jsonSearches(dataset.queries, undefined);
    ways.push({ name: "JSON, default ef", pid, port, connections: 1, requests: atDefault });
    const measured = new Map(ways.map((way) => [way, [] as Round[]]));
    for (const way of ways) await searchRound(way, WARM_SEARCHES);
    const engine = await engineMicroseconds(server, () => searchRound(ways[0]!, SEARCHES));
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) measured.get(way)!.push(await searchRound(way, SEARCHES));
    }
    console.log(`| a search | connections | server CPU us | searches/s | p50 ms | p99 ms |`);
    console.log("|---|---|---|---|---|---|");
    for (const [{ name, connections }, found] of measured) {
      const at = (key: keyof Round) => medianOf(found.map((round) => round[key]));
      const cells = [at("cpuMicroseconds").toFixed(1), at("perSecond").toFixed(0)];
      const times = [at("p50Ms").toFixed(3), at("p99Ms").toFixed(3)];
      console.log(`| ${[name, connections, ...cells, ...times].join(" | ")} |`);
    }
    console.log(`of it the engine's search, by the server's own clock: ${engine.toFixed(1)} us\n`);
  } finally {
    plain.stop();
    await server.stop();
  }
}

function startPlain(rows: number) {
  const file = fileURLToPath(new URL("./plainApp.ts", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [file, String(rows)], {
    env: { ...process.env, NODE_ENV: "production" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ports = once(child.stdout!, "data").then(([text]) => `${text}`.split(" ").map(Number));
  return { pid: child.pid!, ports, stop: () => child.kill("SIGKILL") };
}

/** The smallest ef at which the answers over HTTP have the recall that is asked for. */
async function efFor(server: Server, dataset: Dataset): Promise<number> {
  const wire = await new Wire(server.port).open();
  let best = 0;
  for (const ef of EFS) {
    let sum = 0;
    for (const [query, request] of jsonSearches(dataset.queries, ef).entries()) {
      const { results } = JSON.parse((await wire.ask(request)).toString());
      const rows = results.map(({ id }: { id: string }) => Number(id));
      sum += recallOf(dataset, query, rows, K);
    }
    best = sum / dataset.queries.count;
    if (best < RECALL) continue;
    wire.close();
    console.log(`ef ${ef}, the smallest tried with recall@${K} >= ${RECALL}: ${best.toFixed(4)}`);
    return ef;
  }
  throw new Error(`recall@${K} is ${best} at ef ${EFS.at(-1)}`);
}

function jsonSearches(queries: Rows, ef: number | undefined): Buffer[] {
  return Array.from({ length: queries.count }, (_, query) => {
    const body = JSON.stringify({ vector: Array.from(rowAt(queries, query)), k: K, ef });
    return requestBytes("/search", JSON_TYPE, Buffer.from(body));
  });
}

function octetSearches(queries: Rows, ef: number): Buffer[] {
  return Array.from({ length: queries.count }, (_, query) => {
    const body = new Uint8Array(rowAt(queries, query).slice().buffer);
    return requestBytes(`/search?k=${K}&ef=${ef}`, "application/octet-stream", body);
  });
}

async function searchRound(way: Way, searches: number): Promise<Round> {
  const wires = await Promise.all(
    Array.from({ length: way.connections }, () => new Wire(way.port).open()),
  );
  const took: number[] = [];
  let next = 0;
  const work = async (wire: Wire) => {
    while (next < searches) {
      const request = way.requests[next++ % way.requests.length]!;
      const start = performance.now();
      await wire.ask(request);
      took.push(performance.now() - start);
    }
  };
  const before = cpuSecondsOfThreads(way.pid) ?? Number.NaN;
  const start = performance.now();
  await Promise.all(wires.map(work));
  const seconds = (performance.now() - start) / 1000;
  const cpuSeconds = (cpuSecondsOfThreads(way.pid) ?? Number.NaN) - before;
  for (const wire of wires) wire.close();
  took.sort((a, b) => a - b);
  return {
    cpuMicroseconds: (cpuSeconds * 1e6) / searches,
    perSecond: searches / seconds,
    p50Ms: took[Math.floor(took.length * 0.5)]!,
    p99Ms: took[Math.floor(took.length * 0.99)]!,
  };
}

async function engineMicroseconds(server: Server, work: () => Promise<unknown>): Promise<number> {
  const read = async () => {
    const connection = server.connect();
    const { text } = await connection.get("/metrics");
    connection.close();
    const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
    const base = "omendb_search_duration_seconds";
    return { sum: value(`${base}_sum`), count: value(`${base}_count`) };
  };
  const before = await read();
  await work();
  const after = await read();
  return ((after.sum - before.sum) * 1e6) / (after.count - before.count);
}

async function benchIngest(base: Rows, tails: (number | undefined)[]): Promise<void> {
  console.log(`| ${base.count} rows as | acknowledged/s | fully indexed/s | server CPU us a row |`);
  console.log("|---|---|---|---|");
  for (const tail of tails) {
    for (const kind of Object.keys(TYPES) as BodyKind[]) {
      const bodies = bodiesFor(base, kind);
      const folder = mkdtempSync(join(tmpdir(), "omendb-bench-"));
      const settings: Record<string, string | number> = { LOG_LEVEL: "warn", PATH: folder };
      if (tail !== undefined) settings.TAIL_ROWS = tail;
      const server = await startServer(settings);
      try {
        const start = performance.now();
        await loadAll(server, bodies, TYPES[kind]);
        const acknowledged = (performance.now() - start) / 1000;
        const cpuSeconds = cpuSecondsOf(server.pid) ?? Number.NaN;
        await untilIndexed(server);
        const indexed = (performance.now() - start) / 1000;
        const rates = [acknowledged, indexed].map((seconds) => (base.count / seconds).toFixed(0));
        const cpu = ((cpuSeconds * 1e6) / base.count).toFixed(1);
        const name = tail === undefined ? kind : `${kind}, OMENDB_TAIL_ROWS=${tail}`;
        console.log(`| ${[name, ...rates, cpu].join(" | ")} |`);
      } finally {
        await server.stop();
        rmSync(folder, { recursive: true });
      }
    }
  }
}

/** NDJSON goes as one body a connection, the others in batches. */
function bodiesFor(base: Rows, kind: BodyKind): Uint8Array[] {
  const rows = kind === "ndjson" ? Math.ceil(base.count / LOADERS) : BATCH_ROWS;
  const starts = Array.from({ length: Math.ceil(base.count / rows) }, (_, index) => index * rows);
  return starts.map((start) => batchBody(base, start, Math.min(rows, base.count - start), kind));
}

async function loadAll(server: Server, bodies: readonly Uint8Array[], type: string): Promise<void> {
  const wires = await Promise.all(
    Array.from({ length: LOADERS }, () => new Wire(server.port).open()),
  );
  let next = 0;
  const work = async (wire: Wire) => {
    while (next < bodies.length) {
      await wire.ask(requestBytes("/vectors/batch", type, bodies[next++]!));
    }
    wire.close();
  };
  await Promise.all(wires.map(work));
}

async function untilIndexed(server: Server): Promise<void> {
  const connection = server.connect();
  while ((await connection.get("/stats")).body.unindexed > 0) await pause(POLL_MS);
  connection.close();
}

/** Linkers better what they linked in haste, and measure recall, for some seconds more. */
async function untilStill(pid: number): Promise<void> {
  for (let times = 0; times < STILL_TIMES; ) {
    const before = cpuSecondsOf(pid) ?? 0;
    await pause(STILL_MS);
    const share = ((cpuSecondsOf(pid) ?? 0) - before) / (STILL_MS / 1000);
    times = share < STILL_SHARE ? times + 1 : 0;
  }
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

await main();
