/**
 * The other threads of the recycling test: linkers that make slots free as fast as they can, and
 * readers that hold every answer against itself. A row's vector, metadata and id all tell the write
 * that made it, so an answer of two writes gives itself away.
 */
import { parentPort, workerData } from "node:worker_threads";
import { seededRandom } from "../../perf/random.ts";
import { Catalog } from "../../src/collections/catalog.ts";
import type { Collection, CollectionParts } from "../../src/collections/collection.ts";
import { tend } from "../../src/engine/linking.ts";
import type { Variant } from "../../src/engine/variant.ts";
import { threadOf } from "../../src/threads/messages.ts";

export interface RecycleOrder {
  readonly role: "linker" | "reader";
  readonly variant: Variant;
  readonly worker: number;
  readonly parts: CollectionParts;
  readonly ids: number;
  readonly seed: number;
  /** One word: 1 ends all. */
  readonly finished: SharedArrayBuffer;
}

interface Told {
  readonly id: string;
  readonly vector?: Float32Array;
  readonly metadata?: Uint8Array;
}

/** Components of the vector that a write gives a row. */
export function vectorFor(id: number, write: number, dimensions: number): Float32Array {
  return Float32Array.from({ length: dimensions }, (_, at) => (at % 2 ? id : write % 1000));
}

const decoder = new TextDecoder();

function expectWhole({ id, vector, metadata }: Told): void {
  const told = JSON.parse(decoder.decode(metadata));
  const number = Number(id.slice(id.lastIndexOf("-") + 1));
  const expected = vectorFor(number, told.write, vector!.length);
  if (told.id !== id || !expected.every((component, at) => component === vector![at])) {
    throw new Error(`row ${id} came as ${JSON.stringify(told)} with vector ${vector}`);
  }
}

async function read(collection: Collection, order: RecycleOrder, step: number): Promise<void> {
  const random = seededRandom(order.seed + step);
  const number = random.integer(order.ids);
  const row = collection.get(`row-${number}`);
  if (row) expectWhole(row);
  const { dimensions } = collection.settings;
  const vector = vectorFor(number, random.integer(1000), dimensions);
  const { hits } = await collection.search({
    ...{ vector, k: 10, exact: step % 3 === 0, includeMetadata: true, includeVector: true },
  });
  for (const hit of hits) {
    expectWhole(hit);
    const squared = hit.vector!.reduce((sum, x, at) => sum + (x - vector[at]!) ** 2, 0);
    const isOff = Math.abs(hit.distance - Math.sqrt(squared)) > 1e-3 * (1 + hit.distance);
    if (isOff) throw new Error(`row ${hit.id} is not ${hit.distance} away`);
  }
  if (new Set(hits.map(({ id }) => id)).size !== hits.length) throw new Error("a row came twice");
}

async function run(order: RecycleOrder): Promise<number> {
  const catalog = new Catalog(threadOf(order.variant, order.worker));
  const collection = catalog.attach(order.parts);
  const finished = new Int32Array(order.finished);
  let steps = 0;
  for (; Atomics.load(finished, 0) === 0; steps++) {
    if (order.role === "reader") await read(collection, order, steps);
    else {
      const { efConstruction } = collection.settings;
      for (const { shard } of collection.parts) {
        // A clock that runs fast: no pass has to rest.
        tend(shard, 32, efConstruction, collection.sequence, Date.now() * 1000);
      }
    }
  }
  return steps;
}

if (parentPort) parentPort.postMessage(await run(workerData));
