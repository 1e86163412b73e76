/**
 * The report's plots, drawn by vega-lite (installed in perf/ only) as SVG that reads well on a phone:
 * narrow, large type, few colours. Each says of what machine, version and day it is, and by which
 * command. Without vega-lite none is drawn, and the ones that are there stay.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChurnData } from "./churn.ts";
import { type GrowthData, PARTS } from "./growth.ts";
import { stepsOf } from "./knee.ts";
import type { LoadSummary } from "./load.ts";
import type { Part, Parts } from "./report.ts";
import type { ScalePoint } from "./scale.ts";
import { SCENARIOS } from "./scenarios.ts";
import type { ServersData } from "./servers.ts";

interface EngineData {
  readonly results: readonly {
    readonly name: string;
    /** Of the whole index; not there where a rival does not tell. */
    readonly bytes?: number;
    readonly build: { readonly rowsPerSecond: number };
    readonly searches: readonly {
      readonly recallTarget: number;
      readonly recall: number;
      readonly searchesPerSecond: number | null;
    }[];
  }[];
}

interface Plot {
  readonly name: string;
  readonly part: string;
  readonly title: string;
  /** Everything but the title. */
  spec(part: Part): object;
}

type Row = Readonly<Record<string, string | number>>;

const WIDTH = 300;
const HEIGHT = 260;
const FONT_SIZE = 14;
/** Letters of a subtitle's line, at its size, over the plot's whole width. */
const LINE_LETTERS = 58;
const STYLE = {
  background: "white",
  font: "system-ui, sans-serif",
  axis: { labelFontSize: FONT_SIZE, titleFontSize: FONT_SIZE, labelLimit: 200 },
  legend: {
    ...{ labelFontSize: FONT_SIZE, titleFontSize: FONT_SIZE, symbolStrokeWidth: 4 },
    ...{ orient: "bottom", columns: 2, labelLimit: 240 },
  },
  title: { fontSize: 18, subtitleFontSize: 13, subtitleColor: "#444", anchor: "start", offset: 14 },
  line: { strokeWidth: 3 },
};

export const PLOTS: readonly Plot[] = [
  { name: "servers-curve", part: "servers", title: "Recall and speed", spec: serversCurve },
  { name: "servers-cpu", part: "servers", title: "What a search costs", spec: serversCpu },
  {
    ...{ name: "servers-ingest", part: "servers", title: "Ingest until indexed" },
    spec: serverBars("rows a second", ({ rowsPerSecond }) => rowsPerSecond),
  },
  {
    ...{ name: "servers-filtered", part: "servers", title: "Searches among 1 % of the rows" },
    spec: serverBars("searches a second, one client", ({ filtered }) => filtered.perSecond),
  },
  {
    ...{ name: "servers-bytes", part: "servers", title: "Memory a row" },
    spec: serverBars("bytes, as the server itself says", ({ ownBytesPerRow }) => ownBytesPerRow),
  },
  {
    ...{ name: "engine-searches", part: "engine", title: "Searches at equal recall" },
    spec: engineSearches,
  },
  { name: "engine-curve", part: "engine", title: "Recall and speed", spec: engineCurve },
  { name: "engine-builds", part: "engine", title: "Building the graph", spec: engineBuilds },
  { name: "engine-bytes", part: "engine", title: "What an index holds", spec: engineBytes },
  { name: "step", part: "step", title: "Latency under rising load", spec: latencies("step") },
  {
    ...{ name: "step-octets", part: "step-octets", title: "Latency under rising load" },
    spec: latencies("step-octets"),
  },
  { name: "ingest", part: "growth", title: "Ingest over time", spec: ingestOverTime },
  { name: "growth", part: "growth", title: "Searches as rows grow", spec: searchesByRows },
  { name: "memory", part: "growth", title: "Memory by part", spec: memoryByPart },
  { name: "scale", part: "scale", title: "Searches at recall 0.95", spec: searchesByScale },
  { name: "churn-recall", part: "churn", title: "Recall, round by round", spec: churnRecall },
  { name: "churn-cost", part: "churn", title: "What a row costs, round by round", spec: churnCost },
];

/** Draws the plots of the parts that there are, into the folder. */
export async function drawPlots(parts: Parts, folder: string): Promise<void> {
  const render = await loadRenderer();
  if (render === undefined) return;
  for (const { name, part: of, title, spec } of PLOTS) {
    const part = parts[of];
    if (part?.data === undefined) continue;
    const svg = await render({ ...spec(part), title: titled(title, part) });
    writeFileSync(join(folder, `${name}.svg`), svg);
  }
}

/** Undefined where perf/'s packages are not installed. */
async function loadRenderer(): Promise<((spec: object) => Promise<string>) | undefined> {
  try {
    const [vega, { compile }] = await Promise.all(
      ["vega", "vega-lite"].map((name) => import(name)),
    );
    return async (spec) => {
      const runtime = vega.parse(compile({ ...spec, config: STYLE }).spec);
      return (await new vega.View(runtime, { renderer: "none" }).toSVG()) as string;
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

function titled(text: string, { machine, omendb, date, command }: Part): object {
  const words = `${machine}, OmenDB ${omendb}, ${date}`.split(" ");
  const lines = [""];
  for (const word of words) {
    if (lines.at(-1)!.length + word.length >= LINE_LETTERS) lines.push("");
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return { text, subtitle: [...lines, command] };
}

const GROUP = { field: "group", type: "nominal", title: null, sort: null };

function bars(values: readonly Row[], x: object, isGrouped = false): object {
  const groups = isGrouped
    ? { color: GROUP, yOffset: { field: "group", type: "nominal", sort: null } }
    : {};
  return {
    ...{ width: WIDTH, height: { step: isGrouped ? 20 : 34 }, data: { values } },
    mark: { type: "bar" },
    encoding: {
      y: { field: "name", type: "nominal", title: null, sort: null },
      x: { field: "value", type: "quantitative", axis: { format: "~s", tickCount: 4 }, ...x },
      ...groups,
    },
  };
}

function lines(values: readonly Row[], x: object, y: object): object {
  return {
    ...{ width: WIDTH, height: HEIGHT, data: { values } },
    mark: { type: "line", point: { size: 50 } },
    encoding: {
      x: { field: "x", type: "quantitative", axis: { tickCount: 5 }, ...x },
      y: { field: "y", type: "quantitative", axis: { tickCount: 5, format: "~s" }, ...y },
      color: GROUP,
      order: { field: "x" },
    },
  };
}

const serversOf = ({ data }: Part) => (data as ServersData).results;

/** A point for each width that was tried, below recall 0.8 left out. */
function serversCurve(part: Part): object {
  const values = serversOf(part).flatMap(({ name, curve }) =>
    curve.flatMap(({ recall, cpuMicroseconds }) =>
      cpuMicroseconds && recall >= 0.8 ? { group: name, x: recall, y: 1e6 / cpuMicroseconds } : [],
    ),
  );
  const x = { title: "recall@10", scale: { domain: [0.8, 1], clamp: true } };
  const y = { title: "searches a second of server CPU", scale: { type: "log" } };
  return lines(values, x, y);
}

function serversCpu(part: Part): object {
  const values = serversOf(part).flatMap(({ name, points }) =>
    points.flatMap(({ target, speeds }) => {
      const value = speeds[0]?.cpuMicroseconds;
      return value ? { name, group: `recall@10 ${target}`, value } : [];
    }),
  );
  return bars(values, { title: "microseconds of server CPU (shorter is better)" }, true);
}

function serverBars(title: string, of: (result: ServersData["results"][number]) => number | null) {
  return (part: Part): object => {
    const values = serversOf(part).flatMap((result) => {
      const value = of(result);
      return value === null ? [] : { name: result.name, value };
    });
    return bars(values, { title });
  };
}

/** As short as a phone needs it. */
const shortName = (name: string) => name.replace("efConstruction", "efC");

function engineSearches({ data }: Part): object {
  const values = (data as EngineData).results.flatMap(({ name, searches }) =>
    searches.map(({ recallTarget, searchesPerSecond }) => ({
      name: shortName(name),
      ...{ group: `recall@10 ${recallTarget}`, value: searchesPerSecond ?? 0 },
    })),
  );
  return bars(values, { title: "searches a second of CPU, one thread" }, true);
}

/** A point for each recall that was reached. */
function engineCurve({ data }: Part): object {
  const values = (data as EngineData).results.flatMap(({ name, searches }) =>
    searches.flatMap(({ recall, searchesPerSecond }) =>
      searchesPerSecond === null ? [] : { group: shortName(name), x: recall, y: searchesPerSecond },
    ),
  );
  const x = { title: "recall@10", scale: { domain: [0.9, 1], clamp: true } };
  return lines(values, x, { title: "searches a second of CPU", scale: { type: "log" } });
}

/** In memory or, of rivals that do not tell, in their files. */
function engineBytes({ data }: Part): object {
  const values = (data as EngineData).results.flatMap(({ name, bytes }) =>
    bytes === undefined ? [] : { name: shortName(name), value: bytes },
  );
  return bars(values, { title: "bytes of the whole index, vectors included" });
}

function engineBuilds({ data }: Part): object {
  const values = (data as EngineData).results.map(({ name, build }) => ({
    ...{ name: shortName(name), value: build.rowsPerSecond },
  }));
  return bars(values, { title: "rows built a second of CPU, one thread" });
}

/** Percentiles of each step against the rate that was asked of it. */
function latencies(name: "step" | "step-octets") {
  return ({ data }: Part): object => {
    const values = stepsOf(SCENARIOS[name], data as LoadSummary).flatMap((step) => [
      { group: "p50", x: step.asked, y: step.p50Ms },
      { group: "p95", x: step.asked, y: step.p95Ms },
      { group: "p99", x: step.asked, y: step.p99Ms },
    ]);
    const x = { title: "searches asked for a second" };
    return lines(values, x, { title: "milliseconds", scale: { type: "log" } });
  };
}

const growthOf = ({ data }: Part) => data as GrowthData;

function ingestOverTime(part: Part): object {
  const values = growthOf(part).ingest.flatMap(({ seconds, rows, tail }) => [
    { group: "rows", x: seconds, y: rows },
    { group: "waiting for the graph", x: seconds, y: tail },
  ]);
  const plain = lines(values, { title: "seconds of loading" }, { title: "rows" });
  return { ...plain, mark: { type: "line" } };
}

function searchesByRows(part: Part): object {
  const values = growthOf(part).stops.flatMap(({ rows, p50Ms, p99Ms }) => [
    { group: "p50", x: rows, y: p50Ms },
    { group: "p99", x: rows, y: p99Ms },
  ]);
  const x = { title: "rows", scale: { type: "log" }, axis: { format: "~s" } };
  return lines(values, x, { title: "milliseconds a search, one client", axis: {} });
}

function searchesByScale({ data }: Part): object {
  const { points } = data as { points: readonly ScalePoint[] };
  const values = points.flatMap(({ rows, searchesPerSecond, rival }) => [
    { group: "omendb", x: rows, y: searchesPerSecond },
    ...(rival ? [{ group: "hnswlib", x: rows, y: rival.searchesPerSecond }] : []),
  ]);
  const x = { title: "rows", scale: { type: "log" }, axis: { format: "~s" } };
  return lines(values, x, { title: "searches a second of CPU", scale: { type: "log" } });
}

function memoryByPart(part: Part): object {
  const values = growthOf(part).stops.flatMap(({ rows, parts }) =>
    PARTS.map((name, order) => ({
      ...{
        name: rows.toLocaleString("en-US"),
        group: name,
        order,
        value: (parts[name] ?? 0) / rows,
      },
    })),
  );
  const plain = bars(values, { title: "bytes a row", axis: { tickCount: 5 } });
  return {
    ...plain,
    encoding: {
      y: { field: "name", type: "nominal", title: "rows", sort: null },
      x: { field: "value", type: "quantitative", title: "bytes a row", axis: { tickCount: 5 } },
      color: GROUP,
      order: { field: "order" },
    },
  };
}

const churnOf = ({ data }: Part) => (data as ChurnData).rounds;

function churnRecall(part: Part): object {
  const values = churnOf(part).flatMap(({ round, recall, freshRecall, selves }) => [
    { group: "recall@10", x: round, y: recall },
    { group: "of a fresh index", x: round, y: freshRecall },
    { group: "find themselves", x: round, y: selves },
  ]);
  const y = { title: "share found", scale: { domain: [0.98, 1], clamp: true }, axis: {} };
  return lines(values, { title: "rounds of replacing half of the rows" }, y);
}

/** Nothing is deleted or inserted before the first round. */
function churnCost(part: Part): object {
  const rounds = churnOf(part).filter(({ round }) => round > 0);
  const values = rounds.flatMap(({ round, deleteMicroseconds, insertMicroseconds }) => [
    { group: "delete", x: round, y: deleteMicroseconds },
    { group: "insert", x: round, y: insertMicroseconds },
  ]);
  const x = { title: "rounds of replacing half of the rows" };
  return lines(values, x, { title: "microseconds of CPU a row", axis: {} });
}
