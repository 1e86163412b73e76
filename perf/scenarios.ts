/**
 * What load the server is put under, as data: rates, sizes and thresholds of every scenario. k6 runs
 * them (perf/k6/run.ts), and so does the driver for machines without k6 (perf/driver); both read
 * this table and nothing else, so a scenario is one thing whoever drives it.
 *
 * Thresholds are k6's expressions over k6's metric names: http_req_duration in milliseconds,
 * http_req_failed as a share; `recall` is the share of the k results that are no farther than the
 * exact k-th one, `rows` counts rows that were written, `refused` the share of 429 and 503.
 */

export type Workload =
  | { readonly kind: "search"; readonly body: "json" | "octets"; readonly filtered?: true }
  | { readonly kind: "ingest"; readonly body: "json" | "base64" | "arrow" }
  /** A write of one row for every `searches` searches, and a delete for every second write. */
  | { readonly kind: "mixed"; readonly searches: number }
  | { readonly kind: "scroll" }
  /** One request in two carries a wrong key and must be refused, the other a right one. */
  | { readonly kind: "keys" };

export type Shape =
  /** Open loop: requests begin on schedule, whatever the answers do. */
  | { readonly kind: "constant"; readonly perSecond: number; readonly seconds: number }
  | { readonly kind: "steps"; readonly perSecond: readonly number[]; readonly seconds: number }
  /** From the calm rate at once to the high one and back, a third of the time each. */
  | {
      readonly kind: "spike";
      readonly calm: number;
      readonly high: number;
      readonly seconds: number;
    }
  /** Each batch of the data once, by so many clients. */
  | { readonly kind: "batches"; readonly clients: number };

export interface Scenario {
  readonly about: string;
  readonly data: "sift10k" | "sift100k";
  /** Whether the rows are there before the clock starts. */
  readonly loaded: boolean;
  readonly workload: Workload;
  readonly shape: Shape;
  /** Requests in flight at most; k6 calls them VUs. */
  readonly clients: number;
  /** Of the server, without OMENDB_. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly thresholds: Readonly<Record<string, readonly string[]>>;
}

export const K = 10;
export const BATCH_ROWS = 1000;
/** Every row carries `{"shelf": row % SHELVES}`; the filtered search asks for one of them. */
export const SHELVES = 10;
/** The only key of a server that is started with keys. */
export const KEY = "k6-key-of-the-load-test";

/** From what is easy to what is too much for two cores that the driver needs too. */
const STEPS = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 10_000] as const;
const STEP_SECONDS = 6;

const search = { kind: "search", body: "json" } as const;
const unfailing = { http_req_failed: ["rate==0"], refused: ["rate==0"] } as const;
const honest = { ...unfailing, recall: ["avg>=0.95"] } as const;

export const SCENARIOS = {
  smoke: {
    about: "a few searches a second: whether everything is in place",
    ...{ data: "sift10k", loaded: true, workload: search, clients: 4 },
    shape: { kind: "constant", perSecond: 50, seconds: 3 },
    thresholds: { ...honest, http_req_duration: ["p(95)<50"] },
  },
  search: {
    about: "searches at a constant arrival rate",
    ...{ data: "sift100k", loaded: true, workload: search, clients: 64 },
    shape: { kind: "constant", perSecond: 1000, seconds: 30 },
    thresholds: { ...honest, http_req_duration: ["p(95)<10", "p(99)<20"] },
  },
  step: {
    about: "searches at rising rates, to the knee",
    ...{ data: "sift100k", loaded: true, workload: search, clients: 512 },
    shape: { kind: "steps", perSecond: STEPS, seconds: STEP_SECONDS },
    thresholds: { recall: ["avg>=0.95"] },
  },
  "step-octets": {
    about: "the same with queries as raw float32",
    data: "sift100k",
    loaded: true,
    workload: { kind: "search", body: "octets" },
    clients: 512,
    shape: { kind: "steps", perSecond: STEPS, seconds: STEP_SECONDS },
    thresholds: { recall: ["avg>=0.95"] },
  },
  "ingest-json": {
    about: "durable ingest of 100,000 rows, JSON",
    ...{ data: "sift100k", loaded: false, workload: { kind: "ingest", body: "json" }, clients: 4 },
    shape: { kind: "batches", clients: 4 },
    thresholds: { ...unfailing, rows: ["count==100000"] },
  },
  "ingest-base64": {
    about: "durable ingest of 100,000 rows, vectors as base64",
    data: "sift100k",
    ...{ loaded: false, workload: { kind: "ingest", body: "base64" }, clients: 4 },
    shape: { kind: "batches", clients: 4 },
    thresholds: { ...unfailing, rows: ["count==100000"] },
  },
  "ingest-arrow": {
    about: "durable ingest of 100,000 rows, Arrow",
    ...{ data: "sift100k", loaded: false, workload: { kind: "ingest", body: "arrow" }, clients: 4 },
    shape: { kind: "batches", clients: 4 },
    thresholds: { ...unfailing, rows: ["count==100000"] },
  },
  "mixed-95-5": {
    about: "19 searches for each write",
    ...{ data: "sift100k", loaded: true, workload: { kind: "mixed", searches: 19 }, clients: 64 },
    shape: { kind: "constant", perSecond: 800, seconds: 30 },
    thresholds: { ...unfailing, http_req_duration: ["p(99)<50"] },
  },
  "mixed-50-50": {
    about: "a search for each write",
    ...{ data: "sift100k", loaded: true, workload: { kind: "mixed", searches: 1 }, clients: 64 },
    shape: { kind: "constant", perSecond: 600, seconds: 30 },
    thresholds: { ...unfailing, http_req_duration: ["p(99)<50"] },
  },
  filtered: {
    about: "searches among a tenth of the rows",
    data: "sift100k",
    loaded: true,
    workload: { kind: "search", body: "json", filtered: true },
    clients: 64,
    shape: { kind: "constant", perSecond: 500, seconds: 30 },
    thresholds: { ...honest, http_req_duration: ["p(95)<20", "p(99)<50"] },
  },
  scroll: {
    about: "all rows, page by page, by two readers",
    ...{ data: "sift100k", loaded: true, workload: { kind: "scroll" }, clients: 2 },
    shape: { kind: "batches", clients: 2 },
    thresholds: { ...unfailing, rows: ["count==200000"] },
  },
  spike: {
    about: "from calm to far over the knee and back",
    ...{ data: "sift100k", loaded: true, workload: search, clients: 512 },
    shape: { kind: "spike", calm: 300, high: 6000, seconds: 30 },
    thresholds: { recall: ["avg>=0.95"], "http_req_duration{phase:after}": ["p(95)<20"] },
  },
  soak: {
    about: "half an hour of mixed work at half the knee",
    ...{ data: "sift100k", loaded: true, workload: { kind: "mixed", searches: 9 }, clients: 64 },
    shape: { kind: "constant", perSecond: 400, seconds: 1800 },
    thresholds: { ...unfailing, http_req_duration: ["p(99)<50"] },
  },
  keys: {
    about: "right and wrong keys side by side",
    ...{ data: "sift10k", loaded: true, workload: { kind: "keys" }, clients: 8 },
    shape: { kind: "constant", perSecond: 150, seconds: 3 },
    settings: { API_KEY: KEY },
    thresholds: { checks: ["rate==1"], recall: ["avg>=0.95"] },
  },
  "rate-limit": {
    about: "twice the rate that is allowed: about half is refused, politely",
    ...{ data: "sift10k", loaded: true, workload: search, clients: 16 },
    shape: { kind: "constant", perSecond: 400, seconds: 5 },
    settings: { RATE_LIMIT: 200 },
    thresholds: { refused: ["rate>0.35", "rate<0.65"], recall: ["avg>=0.95"] },
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

/** What perf/load.ts prepares for a run, as a JSON file that the script opens. */
export interface Prepared {
  readonly dimensions: number;
  readonly queries: readonly {
    readonly vector: readonly number[];
    /** Distance of the exact k-th row; of the filtered search the k-th on its shelf. */
    readonly bound: number;
    readonly shelfBound: number;
  }[];
  /** Files of request bodies, from the prepared file's folder, for ingest. */
  readonly bodies: readonly { readonly file: string; readonly rows: number }[];
}
