/**
 * `npm run perf:k6 -- NAME [--url URL] [--json FILE]`: puts a server under a scenario of
 * perf/scenarios.ts and says whether its thresholds held. A server of its own is started on a free
 * port, with a data folder for durable ingest; --url takes one that runs already, whose data must be
 * the scenario's. K6=/path/to/k6 lets k6 drive; without, perf/driver does.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Server, type Settings, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { describeSteps, stepsOf } from "./knee.ts";
import { fill, prepareRun } from "./prepared.ts";
import { cpuSecondsOf } from "./process.ts";
import { KEY, SCENARIOS, type Scenario, type ScenarioName } from "./scenarios.ts";

interface Values {
  readonly type: string;
  readonly values: Readonly<Record<string, number>>;
  readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>;
}

export interface LoadSummary {
  readonly metrics: Readonly<Record<string, Values>>;
}

export interface LoadReport extends LoadSummary {
  readonly scenario: string;
  readonly driver: "k6" | "node";
  readonly kept: boolean;
  readonly seconds: number;
  /** Of the server over the run, from the OS; undefined for a server elsewhere. */
  readonly serverCpuSeconds: number | undefined;
}

const SCRIPT = fileURLToPath(new URL("./k6/run.ts", import.meta.url));
const DRIVER = fileURLToPath(new URL("./driver/drive.ts", import.meta.url));
const THRESHOLDS_FAILED = 99;

/** Runs a scenario from start to end. Throws when the driver itself fails. */
export async function runScenario(name: ScenarioName, givenUrl?: string): Promise<LoadReport> {
  const scenario: Scenario = SCENARIOS[name];
  const folder = mkdtempSync(join(tmpdir(), "omendb-load-"));
  let server: Server | undefined;
  try {
    const data = await prepareRun(scenario, folder);
    server = givenUrl === undefined ? await start(scenario, folder) : undefined;
    const url = givenUrl ?? `http://127.0.0.1:${server!.port}`;
    if (server !== undefined && scenario.loaded) await fill(server, scenario);
    const before = server && cpuSecondsOf(server.pid);
    const kept = await drive({
      SCENARIO: name,
      URL: url,
      DATA: data,
      SUMMARY: `${folder}/summary`,
    });
    const after = server && cpuSecondsOf(server.pid);
    const summary = JSON.parse(readFileSync(`${folder}/summary`, "utf8")) as {
      metrics: Record<string, Values>;
      state: { testRunDurationMs: number };
    };
    const isKnown = before !== undefined && after !== undefined;
    return {
      ...{ scenario: name, driver: process.env.K6 ? "k6" : "node", kept },
      seconds: summary.state.testRunDurationMs / 1000,
      serverCpuSeconds: isKnown ? after - before : undefined,
      metrics: summary.metrics,
    };
  } finally {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function start({ settings, workload }: Scenario, folder: string): Promise<Server> {
  const isDurable = workload.kind === "ingest" || workload.kind === "mixed";
  const path: Settings = isDurable ? { PATH: join(folder, "data") } : {};
  return startServer({ LOG_LEVEL: "warn", ...path, ...settings });
}

/** Whether all thresholds were kept. */
async function drive(environment: Record<string, string>): Promise<boolean> {
  const { K6 } = process.env;
  const pairs = Object.entries(environment).flatMap(([key, value]) => ["-e", `${key}=${value}`]);
  const child = K6
    ? spawn(K6, ["run", "--quiet", ...pairs, SCRIPT], { stdio: ["ignore", "inherit", "inherit"] })
    : spawn(process.execPath, [DRIVER, SCRIPT], {
        stdio: ["ignore", "inherit", "inherit"],
        env: { ...process.env, ...environment },
      });
  const [code] = (await once(child, "close")) as [number | null];
  if (code === 0) return true;
  if (code === THRESHOLDS_FAILED) return false;
  throw new Error(`the driver ended with ${code}`);
}

export function describe(report: LoadReport): string {
  const steps = stepsOf(SCENARIOS[report.scenario as ScenarioName], report);
  const { scenario, driver, seconds, serverCpuSeconds, metrics } = report;
  const requests = metrics.http_reqs?.values.count ?? 0;
  const about = `${scenario}: ${SCENARIOS[scenario as ScenarioName].about}`;
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  const cpu =
    serverCpuSeconds === undefined || requests === 0
      ? ""
      : `, ${Math.round((serverCpuSeconds * 1e6) / requests)} us server CPU each`;
  const rate = `${requests} requests in ${seconds.toFixed(1)} s, ${(requests / seconds).toFixed(0)}/s`;
  const lines = Object.entries(metrics)
    .filter(([name]) => steps.length === 0 || !name.includes("{phase:"))
    .filter(([, { values }]) => Object.values(values).some((value) => value !== 0))
    .map(([name, { values, thresholds = {} }]) => {
      const shown = Object.entries(values).map(([key, value]) => `${key}=${round(value)}`);
      const judged = Object.entries(thresholds).map(
        ([threshold, { ok }]) => `${ok ? "kept" : "NOT KEPT"} ${threshold}`,
      );
      return `  ${name.padEnd(34)} ${shown.join(" ")}${judged.length > 0 ? `  [${judged}]` : ""}`;
    });
  const told = steps.length === 0 ? [] : ["", ...describeSteps(steps), ""];
  return [about, `${machine}, driven by ${driver}`, rate + cpu, ...told, ...lines].join("\n");
}

const round = (value: number) => Number(value.toPrecision(5));

async function main(): Promise<void> {
  const { values, positionals } = readArguments(
    import.meta.url,
    { url: { type: "string" }, json: { type: "string" }, list: { type: "boolean" } },
    ["NAME ..."],
  );
  const names = Object.keys(SCENARIOS) as ScenarioName[];
  const wrong = positionals.filter((name) => !names.includes(name as ScenarioName));
  if (values.list || positionals.length === 0 || wrong.length > 0) {
    if (wrong.length > 0) console.error(`there is no scenario ${wrong.join(", ")}`);
    for (const name of names) console.log(`${name.padEnd(14)} ${SCENARIOS[name].about}`);
    process.exitCode = wrong.length > 0 ? 2 : 0;
    return;
  }
  if (values.url !== undefined) console.log(`the server at ${values.url} must know the key ${KEY}`);
  for (const name of positionals as ScenarioName[]) {
    const report = await runScenario(name, values.url);
    console.log(describe(report));
    if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(report));
    if (!report.kept) process.exitCode = 1;
  }
}

if (import.meta.main) await main();
