/**
 * One scenario of perf/scenarios.ts as a k6 script. `npm run perf:k6 -- NAME` starts a server,
 * prepares the data and runs this file, in k6 when K6 names its binary, else in perf/driver.
 *
 *   SCENARIO   name in the table
 *   URL        of the server
 *   DATA       the prepared JSON file, absolute
 *   SUMMARY    where the summary goes, as JSON
 */
import exec from "k6/execution";
import type { Scenario as K6Scenario, Options } from "k6/options";
import { SCENARIOS, type Scenario, type ScenarioName } from "../scenarios.ts";
import { prepare } from "./workloads.ts";

const chosen: Scenario = SCENARIOS[__ENV.SCENARIO as ScenarioName];
const work = prepare(chosen);

const seconds = (count: number) => `${count}s`;

function shapeOf({ shape, clients }: Scenario): K6Scenario {
  const arrivals = { timeUnit: "1s", preAllocatedVUs: clients, maxVUs: clients } as const;
  if (shape.kind === "constant") {
    const { perSecond: rate } = shape;
    return {
      executor: "constant-arrival-rate",
      ...{ rate, duration: seconds(shape.seconds), ...arrivals },
    };
  }
  if (shape.kind === "steps") {
    const stages = shape.perSecond.flatMap((target) => [
      { target, duration: "0s" },
      { target, duration: seconds(shape.seconds) },
    ]);
    return {
      executor: "ramping-arrival-rate",
      ...{ startRate: shape.perSecond[0]!, stages, ...arrivals },
    };
  }
  if (shape.kind === "spike") {
    const each = seconds(shape.seconds / 3);
    const stages = [shape.calm, shape.high, shape.calm].flatMap((target) => [
      { target, duration: "0s" },
      { target, duration: each },
    ]);
    return { executor: "ramping-arrival-rate", startRate: shape.calm, stages, ...arrivals };
  }
  return {
    executor: "shared-iterations",
    ...{ vus: shape.clients, iterations: work.iterations, maxDuration: "1h" },
  };
}

function phasesOf({ shape }: Scenario): string[] {
  if (shape.kind === "steps") return shape.perSecond.map((_, step) => String(step));
  return shape.kind === "spike" ? ["before", "high", "after"] : [];
}

/** A summary tells of a part of a metric only where a threshold asks for it: these always hold. */
function thresholdsOf(scenario: Scenario): Record<string, string[]> {
  const told = phasesOf(scenario).flatMap((phase): [string, string[]][] => [
    [`http_req_duration{phase:${phase}}`, ["max>=0"]],
    [`http_reqs{phase:${phase}}`, ["count>=0"]],
    [`refused{phase:${phase}}`, ["rate>=0"]],
    [`recall{phase:${phase}}`, ["avg>=0"]],
  ]);
  const asked = Object.entries(scenario.thresholds).map(([metric, all]) => [metric, [...all]]);
  return { ...Object.fromEntries(told), ...Object.fromEntries(asked) };
}

export const options: Options = {
  scenarios: { [__ENV.SCENARIO!]: shapeOf(chosen) },
  thresholds: thresholdsOf(chosen),
  summaryTrendStats: ["avg", "min", "med", "max", "p(95)", "p(99)", "count"],
  discardResponseBodies: false,
};

/** The stretch of the run that a request belongs to: a step's number, or before, high, after. */
function phaseNow(): string {
  const { shape } = chosen;
  const at = (Date.now() - exec.scenario.startTime) / 1000;
  if (shape.kind === "steps") return String(Math.floor(at / shape.seconds));
  if (shape.kind !== "spike") return "all";
  return ["before", "high", "after"][Math.min(2, Math.floor((at * 3) / shape.seconds))]!;
}

export default async function iteration(): Promise<void> {
  await work.run(exec.scenario.iterationInTest, phaseNow());
}

export function handleSummary(data: object): Record<string, string> {
  return { [__ENV.SUMMARY!]: JSON.stringify(data, null, 2) };
}
