/**
 * Whether the server stays alive to others while it works as hard as a client can make it: one posts
 * batches as large as a body may be, others scan exactly, and /livez is asked all the while, each
 * time over a new connection. `node perf/liveness.ts` puts 1M x 768 in first and prints p50, p99 and
 * the worst of each phase; `--rows` makes it smaller. Ends with 1 when an answer took 50 ms or more,
 * or failed.
 *
 * The load and the questions come from two threads of this process. They take processor time that
 * the server wants, and so may strangers. Each phase also tells how late the asking thread's own
 * timers were, from which no answer can be told apart, and how many cores other processes had.
 */
import { request } from "node:http";
import { cpus } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { type Connection, ok, pause, type Server, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { cpuSecondsOf, residentBytesOf } from "./process.ts";
import { startProgress } from "./progress.ts";

const DIMENSIONS = 768;
const MIB = 1024 * 1024;
const BODY_BYTES = 64 * MIB;
const ROWS = 1_000_000;
const PHASE_SECONDS = 20;
const SCANNERS = 2;
const LIVEZ_MS_MAX = 50;
const PAUSE_MS = 5;
const WAIT_MS = 10_000;
/** The graph is not needed: no row waits for the linkers. */
const SETTINGS = { TAIL_ROWS: 10_000_000, LOG_LEVEL: "warn" };

/** A counter of what a load has done, and the word to end it. */
export interface Load {
  rows: number;
  scans: number;
  isOver: boolean;
}

export const newLoad = (): Load => ({ rows: 0, scans: 0, isOver: false });

const HEAD = '{"vectors":[';
const ROW = `{"id":"${"0".repeat(10)}","vector":[${"0.0000,".repeat(DIMENSIONS - 1)}0.0000]}`;
const ID_AT = ROW.indexOf("0");
const DIGITS_AT = ROW.indexOf("0.0000") + 2;
const DIGITS_STEP = "0.0000,".length;

/** The characters of 0000 to 9999, four a word. */
const DIGITS = Uint32Array.from({ length: 10_000 }, (_, value) =>
  Buffer.from(String(value).padStart(4, "0")).readUInt32LE(),
);

/**
 * A body of random rows that is written once and then altered where ids and digits stand, because
 * JSON.stringify of a million rows would be the longest part of the run.
 */
export class Batch {
  readonly count: number;
  readonly bytes: Buffer;
  readonly #view: DataView;
  #state = 1;

  constructor(bytesMax: number) {
    this.count = Math.floor((bytesMax - HEAD.length - 2) / (ROW.length + 1));
    const rows = Array.from({ length: this.count }, () => ROW).join(",");
    this.bytes = Buffer.from(`${HEAD}${rows}]}`);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
  }

  /** New components, and the ids that follow `first`. */
  renew(first: number): Buffer {
    for (let row = 0; row < this.count; row++) {
      const start = HEAD.length + row * (ROW.length + 1);
      this.bytes.write(String(first + row).padStart(10, "0"), start + ID_AT, "latin1");
      const end = start + DIGITS_AT + DIMENSIONS * DIGITS_STEP;
      for (let at = start + DIGITS_AT; at < end; at += DIGITS_STEP) {
        this.#view.setUint32(at, DIGITS[this.#next() % 10_000]!, true);
      }
    }
    return this.bytes;
  }

  /** xorshift32 */
  #next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }
}

/** Posts batches of new rows, one after the other, until the load is over or has `rows`. */
export async function post(
  connection: Connection,
  batch: Batch,
  load: Load,
  ids: { next: number },
  rows = Number.POSITIVE_INFINITY,
): Promise<void> {
  while (!load.isOver && load.rows < rows) {
    const first = ids.next;
    ids.next += batch.count;
    await ok(connection.post("/vectors/batch", batch.renew(first)));
    load.rows += batch.count;
  }
}

/** Scans exactly, one search after the other, until the load is over. */
export async function scan(connection: Connection, load: Load): Promise<void> {
  while (!load.isOver) {
    const vector = Array.from({ length: DIMENSIONS }, () => Math.random());
    const { results } = await ok(connection.post("/search", { vector, k: 10, exact: true }));
    if (results.length === 10) load.scans++;
  }
}

/** What the asking thread has seen; milliseconds. */
interface Beats {
  readonly answers: number[];
  readonly failed: number;
  readonly lateMs: number;
}

class Pulse {
  readonly #worker: Worker;

  constructor(port: number) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: { livezPort: port } });
  }

  /** What was seen since the last call. */
  take(): Promise<Beats> {
    return new Promise((resolve, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("message", (beats: Beats) => {
        this.#worker.off("error", reject);
        resolve(beats);
      });
      this.#worker.postMessage("take");
    });
  }

  stop(): Promise<unknown> {
    return this.#worker.terminate();
  }
}

/** The asking thread. */
async function beat(port: number): Promise<void> {
  let beats = { answers: [] as number[], failed: 0, lateMs: 0 };
  parentPort?.on("message", () => {
    parentPort?.postMessage(beats);
    beats = { answers: [], failed: 0, lateMs: 0 };
  });
  for (;;) {
    const start = performance.now();
    if (!(await isAlive(port))) beats.failed++;
    const end = performance.now();
    beats.answers.push(end - start);
    await pause(PAUSE_MS);
    beats.lateMs = Math.max(beats.lateMs, performance.now() - end - PAUSE_MS);
  }
}

function isAlive(port: number): Promise<boolean> {
  const options = { host: "127.0.0.1", port, path: "/livez", agent: false, timeout: WAIT_MS };
  return new Promise((resolve) => {
    const asked = request(options, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode === 200));
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    rows: { type: "string", default: String(ROWS) },
    seconds: { type: "string", default: String(PHASE_SECONDS) },
  });
  const [rows, seconds] = [Number(values.rows), Number(values.seconds)];
  const server = await startServer(SETTINGS);
  process.once("SIGINT", () => server.stop().then(() => process.exit(130)));
  const pulse = new Pulse(server.port);
  try {
    await measure(server, pulse, rows, seconds);
  } finally {
    await pulse.stop();
    console.log(`the server was asked to stop and ended with ${await server.stop()}`);
  }
}

async function measure(server: Server, pulse: Pulse, rows: number, seconds: number) {
  const batch = new Batch(BODY_BYTES);
  const ids = { next: 0 };
  const asked = { pid: server.pid, pulse };
  const connections = Array.from({ length: SCANNERS + 1 }, () => server.connect());
  const [poster, ...scanners] = connections as [Connection, ...Connection[]];
  const posting = (load: Load) => [post(poster, batch, load, ids)];
  const scanning = (load: Load) => scanners.map((scanner) => scan(scanner, load));
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  const bytes = `${(batch.bytes.length / MIB).toFixed(1)} MiB`;
  console.log(`${machine}; batches of ${batch.count} x ${DIMENSIONS} in ${bytes}`);

  await phase("nothing else", asked, seconds / 4, () => []);
  const progress = startProgress("loading", rows);
  await phase("loading", asked, Number.POSITIVE_INFINITY, (load) => {
    const drawing = setInterval(() => progress.update(Math.min(rows, load.rows)), 500);
    return [post(poster, batch, load, ids, rows).finally(() => clearInterval(drawing))];
  });
  progress.end();
  const { vectors, unindexed } = await ok(poster.get("/stats"));
  const resident = Math.round((residentBytesOf(server.pid) ?? 0) / MIB);
  console.log(`${vectors} rows, ${unindexed} of them not linked; ${resident} MiB resident`);
  await phase("exact scans", asked, seconds, scanning);
  await phase("64 MiB batches", asked, seconds, posting);
  await phase("both", asked, seconds, (load) => [...posting(load), ...scanning(load)]);
  for (const connection of connections) connection.close();
}

/** Runs a load for so long, or until it ends by itself, and prints what /livez took meanwhile. */
async function phase(
  name: string,
  { pid, pulse }: { pid: number; pulse: Pulse },
  seconds: number,
  begin: (load: Load) => Promise<void>[],
): Promise<void> {
  const load = newLoad();
  await pulse.take();
  const strangers = watchStrangers(pid);
  const start = performance.now();
  const working = Promise.all(begin(load));
  await (Number.isFinite(seconds) ? Promise.race([pause(seconds * 1000), hang(working)]) : working);
  const took = (performance.now() - start) / 1000;
  const { answers, failed, lateMs } = await pulse.take();
  const others = (strangers() / took).toFixed(1);
  load.isOver = true;
  await working;
  const sorted = answers.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]?.toFixed(2);
  const slow = sorted.filter((ms) => ms >= LIVEZ_MS_MAX).length;
  const done = `${load.rows} rows and ${load.scans} scans in ${took.toFixed(0)} s`;
  const times = `p50 ${at(0.5)}, p99 ${at(0.99)}, worst ${at(1)} ms`;
  const counted = `${sorted.length} asked, ${slow} of ${LIVEZ_MS_MAX} ms or more, ${failed} failed`;
  const aside = `own timers late ${lateMs.toFixed(1)} ms, other processes on ${others} cores`;
  console.log(`${name.padEnd(15)} /livez ${times} (${counted}); ${done}; ${aside}`);
  if (slow + failed > 0) process.exitCode = 1;
}

/** Seconds of processor time, from now on, of all but the server and this process. */
function watchStrangers(pid: number): () => number {
  const own = () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
  const all = () =>
    cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys) / 1000, 0);
  const seconds = () => all() - own() - (cpuSecondsOf(pid) ?? 0);
  const before = seconds();
  return () => Math.max(0, seconds() - before);
}

/** Waits for a failure only. */
async function hang(working: Promise<unknown>): Promise<void> {
  await working;
  await new Promise(() => {});
}

if (workerData?.livezPort !== undefined) void beat(workerData.livezPort);
else if (import.meta.main && isMainThread) await main();
