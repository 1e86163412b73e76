/**
 * Who may still look at what was taken away. Readers take no lock, so whoever takes something from
 * them asks two questions here first.
 *
 * Is anybody owed the row? A thread *pins* the oldest snapshot it reads at. Whoever wants to forget
 * dead rows raises the *watermark* to a published sequence first and looks at the pins then; a
 * reader pins first and looks at the watermark then. So either the pin is seen, or the reader sees
 * that its snapshot is too old and takes a newer one. A row that died at or before `forgotten` is
 * seen by no reader, present or future.
 *
 * Does anybody stand on the row? A walk holds slots that were linked when it met them. Each worker
 * counts its walks, odd while one is under way: when every count has been even or has changed since
 * `lookAround`, no walk is left that began before it.
 */
import { fence, header } from "./header";
import * as L from "./layout";
import { Worker } from "./worker";

// @ts-ignore: decorator
@inline
export function forgotten(): u64 {
  return atomic.load<u64>(L.HEADER_FORGOTTEN);
}

/**
 * The thread's oldest reader is at `snapshot`; 0 when it has none. False: that snapshot is too old,
 * the thread must take a newer one and pin that.
 */
export function pin(worker: Worker, snapshot: u64): bool {
  atomic.store<u64>(changetype<usize>(worker) + offsetof<Worker>("pinned"), snapshot);
  fence();
  return snapshot == 0 || atomic.load<u64>(L.HEADER_WATERMARK) <= snapshot;
}

/** Linkers: no reader will come that is older than `published`; forgets what no pin still wants. */
export function forget(published: u64): void {
  raise(L.HEADER_WATERMARK, published);
  fence();
  let limit = published;
  for (let index: u32 = 0; index < header().workers; index++) {
    const address = changetype<usize>(Worker.of(index)) + offsetof<Worker>("pinned");
    const pinned = atomic.load<u64>(address);
    if (pinned != 0) limit = min(limit, pinned);
  }
  raise(L.HEADER_FORGOTTEN, limit);
}

function raise(address: usize, to: u64): void {
  while (true) {
    const present = atomic.load<u64>(address);
    if (present >= to || atomic.cmpxchg<u64>(address, present, to) == present) return;
  }
}

// @ts-ignore: decorator
@inline
export function beginWalk(worker: Worker): void {
  atomic.add<u32>(changetype<usize>(worker) + offsetof<Worker>("walking"), 1);
}

// @ts-ignore: decorator
@inline
export function endWalk(worker: Worker): void {
  atomic.add<u32>(changetype<usize>(worker) + offsetof<Worker>("walking"), 1);
}

/** Notes which walks are under way. With the repair lock. */
export function lookAround(): void {
  fence();
  for (let index: u32 = 0; index < header().workers; index++) {
    const worker = Worker.of(index);
    worker.seen = atomic.load<u32>(changetype<usize>(worker) + offsetof<Worker>("walking"));
  }
}

/** Whether every walk noted by `lookAround` is over. With the repair lock. */
export function isQuiet(): bool {
  for (let index: u32 = 0; index < header().workers; index++) {
    const worker = Worker.of(index);
    const now = atomic.load<u32>(changetype<usize>(worker) + offsetof<Worker>("walking"));
    if (worker.seen & 1 && worker.seen == now) return false;
  }
  fence();
  return true;
}
