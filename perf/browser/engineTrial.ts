/**
 * The engine as one thread drives it over memory of its own: the same code in Node and in a page,
 * so that the two can be compared, and beside rivals that are driven as closely.
 */
import { plan } from "../../src/collections/planner.ts";
import { linkSlice } from "../../src/engine/linking.ts";
import { formatShard, NO_SLOT, Shard } from "../../src/engine/shard.ts";
import type { Variant } from "../../src/engine/variant.ts";
import { publish, takeSlot } from "../../src/engine/writing.ts";
import { type Rows, rowAt } from "../exact.ts";
import type { BuildOptions, Peer } from "../peers/peer.ts";

/** A longer tail is linked hastily, with less than efConstruction. */
const APPEND_ROWS = 4000;
const PAGE_BYTES = 65536;
const FIXED_BYTES = 16 * 1024 * 1024;

export class EngineTrial implements Peer {
  readonly name = "omendb";
  readonly measures = "7-bit codes, rescored";
  readonly #variant: Variant;
  #shard: Shard | undefined;

  constructor(variant: Variant) {
    this.#variant = variant;
  }

  build({ values, count, dimensions }: Rows, { m, efConstruction, metric }: BuildOptions): void {
    const rowBytes = dimensions * 6 + 16 * m + 256;
    const pages = Math.ceil((FIXED_BYTES + count * rowBytes) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const settings = { dimensions, metric, quantization: "sq8", m, workers: 1 } as const;
    const capacity = formatShard(this.#variant, memory, { ...settings, capacityMax: count });
    if (capacity < count) throw new Error(`room for ${capacity} rows of ${count}`);
    const shard = new Shard(this.#variant, memory, 0);
    for (let row = 0; row < count; row++) {
      const slot = takeSlot(shard);
      shard.vector(slot).set(rowAt({ values, count, dimensions }, row));
      publish(shard, slot, NO_SLOT, 1);
      if (shard.tail === APPEND_ROWS || row + 1 === count) {
        while (linkSlice(shard, APPEND_ROWS, efConstruction));
      }
    }
    this.#shard = shard;
  }

  search(query: Float32Array, k: number, ef: number): number[] {
    const shard = this.#shard!;
    const { dimensions, live } = shard;
    const question = { k, ef, exact: false, matching: live, live, filtered: false, dimensions };
    const { candidates } = plan(question);
    shard.setQuery(query);
    const found = Math.min(k, shard.search(ef, candidates, 1, k));
    return Array.from({ length: found }, (_, place) => shard.resultSlot(place));
  }
}
