/** Shards that keep codes alone: float32 stays only of rows that no code holds. */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { rowAt } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import { ImagedShard } from "../../src/engine/imaged.ts";
import { loadShard } from "../../src/engine/loadShard.ts";
import { reserveMemory } from "../../src/engine/memory.ts";
import type { Sections } from "../../src/engine/sections.ts";
import { NO_SLOT, type Shard } from "../../src/engine/shard.ts";
import type { VariantName } from "../../src/engine/variant.ts";
import { retire, takeFreed } from "../../src/engine/writing.ts";
import { OmenError } from "../../src/errors.ts";
import {
  append,
  clustered,
  linkAll,
  METRICS,
  newShard,
  overVariants,
  recallAt,
  replace,
  rowsOf,
  SEED,
  scan,
  search,
  settle,
  settleCodes,
  variantOf,
  words,
} from "./trial.ts";

const DIMENSIONS = 32;
const LEARNED = 1024;

function noise(rows: number, spread = 1, seed = SEED): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: rows * DIMENSIONS }, () => spread * random.normal());
}

const codedShard = (name: VariantName, capacity: number) =>
  newShard(name, { dimensions: DIMENSIONS, capacity, vectors: "none" });

/** Rows that have their float32, beside the bays that hold none. */
function kept(shard: Shard): number {
  const at = (offset: number) => words(shard)[offset >>> 2]!;
  return at(L.HEADER_BAYS_USED) - at(L.HEADER_BAYS_FREE) - L.BAYS_RESERVED;
}

function farthest(shard: Shard, slot: number, vector: Float32Array): number {
  return Math.max(...shard.vector(slot).map((x, i) => Math.abs(x - vector[i]!)));
}

function imageOf({ memory }: Shard, change?: (held: Map<string, Uint8Array>) => void): Sections {
  const imaged = new ImagedShard(memory);
  const held = new Map<string, Uint8Array>();
  for (const { name, base, bytes } of imaged.regions()) {
    held.set(name, imaged.bytes.slice(base, base + bytes));
  }
  for (const { name, bytes } of imaged.parts()) held.set(name, bytes);
  change?.(held);
  return {
    lengthOf: (name) => held.get(name)?.length,
    load: async (name, target, sum) => {
      target.set(held.get(name)!);
      sum?.(target);
    },
    damage: (name, message) => new OmenError("CORRUPT_FILE", `${name}: ${message}`),
  };
}

function load(
  name: VariantName,
  sections: Sections,
  capacityMax: number,
  vectors: "none" | "memory" = "none",
): Promise<Shard> {
  const variant = variantOf(name);
  const settings = {
    ...({ dimensions: DIMENSIONS, metric: "l2", quantization: "sq8", vectors } as const),
    ...{ m: 16, workers: 1, capacityMax },
  };
  const memory = reserveMemory(1024, variant.shared);
  const pause = async () => undefined;
  return loadShard(variant, memory, settings, { sections, prefix: "", sequence: 9, pause });
}

overVariants("a shard that keeps codes alone", (name) => {
  it("keeps float32 until it has learned a range, and then of almost none", () => {
    const values = noise(3000);
    const shard = codedShard(name, 4000);
    append(shard, values.subarray(0, 1000 * DIMENSIONS));
    linkAll(shard);
    expect(kept(shard)).to.equal(1000);
    expect(farthest(shard, 7, rowAt(rowsOf(values, DIMENSIONS), 7))).to.equal(0);
    append(shard, values.subarray(1000 * DIMENSIONS));
    linkAll(shard);
    settle(shard);
    expect(kept(shard)).to.be.below(3000 / 20);
    expect(shard.memoryBytes().vectors).to.be.below(3000 * DIMENSIONS * 4 * 0.1);
    expect(shard.check()).to.equal(undefined);
    for (let row = 0; row < 3000; row += 59) {
      const vector = rowAt(rowsOf(values, DIMENSIONS), row);
      expect(farthest(shard, row, vector), `row ${row}`).to.be.below(0.3);
      expect(search(shard, vector, { k: 1 })).to.deep.equal([row]);
      expect(scan(shard, vector, { k: 1 })).to.deep.equal([row]);
    }
  });

  for (const metric of METRICS) {
    it(`has recall@10 >= 0.9 against float32: 3,000 clustered rows, 64 d, ${metric}, ef 96`, () => {
      const dataset = clustered(3000, 64, metric);
      const shard = newShard(name, { dimensions: 64, metric, vectors: "none" });
      append(shard, dataset.base.values);
      linkAll(shard);
      settle(shard);
      expect(recallAt(shard, dataset)).to.be.at.least(0.9);
    });
  }

  it("widens its range for rows that leave it, and nobody is lost", () => {
    const shard = codedShard(name, 5000);
    const narrow = noise(2000);
    const wide = noise(2000, 20, SEED + 1);
    append(shard, narrow);
    linkAll(shard);
    append(shard, wide);
    linkAll(shard);
    settle(shard);
    settleCodes(shard);
    expect(kept(shard)).to.be.below(4000 / 20);
    for (let row = 0; row < 2000; row += 83) {
      const vector = rowAt(rowsOf(wide, DIMENSIONS), row);
      expect(scan(shard, vector, { k: 1 })).to.deep.equal([2000 + row]);
      // A step is a hundredth of the whole range now.
      expect(farthest(shard, row, rowAt(rowsOf(narrow, DIMENSIONS), row))).to.be.below(2);
    }
    expect(shard.check()).to.equal(undefined);
  });

  it("makes a range itself when rows come faster than linkers look", () => {
    const shard = codedShard(name, 20_000);
    const values = noise(9000);
    append(shard, values);
    expect(kept(shard)).to.be.below(9000 / 20);
    const far = noise(9000, 100, SEED + 2);
    append(shard, far);
    expect(kept(shard)).to.be.below(8193);
    for (let row = 0; row < 9000; row += 499) {
      expect(scan(shard, rowAt(rowsOf(far, DIMENSIONS), row), { k: 1 })).to.deep.equal([
        9000 + row,
      ]);
    }
  });

  it("gives rooms of rows that went to others", () => {
    const shard = codedShard(name, 4000);
    append(shard, noise(LEARNED + 500));
    linkAll(shard);
    settle(shard);
    const before = kept(shard);
    let sequence = 2;
    for (let round = 0; round < 3; round++) {
      const outlier = new Float32Array(DIMENSIONS).fill(1e6 * (round + 1));
      const slot = replace(shard, NO_SLOT, outlier, sequence++);
      expect(kept(shard)).to.equal(before + 1);
      expect([...shard.vector(slot)]).to.deep.equal([...outlier]);
      expect(search(shard, outlier, { k: 1, snapshot: sequence })).to.deep.equal([slot]);
      linkAll(shard);
      retire(shard, slot, sequence);
      for (let steps = 0; takeFreed(shard) === NO_SLOT; steps++) {
        if (steps > 1000) throw new Error("no slot comes back");
        settle(shard, sequence);
      }
      expect(kept(shard)).to.equal(before);
    }
  });

  it("loads from its image as it was, also while rows move to another range", async () => {
    const shard = codedShard(name, 6000);
    append(shard, noise(2000));
    linkAll(shard);
    append(shard, noise(2000, 10, SEED + 1));
    const { engine } = shard;
    engine.learn(0);
    expect(engine.isReencoding()).to.not.equal(0);
    engine.reencode(1500);
    expect(engine.isReencoding()).to.not.equal(0);
    const loaded = await load(name, imageOf(shard), 5000);
    for (let slot = 0; slot < 4000; slot += 7) {
      expect([...loaded.vector(slot)]).to.deep.equal([...shard.vector(slot)]);
    }
    expect(kept(loaded)).to.equal(kept(shard));
    linkAll(loaded);
    settle(loaded);
    expect(loaded.check()).to.equal(undefined);
    expect(kept(loaded)).to.be.below(4000 / 20);
    append(loaded, noise(10, 1000), 2);
  });

  it("is not taken for a shard with float32, nor the other way round", async () => {
    for (const vectors of ["none", "memory"] as const) {
      const shard = newShard(name, { dimensions: DIMENSIONS, capacity: 100, vectors });
      append(shard, noise(50));
      const other = vectors === "none" ? "memory" : "none";
      const error = await load(name, imageOf(shard), 2000, other).catch((cause: unknown) => cause);
      expect((error as OmenError).code).to.equal("UNSUPPORTED_FORMAT");
      const number = vectors === "none" ? 2 : 1;
      expect((error as OmenError).message).to.include(`a shard of version ${number}, `);
    }
  });

  it("refuses an image in which two rows share their float32, or it lies outside", async () => {
    const shard = codedShard(name, 2000);
    append(shard, noise(50));
    linkAll(shard);
    const spoil = (slot: number, bay: number) =>
      imageOf(shard, (held) => new Uint32Array(held.get("bays")!.buffer).fill(bay, slot, slot + 1));
    for (const sections of [spoil(3, 5), spoil(3, 2), spoil(3, 1000)]) {
      const error = await load(name, sections, 2000).catch((cause: unknown) => cause);
      expect((error as Error).message).to.include("float32 lies where it cannot");
    }
    const torn = imageOf(shard, (held) => {
      new Float32Array(held.get("vectors")!.buffer).fill(Number.NaN);
    });
    const error = await load(name, torn, 2000).catch((cause: unknown) => cause);
    expect((error as Error).message).to.include("component");
  });
});
