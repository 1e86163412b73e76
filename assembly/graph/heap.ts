/**
 * A bounded heap of the nearest: its root is the farthest entry kept, so one compare turns most
 * candidates away. Entries are key << 32 | slot; an exact scan and the scan of the tail gather in
 * it.
 */
import { Worker } from "../worker";

// @ts-ignore: decorator
@inline
export function heapReset(worker: Worker, bound: u32): void {
  worker.heapSize = 0;
  worker.heapMax = bound;
}

/** The key at or above which an entry is turned away. */
// @ts-ignore: decorator
@inline
export function heapBar(worker: Worker): u64 {
  return worker.heapSize < worker.heapMax ? <u64>0x100000000 : load<u64>(worker.heap) >> 32;
}

export function heapOffer(worker: Worker, key: u32, slot: u32): void {
  const entry = (<u64>key << 32) | slot;
  const heap = worker.heap;
  if (worker.heapSize < worker.heapMax) {
    let at = worker.heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = load<u64>(heap + ((<usize>parent) << 3));
      if (above >= entry) break;
      store<u64>(heap + ((<usize>at) << 3), above);
      at = parent;
    }
    store<u64>(heap + ((<usize>at) << 3), entry);
  } else if (worker.heapMax > 0 && entry < load<u64>(heap)) {
    sink(heap, worker.heapSize, entry);
  }
}

/** Puts `entry` in place of the root. */
function sink(heap: usize, size: u32, entry: u64): void {
  let at: u32 = 0;
  while (true) {
    let child: u32 = 2 * at + 1;
    if (child >= size) break;
    let below = load<u64>(heap + ((<usize>child) << 3));
    if (child + 1 < size) {
      const right = load<u64>(heap + ((<usize>(child + 1)) << 3));
      if (right > below) {
        below = right;
        child++;
      }
    }
    if (below <= entry) break;
    store<u64>(heap + ((<usize>at) << 3), below);
    at = child;
  }
  store<u64>(heap + ((<usize>at) << 3), entry);
}

/** Sorts the heap in place, nearest first. */
export function heapSort(worker: Worker): void {
  const heap = worker.heap;
  for (let size = worker.heapSize; size > 1; ) {
    size--;
    const last = load<u64>(heap + ((<usize>size) << 3));
    store<u64>(heap + ((<usize>size) << 3), load<u64>(heap));
    sink(heap, size, last);
  }
}
