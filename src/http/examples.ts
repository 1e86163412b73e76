/**
 * An example of each operation, as the OpenAPI document shows it: what is sent, and what comes
 * back. Tests send them to a server, one after the other, and hold both sides to their schemas.
 */
import type { OperationName } from "./operations.ts";

export interface Example {
  /** The JSON body. */
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string>>;
  /** By status; undefined for what is no JSON. */
  readonly answers: Readonly<Record<number, unknown>>;
}

const vectors = [
  { id: "emma", vector: [0, 9, 1], metadata: { year: 1815, about: ["love"] } },
  { id: "dracula", vector: [4, 3, 9], metadata: { year: 1897, about: ["sea", "night"] } },
];
const whale = { id: "moby-dick", vector: [9, 1, 5], metadata: { year: 1851, about: ["sea"] } };
const hit = { id: "moby-dick", distance: 3, score: 0.25, metadata: whale.metadata };
const row = { ...whale, version: 1 };
const stats = {
  ...{ vectors: 3, deleted: 0, dimensions: 3, metric: "l2", quantization: "sq8", sequence: 2 },
  ...{ indexed: 3, unindexed: 0, memory_bytes: 74_655 },
  memory: {
    ...{ vectors: 48, codes: 0, graph: 648, ids: 4184, metadata: 116, columns: 0, free: 69_659 },
  },
  capacity: { shards: 1, rows_per_shard: 14_221_510, bytes_per_row: 217 },
  ...{ bytes_per_vector: 24_885, threads: 2, wasm_variant: "relaxed-shared" },
  uptime_seconds: 2.947,
};
const books = {
  ...{ name: "books", dimensions: 3, metric: "l2", quantization: "sq8", vectors: "memory" },
  ...{ m: 16, ef_construction: 64, ef_search: 96 },
};
const healthy = { status: "healthy", version: "0.1.0", uptime_seconds: 12.5 };
const starting = { status: "starting", version: "0.1.0", uptime_seconds: 0.4, progress: 0.62 };
const snapshot = {
  ...{ id: "before-import", status: "ready", progress: 1 },
  ...{ created_at: "2026-03-01T08:30:00.000Z", sequence: 2, bytes: 421_888, vectors: 3 },
  ...{ dimensions: 3, metric: "l2" },
};
const ok = { status: "ok" };

/** For parameters of paths and for headers. */
export const EXAMPLE_ID = "moby-dick";
export const EXAMPLE_COLLECTION = "books";
export const EXAMPLE_SNAPSHOT = "before-import";

export const EXAMPLES: Readonly<Record<OperationName, Example>> = {
  createCollection: {
    body: { dimensions: 3, metric: "l2" },
    answers: { 201: books, 200: books },
  },
  addRow: {
    body: whale,
    answers: { 200: { ...ok, id: "moby-dick", sequence: 1 } },
  },
  addRows: { body: { vectors }, answers: { 200: { ...ok, count: 2, sequence: 2 } } },
  search: {
    body: { vector: [9, 1, 2], k: 1, filter: { year: { $gte: 1850 } } },
    answers: { 200: { results: [hit], took_ms: 0.412 } },
  },
  searchMany: {
    body: { searches: [{ vector: [9, 1, 2], k: 1 }] },
    answers: { 200: { results: [[hit]], took_ms: 0.518 } },
  },
  getRows: {
    body: { ids: ["moby-dick", "hamlet"] },
    answers: { 200: { vectors: [row, null] } },
  },
  scroll: {
    query: { limit: "100", filter: '{"about":"sea"}' },
    answers: { 200: { vectors: [row], next_cursor: null } },
  },
  getRow: { answers: { 200: row } },
  patchRow: {
    body: { metadata: { year: 1852, about: null } },
    answers: { 200: { ...ok, id: "moby-dick", sequence: 3 } },
  },
  stats: { answers: { 200: stats } },
  recall: {
    query: { sample: "20", k: "10" },
    answers: {
      200: {
        ...{ sample: 20, k: 10 },
        curve: [{ ef: 96, recall: 0.987, at_least: 0.972, distances: 1480.5, p50_ms: 0.11 }],
        targets: [{ recall_target: 0.95, ef: 48 }],
        calibration: { sample: 200, rows: 100_000, age_seconds: 12.4 },
        took_ms: 84.2,
      },
    },
  },
  listCollections: {
    answers: {
      200: {
        collections: [
          { name: "books", vectors: 3, dimensions: 3, metric: "l2", memory_bytes: 74_655 },
        ],
      },
    },
  },
  getCollection: { answers: { 200: { ...books, stats } } },
  createSnapshot: {
    answers: {
      202: {
        ...{ id: "before-import", status: "creating", progress: 0 },
        created_at: "2026-03-01T08:30:00.000Z",
      },
    },
  },
  listSnapshots: { answers: { 200: { snapshots: [snapshot] } } },
  getSnapshot: { answers: { 200: snapshot } },
  uploadSnapshot: { answers: { 201: snapshot } },
  downloadSnapshot: { answers: { 200: undefined, 206: undefined } },
  restoreSnapshot: { answers: { 200: { ...ok, sequence: 4, vectors: 3 } } },
  deleteSnapshot: { answers: { 200: ok } },
  deleteRow: { answers: { 200: { ...ok, deleted: 1, sequence: 5 } } },
  countRows: { body: { filter: { year: { $lt: 1900 } } }, answers: { 200: { count: 2 } } },
  deleteRows: {
    body: { ids: ["emma", "hamlet"] },
    answers: { 200: { ...ok, deleted: 1, sequence: 6 } },
  },
  dropCollection: { answers: { 200: ok } },
  health: { answers: { 200: healthy, 503: starting } },
  live: { answers: { 200: { status: "alive" } } },
  ready: { answers: { 200: healthy, 503: starting } },
  metrics: { answers: { 200: undefined } },
  openapi: { answers: { 200: undefined } },
  docs: { answers: { 200: undefined } },
  docsFile: { answers: { 200: undefined } },
};
