/**
 * A search over a collection's shards: plan, walk or scan, merge, describe.
 *
 * The answer is that of one snapshot. A row whose slot was given away while it was read is noticed
 * by its stamp, and the search starts again on a newer snapshot. Walks run through at once; exact
 * scans and filters go in slices, between which the thread serves others.
 */
import { OmenError } from "../errors.ts";
import { exactly } from "./calibration.ts";
import {
  type Candidate,
  type Course,
  collect,
  nearest,
  sliceRows,
  sortUnlessInOrder,
} from "./course.ts";
import type { Hit, Metric, SearchAnswer, SearchQuery, Work } from "./database.ts";
import { scanPassing, walkPassing } from "./passing.ts";
import { plan } from "./planner.ts";
import type { Part, Searchable } from "./searchable.ts";

/** Searches that lose rows to a racing writer start again this often. */
const ATTEMPTS_MAX = 16;
const COMING_AND_GOING = 0.05;
/** What trying a filter on a row costs, in components measured. */
export const FILTER_COMPONENTS = 16;
/** Rows that a walk measures for each of its width, about. */
const WALK_ROWS = 20;

export async function search(collection: Searchable, query: SearchQuery): Promise<SearchAnswer> {
  checkQuery(collection, query.vector);
  for (let attempt = 1; ; attempt++) {
    const answer = await searchOnce(collection, query);
    if (answer) return answer;
    if (attempt === ATTEMPTS_MAX) {
      throw new OmenError("OVERLOADED", "rows change faster than this search can read them");
    }
  }
}

function checkQuery(collection: Searchable, vector: Float32Array): void {
  const { dimensions, metric } = collection.settings;
  if (vector.length !== dimensions) {
    const message = `expected ${dimensions} dimensions, got ${vector.length}`;
    throw new OmenError("DIMENSION_MISMATCH", message);
  }
  if (metric === "cosine" && vector.every((component) => component === 0)) {
    throw new OmenError("ZERO_VECTOR", "a zero vector has no direction, which cosine needs");
  }
}

/** One try on one snapshot; undefined when rows moved under it. */
async function searchOnce(
  collection: Searchable,
  query: SearchQuery,
): Promise<SearchAnswer | undefined> {
  const snapshot = collection.readings.begin();
  try {
    return await searchAt(collection, query, snapshot);
  } finally {
    collection.readings.end(snapshot);
  }
}

async function searchAt(
  collection: Searchable,
  query: SearchQuery,
  snapshot: number,
): Promise<SearchAnswer | undefined> {
  const matched = query.filter && (await collection.matcher.match(query.filter));
  const matching = matched ? matched.count : collection.live;
  const { aim, plan } = planOf(collection, query, matching);
  const course: Course = {
    query,
    snapshot,
    matched,
    plan,
    distances: 0,
    hasMoved: false,
    isCutOff: false,
  };
  let { strategy } = course.plan;
  let found: Candidate[] = [];
  if (strategy !== "exact") {
    const walkOnce = strategy === "graph" ? walk : walkPassing;
    found = walkOnce(collection, course);
    while (collection.absent && (await collection.absent.bring(collection.parts, query.k))) {
      begin(course);
      found = walkOnce(collection, course);
    }
    // The graph owes k rows whenever k match; where it cannot reach them, a scan does.
    const isShort = found.length < query.k && matching > found.length;
    if (isShort || course.isCutOff) strategy = "exact";
  }
  if (strategy === "exact") {
    const { isByCodes } = course.plan;
    if (collection.absent && !isByCodes) await collection.absent.bringAll(matched);
    found = isByCodes ? await scanPassing(collection, course) : await scan(collection, course);
  }
  const hits = describe(collection.settings.metric, found, course);
  if (course.hasMoved) return undefined;
  const isExact = strategy === "exact" && !course.plan.isByCodes;
  const explanation = {
    strategy,
    matching,
    ef: course.plan.ef,
    distancesComputed: course.distances,
    ...(collection.settings.vectors === "none" && { approximate: true as const }),
    ...(aim && { recall: isExact ? exactly(aim.estimate.target) : aim.estimate }),
    ...(matched?.unsure && { unsure: matched.unsure, unread: matched.unread }),
  };
  return { hits, explanation };
}

function planOf(collection: Searchable, query: SearchQuery, matching: number) {
  const { calibration, live, settings } = collection;
  const target = query.ef === undefined ? query.recallTarget : undefined;
  const aim = target === undefined ? undefined : calibration.aim(target, query.k, live);
  const question = {
    k: query.k,
    ef: query.ef ?? aim?.ef ?? settings.efSearch,
    exact: query.exact || (aim !== undefined && aim.ef === undefined),
    filtered: query.filter !== undefined,
    dimensions: settings.dimensions,
  };
  return { aim, plan: plan({ ...question, matching, live }) };
}

/** See CollectionView. How many rows pass a filter is not known before it has been tried. */
export function workOf(collection: Searchable, query: SearchQuery): Work {
  const { live, settings } = collection;
  if (query.filter !== undefined && !query.exact) {
    return { components: live * FILTER_COMPONENTS, isWalk: false };
  }
  const { strategy, ef } = planOf(collection, query, live).plan;
  const isWalk = strategy !== "exact";
  return { components: (isWalk ? ef * WALK_ROWS : live) * settings.dimensions, isWalk };
}

/** What was found so far is void. */
function begin(course: Course): void {
  course.distances = 0;
  course.hasMoved = false;
  course.isCutOff = false;
}

/** Walks every shard's graph and scans its tail. */
function walk(collection: Searchable, course: Course): Candidate[] {
  const found: Candidate[] = [];
  const { ef, candidates } = course.plan;
  for (const part of collection.parts) {
    part.shard.setQuery(course.query.vector);
    const count = part.shard.search(ef, candidates, course.snapshot, course.query.k);
    collect(part, Math.min(count, candidates), course, found);
    if (isCutOff(part)) course.isCutOff = true;
  }
  return nearest(found, course.query.k);
}

/** Whether the walk met fewer rows than are linked, some that come and go meanwhile allowed for. */
function isCutOff({ shard }: Part): boolean {
  const met = shard.exhausted;
  return met > 0 && met + shard.tail < shard.live * (1 - COMING_AND_GOING);
}

/**
 * Measures every row that passes, in slices. Rows as far as the last place are all looked at, for
 * ids decide there.
 */
async function scan(collection: Searchable, course: Course): Promise<Candidate[]> {
  const { query, snapshot, matched } = course;
  let found: Candidate[] = [];
  let tiedAt = Number.NaN;
  for (const [index, part] of collection.parts.entries()) {
    const { shard } = part;
    const end = shard.slotsUsed;
    const step = sliceRows(collection, end, matched?.counts[index]);
    for (let from = 0; from < end; from += step) {
      if (from > 0 || index > 0) await collection.thread.pause();
      shard.setQuery(query.vector);
      const count = shard.scan(from, from + step, query.k, snapshot, matched?.bitmaps[index]);
      collect(part, count, course, found);
      if (shard.hasTies) tiedAt = minimum(tiedAt, shard.resultDistance(count - 1));
      found = nearest(found, query.k);
    }
  }
  const last = found.at(-1);
  if (last === undefined || last.measure !== tiedAt) return found;
  return scanTies(collection, course, found, last.measure);
}

function minimum(a: number, b: number): number {
  return Number.isNaN(a) || b < a ? b : a;
}

/**
 * Replaces the rows at the last place's distance by all rows at that distance, of which ids pick.
 */
async function scanTies(
  collection: Searchable,
  course: Course,
  found: Candidate[],
  measure: number,
): Promise<Candidate[]> {
  const { query, snapshot, matched } = course;
  const nearer = found.filter((candidate) => candidate.measure < measure);
  const wanted = query.k - nearer.length;
  let tied: { candidate: Candidate; id: string }[] = [];
  for (const [index, part] of collection.parts.entries()) {
    const { shard, rows } = part;
    const end = shard.slotsUsed;
    const step = sliceRows(collection, end, matched?.counts[index]);
    for (let from = 0; from < end; from = shard.scanned) {
      await collection.thread.pause();
      shard.setQuery(query.vector);
      const count = shard.scanTies(from, from + step, measure, snapshot, matched?.bitmaps[index]);
      const slice: Candidate[] = [];
      collect(part, count, course, slice);
      tied.push(...slice.map((candidate) => ({ candidate, id: rows.id(candidate.slot) })));
      tied = tied.sort((a, b) => compareIds(a.id, b.id)).slice(0, wanted);
      if (shard.scanned <= from) break;
    }
  }
  return [...nearer, ...tied.map(({ candidate }) => candidate)];
}

/** Ids in the order of their UTF-16 units, the same everywhere. */
function compareIds(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Turns candidates into hits, ties by id, and looks once more whether each slot still holds its
 * row.
 */
function describe(metric: Metric, found: readonly Candidate[], course: Course): Hit[] {
  const { query, snapshot } = course;
  const named = found.map((candidate) => ({
    candidate,
    id: candidate.part.rows.id(candidate.slot),
  }));
  sortUnlessInOrder(
    named,
    (a, b) => a.candidate.measure - b.candidate.measure || compareIds(a.id, b.id),
  );
  const hits: Hit[] = [];
  for (const { candidate, id } of named.slice(0, query.k)) {
    const { part, slot, stamp, measure } = candidate;
    const distance = distanceOf(metric, measure);
    if (query.maxDistance !== undefined && distance > query.maxDistance) break;
    hits.push({
      id,
      distance,
      score: scoreOf(metric, distance),
      metadata: query.includeMetadata ? part.rows.metadata(slot) : undefined,
      vector: query.includeVector ? part.shard.vector(slot).slice() : undefined,
    });
    if (!part.shard.isStillVisible(slot, stamp, snapshot)) course.hasMoved = true;
  }
  return hits;
}

/** The sums of a cosine may round past 1, and no row is nearer than the query itself. */
function distanceOf(metric: Metric, measure: number): number {
  if (metric === "l2") return Math.sqrt(measure);
  return metric === "cosine" ? Math.max(0, measure) : measure;
}

function scoreOf(metric: Metric, distance: number): number {
  if (metric === "l2") return 1 / (1 + distance);
  return metric === "cosine" ? 1 - distance : -distance;
}
