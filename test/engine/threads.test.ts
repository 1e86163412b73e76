/** Two threads link one shard at the same time, while a third appends to it and searches it. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { FAULT_NONE, FAULT_UNREACHABLE } from "../../assembly/layout.ts";
import { rowAt } from "../../perf/exact.ts";
import type { Shard } from "../../src/engine/shard.ts";
import type { VariantName } from "../../src/engine/variant.ts";
import type { LinkOrder } from "./linkWorker.ts";
import {
  append,
  clustered,
  EF_CONSTRUCTION,
  linkAll,
  METRICS,
  newShard,
  overVariants,
  recallAt,
  search,
  variantOf,
} from "./trial.ts";

const ROWS = 2500;
const DIMENSIONS = 128;
const BATCH_ROWS = 100;
const WORKERS = 3;
const FLOOR = 0.97;

overVariants("two linkers", (name) => {
  if (!variantOf(name).shared) return;

  for (const metric of METRICS) {
    it(`leave a sound graph and lose nothing on the way: ${metric}`, async () => {
      const dataset = clustered(ROWS, DIMENSIONS, metric);
      const options = { dimensions: DIMENSIONS, metric, workers: WORKERS };
      const shard = newShard(name, options);
      const finished = new SharedArrayBuffer(4);
      const linkers = [1, 2].map((worker) => startLinker(name, shard, worker, finished));
      const slices = linkers.map((linker) => once(linker, "message"));
      for (let row = 0; row < ROWS; row += BATCH_ROWS) {
        const { values } = dataset.base;
        append(shard, values.subarray(row * DIMENSIONS, (row + BATCH_ROWS) * DIMENSIONS));
        if (metric === "dot") continue;
        for (let near = row; near < row + BATCH_ROWS; near += 9) {
          expect(search(shard, rowAt(dataset.base, near), { k: 1 })[0]).to.equal(near);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      Atomics.store(new Int32Array(finished), 0, 1);
      await Promise.all(slices);
      expect(shard.tail).to.equal(0);
      linkAll(shard);
      // Under dot short rows may be in nobody's list: the walk passes them by, and so does recall.
      const fault = shard.engine.check(0);
      if (metric !== "dot" || fault !== FAULT_UNREACHABLE) expect(fault).to.equal(FAULT_NONE);
      expect(recallAt(shard, dataset)).to.be.at.least(FLOOR);
    });
  }
});

function startLinker(
  name: VariantName,
  shard: Shard,
  worker: number,
  finished: SharedArrayBuffer,
): Worker {
  const workerData: LinkOrder = {
    variant: variantOf(name),
    memory: shard.memory,
    worker,
    efConstruction: EF_CONSTRUCTION,
    finished,
  };
  return new Worker(new URL("./linkWorker.ts", import.meta.url), { workerData });
}
