/** The worker threads of a server, and what is said between them and the main thread. */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Health } from "../collections/database.ts";
import type { ControlMemory } from "./control.ts";
import {
  type FromWorker,
  fromPlain,
  type Notice,
  type Request,
  type ToWorker,
  toPlain,
  type WorkerStart,
} from "./messages.ts";
import type { ServerParts } from "./supervisor.ts";
import type { WatchedTexts } from "./watched.ts";
import type { Writer } from "./writer.ts";
import { YOUNG_MB_MAX } from "./young.ts";

export interface Member {
  readonly role: Role;
  readonly thread: Worker;
  /** Settled by "listening" or "refused". */
  heard?: { resolve(port: number): void; reject(error: unknown): void };
  closed?: () => void;
}

export type Role = "listenerWorker" | "linkerWorker";

export class Crew {
  readonly #parts: ServerParts;
  readonly #control: ControlMemory;
  /** What listeners start with. */
  readonly #texts: WatchedTexts;
  readonly #members: Member[] = [];
  /** Notices that some threads have not taken up yet: how many, by ticket. */
  readonly #untaken = new Map<number, { left: number; resolve(): void }>();
  #ticketCount = 0;
  #isClosing = false;
  #imager: Worker | undefined;
  ask!: (request: Request) => ReturnType<Writer["handle"]>;

  constructor(parts: ServerParts, control: ControlMemory, texts: WatchedTexts) {
    this.#parts = parts;
    this.#control = control;
    this.#texts = texts;
  }

  start(role: Role, worker: number, health: Health): Member {
    const thread = this.#launch(role, worker, health);
    const member: Member = { role, thread };
    thread.on("message", (message: FromWorker) => this.#read(member, message));
    this.#members.push(member);
    return member;
  }

  #launch(role: Role | "imagerWorker", worker: number, health: Health): Worker {
    const { config, variant, desk, version, onFatal } = this.#parts;
    const control = this.#control.memory;
    const workerData: WorkerStart = {
      ...{ config, control, variant, desk, version, worker, health, texts: this.#texts },
      collections: [],
    };
    const file = new URL(`./${role}${extname(import.meta.url)}`, import.meta.url);
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MB_MAX };
    const thread = new Worker(file, { workerData, resourceLimits, name: `${role}-${worker}` });
    thread.on("error", (error) => onFatal(error as Error));
    thread.on("exit", (code) => {
      if (!this.#isClosing) onFatal(new Error(`the thread ${role}-${worker} ended with ${code}`));
    });
    return thread;
  }

  /** The thread that takes images; it follows no notices, and ends by endImager. */
  startImager(health: Health): Worker {
    this.#imager = this.#launch("imagerWorker", 0, health);
    return this.#imager;
  }

  async endImager(): Promise<void> {
    await this.#imager?.terminate();
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

  /** Hands changed texts to the listeners. */
  reload(texts?: WatchedTexts): void {
    for (const member of this.#members) {
      if (member.role === "listenerWorker") this.#say(member, { kind: "reload", texts });
    }
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
