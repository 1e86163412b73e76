/**
 * A collection as a thread holds it: its settings, the state that all threads share, and its
 * shards. Reading is here and in search.ts; only changes.ts, on the writer's thread, alters
 * anything.
 *
 * A reader takes the published sequence as its snapshot and sees exactly the writes up to it. A row
 * born later, or dead by then, is passed by; an update's new slot names the one it replaced, so
 * that an older snapshot finds that.
 */
import { Columns } from "../engine/columns.ts";
import { Shard, type ShardSettings } from "../engine/shard.ts";
import type { Variant } from "../engine/variant.ts";
import { Calibration } from "./calibration.ts";
import { Calibrator } from "./calibrator.ts";
import { count } from "./counting.ts";
import type {
  CollectionSettings,
  CollectionStats,
  CollectionView,
  MemoryBytes,
  RecallQuery,
  RecallReport,
  Row,
  ScrollQuery,
  SearchAnswer,
  SearchQuery,
} from "./database.ts";
import type { Filter } from "./filter.ts";
import { Ledger } from "./ledger.ts";
import { Matcher } from "./matching.ts";
import { readRow } from "./reading.ts";
import { Readings } from "./readings.ts";
import { measureRecall } from "./recall.ts";
import { Rows } from "./rows.ts";
import { scroll } from "./scroll.ts";
import { search } from "./search.ts";
import { State, type StateMemory } from "./state.ts";

/** One shard's three memories, as they are handed from thread to thread. */
export interface ShardMemories {
  readonly vectors: WebAssembly.Memory;
  readonly rows: WebAssembly.Memory;
  readonly columns: WebAssembly.Memory;
}

/** All that another thread needs to hold the collection too. */
export interface CollectionParts {
  readonly name: string;
  readonly settings: CollectionSettings;
  readonly state: StateMemory;
  readonly shards: readonly ShardMemories[];
}

/**
 * How this thread works: which engine, as which worker, and how it lets others run between slices.
 */
export interface Thread {
  readonly variant: Variant;
  readonly worker: number;
  /** Yields to the event loop. */
  pause(): Promise<void>;
}

/** A shard, its rows' records, and the columns of their metadata. */
export interface Part {
  readonly shard: Shard;
  readonly rows: Rows;
  readonly columns: Columns;
}

/** Dead rows in a shard before writes wait: one in so many of its rows, and at least so many. */
const UNREPAIRED_SHARE = 16;
const UNREPAIRED_MIN = 4000;

const encoder = new TextEncoder();
/** A reader whose row is given away again and again gives up looking at this many tries. */
const LOOKS_MAX = 100;

export class Collection implements CollectionView {
  readonly name: string;
  readonly settings: CollectionSettings;
  readonly thread: Thread;
  readonly parts: Part[] = [];
  /** Only the writer's thread has anything in it. */
  readonly ledger = new Ledger();
  readonly matcher = new Matcher(this);
  readonly readings = new Readings(this);
  readonly calibration: Calibration;
  readonly calibrator = new Calibrator(this);
  readonly #memories: ShardMemories[] = [];
  readonly state: State;

  constructor(thread: Thread, from: CollectionParts) {
    this.thread = thread;
    this.name = from.name;
    this.settings = from.settings;
    this.state = new State(from.state);
    this.calibration = new Calibration(from.state);
    for (const memories of from.shards) this.attach(memories);
  }

  get memories(): CollectionParts {
    const { name, settings } = this;
    return { name, settings, state: this.state.memory, shards: [...this.#memories] };
  }

  /** Takes up a shard that was opened on the writer's thread. */
  attach(memories: ShardMemories): void {
    const { variant, worker } = this.thread;
    const shard = new Shard(variant, memories.vectors, worker);
    const columns = new Columns(variant, memories.columns, worker);
    this.parts.push({ shard, rows: new Rows(memories.rows), columns });
    this.#memories.push(memories);
  }

  /** The sequence of the last write that readers see. */
  get sequence(): number {
    return this.state.sequence;
  }

  /** Writer only: from here on every reader sees the writes up to `sequence`. */
  publish(sequence: number): void {
    this.state.sequence = sequence;
  }

  /** Rows that are on their way to the writer or wait to be linked. */
  get backlog(): number {
    let rows = this.state.admitted;
    for (const { shard } of this.parts) rows += shard.tail;
    return rows;
  }

  /** Dead rows that the graphs still hold, beyond what may be left for later. */
  get repairBacklog(): number {
    let rows = 0;
    for (const { shard } of this.parts) {
      const allowed = Math.max(UNREPAIRED_MIN, shard.slotsUsed / UNREPAIRED_SHARE);
      rows += Math.max(0, shard.unrepaired - allowed);
    }
    return rows;
  }

  /** Rows written and rows removed since the beginning. */
  get changes(): number {
    return this.parts.reduce((sum, { shard }) => sum + 2 * shard.written - shard.live, 0);
  }

  admit(rows: number): void {
    this.state.admit(rows);
  }

  get live(): number {
    return this.parts.reduce((sum, { shard }) => sum + shard.live, 0);
  }

  async search(query: SearchQuery): Promise<SearchAnswer> {
    return search(this, query);
  }

  async count(filter?: Filter): Promise<number> {
    return count(this, filter);
  }

  async scroll(query: ScrollQuery, onRow: (row: Row) => void): Promise<string | undefined> {
    return scroll(this, query, onRow);
  }

  async recall(query: RecallQuery): Promise<RecallReport> {
    return measureRecall(this, query);
  }

  get(id: string): Row | undefined {
    const bytes = encoder.encode(id);
    for (let look = 0; look < LOOKS_MAX; look++) {
      const snapshot = this.sequence;
      let hasMoved = false;
      for (const part of this.parts) {
        const row = readRow(part, bytes, snapshot);
        if (row === "moved") hasMoved = true;
        else if (row) return row;
      }
      if (!hasMoved && snapshot === this.sequence) return undefined;
    }
    return undefined;
  }

  stats(): CollectionStats {
    let [vectors, deleted, unindexed] = [0, 0, 0];
    for (const { shard } of this.parts) {
      vectors += shard.live;
      deleted += shard.dead;
      unindexed += shard.tail;
    }
    const memory = this.memory();
    const memoryBytes = Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
    return {
      ...this.#disk(),
      vectors,
      deleted,
      sequence: this.sequence,
      indexed: Math.max(0, vectors - unindexed),
      unindexed,
      memoryBytes,
      memory,
      bytesPerVector: vectors > 0 ? memoryBytes / vectors : 0,
      capacity: {
        shards: this.parts.length,
        rowsPerShard: this.parts[0]!.shard.capacity,
        bytesPerRow: Math.ceil(this.parts[0]!.shard.meanRowBytes),
      },
    };
  }

  #disk(): Pick<CollectionStats, "wal" | "lastSnapshot"> {
    const { walBytes, walOldest, imageSequence, imageTimeMs } = this.state.disk;
    if (walBytes === 0) return {};
    const records = Math.max(0, this.sequence - walOldest + 1);
    const wal = { bytes: walBytes, records, oldestSequence: walOldest };
    if (imageTimeMs === 0) return { wal };
    const ageSeconds = Math.max(0, (Date.now() - imageTimeMs) / 1000);
    return { wal, lastSnapshot: { sequence: imageSequence, ageSeconds } };
  }

  memory(): MemoryBytes {
    const total = { vectors: 0, codes: 0, graph: 0, ids: 0, metadata: 0, columns: 0, free: 0 };
    for (const { shard, rows, columns } of this.parts) {
      const engine = shard.memoryBytes();
      const store = rows.memoryBytes();
      total.vectors += engine.vectors;
      total.codes += engine.codes;
      total.graph += engine.graph;
      total.ids += store.ids;
      total.metadata += store.metadata;
      total.columns += columns.memoryBytes();
      total.free += engine.free + store.free;
    }
    return total;
  }
}

/** What a shard is formatted with for a collection. */
export function shardSettings(
  settings: CollectionSettings,
  workers: number,
  capacityMax: number,
): ShardSettings {
  const { dimensions, metric, quantization, m } = settings;
  return { dimensions, metric, quantization, m, workers, capacityMax };
}
