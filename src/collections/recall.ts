/** Recall measured on demand, by the thread that was asked, in slices. */
import { EFS, lowerBound } from "./calibration.ts";
import type { Collection } from "./collection.ts";
import type { RecallQuery, RecallReport } from "./database.ts";
import { plan } from "./planner.ts";
import { drawRow, type Outcome, probe } from "./probing.ts";

/** Of the widths that are calibrated, those that are shown. */
const EF_SHOWN_MAX = 512;
export const TARGETS = [0.9, 0.95, 0.99] as const;
/** Rows that moved under a sample are replaced by others, so often in all. */
const LOST_MAX = 100;

export async function measureRecall(
  collection: Collection,
  query: RecallQuery,
): Promise<RecallReport> {
  const { k, sample } = query;
  const least = Math.ceil(k * 1.5);
  const shown = EFS.filter((ef) => ef > least && ef <= Math.max(EF_SHOWN_MAX, 2 * least));
  const trials = [least, ...shown].map((ef) => ({ k, ef }));
  const outcomes: Outcome[][] = [];
  for (let tries = 0; outcomes.length < sample && tries < sample + LOST_MAX; tries++) {
    const snapshot = collection.readings.begin();
    try {
      const row = drawRow(collection, Math.random);
      if (row === undefined) break;
      const steps = probe(collection, row, trials, snapshot);
      for (;;) {
        const { done, value } = steps.next();
        if (done && value) outcomes.push(value);
        if (done) break;
        await collection.thread.pause();
        if (query.isAbandoned?.()) return reportOf(collection, query, [], []);
      }
    } finally {
      collection.readings.end(snapshot);
    }
  }
  const efs = trials.map(({ ef }) => ef);
  return reportOf(collection, query, efs, outcomes);
}

function reportOf(
  { calibration, live, settings }: Collection,
  { k }: RecallQuery,
  efs: readonly number[],
  outcomes: readonly Outcome[][],
): RecallReport {
  const { curves } = calibration;
  const { dimensions } = settings;
  const targets = TARGETS.map((target) => {
    const { ef } = calibration.aim(target, k, live);
    if (ef === undefined) return { target, ef };
    const question = { k, ef, exact: false, filtered: false, live, matching: live };
    const { strategy, ef: width } = plan({ ...question, dimensions });
    return { target, ef: strategy === "exact" ? undefined : width };
  });
  return {
    sample: outcomes.length,
    curve: outcomes.length === 0 ? [] : efs.map((ef, index) => pointOf(ef, index, outcomes)),
    targets,
    ...(curves && {
      calibration: {
        sample: curves.samples,
        rows: curves.rows,
        ageSeconds: Math.max(0, (Date.now() - curves.measuredAtMs) / 1000),
      },
    }),
  };
}

function pointOf(ef: number, index: number, outcomes: readonly Outcome[][]) {
  const each = outcomes.map((row) => row[index]!);
  const count = each.length;
  const meanOf = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / count;
  const recall = meanOf(each.map((outcome) => outcome.recall));
  const variance = meanOf(each.map((outcome) => (outcome.recall - recall) ** 2));
  const times = each.map(({ ms }) => ms).sort((a, b) => a - b);
  return {
    ef,
    recall,
    atLeast: lowerBound({ recall, error: Math.sqrt(variance / count) }),
    distances: meanOf(each.map(({ distances }) => distances)),
    p50Ms: times[Math.floor(count / 2)]!,
  };
}
