/**
 * /metrics: one text over all listener threads, whichever of them is asked. Nothing is kept here;
 * each metric reads the control memory or the database when Prometheus comes.
 *
 * The metrics of the process bear prom-client's names but not its code: that counts CPU time from
 * when a thread first asked, and shows one thread's heap and event loop as if they were the
 * process's, so two threads would contradict each other.
 */
import { readdirSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type Metric, Registry } from "prom-client";
import type { CollectionStats, Database } from "../collections/database.ts";
import {
  COUNTERS,
  type Control,
  type CounterName,
  HISTOGRAMS,
  type HistogramName,
  OPERATIONS_MAX,
  STATUS_CLASSES,
} from "./meters.ts";
import { operationNames, operationOf } from "./operations.ts";

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;
const LAG_PERIOD_MS = 1000;
const LAG_RESOLUTION_MS = 10;

type Labels = Readonly<Record<string, string>>;
interface Value {
  readonly value: number;
  readonly labels: Labels;
  /** Where it is not the metric's own: the _bucket, _sum and _count of a histogram. */
  readonly metricName?: string;
}

export interface Metrics {
  /** Of the collections that the caller may see, and of the server. */
  text(isSeen: (collection: string) => boolean): Promise<string>;
}

/** Series of requests that no operation answers. */
export const NO_OPERATION = operationNames.length;
if (NO_OPERATION >= OPERATIONS_MAX) throw new Error("OPERATIONS_MAX is too small");

/** Adds one request to the histogram that all threads share. */
export function observeRequest(
  control: Control,
  operation: number,
  status: number,
  durationMs: number,
): void {
  const statusClass = Math.min(Math.max(Math.floor(status / 100), 1), 5) - 1;
  control.observe("requests", durationMs * 1e6, operation * STATUS_CLASSES.length + statusClass);
}

export function createMetrics(database: Database, control: Control, version: string): Metrics {
  const registry = new Registry();
  const add = (name: string, help: string, type: string, read: () => Value[]) => {
    const metric = { name, help, type, get: async () => ({ name, help, type, values: read() }) };
    registry.registerMetric(metric as unknown as Metric);
  };
  for (const name of Object.keys(COUNTERS) as CounterName[]) {
    const { name: shown, help } = COUNTERS[name];
    add(shown, help, "counter", () => [{ value: control.total(name), labels: {} }]);
  }
  for (const name of Object.keys(HISTOGRAMS) as HistogramName[]) {
    const { name: shown, help } = HISTOGRAMS[name];
    add(shown, help, "histogram", () => histogramValues(control, name));
  }
  addDatabase(add, database);
  addProcess(add, control, version);
  return {
    async text(isSeen) {
      const text = await registry.metrics();
      const names = database.collections().map(({ name }) => name);
      const hidden = new Set(names.filter((name) => !isSeen(name)));
      if (hidden.size === 0) return text;
      const isHidden = (line: string) =>
        hidden.has(line.match(/\{collection="([^"]*)"/)?.[1] ?? "");
      return text
        .split("\n")
        .filter((line) => !isHidden(line))
        .join("\n");
    },
  };
}

/** Measures this thread's event loop for the metrics of all; returns how to stop. */
export function watchLag(control: Control, listener: number): () => void {
  const delays = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delays.enable();
  const timer = setInterval(() => {
    // What is measured includes the wait that was asked for.
    control.setLag(listener, Math.max(0, delays.max / 1e6 - LAG_RESOLUTION_MS));
    delays.reset();
  }, LAG_PERIOD_MS).unref();
  return () => {
    clearInterval(timer);
    delays.disable();
  };
}

type Add = (name: string, help: string, type: string, read: () => Value[]) => void;

function addDatabase(add: Add, database: Database): void {
  const each = (read: (stats: ReturnType<Collection["stats"]>) => Record<string, number>) =>
    database.collections().map((collection) => ({
      collection: collection.name,
      values: Object.entries(read(collection.stats())),
    }));
  type Collection = ReturnType<Database["collections"]>[number];
  const by = (label: string, found: ReturnType<typeof each>): Value[] =>
    found.flatMap(({ collection, values }) =>
      values.map(([name, value]) => ({ value, labels: { collection, [label]: name } })),
    );
  add("omendb_rows", "Rows by state: in the graph, not yet in it, deleted", "gauge", () =>
    by(
      "state",
      each(({ indexed, unindexed, deleted }) => ({ indexed, unindexed, deleted })),
    ),
  );
  add("omendb_memory_bytes", "Memory of the collections by part", "gauge", () =>
    by(
      "part",
      each(({ memory }) => ({ ...memory })),
    ),
  );
  /** Only of collections that have it: none without a data path, or before the first snapshot. */
  const some = (read: (stats: CollectionStats) => number | undefined): Value[] =>
    database.collections().flatMap((collection) => {
      const value = read(collection.stats());
      return value === undefined ? [] : [{ value, labels: { collection: collection.name } }];
    });
  add("omendb_wal_bytes", "Bytes of the log that a start would read", "gauge", () =>
    some(({ wal }) => wal?.bytes),
  );
  add("omendb_wal_records", "Writes in the log that a start would read", "gauge", () =>
    some(({ wal }) => wal?.records),
  );
  add(
    "omendb_snapshot_age_seconds",
    "Since the last image of the collection (a checkpoint) was written",
    "gauge",
    () => some(({ lastSnapshot }) => lastSnapshot?.ageSeconds),
  );
  add("omendb_collections", "Collections", "gauge", () => [
    { value: database.collections().length, labels: {} },
  ]);
  add("omendb_healthy", "1 while reads and writes are served", "gauge", () => [
    { value: Number(database.health().status === "healthy"), labels: {} },
  ]);
}

function addProcess(add: Add, control: Control, version: string): void {
  const one = (value: number): Value[] => [{ value, labels: {} }];
  const cpu = "CPU time of the process, all threads";
  const cpuSeconds = () => process.cpuUsage();
  add("process_cpu_user_seconds_total", cpu, "counter", () => one(cpuSeconds().user / 1e6));
  add("process_cpu_system_seconds_total", cpu, "counter", () => one(cpuSeconds().system / 1e6));
  add("process_cpu_seconds_total", cpu, "counter", () => {
    const { user, system } = cpuSeconds();
    return one((user + system) / 1e6);
  });
  const startedAtSeconds = Math.round(Date.now() / 1000 - process.uptime());
  add("process_start_time_seconds", "When the process started", "gauge", () =>
    one(startedAtSeconds),
  );
  add("process_resident_memory_bytes", "Resident memory of the process", "gauge", () =>
    one(process.memoryUsage.rss()),
  );
  if (process.platform === "linux") {
    add("process_open_fds", "Open file descriptors", "gauge", () =>
      one(readdirSync("/proc/self/fd").length),
    );
  }
  add("nodejs_version_info", "The Node that runs it", "gauge", () => [
    { value: 1, labels: { version: process.version } },
  ]);
  add("omendb_build_info", "The version of the server", "gauge", () => [
    { value: 1, labels: { version } },
  ]);
  add("omendb_event_loop_lag_seconds", "Longest delay in the last second", "gauge", () =>
    control
      .lags()
      .flatMap((lag, listener) =>
        lag === undefined ? [] : [{ value: lag / 1000, labels: { listener: String(listener) } }],
      ),
  );
}

/** The count is the sum of the buckets just read, so that a text never contradicts itself. */
function histogramValues(control: Control, name: HistogramName): Value[] {
  const { name: shown, bounds, cellsPerUnit, seriesCount } = HISTOGRAMS[name];
  const found: Value[] = [];
  for (let series = 0; series < seriesCount; series++) {
    const { buckets, sum } = control.read(name, series);
    let total = 0;
    const values = buckets.map((count, bucket) => {
      total += count;
      const le = bucket < bounds.length ? String(bounds[bucket]! / cellsPerUnit) : "+Inf";
      return { value: total, labels: { le, ...labelsOf(name, series) } };
    });
    if (total === 0 && seriesCount > 1) continue;
    const labels = labelsOf(name, series);
    for (const value of values) found.push({ ...value, metricName: `${shown}_bucket` });
    found.push({ value: sum, labels, metricName: `${shown}_sum` });
    found.push({ value: total, labels, metricName: `${shown}_count` });
  }
  return found;
}

function labelsOf(name: HistogramName, series: number): Labels {
  if (name !== "requests") return {};
  const operation = operationNames[Math.floor(series / STATUS_CLASSES.length)];
  const status = STATUS_CLASSES[series % STATUS_CLASSES.length]!;
  if (operation === undefined) return { route: "none", method: "any", status };
  const { path, method } = operationOf(operation);
  return { route: path, method: method.toUpperCase(), status };
}
