/**
 * A collection in plain TypeScript that judges what a server answered while many clients wrote at
 * once: whether the parts of each answer belong to one write, and whether one state of the
 * collection gives the very rows that came.
 */
import { distance } from "../perf/exact.ts";
import {
  type Explain,
  type Read,
  type RowVersion,
  type State,
  type Timed,
  type Write,
  WriteOrder,
} from "./history.ts";

export interface Hit {
  readonly id: string;
  readonly distance: number;
  readonly score: number;
  readonly vector: readonly number[];
  readonly metadata: { readonly nonce: number };
}

export interface Search extends Timed {
  readonly query: Float32Array;
  readonly k: number;
  readonly exact: boolean;
  readonly hits: readonly Hit[];
  /** A row that was written just before, whose vector is the query. */
  readonly written?: RowVersion;
}

export interface Lookup extends Timed {
  readonly id: string;
  /** Undefined when there was no such row. */
  readonly row: (Omit<Hit, "distance" | "score"> & { readonly version: number }) | undefined;
}

export interface Verdict {
  readonly writes: number;
  readonly searches: number;
  readonly recall: number;
  readonly recallWorst: number;
}

const DISTANCE_TOLERANCE = 1e-5;
const SCORE_TOLERANCE = 1e-6;

/** Throws at the first answer that no state explains. */
export function judge(
  writes: readonly Write[],
  searches: readonly Search[],
  lookups: readonly Lookup[],
): Verdict {
  const order = new WriteOrder(writes);
  const versions = new Map<number, RowVersion & { sequence: number }>();
  for (const { rows, sequence } of writes) {
    for (const row of rows) versions.set(row.nonce, { ...row, sequence });
  }
  const recalls: number[] = [];
  const reads = [
    ...writes.flatMap(absences),
    ...lookups.map((lookup) => readOfLookup(lookup, versions)),
    ...searches.map((search) => readOfSearch(search, versions, recalls)),
  ];
  order.explainAll(reads);
  return {
    writes: writes.length,
    searches: searches.length,
    recall: recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length,
    recallWorst: Math.min(...recalls),
  };
}

/** A removal that found nothing is a read that saw nothing. */
function absences({ start, end, removed, deleted }: Write): Read[] {
  if (removed.length === 0 || deleted > 0) return [];
  const explain: Explain = (state) => {
    const present = removed.find((id) => state.has(id));
    return present === undefined ? undefined : `${present} was there`;
  };
  return [{ start, end, what: `that none of ${removed.join()} was there to remove`, explain }];
}

function readOfLookup(
  { start, end, id, row }: Lookup,
  versions: ReadonlyMap<number, RowVersion & { sequence: number }>,
): Read {
  const version = row && versions.get(row.metadata.nonce);
  if (row !== undefined) refuseMixture(row, version);
  if (row?.version !== version?.sequence) {
    throw new Error(`${id} has version ${row?.version} and the data of ${version?.sequence}`);
  }
  const explain: Explain = (state) => {
    const nonce = state.get(id)?.nonce;
    return nonce === row?.metadata.nonce ? undefined : `${id} had nonce ${nonce}`;
  };
  return { start, end, what: `${id} with nonce ${row?.metadata.nonce}`, explain };
}

/** Whatever the state: the parts of a hit belong to one write, and the hits are in order. */
function readOfSearch(
  search: Search,
  versions: ReadonlyMap<number, RowVersion>,
  recalls: number[],
): Read {
  const { start, end, query, hits, exact, k } = search;
  for (const [index, hit] of hits.entries()) {
    const row = versions.get(hit.metadata?.nonce);
    refuseMixture(hit, row);
    const expected = Math.sqrt(distance("l2", query, row!.vector));
    refuseFar(`distance of ${hit.id}`, hit.distance, expected, DISTANCE_TOLERANCE);
    refuseFar(`score of ${hit.id}`, hit.score, 1 / (1 + hit.distance), SCORE_TOLERANCE);
    const before = hits[index - 1];
    if (before !== undefined && !isInOrder(before, hit)) {
      throw new Error(`${before.id} at ${before.distance} stands before ${hit.id}`);
    }
  }
  const ids = hits.map(({ id }) => id);
  if (new Set(ids).size !== ids.length) throw new Error(`an id came twice: ${ids.join()}`);
  const explain: Explain = (state) =>
    explainHits(search, state) ?? (exact ? explainExactly(search, state) : undefined);
  const accept = (states: readonly State[]) => {
    if (!exact) recalls.push(Math.max(...states.map((state) => recallIn(search, state))));
  };
  const what = `a search, exact ${exact}, k ${k}, that found ${ids.join()}`;
  return { start, end, what, explain, accept };
}

const isInOrder = (a: Hit, b: Hit) =>
  a.distance < b.distance || (a.distance === b.distance && a.id < b.id);

function refuseMixture(
  { id, vector, metadata }: Pick<Hit, "id" | "vector" | "metadata">,
  row: RowVersion | undefined,
): void {
  if (row === undefined) throw new Error(`${id} came with nonce ${metadata?.nonce} of no write`);
  if (row.id !== id) throw new Error(`${id} came with the metadata of ${row.id}`);
  const isSame =
    vector.length === row.vector.length &&
    vector.every((component, index) => Math.fround(component) === row.vector[index]);
  if (!isSame) throw new Error(`${id} came with a vector that nonce ${row.nonce} did not write`);
}

function refuseFar(what: string, value: number, expected: number, tolerance: number): void {
  if (Math.abs(value - expected) <= tolerance * Math.max(1, Math.abs(expected))) return;
  throw new Error(`${what} is ${value}, expected ${expected}`);
}

/** Every hit is of this state, there are as many as there can be, and a fresh row is among them. */
function explainHits({ hits, k, written }: Search, state: State): string | undefined {
  const count = Math.min(k, state.size);
  if (hits.length !== count) return `${count} rows expected, ${hits.length} came`;
  const stranger = hits.find(({ id, metadata }) => state.get(id)?.nonce !== metadata.nonce);
  if (stranger !== undefined) return `${stranger.id} was of another write or not there`;
  if (written === undefined || state.get(written.id)?.nonce !== written.nonce) return undefined;
  const isFound = hits.some(({ id }) => id === written.id) || hits.at(-1)?.distance === 0;
  return isFound ? undefined : `${written.id}, just written, was not found`;
}

/** Rows whose distances differ by less than float32 can tell may change places; equal rows may not. */
function explainExactly({ query, k, hits }: Search, state: State): string | undefined {
  const expected = nearest(query, k, state);
  for (const [index, { id, distance: found }] of expected.entries()) {
    const hit = hits[index]!;
    if (hit.id === id) continue;
    const other = Math.sqrt(distance("l2", query, state.get(hit.id)!.vector));
    const isNear = Math.abs(other - found) <= DISTANCE_TOLERANCE * Math.max(1, found);
    if (!isNear || other === found) return `${id} expected at place ${index}, ${hit.id} came`;
  }
  return undefined;
}

function recallIn({ query, k, hits }: Search, state: State): number {
  const expected = nearest(query, k, state);
  if (expected.length === 0) return 1;
  const bound = expected.at(-1)!.distance * (1 + DISTANCE_TOLERANCE);
  return hits.filter((hit) => hit.distance <= bound).length / expected.length;
}

function nearest(query: Float32Array, k: number, state: State) {
  return [...state.values()]
    .map(({ id, vector }) => ({ id, distance: Math.sqrt(distance("l2", query, vector)) }))
    .sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1))
    .slice(0, k);
}
