/**
 * `node perf/driver/drive.ts SCRIPT`: runs a k6 script without k6. What the scripts in perf/k6 use of
 * k6 stands in perf/driver/modules; the environment is their __ENV. Ends with 99 when a threshold is
 * not kept, as k6 does.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { resolve as resolvePath } from "node:path";
import { pathToFileURL } from "node:url";
import { execute, type Plan } from "./executors.ts";
import { recorder } from "./run.ts";

interface Script {
  readonly options: {
    readonly scenarios: Readonly<Record<string, Plan>>;
    readonly thresholds?: Readonly<Record<string, readonly string[]>>;
  };
  default(): Promise<void>;
  handleSummary?(data: object): Record<string, string>;
}

const THRESHOLDS_FAILED = 99;
const MODULES: Record<string, string> = {
  k6: new URL("./modules/k6.ts", import.meta.url).href,
  "k6/http": new URL("./modules/http.ts", import.meta.url).href,
  "k6/metrics": new URL("./modules/metrics.ts", import.meta.url).href,
  "k6/execution": new URL("./modules/execution.ts", import.meta.url).href,
};

async function load(path: string): Promise<Script> {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const url = MODULES[specifier];
      return url === undefined ? nextResolve(specifier, context) : { url, shortCircuit: true };
    },
  });
  const open = (file: string, mode?: "b") =>
    mode === "b" ? Uint8Array.from(readFileSync(file)).buffer : readFileSync(file, "utf8");
  Object.assign(globalThis, { __ENV: { ...process.env }, open });
  return (await import(pathToFileURL(resolvePath(path)).href)) as Script;
}

async function main(): Promise<void> {
  const path = process.argv[2];
  if (path === undefined) throw new Error("which script? node perf/driver/drive.ts SCRIPT");
  const script = await load(path);
  const { scenarios, thresholds = {} } = script.options;
  recorder.follow(thresholds);
  const start = performance.now();
  for (const plan of Object.values(scenarios)) await execute(plan, () => script.default());
  const verdicts = recorder.judge(thresholds);
  const summary = recorder.summary(verdicts, (performance.now() - start) / 1000);
  for (const [file, text] of Object.entries(script.handleSummary?.(summary) ?? {})) {
    writeFileSync(file, text);
  }
  const broken = verdicts.filter(({ ok }) => !ok);
  for (const { metric, threshold } of broken) console.log(`NOT KEPT: ${metric} ${threshold}`);
  process.exit(broken.length > 0 ? THRESHOLDS_FAILED : 0);
}

await main();
