/**
 * How a search is done: by measuring every row that may be an answer, or by walking the graph, and
 * how wide the walk goes.
 *
 * Under a filter the number of rows that match is known. To measure their codes costs each the
 * same; a walk costs by its width, and more the fewer rows match, since it looks through the
 * others. The cheaper one is taken; a walk that turns out to be dearer is given up (passing.ts).
 */
import { EF_MAX } from "../../assembly/layout.ts";

/**
 * Components that an exact scan reads in about the time of a walk: below, exact is both faster and
 * right.
 */
export const EXACT_COMPONENTS = 262_144;
/** Rows that float32 decides among, at least and by k. */
const CANDIDATES_MIN = 40;
const CANDIDATES_FACTOR = 4;
/**
 * What a filtered walk costs for each row of its width, in rows whose codes a scan measures: so
 * many, and this many lists looked through divided by the share of rows that match.
 */
const WALK_COST = 110;
const LOOK_COST = 25;

export interface Plan {
  readonly strategy: "exact" | "graph" | "graph+filter";
  readonly ef: number;
  readonly candidates: number;
  /** Whether all that match are measured by their codes first; else float32 alone. */
  readonly isByCodes: boolean;
  readonly scanCandidates: number;
}

export interface Question {
  readonly k: number;
  readonly ef: number;
  readonly exact: boolean;
  /** Rows that pass the filter; all live ones without. */
  readonly matching: number;
  readonly live: number;
  readonly filtered: boolean;
  readonly dimensions: number;
}

export function plan(question: Question): Plan {
  const { k, matching, dimensions, filtered, exact } = question;
  const ef = Math.min(Math.max(question.ef, Math.ceil(k * 1.5)), EF_MAX);
  const wanted = Math.max(CANDIDATES_MIN, k * CANDIDATES_FACTOR);
  const isSmall = matching * dimensions <= EXACT_COMPONENTS || k * 4 >= matching;
  const isExact =
    exact || isSmall || (filtered && matching <= walkCost(ef, matching, question.live));
  return {
    strategy: isExact ? "exact" : filtered ? "graph+filter" : "graph",
    ef,
    candidates: Math.min(wanted, Math.max(ef, k)),
    isByCodes: filtered && !exact && !isSmall,
    scanCandidates: Math.min(wanted, EF_MAX),
  };
}

/** What a filtered walk is expected to cost, in rows whose codes a scan measures. */
export function walkCost(ef: number, matching: number, live: number): number {
  return ef * (WALK_COST + (LOOK_COST * Math.max(live, matching)) / Math.max(matching, 1));
}
