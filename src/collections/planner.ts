/** How a search is done: by the exact scan or by the graph, and how wide the walk goes. */
import { EF_MAX } from "../../assembly/layout.ts";

/**
 * Components that an exact scan reads in about the time of a walk: below, exact is both faster and
 * right.
 */
export const EXACT_COMPONENTS = 262_144;
/** Rows that float32 decides among, at least and by k. */
const CANDIDATES_MIN = 40;
const CANDIDATES_FACTOR = 4;

export interface Plan {
  readonly strategy: "exact" | "graph";
  readonly ef: number;
  readonly candidates: number;
}

export interface Question {
  readonly k: number;
  readonly ef: number;
  readonly exact: boolean;
  /** Rows that pass the filter; all live ones without. */
  readonly matching: number;
  readonly filtered: boolean;
  readonly dimensions: number;
}

export function plan(question: Question): Plan {
  const { k, matching, dimensions } = question;
  const ef = Math.min(Math.max(question.ef, Math.ceil(k * 1.5)), EF_MAX);
  const candidates = Math.min(Math.max(CANDIDATES_MIN, k * CANDIDATES_FACTOR), Math.max(ef, k));
  const isSmall = matching * dimensions <= EXACT_COMPONENTS || k * 4 >= matching;
  const isExact = question.exact || question.filtered || isSmall;
  return { strategy: isExact ? "exact" : "graph", ef, candidates };
}
