/**
 * The single writer. Each collection's writes wait in a queue; all that wait are decided, given to
 * the keeper as one group (in strict mode one write and one fdatasync), applied in order and
 * answered. A write with a condition is decided against the state that the writes before it will
 * have left (decisions.ts). Whatever can refuse a write comes before the keeper has it, for after
 * that nothing may fail.
 *
 * What concerns one collection goes in its lane, one piece of work after the other: groups of
 * writes, making it, dropping it.
 */
import type { Catalog } from "../collections/catalog.ts";
import { apply } from "../collections/changes.ts";
import type { Collection } from "../collections/collection.ts";
import type { CollectionSettings } from "../collections/database.ts";
import { Decisions } from "../collections/decisions.ts";
import { compileFilter } from "../collections/filter.ts";
import { bytesFor, SHARD_BYTES } from "../collections/quota.ts";
import { framesRemoving } from "../collections/removing.ts";
import { describeDifference, isSameSettings } from "../collections/settings.ts";
import { OmenError } from "../errors.ts";
import { type Crc32c, readHeader, seal } from "../storage/frame.ts";
import { Claims } from "./claims.ts";
import { letGo } from "./garbage.ts";
import type { Answer, Notice, Request } from "./messages.ts";
import type { Room } from "./room.ts";

/** Where collections and frames outlive the process; without one all is in memory only. */
export interface Keeper {
  readonly crc32c: Crc32c;
  /** When these return, any start finds it so. Throw STORAGE_FULL, READ_ONLY. */
  create(name: string, settings: CollectionSettings): Promise<unknown>;
  /** The collection is there: its state says from here on how its disk stands. */
  attached(collection: Collection): void;
  drop(name: string): Promise<void>;
  commit(name: string, group: readonly Uint8Array[]): Promise<void>;
  /** Around each change of memory: an image may need the collection to stand still. */
  enter(name: string): Promise<void>;
  leave(name: string): void;
}

export interface WriterOptions {
  readonly catalog: Catalog;
  readonly room: Room;
  readonly keeper?: Keeper;
  readonly memoryBytesMax?: number;
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

const NOTHING: Answer = { sequence: 0, changed: 0 };
const MIB = 1024 * 1024;
export class Writer {
  readonly #options: WriterOptions;
  readonly #queues = new Map<string, Waiting[]>();
  /** The last piece of work of each collection that has any. */
  readonly #lanes = new Map<string, Promise<unknown>>();

  readonly #claims = new Claims();

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Resolves when the request is carried out and visible to every reader. */
  handle(request: Exclude<Request, { kind: "snapshot" }>): Promise<Answer> {
    const { name } = request;
    if (request.kind === "write") return this.#enqueue(request);
    if (request.kind === "claim") return this.#claim(name, request.key);
    if (request.kind === "release") return this.#release(name, request.key);
    if (request.kind === "removeMatching") {
      return this.inLane(name, () => this.#removeMatching(request));
    }
    if (request.kind === "drop") return this.inLane(name, () => this.#drop(name));
    return this.inLane(name, () => this.#create(name, request.settings));
  }

  /** Does the work when all that came before it for the collection is done. */
  inLane<T>(name: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#lanes.get(name) ?? Promise.resolve()).then(work);
    const end = result
      .catch(() => undefined)
      .then(() => {
        if (this.#lanes.get(name) === end) this.#lanes.delete(name);
      });
    this.#lanes.set(name, end);
    return result;
  }

  async #claim(name: string, key: string): Promise<Answer> {
    this.#claims.claim(name, key);
    const first = this.#options.catalog.get(name)?.ledger.find(key, Date.now());
    return { ...NOTHING, first };
  }

  async #release(name: string, key: string): Promise<Answer> {
    this.#claims.release(name, key);
    return NOTHING;
  }

  async #create(name: string, settings: CollectionSettings): Promise<Answer> {
    const { catalog, room, keeper, announce } = this.#options;
    const present = catalog.get(name);
    if (present) {
      if (isSameSettings(present.settings, settings)) {
        return { sequence: present.sequence, changed: 0 };
      }
      const difference = describeDifference(present.settings, settings);
      throw new OmenError("COLLECTION_EXISTS", `collection ${name} exists with ${difference}`);
    }
    this.#refusePast(this.#bytesHeld() + SHARD_BYTES);
    const parts = room.newCollection(name, settings);
    await keeper?.create(name, settings);
    // First here: a listener that has taken it up may send a write before the last one has.
    const collection = catalog.attach(parts);
    keeper?.attached(collection);
    await announce({ kind: "attach", parts });
    return { sequence: 0, changed: 1 };
  }

  async #drop(name: string): Promise<Answer> {
    const { catalog, keeper, announce } = this.#options;
    const present = catalog.get(name);
    if (!present) return { sequence: 0, changed: 0 };
    await keeper?.drop(name);
    catalog.detach(name);
    letGo();
    await announce({ kind: "detach", name });
    return { sequence: present.sequence, changed: 1 };
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
      await this.inLane(name, async () => {
        const group = queue.splice(0);
        try {
          await this.#carryOut(name, group);
        } catch (error) {
          for (const waiting of group) waiting.reject(error);
        }
      });
    }
    this.#queues.delete(name);
  }

  /** Found and removed in one turn of the lane. */
  async #removeMatching(request: Request & { kind: "removeMatching" }): Promise<Answer> {
    const { name, filter, once } = request;
    const collection = this.#options.catalog.get(name);
    if (!collection) throw new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
    const compiled = compileFilter(JSON.parse(filter), "/filter");
    const frames = await framesRemoving(collection, compiled, once);
    const removals = frames.map((frame) => ({
      request: { kind: "write", name, frame, mode: "upsert" } as const,
      ...Promise.withResolvers<Answer>(),
    }));
    await this.#carryOut(name, removals);
    let answer: Answer = { sequence: collection.sequence, changed: 0 };
    for (const { promise } of removals) {
      const { sequence, changed } = await promise;
      answer = { sequence, changed: answer.changed + changed };
    }
    return answer;
  }

  /**
   * A first write makes its collection. When it is refused, the collection is gone again before
   * anyone hears of it.
   */
  async #carryOut(name: string, group: readonly Waiting[]): Promise<void> {
    const { catalog } = this.#options;
    const present = catalog.get(name);
    if (present) return this.#write(present, group);
    const defaults = group.find(({ request }) => request.defaults)?.request.defaults;
    if (!defaults) throw new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
    await this.#create(name, defaults);
    const made = catalog.get(name)!;
    const refusals: (() => void)[] = [];
    const quiet = group.map(({ request, resolve, reject }) => ({
      ...{ request, resolve },
      reject: (error: unknown) => void refusals.push(() => reject(error)),
    }));
    try {
      await this.#write(made, quiet);
    } finally {
      // Where the disk does not even take this, an empty collection stays.
      if (made.sequence === 0) await this.#drop(name).catch(() => undefined);
      for (const refuse of refusals) refuse();
    }
  }

  async #write(collection: Collection, group: readonly Waiting[]): Promise<void> {
    const { room, keeper, ring } = this.#options;
    const { name } = collection;
    // To look for room is to take back what is free, which changes memory too.
    const accepted = await this.#alone(name, async () => {
      const found = this.#decide(collection, group);
      await room.make(
        collection,
        found.map(({ request }) => request.frame),
      );
      return found;
    });
    if (accepted.length === 0) return;
    const frames = accepted.map(({ request }) => request.frame);
    await keeper?.commit(name, frames);
    for (const { request, resolve } of accepted) {
      const changed = await this.#alone(name, () => apply(collection, request.frame));
      ring();
      resolve({ sequence: readHeader(request.frame).sequence, changed });
    }
  }

  /** Changes memory while no image needs it to stand still. */
  async #alone<T>(name: string, change: () => Promise<T>): Promise<T> {
    const { keeper } = this.#options;
    await keeper?.enter(name);
    try {
      return await change();
    } finally {
      keeper?.leave(name);
    }
  }

  /** Refuses what cannot be, and seals the rest as the writes that come next. */
  #decide(collection: Collection, group: readonly Waiting[]): Waiting[] {
    const crc32c = this.#options.keeper?.crc32c ?? (() => 0);
    const accepted: Waiting[] = [];
    const decisions = new Decisions(
      collection,
      group.map(({ request }) => request),
    );
    let { sequence } = collection;
    let bytes = this.#bytesHeld();
    for (const waiting of group) {
      const { frame } = waiting.request;
      try {
        decisions.decide(waiting.request);
        const taken = this.#fit(collection, frame, bytes);
        decisions.allow(frame);
        bytes += taken;
        seal(frame, ++sequence, crc32c);
        decisions.accept(frame, sequence);
        accepted.push(waiting);
      } catch (error) {
        waiting.reject(error);
      }
    }
    return accepted;
  }

  /** What all collections hold of the machine's memory; not counted where there is no limit. */
  #bytesHeld(): number {
    const { catalog, memoryBytesMax } = this.#options;
    if (memoryBytesMax === undefined) return 0;
    return catalog.list().reduce((sum, each) => sum + each.stats().memoryBytes, 0);
  }

  /** What the frame's rows will take; throws MEMORY_LIMIT when it would pass the limit. */
  #fit(collection: Collection, frame: Uint8Array, held: number): number {
    if (this.#options.memoryBytesMax === undefined) return 0;
    const bytes = bytesFor(collection, frame);
    if (bytes > 0) this.#refusePast(held + bytes);
    return bytes;
  }

  #refusePast(bytes: number): void {
    const { memoryBytesMax } = this.#options;
    if (memoryBytesMax === undefined || bytes <= memoryBytesMax) return;
    const [needed, limit] = [bytes, memoryBytesMax].map((each) => Math.ceil(each / MIB));
    const message = `the write would bring the collections to ${needed} MiB of ${limit} MiB`;
    throw new OmenError("MEMORY_LIMIT", `${message} (OMENDB_MEMORY_LIMIT_MB)`);
  }
}
