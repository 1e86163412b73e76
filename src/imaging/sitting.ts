/** A collection sits for its image: what the writer's thread does when an imager asks it to. */
import type { Collection, ShardMemories } from "../collections/collection.ts";
import { imagedMemories, partsBeside } from "../collections/imaged.ts";
import type { Gate } from "./gate.ts";
import { holdLinkers, type Sitter, type Standing } from "./imager.ts";

export class Sitting implements Sitter {
  /** How long the writer could not go on, once it is over. */
  pauseMs = 0;
  readonly collection: Collection;
  readonly #gate: Gate;
  readonly #ring: () => void;
  #stoppedAtMs: number | undefined;

  constructor(collection: Collection, gate: Gate, ring: () => void) {
    this.collection = collection;
    this.#gate = gate;
    this.#ring = ring;
  }

  async turn(): Promise<readonly ShardMemories[]> {
    const { shards } = this.collection.memories;
    for (const { memory } of imagedMemories(shards)) memory.turn();
    return shards;
  }

  hold(): Promise<void> {
    return holdLinkers(this.collection.state);
  }

  async stop(): Promise<Standing> {
    const before = performance.now();
    await this.#gate.close();
    this.#stoppedAtMs = before;
    const shards = await this.turn();
    const { name, settings, sequence, live } = this.collection;
    const title = { name, settings, createdAt: new Date().toISOString() };
    return { sequence, shards, title, parts: partsBeside(this.collection), vectors: live };
  }

  go(): void {
    if (this.#stoppedAtMs !== undefined) {
      this.pauseMs = performance.now() - this.#stoppedAtMs;
      this.#stoppedAtMs = undefined;
      this.#gate.open();
    }
    this.collection.state.release();
    this.#ring();
  }
}
