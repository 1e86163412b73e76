/**
 * Slots are given away under readers on other threads: an answer is of one write or is not given.
 * And what a collection takes stays what its rows need, however often they are written.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { isSettled, tend, unrepaired } from "../../src/engine/linking.ts";
import { compileVariant, SHARED_VARIANTS, type Variant } from "../../src/engine/variant.ts";
import { readVariant } from "../../src/threads/engineFiles.ts";
import { Alone } from "./alone.ts";
import { type RecycleOrder, vectorFor } from "./recycleWorker.ts";

const SEED = seedFromEnvironment() | 0;
const DIMENSIONS = 16;
const IDS = 150;
const SHARD_ROWS = 1000;
const BATCH_ROWS = 20;
const RECYCLED_MIN = 3000;
const WRITES_MAX = 20_000;
const ROLES = ["linker", "linker", "reader", "reader", "reader", "reader"] as const;

const rowOf = (number: number, write: number, padding = 0) => ({
  id: `row-${number}`,
  vector: vectorFor(number, write, DIMENSIONS),
  metadata: JSON.stringify({ id: `row-${number}`, write, padding: "x".repeat(padding) }),
});

const recycledOf = ({ collection }: Alone) =>
  new Uint32Array(collection.memories.shards[0]!.vectors.buffer)[L.HEADER_RECYCLED >>> 2]!;

describe(`recycling, seed ${SEED}`, () => {
  for (const name of SHARED_VARIANTS) {
    it(`under 4 racing readers never mixes two writes in one answer: ${name}`, () =>
      race(compileVariant(name, readVariant(name)))).timeout(120_000);
  }

  async function race(variant: Variant): Promise<void> {
    const alone = new Alone(SHARD_ROWS, 1 + ROLES.length, variant);
    await alone.create({ dimensions: DIMENSIONS });
    const finished = new SharedArrayBuffer(4);
    const failures: unknown[] = [];
    const threads = ROLES.map((role, index) => {
      const workerData: RecycleOrder = {
        ...{ role, variant: alone.catalog.thread.variant, worker: index + 1, ids: IDS },
        ...{ parts: alone.collection.memories, seed: SEED + 1000 * index, finished },
      };
      const thread = new Worker(new URL("./recycleWorker.ts", import.meta.url), { workerData });
      thread.on("error", (error) => failures.push(error));
      return thread;
    });
    const ends = threads.map((thread) => once(thread, "exit"));
    const random = seededRandom(SEED);
    let write = 0;
    while (recycledOf(alone) < RECYCLED_MIN && write < WRITES_MAX && failures.length === 0) {
      write++;
      const ids = new Set(Array.from({ length: BATCH_ROWS }, () => random.integer(IDS)));
      if (write % 5 === 0) await alone.remove([...ids].map((id) => `row-${id}`));
      else await alone.put([...ids].map((id) => rowOf(id, write, random.integer(200))));
      // The linkers must come after, or the shard is soon full of the dead.
      while (unrepaired(alone.collection.parts[0]!.shard) > SHARD_ROWS / 3) {
        if (failures.length > 0) break;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    Atomics.store(new Int32Array(finished), 0, 1);
    await Promise.all(ends);
    expect(failures).to.deep.equal([]);
    expect(recycledOf(alone)).to.be.at.least(RECYCLED_MIN);
    expect(alone.collection.parts.length).to.equal(1);
    for (const { shard } of alone.collection.parts) {
      for (let clock = 0; !isSettled(shard); clock += 10_000) {
        tend(shard, 200, 64, alone.collection.sequence, clock);
      }
      expect(shard.check()).to.equal(undefined);
    }
  }

  it("keeps a collection's memory as it is, whatever is written over and over", async () => {
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    const random = seededRandom(SEED);
    const memory: number[] = [];
    let clock = 0;
    for (let write = 1; write <= 60; write++) {
      const rows = Array.from({ length: IDS }, (_, id) => rowOf(id, write, random.integer(100)));
      await alone.put(rows);
      const { shard } = alone.collection.parts[0]!;
      for (; !isSettled(shard); clock += 10_000) tend(shard, 200, 64, write, clock);
      memory.push(alone.collection.stats().memoryBytes);
    }
    expect(alone.collection.parts[0]!.shard.slotsUsed).to.be.at.most(2 * IDS);
    expect(memory.at(-1)!).to.be.at.most(1.1 * memory[9]!);
    for (let id = 0; id < IDS; id++) {
      expect(alone.collection.get(`row-${id}`)?.vector).to.deep.equal(
        vectorFor(id, 60, DIMENSIONS),
      );
    }
  });
});
