/**
 * Loaded into a server beside its own code (`--expose-gc --import`), so that what it holds can be
 * told from what is garbage: at SIGUSR2 every thread that has an event loop collects all of it, and
 * a line says what is left. With PLANT_LEAK each thread loses as many KiB a second for good, so that
 * whoever watches can be seen to notice.
 */
import { BroadcastChannel, isMainThread, threadId } from "node:worker_threads";
import { pause } from "../test/server.ts";

/** The line's first word. */
const SAID = "collected";
const ANSWER_MS = 1500;
const CHANNEL = "collect";

/** Bytes over all threads, when garbage has been collected. */
export interface Collected {
  readonly threads: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly residentBytes: number;
}

interface Held {
  readonly heapUsed: number;
  readonly external: number;
}

type Message = "collect" | Held;

/** What the last such line says in a server's output, after `from` characters of it. */
export function lastCollected(output: string, from: number): Collected | undefined {
  const line = output
    .slice(from)
    .split("\n")
    .findLast((text) => text.startsWith(`${SAID} {`) && text.endsWith("}"));
  return line === undefined ? undefined : JSON.parse(line.slice(SAID.length));
}

function collect(): Held {
  // Twice: what a finalizer lets go in the first is gone after the second.
  for (let round = 0; round < 2; round++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return { heapUsed, external };
}

function listen(): void {
  const channel = new BroadcastChannel(CHANNEL);
  let held: Held[] = [];
  channel.onmessage = (event: { readonly data: Message }) => {
    const message = event.data;
    if (message !== "collect") held.push(message);
    else if (!isMainThread) channel.postMessage(collect());
  };
  channel.unref();
  if (!isMainThread) return;
  process.on("SIGUSR2", async () => {
    held = [];
    channel.postMessage("collect" satisfies Message);
    await pause(ANSWER_MS);
    held.push(collect());
    const sum = (of: (one: Held) => number) => held.reduce((total, one) => total + of(one), 0);
    const said: Collected = {
      threads: held.length,
      heapBytes: sum(({ heapUsed }) => heapUsed),
      externalBytes: sum(({ external }) => external),
      residentBytes: process.memoryUsage.rss(),
    };
    console.log(`${SAID} ${JSON.stringify(said)}`);
  });
}

function plant(kibPerSecond: number): void {
  const lost: string[] = [];
  setInterval(() => {
    for (let kib = 0; kib < kibPerSecond; kib++) {
      lost.push(Array.from({ length: 128 }, () => String.fromCharCode(threadId)).join("12345678"));
    }
  }, 1000).unref();
}

if (globalThis.gc !== undefined) {
  listen();
  if (process.env.PLANT_LEAK) plant(Number(process.env.PLANT_LEAK));
}
