/** The worker thread around a listener: messages to and from the supervisor. */
import { parentPort, workerData } from "node:worker_threads";
import { Catalog } from "../collections/catalog.ts";

import { ControlMemory } from "./control.ts";
import { createListener } from "./listener.ts";
import { createLog } from "./log.ts";
import {
  type Answer,
  type FromWorker,
  fromPlain,
  type Request,
  type ToWorker,
  threadOf,
  toPlain,
  type WorkerStart,
} from "./messages.ts";
import { take } from "./notices.ts";

interface Asked {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

const start = workerData as WorkerStart;
const port = parentPort!;
const catalog = new Catalog(threadOf(start.variant, start.worker));
catalog.health = start.health;
for (const parts of start.collections) catalog.attach(parts);

const asked = new Map<number, Asked>();
let ticketCount = 0;

function say(message: FromWorker): void {
  port.postMessage(message);
}

/** A frame changes hands; whoever asked may not look at it again. */
function ask(request: Request): Promise<Answer> {
  const ticket = ++ticketCount;
  const message: FromWorker = { kind: "request", ticket, request };
  return new Promise((resolve, reject) => {
    asked.set(ticket, { resolve, reject });
    port.postMessage(message, request.kind === "write" ? [request.frame.buffer] : []);
  });
}

function settle(ticket: number): Asked | undefined {
  const waiting = asked.get(ticket);
  asked.delete(ticket);
  return waiting;
}

const listener = createListener({
  ...start,
  control: new ControlMemory(start.control),
  catalog,
  log: createLog(start.config),
  sharesPort: true,
  ask,
});

async function listen(number: number): Promise<void> {
  try {
    say({ kind: "listening", port: await listener.listen(number) });
  } catch (error) {
    say({ kind: "refused", error: toPlain(error) });
  }
}

async function close(): Promise<void> {
  await listener.close();
  say({ kind: "closed" });
}

port.on("message", (message: ToWorker) => {
  if (message.kind === "notice") {
    take(catalog, message.notice);
    say({ kind: "taken", ticket: message.ticket });
  } else if (message.kind === "answer") settle(message.ticket)?.resolve(message.answer);
  else if (message.kind === "refusal") settle(message.ticket)?.reject(fromPlain(message.error));
  else if (message.kind === "listen") void listen(message.port);
  else if (message.kind === "reload") listener.reload(message.texts);
  else void close();
});
