/**
 * A collection as it is searched: its settings, the state that all threads share, and its shards.
 * Nothing here alters anything; collection.ts adds what writing, linking and walking through all
 * rows need. A page that only searches holds this much and no more.
 *
 * A reader takes the published sequence as its snapshot and sees exactly the writes up to it. A row
 * born later, or dead by then, is passed by; an update's new slot names the one it replaced, so
 * that an older snapshot finds that.
 */
import { Columns } from "../engine/columns.ts";
import { Shard, type ShardSettings } from "../engine/shard.ts";
import type { Variant } from "../engine/variant.ts";
import type { Absent } from "./absent.ts";
import { Calibration } from "./calibration.ts";
import { count } from "./counting.ts";
import type {
  CollectionSettings,
  CollectionStats,
  MemoryBytes,
  Row,
  SearchAnswer,
  SearchQuery,
} from "./database.ts";
import type { Filter } from "./filter.ts";
import { Matcher } from "./matching.ts";
import { readRow } from "./reading.ts";
import { Readings } from "./readings.ts";
import { Rows } from "./rows.ts";
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

const encoder = new TextEncoder();
/** A reader whose row is given away again and again gives up looking at this many tries. */
const LOOKS_MAX = 100;

export class Searchable {
  readonly name: string;
  readonly settings: CollectionSettings;
  readonly thread: Thread;
  readonly parts: Part[] = [];
  readonly matcher = new Matcher(this);
  readonly readings = new Readings(this);
  readonly calibration: Calibration;
  readonly state: State;
  /** Float32 rows that are not here yet; only a page that fetches them as it needs them has any. */
  absent?: Absent;
  readonly #memories: ShardMemories[] = [];

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

  get live(): number {
    return this.parts.reduce((sum, { shard }) => sum + shard.live, 0);
  }

  async search(query: SearchQuery): Promise<SearchAnswer> {
    return search(this, query);
  }

  async count(filter?: Filter): Promise<number> {
    return count(this, filter);
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
  const { dimensions, metric, quantization, vectors, m } = settings;
  return { dimensions, metric, quantization, vectors, m, workers, capacityMax };
}
