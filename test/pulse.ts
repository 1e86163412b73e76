/**
 * Run as a worker thread: asks a server for /health without end, each time over a new connection, so
 * that every listener is asked. A thread of its own, because a test that sends 65 MiB keeps its own
 * thread busy and would measure itself. Answers each message with what it has seen since the last.
 */
import { request } from "node:http";
import { parentPort, Worker, workerData } from "node:worker_threads";

export interface Beats {
  readonly count: number;
  readonly failed: number;
  readonly worstMs: number;
}

export interface Pulse {
  take(): Promise<Beats>;
  stop(): Promise<unknown>;
}

const PAUSE_MS = 5;
/** Longer than any machine is busy: then the server hangs. */
const WAIT_MS = 25_000;

export function startPulse(port: number): Pulse {
  const worker = new Worker(new URL("./pulse.ts", import.meta.url), { workerData: { port } });
  return {
    take: () =>
      new Promise((resolve, reject) => {
        worker.once("error", reject);
        worker.once("message", (beats: Beats) => {
          worker.off("error", reject);
          resolve(beats);
        });
        worker.postMessage("take");
      }),
    stop: () => worker.terminate(),
  };
}

function beatOnce(port: number): Promise<boolean> {
  const options = { host: "127.0.0.1", port, path: "/health", agent: false, timeout: WAIT_MS };
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

async function beat(port: number): Promise<void> {
  let beats = { count: 0, failed: 0, worstMs: 0 };
  parentPort?.on("message", () => {
    parentPort?.postMessage(beats);
    beats = { count: 0, failed: 0, worstMs: 0 };
  });
  for (;;) {
    const start = performance.now();
    const isHealthy = await beatOnce(port);
    beats.worstMs = Math.max(beats.worstMs, performance.now() - start);
    beats.count++;
    if (!isHealthy) beats.failed++;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

if (workerData?.port !== undefined) beat(workerData.port);
