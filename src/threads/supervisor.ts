/**
 * The main thread of a server: starts the others, carries their requests to the writer, and ends
 * them in order. It parses and searches nothing. A thread that dies takes the process down:
 * recovery brings back what was acknowledged, and a half-dead server would only hide the fault.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import { Catalog } from "../collections/catalog.ts";
import type { Config } from "../config.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";
import { ControlMemory } from "./control.ts";
import { linkRound } from "./linking.ts";
import { createListener, whyNot } from "./listener.ts";
import {
  type FromWorker,
  fromPlain,
  type Notice,
  type Request,
  type ToWorker,
  threadOf,
  toPlain,
  type WorkerStart,
} from "./messages.ts";
import { Writer } from "./writer.ts";

export interface ServerParts {
  readonly config: Config;
  readonly variant: Variant;
  readonly desk: WebAssembly.Module;
  readonly version: string;
  readonly log: Logger;
  /** Called when a thread died: nothing more can be relied on. */
  onFatal(error: Error): void;
}

export interface RunningServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Without other threads: rows linked before the next event. */
const INLINE_ROWS = 32;

export function startServer(parts: ServerParts): Promise<RunningServer> {
  return parts.config.threads === 1 ? startAlone(parts) : startThreads(parts);
}

/** Everything in this one thread: rows are linked between events. */
async function startAlone(parts: ServerParts): Promise<RunningServer> {
  const { config, variant } = parts;
  const catalog = new Catalog(threadOf(variant, 0));
  const control = new ControlMemory();
  let isLinking = false;

  function link(): void {
    isLinking = linkRound(catalog, INLINE_ROWS);
    if (isLinking) setImmediate(link);
  }
  const writer = new Writer({
    catalog,
    workers: 1,
    shardRows: shardRowsOf(config),
    announce: async () => undefined,
    ring() {
      if (isLinking) return;
      isLinking = true;
      setImmediate(link);
    },
  });
  const ask = (request: Request) => writer.handle(request);
  const listener = createListener({ ...parts, control, catalog, sharesPort: false, ask });
  const port = await listener.listen(config.port);
  return {
    port,
    async close() {
      await listener.close();
    },
  };
}

async function startThreads(parts: ServerParts): Promise<RunningServer> {
  const { config, variant } = parts;
  const listenerCount = process.platform === "linux" ? config.threads : 1;
  const workers = listenerCount + config.linkers + 1;
  const catalog = new Catalog(threadOf(variant, workers - 1));
  const control = new ControlMemory();
  const crew = new Crew(parts, control);
  const writer = new Writer({
    catalog,
    workers,
    shardRows: shardRowsOf(config),
    announce: (notice) => crew.announce(notice),
    ring: () => control.ring(),
  });
  crew.ask = (request) => writer.handle(request);
  try {
    await refuseTakenPort(config);
    for (let index = 0; index < config.linkers; index++) {
      crew.start("linkerWorker", listenerCount + index);
    }
    const listeners: Member[] = [];
    for (let index = 0; index < listenerCount; index++) {
      listeners.push(crew.start("listenerWorker", index));
    }
    // All load at once; then the first listener finds the port, and the others share it.
    let port = config.port;
    for (const listener of listeners) port = await crew.listen(listener, port);
    return { port, close: () => crew.close() };
  } catch (error) {
    await crew.end();
    throw error;
  }
}

/**
 * Threads share a port, and so could another server by mistake: whether it is free, only a lone
 * socket can tell.
 */
async function refuseTakenPort({ host, port }: Config): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  try {
    probe.listen({ host, port });
    await once(probe, "listening");
  } catch (cause) {
    throw new OmenError("INVALID_SETTING", whyNot(host, port, cause), { cause });
  }
  probe.close();
  await once(probe, "close");
}

function shardRowsOf(config: Config): number {
  return config.shardRows ?? Number.MAX_SAFE_INTEGER;
}

interface Member {
  readonly role: Role;
  readonly thread: Worker;
  /** Settled by "listening" or "refused". */
  heard?: { resolve(port: number): void; reject(error: unknown): void };
  closed?: () => void;
}

type Role = "listenerWorker" | "linkerWorker";

/** The worker threads, and what is said between them and this one. */
class Crew {
  readonly #parts: ServerParts;
  readonly #control: ControlMemory;
  readonly #members: Member[] = [];
  /** Notices that some threads have not taken up yet: how many, by ticket. */
  readonly #untaken = new Map<number, { left: number; resolve(): void }>();
  #ticketCount = 0;
  #isClosing = false;
  ask!: (request: Request) => ReturnType<Writer["handle"]>;

  constructor(parts: ServerParts, control: ControlMemory) {
    this.#parts = parts;
    this.#control = control;
  }

  start(role: Role, worker: number): Member {
    const { config, variant, desk, version, onFatal } = this.#parts;
    const control = this.#control.memory;
    const workerData: WorkerStart = {
      ...{ config, control, variant, desk, version, worker },
      collections: [],
    };
    const file = new URL(`./${role}${extname(import.meta.url)}`, import.meta.url);
    const thread = new Worker(file, { workerData, name: `${role}-${worker}` });
    const member: Member = { role, thread };
    thread.on("message", (message: FromWorker) => this.#read(member, message));
    thread.on("error", (error) => onFatal(error as Error));
    thread.on("exit", (code) => {
      if (!this.#isClosing) onFatal(new Error(`the thread ${role}-${worker} ended with ${code}`));
    });
    this.#members.push(member);
    return member;
  }

  listen(member: Member, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      member.heard = { resolve, reject };
      this.#say(member, { kind: "listen", port });
    });
  }

  /** Resolves when every thread has taken the notice up. */
  announce(notice: Notice): Promise<void> {
    if (this.#members.length === 0) return Promise.resolve();
    const ticket = ++this.#ticketCount;
    const taken = new Promise<void>((resolve) => {
      this.#untaken.set(ticket, { left: this.#members.length, resolve });
    });
    for (const member of this.#members) this.#say(member, { kind: "notice", ticket, notice });
    this.#control.ring();
    return taken;
  }

  #say(member: Member, message: ToWorker): void {
    member.thread.postMessage(message);
  }

  #read(member: Member, message: FromWorker): void {
    if (message.kind === "request") void this.#answer(member, message.ticket, message.request);
    else if (message.kind === "taken") this.#take(message.ticket);
    else if (message.kind === "listening") member.heard?.resolve(message.port);
    else if (message.kind === "refused") member.heard?.reject(fromPlain(message.error));
    else member.closed?.();
  }

  async #answer(member: Member, ticket: number, request: Request): Promise<void> {
    try {
      this.#say(member, { kind: "answer", ticket, answer: await this.ask(request) });
    } catch (error) {
      const plain = toPlain(error);
      if (plain.code === "INTERNAL") this.#parts.log.error({ err: error }, "a write failed");
      this.#say(member, { kind: "refusal", ticket, error: plain });
    }
  }

  #take(ticket: number): void {
    const waiting = this.#untaken.get(ticket);
    if (waiting === undefined || --waiting.left > 0) return;
    this.#untaken.delete(ticket);
    waiting.resolve();
  }

  /**
   * Listeners finish what is in flight, for which the writer still answers; then the linkers end.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#closeAll("listenerWorker");
    await this.#closeAll("linkerWorker");
    await this.end();
  }

  async #closeAll(role: Role): Promise<void> {
    const members = this.#members.filter((member) => member.role === role);
    const closed = members.map(
      (member) =>
        new Promise<void>((resolve) => {
          member.closed = resolve;
          this.#say(member, { kind: "close" });
        }),
    );
    this.#control.ring();
    await Promise.all(closed);
  }

  async end(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#members.map(({ thread }) => thread.terminate()));
  }
}
