/**
 * `npm run bench:growth`: one durable server from nothing to a million rows of 128 dimensions, default
 * settings. While rows come in, how many there are and how many of them wait for the graph (the tail)
 * is written down; loading pauses at 10,000, 30,000 and so on until the linkers rest, and searches,
 * recall (against the server's own exact scan) and memory by part are measured there.
 *
 * --rows N is where it ends, --json FILE gets the figures.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, ok, pause, type Server, startServer } from "../test/server.ts";
import { numberOf, readArguments } from "./arguments.ts";
import { clustered } from "./data.ts";
import { type Rows, rowAt } from "./exact.ts";
import { batchBody } from "./prepared.ts";
import { cpuSecondsOf, residentBytesOf, untilAtRest } from "./process.ts";
import { BATCH_ROWS, K } from "./scenarios.ts";

const DIMENSIONS = 128;
const ROWS = 1_000_000;
const STOPS = [10_000, 30_000, 100_000, 300_000, 1_000_000];
const SEED = 20_260_101;
const LOADERS = 4;
const LOOK_MS = 200;
const SEARCHES = 1000;
const JUDGED = 100;
const REST_SECONDS_MAX = 60;

/** Parts of memory as /stats names them, in the order of a row's way. */
export const PARTS = ["vectors", "codes", "graph", "ids", "metadata", "columns", "free"] as const;

export interface GrowthData {
  readonly about: { readonly machine: string; readonly data: string };
  /** Seconds of loading, without the pauses. */
  readonly ingest: readonly {
    readonly seconds: number;
    readonly rows: number;
    readonly tail: number;
  }[];
  readonly stops: readonly Stop[];
}

interface Stop {
  readonly rows: number;
  /** Since the stop before. */
  readonly acknowledgedPerSecond: number;
  readonly indexedPerSecond: number;
  readonly recall: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMicroseconds: number | null;
  readonly bytesPerRow: number;
  readonly residentBytes: number | null;
  readonly parts: Readonly<Record<string, number>>;
}

class Growth {
  readonly ingest: { seconds: number; rows: number; tail: number }[] = [];
  readonly stops: Stop[] = [];
  readonly #server: Server;
  readonly #base: Rows;
  readonly #queries: Rows;
  readonly #probe: Connection;
  #rows = 0;
  #loadedSeconds = 0;

  constructor(server: Server, base: Rows, queries: Rows) {
    this.#server = server;
    this.#base = base;
    this.#queries = queries;
    this.#probe = server.connect();
  }

  async growTo(rows: number): Promise<void> {
    const before = this.#rows;
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    let isLoading = true;
    const watching = this.#watch(() => isLoading, seconds);
    await Promise.all(Array.from({ length: LOADERS }, () => this.#load(rows)));
    const acknowledgedSeconds = seconds();
    isLoading = false;
    await watching;
    const indexedSeconds = seconds();
    this.#loadedSeconds += indexedSeconds;
    // Rows that were linked in haste are linked better, and recall is measured, before it rests.
    await untilAtRest(() => cpuSecondsOf(this.#server.pid), REST_SECONDS_MAX);
    this.stops.push({
      rows,
      acknowledgedPerSecond: (rows - before) / acknowledgedSeconds,
      indexedPerSecond: (rows - before) / indexedSeconds,
      ...(await this.#measure()),
    });
  }

  async #load(end: number): Promise<void> {
    const connection = this.#server.connect();
    while (this.#rows < end) {
      const count = Math.min(BATCH_ROWS, end - this.#rows);
      const body = batchBody(this.#base, this.#rows, count, "base64");
      this.#rows += count;
      for (;;) {
        const { status, text } = await connection.post("/vectors/batch", body);
        if (status === 200) break;
        if (status !== 503) throw new Error(`a batch was answered ${status}: ${text}`);
        await pause(LOOK_MS);
      }
    }
    connection.close();
  }

  /** Until nothing is loaded any more and nothing waits. */
  async #watch(isLoading: () => boolean, seconds: () => number): Promise<void> {
    for (;;) {
      const wasLoading = isLoading();
      const { vectors = 0, unindexed = 0 } = await ok(this.#probe.get("/stats"));
      this.ingest.push({
        seconds: this.#loadedSeconds + seconds(),
        rows: vectors,
        tail: unindexed,
      });
      if (!wasLoading && unindexed === 0) return;
      await pause(LOOK_MS);
    }
  }

  async #measure() {
    const search = async (query: number, more: object = {}): Promise<number[]> => {
      const vector = Array.from(rowAt(this.#queries, query % this.#queries.count));
      const body = { vector, k: K, include_metadata: false, ...more };
      const { results } = await ok(this.#probe.post("/search", body));
      return results.map(({ distance }: { distance: number }) => distance);
    };
    let right = 0;
    for (let query = 0; query < JUDGED; query++) {
      const bound = (await search(query, { exact: true })).at(-1)!;
      right += (await search(query)).filter((distance) => distance <= bound).length;
    }
    for (let query = 0; query < SEARCHES; query++) await search(query);
    const took: number[] = [];
    const before = cpuSecondsOf(this.#server.pid);
    for (let query = 0; query < SEARCHES; query++) {
      const start = performance.now();
      await search(query);
      took.push(performance.now() - start);
    }
    const after = cpuSecondsOf(this.#server.pid);
    took.sort((a, b) => a - b);
    const stats = await ok(this.#probe.get("/stats"));
    const isKnown = before !== undefined && after !== undefined;
    return {
      recall: right / (JUDGED * K),
      p50Ms: took[Math.floor(SEARCHES * 0.5)]!,
      p99Ms: took[Math.floor(SEARCHES * 0.99)]!,
      cpuMicroseconds: isKnown ? ((after - before) * 1e6) / SEARCHES : null,
      bytesPerRow: stats.memory_bytes / stats.vectors,
      residentBytes: residentBytesOf(this.#server.pid) ?? null,
      parts: Object.fromEntries(PARTS.map((part) => [part, stats.memory[part]])),
    };
  }

  close(): void {
    this.#probe.close();
  }
}

function describe({ about, ingest, stops }: GrowthData): string {
  const whole = (value: number) => Math.round(value).toLocaleString("en-US");
  const heads = [
    ...["rows", "acknowledged/s", "indexed/s", "recall@10", "p50 ms", "p99 ms"],
    ...["us CPU a search", "bytes a row", "resident MiB"],
  ];
  const rows = stops.map((stop) => [
    ...[whole(stop.rows), whole(stop.acknowledgedPerSecond), whole(stop.indexedPerSecond)],
    ...[stop.recall.toFixed(4), stop.p50Ms.toFixed(2), stop.p99Ms.toFixed(2)],
    stop.cpuMicroseconds === null ? "-" : whole(stop.cpuMicroseconds),
    whole(stop.bytesPerRow),
    stop.residentBytes === null ? "-" : whole(stop.residentBytes / 2 ** 20),
  ]);
  const parts = stops.map((stop) => [
    whole(stop.rows),
    ...PARTS.map((part) => ((stop.parts[part] ?? 0) / stop.rows).toFixed(1)),
  ]);
  const table = (head: readonly string[], lines: readonly (readonly string[])[]) =>
    [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`);
  return [
    `${about.data}\n${about.machine}, client on the same machine`,
    ["", ...table(heads, rows)].join("\n"),
    "\nbytes a row, by part",
    ["", ...table(["rows", ...PARTS], parts)].join("\n"),
    `\nthe longest tail: ${whole(Math.max(...ingest.map(({ tail }) => tail)))} rows`,
  ].join("\n");
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    rows: { type: "string", default: String(ROWS) },
    json: { type: "string" },
  });
  const rows = numberOf("rows", values.rows, BATCH_ROWS);
  const { base, queries } = clustered(rows, SEARCHES, DIMENSIONS, SEED);
  const folder = mkdtempSync(join(tmpdir(), "omendb-growth-"));
  const server = await startServer({ PATH: join(folder, "data"), LOG_LEVEL: "warn" });
  const growth = new Growth(server, base, queries);
  try {
    const stops = [...STOPS.filter((stop) => stop < rows), rows];
    for (const stop of stops) {
      await growth.growTo(stop);
      console.error(`${stop} rows: ${JSON.stringify(growth.stops.at(-1))}`);
    }
    const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
    const data: GrowthData = {
      about: { machine, data: `generated ${rows} x ${DIMENSIONS}, l2, seed ${SEED}, durable` },
      ...{ ingest: growth.ingest, stops: growth.stops },
    };
    console.log(describe(data));
    if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(data));
  } finally {
    growth.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
