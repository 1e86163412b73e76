/**
 * Rows without end: an NDJSON body of `--mib` MiB (2048 by default) goes into a durable server, made
 * as it is sent. Prints how far the server's resident memory rose above what the rows themselves
 * take, and how long /livez took meanwhile. Then the same again, and the server is killed half way:
 * after a new start every row that an answer or the log had counted is there, and rows are there
 * without a gap. Ends with 1 when memory rose by 300 MB or more, or a row is missing.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause, type Server, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { residentBytesOf } from "./process.ts";

const MIB = 1024 * 1024;
const RISE_BYTES_MAX = 300e6;
const DIMENSIONS = 768;
const PIECE_ROWS = 64;
const LOOK_MS = 50;

export interface Uploaded {
  readonly rows: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly answer: { readonly status: number; readonly accepted: number };
}

/** The row of an id, the same every time; its vector differs from the others' in a few places. */
export function lineOf(id: number): string {
  return `{"id":${id},"vector":[${id % 1000},${Math.floor(id / 1000)},${COMPONENTS}]}\n`;
}
const COMPONENTS = Array.from({ length: DIMENSIONS - 2 }, (_, index) =>
  (((index * 7919) % 10_007) / 10_007).toFixed(6),
).join(",");

/** Sends lines until they have `bytes`; a server that dies ends it with status 0. */
export async function upload(server: Server, bytes: number): Promise<Uploaded> {
  const start = performance.now();
  let rows = 0;
  let sent = 0;
  const answer = await new Promise<Uploaded["answer"]>((resolve) => {
    const headers = { "content-type": "application/x-ndjson", "transfer-encoding": "chunked" };
    const options = { host: "127.0.0.1", port: server.port, method: "POST", headers };
    const outgoing = request({ ...options, path: "/vectors/batch" }, async (incoming) => {
      let text = "";
      for await (const part of incoming.setEncoding("utf8")) text += part;
      const { accepted = 0 } = JSON.parse(text) as { accepted?: number };
      resolve({ status: incoming.statusCode!, accepted });
    });
    outgoing.on("error", () => resolve({ status: 0, accepted: 0 }));
    const fill = () => {
      let isRoom = true;
      while (sent < bytes && isRoom) {
        let piece = "";
        for (let index = 0; index < PIECE_ROWS; index++) piece += lineOf(rows++);
        sent += piece.length;
        isRoom = outgoing.write(piece);
      }
      if (sent >= bytes) outgoing.end();
    };
    outgoing.on("drain", fill);
    fill();
  });
  return { rows, bytes: sent, seconds: (performance.now() - start) / 1000, answer };
}

/** The most that the server's memory is above what its collections hold, looked at all the while. */
export async function watchMemory(server: Server, work: Promise<unknown>): Promise<number> {
  const connection = server.connect();
  let isOver = false;
  void work.finally(() => {
    isOver = true;
  });
  const excess = async () => {
    const { memory_bytes = 0 } = (await connection.get("/stats")).body ?? {};
    return (residentBytesOf(server.pid) ?? 0) - memory_bytes;
  };
  const before = await excess();
  let most = 0;
  while (!isOver) {
    most = Math.max(most, (await excess()) - before);
    await pause(LOOK_MS);
  }
  connection.close();
  return most;
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, { mib: { type: "string", default: "2048" } });
  const bytes = Number(values.mib) * MIB;
  const folder = mkdtempSync(join(tmpdir(), "omendb-upload-"));
  const settings = { PATH: folder, LOG_LEVEL: "warn", TAIL_ROWS: 10_000_000 };
  try {
    const server = await startServer(settings);
    const uploading = upload(server, bytes);
    const rise = await watchMemory(server, uploading);
    const { rows, seconds, answer } = await uploading;
    const rates = `${(Number(values.mib) / seconds).toFixed(0)} MiB/s`;
    console.log(`${rows} x ${DIMENSIONS} in ${seconds.toFixed(1)} s, ${rates}: ${answer.status}`);
    console.log(`resident memory rose ${(rise / 1e6).toFixed(0)} MB above what the rows take`);
    expectThat(rise < RISE_BYTES_MAX, `memory rose by ${RISE_BYTES_MAX / 1e6} MB or more`);
    expectThat(answer.accepted === rows, `${answer.accepted} of ${rows} rows were accepted`);
    await server.stop();
    await kill(folder, settings, bytes / 8);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What is there after a kill is a beginning of what was sent, and holds all that was visible. */
async function kill(folder: string, settings: object, bytes: number): Promise<void> {
  rmSync(folder, { recursive: true });
  const first = await startServer({ ...settings, PATH: folder });
  const probe = first.connect();
  const uploading = upload(first, bytes);
  let seen = 0;
  const rowsSent = bytes / lineOf(0).length;
  while (seen < rowsSent / 2) {
    seen = (await probe.get("/stats")).body.vectors ?? 0;
    await pause(1);
  }
  await first.stop("SIGKILL");
  probe.close();
  const { rows } = await uploading;
  const second = await startServer({ ...settings, PATH: folder });
  const connection = second.connect();
  const { vectors } = (await connection.get("/stats")).body;
  const last = await connection.get(`/vectors/${vectors - 1}`);
  const next = await connection.get(`/vectors/${vectors}`);
  console.log(`killed after ${rows} rows were sent and ${seen} seen: ${vectors} are there`);
  expectThat(vectors >= seen, "a row that was seen is gone");
  expectThat(last.status === 200 && next.status === 404, "there is a gap in the rows");
  connection.close();
  await second.stop();
}

function expectThat(isKept: boolean, broken: string): void {
  if (isKept) return;
  console.log(`NOT KEPT: ${broken}`);
  process.exitCode = 1;
}

if (import.meta.main) await main();
