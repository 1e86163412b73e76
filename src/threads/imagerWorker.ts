/** The worker around the imager: it asks the writer's thread by message, and reads memory. */
import { parentPort, workerData } from "node:worker_threads";
import { State } from "../collections/state.ts";
import { Desk } from "../engine/desk.ts";
import { holdLinkers, type Sitter } from "../imaging/imager.ts";
import { NodeFiles } from "../storage/files.ts";
import { letGo } from "./garbage.ts";
import { type FromImager, type ToImager, takeAndVerify } from "./images.ts";
import { fromPlain, toPlain, type WorkerStart } from "./messages.ts";

const { desk } = workerData as WorkerStart;
const port = parentPort!;
const sums = new Desk(desk);
const files = new NodeFiles();
const crc32c = (bytes: Uint8Array, seed?: number) => sums.crc32c(bytes, seed);
/** Progress is told when it grew by this much. */
const PROGRESS_STEP = 0.01;

function say(message: FromImager): void {
  port.postMessage(message);
}

/** Asks, and waits for the answer of that kind: there is one question at a time. */
function ask<Kind extends ToImager["kind"]>(
  question: FromImager,
  kind: Kind,
): Promise<ToImager & { kind: Kind }> {
  return new Promise((resolve, reject) => {
    const read = (message: ToImager) => {
      if (message.kind !== kind && message.kind !== "refused") return;
      port.off("message", read);
      if (message.kind === "refused") reject(fromPlain(message.error));
      else resolve(message as ToImager & { kind: Kind });
    };
    port.on("message", read);
    say(question);
  });
}

async function take({ path, state }: ToImager & { kind: "take" }): Promise<void> {
  const sitter: Sitter = {
    turn: async () => (await ask({ kind: "turn" }, "turned")).shards,
    hold: () => holdLinkers(new State(state)),
    stop: async () => (await ask({ kind: "stop" }, "stopped")).standing,
    go: () => say({ kind: "go" }),
  };
  let told = 0;
  const onProgress = (progress: number) => {
    if (progress < told + PROGRESS_STEP) return;
    told = progress;
    say({ kind: "progress", progress });
  };
  try {
    say({ kind: "taken", taken: await takeAndVerify(files, path, sitter, crc32c, onProgress) });
  } catch (error) {
    say({ kind: "failed", error: toPlain(error) });
  } finally {
    letGo();
  }
}

port.on("message", (message: ToImager) => {
  if (message.kind === "take") void take(message);
  else if (message.kind === "close") port.close();
});
