/**
 * The other threads of `bench:churn`: linkers that link and repair, and readers that search all the
 * while and look whether what they are told can be true.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Catalog } from "../src/collections/catalog.ts";
import type { Collection } from "../src/collections/collection.ts";
import { linkRound } from "../src/threads/linking.ts";
import { threadOf } from "../src/threads/messages.ts";
import { type ChurnOrder, READ, STOP } from "./churnOrder.ts";
import { seededRandom } from "./random.ts";

const SLICE_ROWS = 64;
const SLEEP_MS = 1;
const K = 10;

const order: ChurnOrder = workerData;
const signals = new Int32Array(order.signals);
const cpu = new Float64Array(order.cpu);
const catalog = new Catalog(threadOf(order.variant, order.worker));
const collection = catalog.attach(order.parts);

function note(): void {
  const { user, system } = process.threadCpuUsage();
  cpu[order.worker] = user + system;
}

function runLinker(): void {
  while (Atomics.load(signals, STOP) === 0) {
    const isBusy = linkRound(catalog, SLICE_ROWS) === "busy";
    note();
    if (!isBusy) Atomics.wait(signals, STOP, 0, SLEEP_MS);
  }
}

async function runReader(): Promise<number> {
  const random = seededRandom(order.worker);
  let searches = 0;
  const vector = new Float32Array(collection.settings.dimensions);
  while (Atomics.load(signals, STOP) === 0) {
    if (Atomics.load(signals, READ) === 0) {
      Atomics.wait(signals, READ, 0, SLEEP_MS);
      continue;
    }
    drawNear(collection, random.integer(collection.parts[0]!.shard.slotsUsed), vector);
    await searchOnce(collection, vector, searches % 50 === 49);
    searches++;
    note();
  }
  return searches;
}

/** Whatever lies in the slot, alive, dead or half written, is as good a question as any. */
function drawNear({ parts }: Collection, slot: number, vector: Float32Array): void {
  vector.set(parts[0]!.shard.vector(slot));
}

async function searchOnce(from: Collection, vector: Float32Array, exact: boolean): Promise<void> {
  const { hits } = await from.search({
    ...{ vector, k: K, exact, includeMetadata: false, includeVector: false },
  });
  const ids = new Set(hits.map(({ id }) => id));
  if (ids.size !== hits.length) throw new Error(`an answer names a row twice: ${[...ids]}`);
  if (hits.length < Math.min(K, from.live / 2)) throw new Error(`${hits.length} hits only`);
  hits.forEach((hit, place) => {
    if (place > 0 && hit.distance < hits[place - 1]!.distance) throw new Error("out of order");
  });
}

if (order.role === "linker") {
  runLinker();
  parentPort!.postMessage(0);
} else parentPort!.postMessage(await runReader());
