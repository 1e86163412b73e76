/**
 * A second thread over the same shard, with an instance of its own: it links what waits until it is
 * told that no more rows come and the tail is empty.
 */
import { parentPort, workerData } from "node:worker_threads";
import { linkSlice } from "../../src/engine/linking.ts";
import { Shard } from "../../src/engine/shard.ts";
import type { Variant } from "../../src/engine/variant.ts";

export interface LinkOrder {
  readonly variant: Variant;
  readonly memory: WebAssembly.Memory;
  readonly worker: number;
  readonly efConstruction: number;
  /** One word: 1 once all rows are appended. */
  readonly finished: SharedArrayBuffer;
}

const SLICE_ROWS = 50;

if (parentPort) {
  const order: LinkOrder = workerData;
  const shard = new Shard(order.variant, order.memory, order.worker);
  const finished = new Int32Array(order.finished);
  let slices = 0;
  while (Atomics.load(finished, 0) === 0 || shard.tail > 0) {
    if (linkSlice(shard, SLICE_ROWS, order.efConstruction)) slices++;
  }
  parentPort.postMessage(slices);
}
