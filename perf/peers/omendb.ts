/** This engine, as a benchmark of libraries looks at it. */
import { plan } from "../../src/collections/planner.ts";
import { linkSlice } from "../../src/engine/linking.ts";
import { reserveMemory } from "../../src/engine/memory.ts";
import { formatShard, NO_SLOT, Shard } from "../../src/engine/shard.ts";
import type { Variant } from "../../src/engine/variant.ts";
import { takeSlot } from "../../src/engine/writing.ts";
import { type Rows, rowAt } from "../exact.ts";
import type { BuildOptions, Peer } from "./peer.ts";

/** A longer tail is linked hastily, with less than efConstruction. */
const APPEND_ROWS = 4000;

/** The engine as one thread drives it: rows appended and linked, then searched. */
export class EnginePeer implements Peer {
  readonly name: string;
  readonly measures = "7-bit codes, rescored";
  readonly #variant: Variant;
  #shard: Shard | undefined;
  #ef = 0;
  #candidates = 0;

  constructor(variant: Variant, efConstruction: number) {
    this.#variant = variant;
    this.name = `omendb efConstruction ${efConstruction}`;
  }

  build(base: Rows, { m, efConstruction, metric }: BuildOptions): void {
    const { count, dimensions } = base;
    const memory = reserveMemory();
    const settings = { dimensions, metric, quantization: "sq8", m, workers: 1 } as const;
    formatShard(this.#variant, memory, { ...settings, capacityMax: count });
    const shard = new Shard(this.#variant, memory, 0);
    for (let row = 0; row < count; row++) {
      const slot = takeSlot(shard);
      shard.vector(slot).set(rowAt(base, row));
      shard.engine.publishRow(slot, NO_SLOT, 1);
      if (shard.tail === APPEND_ROWS || row + 1 === count) {
        while (linkSlice(shard, APPEND_ROWS, efConstruction));
      }
    }
    this.#shard = shard;
  }

  search(query: Float32Array, k: number, ef: number): ArrayLike<number> {
    const shard = this.#shard!;
    if (this.#ef !== ef) this.#plan(shard, k, ef);
    shard.setQuery(query);
    const found = Math.min(k, shard.search(ef, this.#candidates, 1, k));
    const slots: number[] = [];
    for (let place = 0; place < found; place++) slots.push(shard.resultSlot(place));
    return slots;
  }

  /** Distances that the last search computed. */
  distances(): number {
    return this.#shard!.distancesComputed;
  }

  bytes(): number {
    return Object.values(this.#shard!.memoryBytes()).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** As a search through a collection is planned; k is the same throughout. */
  #plan(shard: Shard, k: number, ef: number): void {
    const { dimensions, live } = shard;
    const question = { k, ef, exact: false, matching: live, live, filtered: false, dimensions };
    const planned = plan(question);
    if (planned.ef !== ef) throw new Error(`a search for ${k} rows has an ef of ${planned.ef}`);
    this.#ef = ef;
    this.#candidates = planned.candidates;
  }
}
