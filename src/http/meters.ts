/**
 * What is counted, and the shared memory it is counted in, as the doors see it. Every listener
 * thread adds to the same cells, so that /metrics says the same whichever thread is asked, and a
 * rate limit is one budget however many threads there are.
 *
 * Cells are whole numbers: seconds are kept as nanoseconds and divided when they are read, so that
 * an atomic add is exact.
 */

export interface Meter {
  /** As Prometheus shows it. */
  readonly name: string;
  readonly help: string;
  /** How many of what a cell counts make one of what is shown. */
  readonly cellsPerUnit: number;
}

const NANOSECONDS = 1e9;

export const COUNTERS = {
  searches: meter("omendb_searches_total", "Searches answered"),
  searchesRefused: meter(
    "omendb_searches_refused_total",
    "Searches refused because they would have come too late",
  ),
  requestsRefused: meter(
    "omendb_requests_refused_total",
    "Requests refused because a listener was behind",
  ),
  rowsInserted: meter("omendb_rows_inserted_total", "Rows written, replaced ones too"),
  rowsDeleted: meter("omendb_rows_deleted_total", "Rows deleted"),
  authFailures: meter("omendb_auth_failures_total", "Requests without a valid key"),
  rateLimited: meter("omendb_rate_limited_total", "Requests refused by a rate limit"),
  writeWaits: meter("omendb_write_waits_total", "Writes that waited for the graph"),
  writeWaitTime: meter(
    "omendb_write_wait_seconds_total",
    "Time that writes waited for the graph",
    NANOSECONDS,
  ),
  writesRefused: meter("omendb_writes_refused_total", "Writes refused after the longest wait"),
} as const satisfies Record<string, Meter>;

export type CounterName = keyof typeof COUNTERS;

export interface HistogramMeter extends Meter {
  /** Upper bounds of the buckets, in cells' units, ascending; one more bucket takes the rest. */
  readonly bounds: readonly number[];
  readonly seriesCount: number;
}

export const STATUS_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;
/** Operations that the HTTP histogram tells apart; room for more than there are. */
export const OPERATIONS_MAX = 48;

const secondsUpTo = (bounds: readonly number[]) => bounds.map((bound) => bound * NANOSECONDS);

const MILLISECOND = NANOSECONDS / 1000;

export const HISTOGRAMS = {
  requests: {
    ...meter("omendb_http_request_duration_seconds", "Time to answer a request", NANOSECONDS),
    bounds: secondsUpTo([0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30]),
    seriesCount: OPERATIONS_MAX * STATUS_CLASSES.length,
  },
  searchTime: {
    ...meter("omendb_search_duration_seconds", "Time of a search in the engine", NANOSECONDS),
    bounds: secondsUpTo([1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 0.01, 0.1, 1]),
    seriesCount: 1,
  },
  imageTime: {
    ...meter("omendb_snapshot_duration_seconds", "Time to write an image", NANOSECONDS),
    bounds: secondsUpTo([0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300]),
    seriesCount: 1,
  },
  imagePause: {
    ...meter("omendb_snapshot_pause_seconds", "Time that writes waited for an image", NANOSECONDS),
    bounds: secondsUpTo([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]),
    seriesCount: 1,
  },
  syncTime: {
    ...meter("omendb_wal_sync_duration_seconds", "Time of an fdatasync of the log", NANOSECONDS),
    bounds: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 100, 1000].map((ms) => ms * MILLISECOND),
    seriesCount: 1,
  },
  distances: {
    ...meter("omendb_search_distances_computed", "Distances that a search computed"),
    bounds: [100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000, 1_000_000],
    seriesCount: 1,
  },
} as const satisfies Record<string, HistogramMeter>;

export type HistogramName = keyof typeof HISTOGRAMS;

/** Observations by bucket, not added up, and their sum in the unit shown. */
export interface HistogramReading {
  readonly buckets: readonly number[];
  readonly sum: number;
}

export interface Control {
  /** Adds `by`, a whole number of the counter's cells. Any thread, no lock. */
  count(counter: CounterName, by?: number): void;
  total(counter: CounterName): number;
  /** Adds one observation, a whole number of the histogram's cells. Any thread, no lock. */
  observe(histogram: HistogramName, value: number, series?: number): void;
  read(histogram: HistogramName, series?: number): HistogramReading;
  /** The longest recent delay of a listener's event loop. */
  setLag(listener: number, milliseconds: number): void;
  /** By listener; undefined where no listener runs. */
  lags(): readonly (number | undefined)[];
  /** Cells of the windows that count requests and failed credentials; see windows.ts. */
  readonly requestCells: BigUint64Array<SharedArrayBuffer>;
  readonly failureCells: BigUint64Array<SharedArrayBuffer>;
  /** Keys the hash of those cells, so that nobody can aim at another's cell. */
  readonly seed: number;
}

function meter(name: string, help: string, cellsPerUnit = 1): Meter {
  return { name, help, cellsPerUnit };
}
