/**
 * The collections that a thread holds, by name. The writer's thread says what is in it; every other
 * one follows.
 */
import { Collection, type CollectionParts, type ShardMemories, type Thread } from "./collection.ts";
import type { Health } from "./database.ts";

export class Catalog {
  readonly thread: Thread;
  /** How the server is, as the writer's thread has said last. */
  health: Health = { status: "healthy" };
  readonly #byName = new Map<string, Collection>();

  constructor(thread: Thread) {
    this.thread = thread;
  }

  get(name: string): Collection | undefined {
    return this.#byName.get(name);
  }

  list(): Collection[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  attach(parts: CollectionParts): Collection {
    const collection = new Collection(this.thread, parts);
    this.#byName.set(parts.name, collection);
    return collection;
  }

  attachShard(name: string, memories: ShardMemories): void {
    this.#byName.get(name)?.attach(memories);
  }

  detach(name: string): void {
    this.#byName.delete(name);
  }
}
