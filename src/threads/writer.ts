/**
 * The single writer. Each collection's writes wait in a queue; all that wait are decided, committed
 * to the journal as one group, applied in order and answered. A write with a condition is decided
 * against the state that the writes before it will have left (decisions.ts).
 *
 * A new collection or shard is used only when every thread holds its memories.
 */
import type { Catalog } from "../collections/catalog.ts";
import { apply, hasRoom } from "../collections/changes.ts";
import {
  type Collection,
  type ShardMemories,
  STATE_BYTES,
  shardSettings,
} from "../collections/collection.ts";
import type { CollectionSettings } from "../collections/database.ts";
import { Decisions } from "../collections/decisions.ts";
import { Rows } from "../collections/rows.ts";
import { reserveMemory } from "../engine/memory.ts";
import { formatShard } from "../engine/shard.ts";
import { OmenError } from "../errors.ts";
import { readHeader, seal } from "../storage/frame.ts";
import type { Answer, Notice, Request } from "./messages.ts";

export interface WriterOptions {
  readonly catalog: Catalog;
  /** Threads that hold every shard. */
  readonly workers: number;
  readonly shardRows: number;
  /** Resolves when every other thread has taken the notice up. */
  announce(notice: Notice): Promise<void>;
  /** Wakes the linkers. */
  ring(): void;
}

interface Waiting {
  readonly request: Request & { kind: "write" };
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #queues = new Map<string, Waiting[]>();
  /** Creating and dropping go one at a time. */
  #catalogTurn: Promise<unknown> = Promise.resolve();

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Resolves when the request is carried out and visible to every reader. */
  handle(request: Request): Promise<Answer> {
    if (request.kind === "write") return this.#enqueue(request);
    const turn = this.#catalogTurn.then(() =>
      request.kind === "create"
        ? this.#create(request.name, request.settings)
        : this.#drop(request.name),
    );
    this.#catalogTurn = turn.catch(() => undefined);
    return turn;
  }

  async #create(name: string, settings: CollectionSettings): Promise<Answer> {
    const { catalog, announce } = this.#options;
    const present = catalog.get(name);
    if (present) {
      if (isSame(present.settings, settings)) return { sequence: present.sequence, changed: 0 };
      const difference = describeDifference(present.settings, settings);
      throw new OmenError("COLLECTION_EXISTS", `collection ${name} exists with ${difference}`);
    }
    const shards = [this.#newShard(settings)];
    const parts = { name, settings, state: new SharedArrayBuffer(STATE_BYTES), shards };
    // First here: a listener that has taken it up may send a write before the last one has.
    catalog.attach(parts);
    await announce({ kind: "attach", parts });
    return { sequence: 0, changed: 1 };
  }

  async #drop(name: string): Promise<Answer> {
    const { catalog, announce } = this.#options;
    const present = catalog.get(name);
    if (!present) return { sequence: 0, changed: 0 };
    catalog.detach(name);
    await announce({ kind: "detach", name });
    return { sequence: present.sequence, changed: 1 };
  }

  #newShard(settings: CollectionSettings): ShardMemories {
    const { workers, shardRows, catalog } = this.#options;
    const vectors = reserveMemory();
    const wanted = shardSettings(settings, workers, shardRows);
    const capacity = formatShard(catalog.thread.variant, vectors, wanted);
    const rows = reserveMemory();
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    Rows.format(rows, capacity, seed);
    return { vectors, rows };
  }

  async #openShard(collection: Collection): Promise<void> {
    this.#refuseDropped(collection);
    const memories = this.#newShard(collection.settings);
    await this.#options.announce({ kind: "attachShard", name: collection.name, memories });
    collection.attach(memories);
  }

  /** It may have been dropped, and another made by its name, while the write waited. */
  #refuseDropped(collection: Collection): void {
    const { name } = collection;
    if (this.#options.catalog.get(name) === collection) return;
    throw new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
  }

  #enqueue(request: Request & { kind: "write" }): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const waiting = { request, resolve, reject };
      const queue = this.#queues.get(request.name);
      if (queue) {
        queue.push(waiting);
        return;
      }
      this.#queues.set(request.name, [waiting]);
      setImmediate(() => this.#drain(request.name));
    });
  }

  async #drain(name: string): Promise<void> {
    const queue = this.#queues.get(name)!;
    while (queue.length > 0) {
      const group = queue.splice(0);
      try {
        await this.#carryOut(name, group);
      } catch (error) {
        for (const waiting of group) waiting.reject(error);
      }
    }
    this.#queues.delete(name);
  }

  async #carryOut(name: string, group: readonly Waiting[]): Promise<void> {
    const collection = this.#options.catalog.get(name);
    if (!collection) throw new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
    const accepted: Waiting[] = [];
    const decisions = new Decisions(
      collection,
      group.map(({ request }) => request),
    );
    let sequence = collection.sequence;
    for (const waiting of group) {
      try {
        decisions.decide(waiting.request);
        seal(waiting.request.frame, ++sequence, () => 0);
        decisions.accept(waiting.request.frame, sequence);
        accepted.push(waiting);
      } catch (error) {
        waiting.reject(error);
      }
    }
    for (const { request, resolve } of accepted) {
      while (!hasRoom(collection, request.frame)) await this.#openShard(collection);
      this.#refuseDropped(collection);
      const changed = await apply(collection, request.frame);
      this.#options.ring();
      resolve({ sequence: readHeader(request.frame).sequence, changed });
    }
  }
}

const SETTING_NAMES = [
  "dimensions",
  "metric",
  "quantization",
  "m",
  "efConstruction",
  "efSearch",
] as const;

function isSame(a: CollectionSettings, b: CollectionSettings): boolean {
  return SETTING_NAMES.every((name) => a[name] === b[name]);
}

function describeDifference(present: CollectionSettings, wanted: CollectionSettings): string {
  return SETTING_NAMES.filter((name) => present[name] !== wanted[name])
    .map((name) => `${name} ${present[name]}, not ${wanted[name]}`)
    .join("; ");
}
