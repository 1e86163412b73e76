/** A shard's image is taken wherever a repair stands: it loads, and the repair goes on from there. */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { type Random, seededRandom } from "../../perf/random.ts";
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
  linkAll,
  newShard,
  overVariants,
  SEED,
  search,
  settle,
  variantOf,
  words,
} from "./trial.ts";

const DIMENSIONS = 16;
const ROWS = 1500;
/** Many rows have upper levels, and link to each other there. */
const M = 4;
const PAGES = 512;

function imageOf({ memory }: Shard): Sections {
  const imaged = new ImagedShard(memory);
  const held = new Map<string, Uint8Array>();
  for (const { name, base, bytes } of imaged.regions()) {
    held.set(name, imaged.bytes.slice(base, base + bytes));
  }
  for (const { name, bytes } of imaged.parts()) held.set(name, bytes);
  return {
    lengthOf: (name) => held.get(name)?.length,
    load: async (name, target) => target.set(held.get(name)!),
    damage: (name, message) => new OmenError("CORRUPT_FILE", `${name}: ${message}`),
  };
}

function load(
  name: VariantName,
  from: Shard,
  sequence: number,
  sections = imageOf(from),
): Promise<Shard> {
  const variant = variantOf(name);
  const settings = {
    ...({ dimensions: DIMENSIONS, metric: "l2", quantization: "sq8", m: M } as const),
    ...{ workers: 1, capacityMax: 2 * ROWS },
  };
  const memory = reserveMemory(PAGES, variant.shared);
  const pause = async () => undefined;
  return loadShard(variant, memory, settings, {
    ...{ sections, prefix: "", sequence, pause },
  });
}

const vectorsFrom = (random: Random, rows: number) =>
  Float32Array.from({ length: rows * DIMENSIONS }, () => random.normal());

overVariants("an image of a shard", (name) => {
  it("loads from every step of a repair, and the repair goes on", async () => {
    const random = seededRandom(SEED);
    const shard = newShard(name, { dimensions: DIMENSIONS, m: M, capacity: 2 * ROWS });
    append(shard, vectorsFrom(random, ROWS));
    linkAll(shard);
    settle(shard);
    for (let slot = 0; slot < ROWS; slot += 2) retire(shard, slot, 2);
    shard.engine.forget(2);
    const phases = new Set<number>();
    let steps = 0;
    do {
      shard.engine.repair(shard.worker, 20, 1_000_000);
      // The writer takes slots back while a repair goes on.
      for (let i = 0; i < 20 && takeFreed(shard) !== NO_SLOT; i++);
      phases.add(words(shard)[L.HEADER_REPAIR_PHASE >>> 2]!);
      if (steps++ % 4 !== 0) continue;
      const loaded = await load(name, shard, 2);
      settle(loaded, 2);
      while (takeFreed(loaded) !== NO_SLOT);
      expect(loaded.check(), `step ${steps}`).to.equal(undefined);
      expect(words(loaded)[L.HEADER_FREE_COUNT >>> 2]).to.equal(ROWS / 2);
      // M 4 leaves few ways to a row: a walk as wide as the rows is owed it.
      const found = search(loaded, shard.vector(1), { k: 1, ef: ROWS, snapshot: 2 });
      expect(found).to.deep.equal([1]);
    } while (words(shard)[L.HEADER_REPAIR_PHASE >>> 2] !== 0);
    expect([...phases]).to.include.members([1, 3, 5, 6]);
  });

  it("is refused when rows to come are dead or doomed already", async () => {
    const shard = newShard(name, { dimensions: DIMENSIONS, m: M, capacity: 2 * ROWS });
    append(shard, vectorsFrom(seededRandom(SEED), 9));
    linkAll(shard);
    for (const region of ["dead", "doomed"]) {
      const sound = imageOf(shard);
      const spoilt: Sections = {
        ...sound,
        load: async (section, target) => {
          await sound.load(section, target);
          if (section === region) target[1]! |= 2;
        },
      };
      const error = await load(name, shard, 1, spoilt).catch((cause: unknown) => cause);
      expect(error).to.be.instanceOf(OmenError);
      expect((error as Error).message).to.include(`${region}: it has bits`);
    }
  });
});
