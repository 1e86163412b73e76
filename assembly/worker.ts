/**
 * What one thread needs while it searches or links, in its own stretch of the shard's memory, so
 * that threads share nothing but the rows. The host reads the first fields (layout.ts); the rest is
 * the engine's own.
 */
import { header } from "./header";
import * as L from "./layout";

@unmanaged
export class Worker {
  query: usize;
  results: usize;
  resultCount: u32;
  moved: u32;
  distances: u32;
  bitmap: usize;
  ties: u32;
  fault: u32;
  faultSlot: u32;
  faultValue: u32;
  exhausted: u32;
  fence: u32;
  scanned: u32;
  gaveUp: u32;
  order: usize;
  mode: u32;
  // From here on the host does not look.
  pool: usize;
  poolSize: u32;
  poolLimit: u32;
  poolDead: u32;
  poolSpare: u32;
  /** Entries that the pool may hold. */
  places: u32;
  /** Copies of a row that the pool keeps. */
  copiesMax: u32;
  /** Rows tied in this walk (graph/copies.ts), and the walk's number. */
  tied: usize;
  walk: u32;
  poolNext: u32;
  heap: usize;
  heapSize: u32;
  heapMax: u32;
  gather: usize;
  keys: usize;
  chosen: usize;
  visited: usize;
  epoch: u32;
  /** Where early loads end up. */
  sink: u32;
  codeA: usize;
  codeB: usize;
  /** The query's code in the current generation (dot: signed): what a walk over codes reads. */
  code: usize;
  /** The row that others are measured from when lists are pruned: its slot, code, and their sum. */
  holder: u32;
  held: usize;
  heldSum: i32;
  sumA: i32;
  sumB: i32;
  snapshot: u64;
  inverseNorm: f64;
  /** What a walk's key times gives a float32 distance's unit. */
  unit: f32;
  codesEpoch: u32;
  /** A row that this thread's walks pass by as if it were not there; NO_SLOT for none. */
  without: u32;
  /** Odd while this thread walks the graph (readers.ts). */
  walking: u32;
  /** What `walking` was when a repair began to wait for it. */
  seen: u32;
  /** The oldest snapshot that this thread reads at, 0 for none. */
  pinned: u64;
  /** Whether only rows that pass the bitmap are answers. */
  filtered: u32;
  /** Lists that a filtered walk looked through. */
  looked: u32;
  /** Dead entries that the pool may hold, in limits. */
  deadShare: u32;
  /** What an adapting walk (graph/width.ts) goes by, keeps at least, and reaches; 0 for none. */
  poolAnchor: u32;
  poolSure: u32;
  poolSpan: f32;
  /** What codes stand for, where a row's float32 is not kept. */
  floatsA: usize;
  floatsB: usize;

  /** Bytes of a worker before its visited stamps. */
  @inline
  static fixedBytes(vectorStride: u64, codeBytes: u64): u64 {
    return (
      ((<u64>L.WORKER_FIXED +
        3 * vectorStride +
        5 * codeBytes +
        4 * 1024 + // gather
        4 * 1024 + // keys
        8 * L.SELECT_MAX + // chosen
        L.TIED_BYTES + // tied
        8 * L.POOL_MAX + // order
        8 * L.POOL_MAX + // pool
        8 * L.POOL_MAX + // heap
        L.RESULT_BYTES * L.POOL_MAX) | // results
        63) +
      1
    );
  }

  @inline
  static of(worker: u32): Worker {
    return changetype<Worker>(header().workersBase + <usize>worker * header().workerStride);
  }

  static place(worker: u32): void {
    const own = Worker.of(worker);
    let at = changetype<usize>(own) + L.WORKER_FIXED;
    own.query = at;
    at += header().vectorStride;
    own.floatsA = at;
    at += header().vectorStride + header().codeBytes;
    own.floatsB = at;
    at += header().vectorStride + header().codeBytes;
    own.codeA = at;
    at += header().codeBytes;
    own.codeB = at;
    at += header().codeBytes;
    own.held = at;
    at += header().codeBytes;
    own.gather = at;
    at += 4 * 1024;
    own.keys = at;
    at += 4 * 1024;
    own.chosen = at;
    at += 8 * L.SELECT_MAX;
    own.tied = at;
    at += L.TIED_BYTES;
    own.order = at;
    at += 8 * L.POOL_MAX;
    own.pool = at;
    at += 8 * L.POOL_MAX;
    own.heap = at;
    at += 8 * L.POOL_MAX;
    own.results = at;
    at += L.RESULT_BYTES * L.POOL_MAX;
    own.visited =
      changetype<usize>(own) + <usize>Worker.fixedBytes(header().vectorStride, header().codeBytes);
    own.without = L.NO_SLOT;
    own.bitmap = header().bitmapBase + <usize>worker * header().bitmapStride;
  }
}

if (offsetof<Worker>("results") != L.WORKER_RESULTS) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>("moved") != L.WORKER_MOVED) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>("bitmap") != L.WORKER_BITMAP) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>("exhausted") != L.WORKER_EXHAUSTED) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>("scanned") != L.WORKER_SCANNED) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>("gaveUp") != L.WORKER_GAVE_UP) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>("mode") != L.WORKER_MODE) ERROR("Worker drifted from layout.ts");
if (offsetof<Worker>() > <usize>L.WORKER_FIXED) ERROR("Worker outgrew its fixed part");
