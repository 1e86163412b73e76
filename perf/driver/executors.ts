/**
 * When iterations begin. Open loops keep their schedule whatever the answers do: an iteration that
 * finds no free client is dropped and counted, never put off. Closed loops begin the next one when
 * the one before is answered.
 */
import { iterations, recorder } from "./run.ts";

export interface Plan {
  readonly executor: string;
  readonly rate?: number;
  readonly duration?: string;
  readonly startRate?: number;
  readonly stages?: readonly { readonly target: number; readonly duration: string }[];
  readonly maxVUs?: number;
  readonly vus?: number;
  readonly iterations?: number;
}

const TICK_MS = 1;
const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export function milliseconds(duration: string): number {
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0) throw new Error(`"${duration}" is no duration`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit!]!, 0);
}

/** Runs a scenario to its end. */
export async function execute(plan: Plan, work: () => Promise<void>): Promise<void> {
  const startTime = Date.now();
  let next = 0;
  const begin = async (client: number): Promise<void> => {
    const start = performance.now();
    await iterations.run({ number: next++, client, startTime }, work);
    recorder.add("iterations", 1);
    recorder.add("iteration_duration", performance.now() - start);
  };
  if (plan.executor === "shared-iterations") {
    const client = async (_: unknown, number: number) => {
      while (next < plan.iterations!) await begin(number);
    };
    await Promise.all(Array.from({ length: plan.vus! }, client));
  } else if (plan.executor === "constant-arrival-rate") {
    const stages = [{ target: plan.rate!, duration: plan.duration! }];
    await keepSchedule(plan.rate!, stages, plan.maxVUs!, begin);
  } else if (plan.executor === "ramping-arrival-rate") {
    await keepSchedule(plan.startRate!, plan.stages!, plan.maxVUs!, begin);
  } else throw new Error(`the driver knows no executor ${plan.executor}`);
}

async function keepSchedule(
  startRate: number,
  stages: NonNullable<Plan["stages"]>,
  clients: number,
  begin: (client: number) => Promise<void>,
): Promise<void> {
  const free = Array.from({ length: clients }, (_, client) => clients - 1 - client);
  const underWay = new Set<Promise<void>>();
  const start = performance.now();
  const endMs = stages.reduce((sum, { duration }) => sum + milliseconds(duration), 0);
  let begun = 0;
  for (let at = 0; at < endMs; at = performance.now() - start) {
    for (const due = dueBy(startRate, stages, at); begun < due; begun++) {
      const client = free.pop();
      if (client === undefined) {
        recorder.add("dropped_iterations", 1);
        continue;
      }
      const one = begin(client).finally(() => {
        free.push(client);
        underWay.delete(one);
      });
      underWay.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(underWay);
}

/** Iterations due after so many milliseconds: the area under the rates, which ramp in straight lines. */
export function dueBy(startRate: number, stages: NonNullable<Plan["stages"]>, at: number): number {
  let area = 0;
  let rate = startRate;
  let left = at;
  for (const { target, duration } of stages) {
    const length = milliseconds(duration);
    const part = Math.min(left, length);
    if (length > 0) {
      const reached = rate + ((target - rate) * part) / length;
      area += (((rate + reached) / 2) * part) / 1000;
    }
    rate = target;
    left -= part;
    if (left <= 0 && length > 0) break;
  }
  return Math.floor(area);
}
