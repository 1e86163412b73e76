/**
 * The Database as plainly as it can be written: rows in a Map, every search compares with every row.
 * The HTTP tests run over it, and it is what the real one is compared with.
 */
import type {
  CollectionSettings,
  CollectionStats,
  CollectionView,
  Database,
  Expected,
  Health,
  Hit,
  RecallQuery,
  RecallReport,
  Row,
  RowsToWrite,
  ScrollQuery,
  SearchAnswer,
  SearchQuery,
  Terms,
  Work,
} from "../src/collections/database.ts";
import type { Filter } from "../src/collections/filter.ts";
import type { Claim, First, Once } from "../src/collections/ledger.ts";
import type { Snapshots } from "../src/collections/snapshots.ts";
import { OmenError } from "../src/errors.ts";

const nowhere = async (): Promise<never> => {
  throw new OmenError("NO_DATA_PATH", "everything is in memory only; set OMENDB_PATH");
};
const noSnapshots: Snapshots = {
  ...{ create: nowhere, list: nowhere, get: nowhere, open: nowhere },
  ...{ receive: nowhere, restore: nowhere, delete: nowhere },
};

const NO_BYTES = { vectors: 0, codes: 0, graph: 0, ids: 0, metadata: 0, columns: 0, free: 0 };

/** Computed in double precision from the float32 components, and not rounded. */
export function distanceBetween(
  metric: CollectionSettings["metric"],
  a: Float32Array,
  b: Float32Array,
): number {
  let dot = 0;
  let squares = 0;
  let aSquares = 0;
  let bSquares = 0;
  for (let index = 0; index < a.length; index++) {
    dot += a[index]! * b[index]!;
    squares += (a[index]! - b[index]!) ** 2;
    aSquares += a[index]! ** 2;
    bSquares += b[index]! ** 2;
  }
  if (metric === "l2") return Math.sqrt(squares);
  return metric === "dot" ? -dot : 1 - dot / Math.sqrt(aSquares * bSquares);
}

export function scoreOf(metric: CollectionSettings["metric"], distance: number): number {
  if (metric === "l2") return 1 / (1 + distance);
  return metric === "dot" ? -distance : 1 - distance;
}

export class MemoryCollection implements CollectionView {
  readonly name: string;
  readonly settings: CollectionSettings;
  readonly rows = new Map<string, Row>();
  readonly once = new Map<string, First>();
  sequence = 0;

  constructor(name: string, settings: CollectionSettings) {
    this.name = name;
    this.settings = settings;
  }

  work({ exact, filter }: SearchQuery): Work {
    const components = this.rows.size * (exact ? this.settings.dimensions : filter ? 16 : 0);
    return { components, isWalk: !exact && filter === undefined };
  }

  async search(query: SearchQuery): Promise<SearchAnswer> {
    const { metric } = this.settings;
    this.check(query.vector);
    const matching = [...this.rows.values()].filter(
      ({ metadata }) => query.filter?.matches(parse(metadata)) ?? true,
    );
    const hits = matching
      .map((row) => ({ row, distance: distanceBetween(metric, query.vector, row.vector) }))
      .filter(({ distance }) => distance <= (query.maxDistance ?? Number.POSITIVE_INFINITY))
      .sort((a, b) => a.distance - b.distance || compareIds(a.row.id, b.row.id))
      .slice(0, query.k)
      .map(({ row, distance }): Hit => {
        const hit = { id: row.id, distance, score: scoreOf(metric, distance) };
        return {
          ...hit,
          ...(query.includeMetadata ? { metadata: row.metadata } : {}),
          ...(query.includeVector ? { vector: row.vector } : {}),
        };
      });
    const explanation = {
      strategy: "exact" as const,
      matching: matching.length,
      ef: 0,
      distancesComputed: matching.length,
    };
    return { hits, explanation };
  }

  /** It compares with every row, so it never misses one. */
  async recall({ sample }: RecallQuery): Promise<RecallReport> {
    const point = { ef: 15, recall: 1, atLeast: 1, distances: this.rows.size, p50Ms: 0.5 };
    const targets = [0.9, 0.95, 0.99].map((target) => ({ target, ef: undefined }));
    return { sample: Math.min(sample, this.rows.size), curve: [point], targets };
  }

  async count(filter?: Filter): Promise<number> {
    return [...this.rows.values()].filter(
      ({ metadata }) => filter?.matches(parse(metadata)) ?? true,
    ).length;
  }

  get(id: string): Row | undefined {
    return this.rows.get(id);
  }

  /** In the order of the ids; the cursor is the last one. */
  async scroll(query: ScrollQuery, onRow: (row: Row) => void): Promise<string | undefined> {
    const { limit, cursor, filter } = query;
    const rows = [...this.rows.values()]
      .sort((a, b) => compareIds(a.id, b.id))
      .filter(({ id }) => cursor === undefined || compareIds(id, idOf(cursor)) > 0)
      .filter(({ metadata }) => filter?.matches(parse(metadata)) ?? true);
    for (const row of rows.slice(0, limit)) onRow(row);
    return rows.length > limit ? `id ${rows[limit - 1]!.id}` : undefined;
  }

  get live(): number {
    return this.rows.size;
  }

  stats(): CollectionStats {
    const bytes = this.rows.size * this.settings.dimensions * 4;
    return {
      vectors: this.rows.size,
      deleted: 0,
      sequence: this.sequence,
      indexed: this.rows.size,
      unindexed: 0,
      memoryBytes: bytes,
      memory: { ...NO_BYTES, vectors: bytes },
      bytesPerVector: this.rows.size === 0 ? 0 : bytes / this.rows.size,
      capacity: { shards: 1, rowsPerShard: 1000, bytesPerRow: this.settings.dimensions * 4 },
    };
  }

  check(vector: Float32Array): void {
    const { dimensions, metric } = this.settings;
    if (vector.length !== dimensions) {
      const message = `expected ${dimensions} dimensions, got ${vector.length}`;
      throw new OmenError("DIMENSION_MISMATCH", message);
    }
    if (metric === "cosine" && vector.every((component) => component === 0)) {
      throw new OmenError("ZERO_VECTOR", "every component is zero");
    }
  }
}

export class MemoryDatabase implements Database {
  readonly threads = 1;
  readonly wasmVariant = "none";
  readonly found = new Map<string, MemoryCollection>();
  readonly #claims = new Set<string>();
  /** None, unless a test gives it some. */
  snapshots: Snapshots = noSnapshots;
  /** For tests of what a door does with each. */
  healthNow: Health = { status: "healthy" };

  collection(name: string): MemoryCollection | undefined {
    return this.found.get(name);
  }

  collections(): MemoryCollection[] {
    return [...this.found.values()];
  }

  async create(name: string, settings: CollectionSettings): Promise<{ created: boolean }> {
    const existing = this.found.get(name);
    if (existing === undefined) {
      this.found.set(name, new MemoryCollection(name, settings));
      return { created: true };
    }
    if (JSON.stringify(existing.settings) === JSON.stringify(settings)) return { created: false };
    throw new OmenError("COLLECTION_EXISTS", `${name} exists with other settings`);
  }

  async drop(name: string): Promise<{ dropped: boolean }> {
    return { dropped: this.found.delete(name) };
  }

  async put(
    name: string,
    rows: RowsToWrite,
    defaults?: CollectionSettings,
  ): Promise<{ sequence: number }> {
    const collection =
      this.found.get(name) ?? (defaults && new MemoryCollection(name, defaults)) ?? missing(name);
    const { ids, dimensions, vectors, metadata, mode } = rows;
    const copies = ids.map((_, index) =>
      vectors.slice(index * dimensions, (index + 1) * dimensions),
    );
    for (const copy of copies) collection.check(copy);
    refuseOthers(collection, ids, rows);
    const present = ids.filter((id) => collection.rows.has(id));
    const absent = ids.filter((id) => !collection.rows.has(id));
    if (mode === "insert" && present.length > 0) {
      throw new OmenError("ROW_EXISTS", `rows ${present} exist`, { ids: present });
    }
    if (mode === "update" && absent.length > 0) {
      throw new OmenError("ROW_NOT_FOUND", `no rows ${absent}`, { ids: absent });
    }
    const version = ++collection.sequence;
    for (const [index, id] of ids.entries()) {
      const vector = copies[index]!;
      collection.rows.set(id, { id, vector, metadata: metadata[index]?.slice(), version });
    }
    this.found.set(name, collection);
    const { once } = rows;
    if (once) collection.once.set(once.key, { ...once, sequence: version, changed: 0 });
    return { sequence: version };
  }

  async remove(
    name: string,
    ids: readonly string[],
    terms: Terms = {},
  ): Promise<{ deleted: number; sequence: number }> {
    const collection = this.found.get(name) ?? missing(name);
    refuseOthers(collection, ids, terms);
    const deleted = ids.filter((id) => collection.rows.delete(id)).length;
    const { once } = terms;
    const sequence = ++collection.sequence;
    if (once) collection.once.set(once.key, { ...once, sequence, changed: deleted });
    return { deleted, sequence };
  }

  async removeMatching(
    name: string,
    filter: Filter,
    once?: Once,
  ): Promise<{ deleted: number; sequence: number }> {
    const { rows, sequence } = this.found.get(name) ?? missing(name);
    const matching = [...rows.values()].filter(({ metadata }) => filter.matches(parse(metadata)));
    const ids = matching.map(({ id }) => id);
    if (ids.length === 0 && once === undefined) return { deleted: 0, sequence };
    return this.remove(name, ids, { once });
  }

  async claim(name: string, key: string): Promise<Claim> {
    const claim = `${name}/${key}`;
    if (this.#claims.has(claim)) throw new OmenError("IDEMPOTENCY_KEY_IN_FLIGHT", "in flight");
    this.#claims.add(claim);
    const release = async () => void this.#claims.delete(claim);
    return { first: this.found.get(name)?.once.get(key), release };
  }

  health(): Health {
    return this.healthNow;
  }
}

function refuseOthers(
  { rows }: MemoryCollection,
  ids: readonly string[],
  { expected }: Terms,
): void {
  const others = ids.filter((id, index) => {
    const wanted = expected?.[index];
    return wanted !== undefined && !holds(wanted, rows.get(id)?.version);
  });
  if (others.length === 0) return;
  throw new OmenError("PRECONDITION_FAILED", `rows ${others} are others`, { ids: others });
}

function holds(expected: Expected, version: number | undefined): boolean {
  if (expected === "absent" || version === undefined) {
    return expected === "absent" && version === undefined;
  }
  return expected === "present" || expected.includes(version);
}

function idOf(cursor: string): string {
  if (cursor.startsWith("id ")) return cursor.slice(3);
  throw new OmenError("INVALID_CURSOR", `no cursor is ${cursor}`);
}

function missing(name: string): never {
  throw new OmenError("COLLECTION_NOT_FOUND", `no collection is named "${name}"`);
}

function parse(metadata: Uint8Array | undefined): unknown {
  return metadata === undefined ? undefined : JSON.parse(new TextDecoder().decode(metadata));
}

/** As bytes of UTF-8, which is the order of code points. */
function compareIds(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
