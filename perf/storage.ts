/**
 * What durability costs, over a real server: `npm run bench:storage` (ROWS=1200000 by default).
 *
 *   ingest   batches of 1000, strict against in memory, in turns, in one run
 *   pause    how long writes stand still for an image, under full ingest
 *   load     an image from the file into memory and checked, against a plain read of that file
 *   ready    from exec to /readyz
 *
 * With `--load` nothing but the last three, of all rows.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, pause, type Server, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { median } from "./measure.ts";
import { seededRandom } from "./random.ts";

const ROWS = Number(process.env.ROWS ?? 1_200_000);
const SMALL_ROWS = 100_000;
const INGEST_ROWS = 80_000;
const ROUND_ROWS = 20_000;
const DIMENSIONS = 128;
const BATCH = 1000;
const CLIENTS = 3;
const READS = 5;

const random = seededRandom(7);
const centres = Float32Array.from({ length: 256 * DIMENSIONS }, () => random.normal() * 10);

/** Rows around centres, so that a graph has something to find; base64, as clients send them. */
function bodyOf(first: number): string {
  const vector = new Float32Array(DIMENSIONS);
  const bytes = Buffer.from(vector.buffer);
  const vectors = Array.from({ length: BATCH }, (_, row) => {
    const centre = random.integer(256) * DIMENSIONS;
    for (let d = 0; d < DIMENSIONS; d++) vector[d] = centres[centre + d]! + random.next() * 8;
    return { id: `row-${first + row}`, vector: bytes.toString("base64") };
  });
  return JSON.stringify({ vectors });
}

/** Bodies that are made before, and those that are made on the way. */
const made = new Map<number, string>();

async function ingest(connections: readonly Connection[], from: number, rows: number) {
  let next = from;
  const start = performance.now();
  const work = async (connection: Connection) => {
    while (next < from + rows) {
      const first = next;
      next += BATCH;
      const body = made.get(first) ?? bodyOf(first);
      for (;;) {
        const answer = await connection.post("/vectors/batch", body);
        if (answer.status === 200) break;
        if (answer.status !== 503) throw new Error(answer.text);
        await pause(100);
      }
    }
  };
  await Promise.all(connections.map(work));
  return (performance.now() - start) / 1000;
}

async function compareIngest(): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), "omendb-bench-"));
  const quiet = { LOG_LEVEL: "warn", TAIL_ROWS: 10_000_000, CHECKPOINT_MB: 1024 };
  const servers = [await startServer({ ...quiet, PATH: path }), await startServer(quiet)];
  const connections = servers.map((server) =>
    Array.from({ length: CLIENTS }, () => server.connect()),
  );
  const seconds = [0, 0];
  for (let first = 0; first < INGEST_ROWS; first += BATCH) made.set(first, bodyOf(first));
  for (let from = 0; from < INGEST_ROWS; from += ROUND_ROWS) {
    for (const index of from % (2 * ROUND_ROWS) === 0 ? [0, 1] : [1, 0]) {
      seconds[index]! += await ingest(connections[index]!, from, ROUND_ROWS);
      await untilIndexed(connections[index]![0]!);
    }
  }
  made.clear();
  const [durable, memory] = seconds.map((each) => INGEST_ROWS / each!) as [number, number];
  print("ingest, strict", `${round(durable)} vectors/s`);
  print("ingest, in memory", `${round(memory)} vectors/s, ratio ${(durable / memory).toFixed(2)}`);
  for (const server of servers) await server.stop("SIGKILL");
  await rm(path, { recursive: true });
}

/** A server that still links would take the other one's time. */
async function untilIndexed(connection: Connection): Promise<void> {
  while ((await connection.get("/stats")).body.unindexed > 0) await pause(100);
}

/** Lines of the server's log with that message. */
function logged(server: Server, message: string): Record<string, number & string>[] {
  return server
    .output()
    .split("\n")
    .filter((line) => line.includes(`"msg":"${message}"`))
    .map((line) => JSON.parse(line));
}

async function fillAndLoad(rows: number): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), "omendb-bench-"));
  const settings = { PATH: path, CHECKPOINT_MINUTES: 0, WRITE_WAIT_MS: 600_000 };
  let server = await startServer(settings);
  const connections = Array.from({ length: CLIENTS }, () => server.connect());
  const seconds = await ingest(connections, 0, rows);
  await untilIndexed(connections[0]!);
  await server.stop();
  const checkpoints = logged(server, "checkpoint");
  const last = checkpoints.at(-1)!;
  const worst = Math.max(...checkpoints.map(({ pauseMs }) => pauseMs!));
  print(
    `${rows} rows`,
    `${round(rows / seconds)} vectors/s with ${checkpoints.length} checkpoints`,
  );
  print("pause, longest", `${worst} ms; of the largest image ${checkpoints.at(-2)?.pauseMs} ms`);
  print("image", `${round(last.bytes! / 2 ** 20)} MiB in ${round(last.durationMs!)} ms, read back`);
  const loads: number[] = [];
  const reads: number[] = [];
  const readies: number[] = [];
  let image = "";
  for (let round = 0; round < READS; round++) {
    const start = performance.now();
    server = await startServer(settings);
    readies.push(performance.now() - start);
    const { image: file, durationMs } = logged(server, "loaded an image")[0]!;
    image = file!;
    loads.push(durationMs!);
    await server.stop("SIGKILL");
    reads.push(readPlain(image));
  }
  const [load, read] = [median(loads), median(reads)];
  const bytes = statSync(image).size;
  const rate = (ms: number) => `${(bytes / ms / 1e6).toFixed(2)} GB/s`;
  print("load, checked", `${round(load)} ms, ${rate(load)}`);
  print("plain read", `${round(read)} ms, ${rate(read)}, ratio ${(read / load).toFixed(2)}`);
  print("exec to ready", `${round(median(readies))} ms; medians of ${READS}, in turns`);
  await rm(path, { recursive: true });
}

/** The file's bytes into memory that nobody has touched. */
function readPlain(file: string): number {
  const memory = new WebAssembly.Memory({ initial: 65536, maximum: 65536, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  const descriptor = openSync(file, "r");
  const start = performance.now();
  for (let at = 0; ; ) {
    const read = readSync(descriptor, bytes, at, 1 << 20, at);
    if (read === 0) break;
    at += read;
  }
  const durationMs = performance.now() - start;
  closeSync(descriptor);
  return durationMs;
}

const round = (value: number) => Math.round(value).toLocaleString("en");
const print = (what: string, value: string) => console.log(`${what.padEnd(22)}${value}`);

const { values } = readArguments(import.meta.url, { load: { type: "boolean", default: false } });
if (!values.load) {
  await compareIngest();
  await fillAndLoad(SMALL_ROWS);
}
await fillAndLoad(ROWS);
process.exit(0);
