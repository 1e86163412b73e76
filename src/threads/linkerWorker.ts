/**
 * A linker: puts waiting rows into the graphs, and sleeps on the bell when none wait. It is the
 * only kind of thread that blocks, so it looks for messages itself between rounds. Its priority is
 * low: requests come first.
 */
import { constants, setPriority } from "node:os";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { Catalog } from "../collections/catalog.ts";
import { ControlMemory } from "./control.ts";
import { collectDue } from "./garbage.ts";
import { linkRound } from "./linking.ts";
import { type FromWorker, type ToWorker, threadOf, type WorkerStart } from "./messages.ts";
import { take } from "./notices.ts";

/** Rows of a shard linked before another shard, or a message, has its turn. */
const SLICE_ROWS = 64;
/** A bell that was missed, or a range that grew stale, is noticed after this long. */
const SLEEP_MS = 1000;
/** Another thread must move first: a reader in the middle of a walk, or a linker in a repair. */
const WAIT_MS = 2;

const start = workerData as WorkerStart;
const port = parentPort!;
const control = new ControlMemory(start.control);
const catalog = new Catalog(threadOf(start.variant, start.worker));
for (const parts of start.collections) catalog.attach(parts);

function say(message: FromWorker): void {
  port.postMessage(message);
}

/** Takes up all messages that lie there; returns false when the thread is to end. */
function read(): boolean {
  for (;;) {
    const message = receiveMessageOnPort(port)?.message as ToWorker | undefined;
    if (message === undefined) return true;
    if (message.kind === "close") return false;
    if (message.kind !== "notice") continue;
    take(catalog, message.notice);
    say({ kind: "taken", ticket: message.ticket });
  }
}

/**
 * On Linux this is the thread's own priority; elsewhere it may be refused, which costs nothing but
 * politeness.
 */
function stepBack(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, constants.priority.PRIORITY_LOW - 9);
  } catch {
    // A sandbox may forbid it.
  }
}

stepBack();
for (;;) {
  const heard = control.heard();
  if (!read()) break;
  collectDue();
  const tended = linkRound(catalog, SLICE_ROWS);
  if (tended !== "busy") control.sleep(heard, tended === "waiting" ? WAIT_MS : SLEEP_MS);
}
say({ kind: "closed" });
port.close();
