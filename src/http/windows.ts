/**
 * Counts of what each client did in the current window of time, shared by all threads and exact:
 * a budget of 100 lets 100 pass, however many threads they arrive at.
 *
 * The table is a fixed number of 64-bit cells. A key hashes to a line of eight of them and lives
 * in one; each change is one compare-and-swap, retried when another thread was faster.
 *
 *   bits  | name
 *   63-40 | fingerprint of the key, from other bits of the hash than the line
 *   39-24 | number of the window, wrapping; a cell of an older window is free
 *   23-0  | count
 *
 * Why no count is lost: within a window a cell only goes from free to taken, and everyone takes the
 * first free cell of the line. So two threads that bring the same new key either meet in the same
 * swap, or the later one finds what the earlier one wrote. When all eight are taken, the one with
 * the smallest count makes room: a flood of addresses can make a client's count start anew, but
 * never refuse a client that did nothing.
 */

const LINE_CELLS = 8;
const WINDOW_MASK = 0xffff;
const COUNT_MAX = 0xff_ffff;

export interface Hits {
  readonly count: number;
  /** Until the window ends and all counts start anew. */
  readonly msLeft: number;
}

export class Windows {
  readonly windowMs: number;
  private readonly cells: BigUint64Array<SharedArrayBuffer>;
  private readonly seed: number;

  constructor(cells: BigUint64Array<SharedArrayBuffer>, seed: number, windowMs: number) {
    this.cells = cells;
    this.seed = seed;
    this.windowMs = windowMs;
  }

  /** Counts one more for the key, or `by`. `nowMs` is of the process's monotonic clock. */
  add(key: string, by = 1, nowMs = monotonicMs()): Hits {
    return this.change(key, nowMs, (count) => count + by);
  }

  /** Counts `by` if the count stays within `limit`, else nothing; `taken` is what was counted. */
  take(key: string, by: number, limit: number, nowMs = monotonicMs()): Hits & { taken: number } {
    let taken = 0;
    const hits = this.change(key, nowMs, (count) => {
      taken = count + by <= limit ? by : 0;
      return count + taken;
    });
    return { ...hits, taken };
  }

  private change(key: string, nowMs: number, changed: (count: number) => number): Hits {
    const line = (hash(key, this.seed) % (this.cells.length / LINE_CELLS)) * LINE_CELLS;
    const fingerprint = hash(key, ~this.seed) & 0xff_ffff;
    const now = Math.floor(nowMs / this.windowMs);
    const msLeft = (now + 1) * this.windowMs - nowMs;
    for (;;) {
      const found = this.find(line, fingerprint, now & WINDOW_MASK);
      const count = Math.min(COUNT_MAX, Math.max(0, changed(found.count)));
      const next = pack(fingerprint, found.window, count);
      if (Atomics.compareExchange(this.cells, found.cell, found.seen, next) === found.seen) {
        return { count, msLeft };
      }
    }
  }

  /**
   * The cell to change: the key's own, else the first free one, else the least used. A thread whose
   * clock reading is older than another's write joins the newer window rather than undo it.
   */
  private find(line: number, fingerprint: number, now: number) {
    let window = now;
    let free = -1;
    let least = line;
    const seen: bigint[] = [];
    for (let index = 0; index < LINE_CELLS; index++) {
      const value = Atomics.load(this.cells, line + index);
      seen.push(value);
      if (value !== 0n && isAhead(windowOf(value), window)) window = windowOf(value);
    }
    for (let index = 0; index < LINE_CELLS; index++) {
      const value = seen[index]!;
      const isLive = value !== 0n && windowOf(value) === window;
      if (isLive && fingerprintOf(value) === fingerprint) {
        return { cell: line + index, seen: value, window, count: countOf(value) };
      }
      if (!isLive && free < 0) free = line + index;
      if (countOf(value) < countOf(seen[least - line]!)) least = line + index;
    }
    const cell = free < 0 ? least : free;
    return { cell, seen: seen[cell - line]!, window, count: 0 };
  }
}

/** The same for all threads of the process, and no clock setting moves it. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Just ahead: a window far ahead is an old one, seen from after the number wrapped. */
function isAhead(window: number, now: number): boolean {
  return ((window - now) & WINDOW_MASK) === 1;
}

function pack(fingerprint: number, window: number, count: number): bigint {
  return (BigInt(fingerprint) << 40n) | (BigInt(window) << 24n) | BigInt(count);
}

const fingerprintOf = (cell: bigint) => Number(cell >> 40n);
const windowOf = (cell: bigint) => Number((cell >> 24n) & 0xffffn);
const countOf = (cell: bigint) => Number(cell & 0xffffffn);

/** FNV-1a over UTF-16 units, then the finalizer of MurmurHash3; unsigned. */
function hash(key: string, seed: number): number {
  let value = 0x811c9dc5 ^ seed;
  for (let index = 0; index < key.length; index++) {
    value = Math.imul(value ^ key.charCodeAt(index), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
