/**
 * The report's plots, drawn by vega-lite (installed in perf/ only) as SVG that reads well on a phone:
 * narrow, large type, few colours. Without vega-lite there are none, and the report says nothing of
 * them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadSummary } from "./load.ts";
import type { Part, Parts } from "./report.ts";
import { SCENARIOS } from "./scenarios.ts";

interface EngineData {
  readonly results: readonly {
    readonly name: string;
    readonly efConstruction: number;
    readonly bytes?: number;
    readonly build: { readonly rowsPerSecond: number };
    readonly searches: readonly {
      readonly recallTarget: number;
      readonly recall: number;
      readonly searchesPerSecond: number | null;
    }[];
  }[];
}

interface ServerData {
  readonly results: readonly {
    readonly name: string;
    readonly rowsPerSecond: number;
    readonly points: readonly {
      readonly target: number;
      readonly speeds: readonly {
        readonly clients: number;
        readonly cpuMicroseconds: number | null;
      }[];
    }[];
  }[];
}

type Row = Readonly<Record<string, string | number>>;

const STYLE = {
  background: "white",
  font: "system-ui, sans-serif",
  axis: { labelFontSize: 14, titleFontSize: 15, labelLimit: 300 },
  legend: { labelFontSize: 14, titleFontSize: 14, orient: "bottom", columns: 3, labelLimit: 260 },
  title: { fontSize: 18, subtitleFontSize: 12, subtitleColor: "#555", anchor: "start", offset: 12 },
};
const WIDTH = 520;

/** Writes the plots; answers their names by part. */
export async function drawPlots(parts: Parts, folder: string): Promise<Record<string, string[]>> {
  const render = await loadRenderer();
  if (render === undefined) return {};
  const drawn: Record<string, string[]> = {};
  const draw = async (part: string, name: string, spec: object) => {
    writeFileSync(join(folder, `${name}.svg`), await render(spec));
    drawn[part] = [...(drawn[part] ?? []), `${name}.svg`];
  };
  const { engine, servers } = parts;
  if (engine) {
    await draw("engine", "engine-searches", engineSearches(engine));
    await draw("engine", "engine-builds", engineBuilds(engine));
  }
  if (servers) await draw("servers", "servers-cpu", serversCpu(servers));
  for (const name of ["step", "step-octets"] as const) {
    const part = parts[name];
    if (part) await draw(name, name, latencies(name, part));
  }
  return drawn;
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

function titled(text: string, { machine, date, command }: Part): object {
  return { text, subtitle: [machine, `${command}, ${date}`] };
}

function bars(title: object, values: readonly Row[], x: object, colour?: object): object {
  return {
    width: WIDTH,
    height: { step: 30 },
    title,
    data: { values },
    mark: { type: "bar", tooltip: false },
    encoding: {
      y: { field: "name", type: "nominal", title: null, sort: null },
      x: { field: "value", type: "quantitative", ...x },
      ...(colour
        ? { color: colour, yOffset: { field: "group", type: "nominal", sort: null } }
        : {}),
    },
  };
}

const GROUP = { field: "group", type: "nominal", title: null, sort: null };

function engineSearches(part: Part): object {
  const { results } = part.data as EngineData;
  const values = results.flatMap(({ name, efConstruction, searches }) =>
    searches.map(({ recallTarget, searchesPerSecond }) => ({
      name: `${name}, efC ${efConstruction}`,
      group: `recall@10 ${recallTarget}`,
      value: searchesPerSecond ?? 0,
    })),
  );
  const x = { title: "searches a second of CPU, one thread", axis: { format: "~s" } };
  return bars(titled("Searches at equal recall", part), values, x, GROUP);
}

function engineBuilds(part: Part): object {
  const { results } = part.data as EngineData;
  const values = results.map(({ name, efConstruction, build }) => ({
    name: `${name}, efC ${efConstruction}`,
    value: build.rowsPerSecond,
  }));
  const x = { title: "rows built a second of CPU, one thread", axis: { format: "~s" } };
  return bars(titled("Building the graph", part), values, x);
}

function serversCpu(part: Part): object {
  const { results } = part.data as ServerData;
  const values = results.flatMap(({ name, points }) =>
    points.map(({ target, speeds }) => ({
      name,
      group: `recall@10 ${target}`,
      value: speeds[0]?.cpuMicroseconds ?? 0,
    })),
  );
  const x = { title: "microseconds of server CPU a search (shorter is better)" };
  return bars(titled("What a search costs the server", part), values, x, GROUP);
}

/** Percentiles of each step against the rate that was asked of it. */
function latencies(name: "step" | "step-octets", part: Part): object {
  const { metrics } = part.data as LoadSummary;
  const { perSecond } = SCENARIOS[name].shape;
  const values = perSecond.flatMap((rate, step) => {
    const found = metrics[`http_req_duration{phase:${step}}`]?.values;
    if (found === undefined) return [];
    return (["med", "p(95)", "p(99)"] as const).map((percentile) => ({
      rate,
      percentile: percentile === "med" ? "p50" : percentile.replace(/[()]/g, ""),
      milliseconds: Math.max(0.1, found[percentile] ?? 0),
    }));
  });
  return {
    width: WIDTH,
    height: 320,
    title: titled("Latency under rising load", part),
    data: { values },
    mark: { type: "line", point: { size: 60 }, strokeWidth: 3 },
    encoding: {
      x: { field: "rate", type: "quantitative", title: "searches asked for a second" },
      y: {
        field: "milliseconds",
        type: "quantitative",
        title: "milliseconds",
        scale: { type: "log" },
      },
      color: { field: "percentile", type: "nominal", title: null, sort: null },
    },
  };
}
