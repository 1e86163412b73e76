/**
 * What became of each step of a rising load, and the knee: the last step that, like all before it,
 * was answered whole, right and soon.
 */
import type { LoadSummary } from "./load.ts";
import type { Scenario } from "./scenarios.ts";

export const KNEE_P99_MS = 10;
export const KNEE_RECALL = 0.95;
/** Of what was asked for; the schedule of the last moments may not have been kept. */
const WHOLE = 0.98;

export interface Step {
  readonly asked: number;
  /** Answers with results, a second. */
  readonly answered: number;
  readonly refusedShare: number;
  readonly recall: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

/** None where the load does not rise in steps. */
export function stepsOf({ shape }: Scenario, { metrics }: LoadSummary): Step[] {
  if (shape.kind !== "steps") return [];
  return shape.perSecond.flatMap((asked, step) => {
    const of = (metric: string, statistic: string) =>
      metrics[`${metric}{phase:${step}}`]?.values[statistic] ?? 0;
    const count = of("http_reqs", "count");
    if (count === 0) return [];
    const refusedShare = of("refused", "rate");
    return {
      ...{ asked, refusedShare, recall: of("recall", "avg") },
      answered: (count * (1 - refusedShare)) / shape.seconds,
      p50Ms: of("http_req_duration", "med"),
      p95Ms: of("http_req_duration", "p(95)"),
      p99Ms: of("http_req_duration", "p(99)"),
    };
  });
}

/** Undefined when the first step is too much already. */
export function kneeOf(steps: readonly Step[]): Step | undefined {
  const over = steps.findIndex(({ asked, answered, recall, p99Ms }) => {
    return answered < asked * WHOLE || recall < KNEE_RECALL || p99Ms >= KNEE_P99_MS;
  });
  return over < 0 ? steps.at(-1) : steps[over - 1];
}

export function describeSteps(steps: readonly Step[]): string[] {
  const rows = steps.map(({ asked, answered, refusedShare, recall, p50Ms, p95Ms, p99Ms }) => {
    const times = [p50Ms, p95Ms, p99Ms].map((ms) => ms.toFixed(2));
    const refused = `${(refusedShare * 100).toFixed(1)} %`;
    return `| ${[asked, Math.round(answered), refused, recall.toFixed(4), ...times].join(" | ")} |`;
  });
  const knee = kneeOf(steps);
  const bounds = `recall >= ${KNEE_RECALL} and p99 < ${KNEE_P99_MS} ms`;
  return [
    "| asked a second | answered | refused | recall | p50 ms | p95 ms | p99 ms |",
    "|---|---|---|---|---|---|---|",
    ...rows,
    "",
    knee === undefined
      ? `no step had ${bounds}`
      : `the knee: ${knee.asked} searches/s with ${bounds} (p99 ${knee.p99Ms.toFixed(2)} ms)`,
  ];
}
