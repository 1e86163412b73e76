/**
 * A writer, its catalog and the readers in this one thread, with shards as small as a test wants.
 */
import { Catalog } from "../../src/collections/catalog.ts";
import type { Collection } from "../../src/collections/collection.ts";
import type {
  CollectionSettings,
  Expected,
  SearchQuery,
  WriteMode,
} from "../../src/collections/database.ts";
import { chooseVariant, SHARED_VARIANTS, type Variant } from "../../src/engine/variant.ts";
import { encodePut, encodeRemove } from "../../src/storage/frame.ts";
import { readVariant } from "../../src/threads/engineFiles.ts";
import type { Answer } from "../../src/threads/messages.ts";
import { Room } from "../../src/threads/room.ts";
import { Writer } from "../../src/threads/writer.ts";

export interface PlainRow {
  readonly id: string;
  readonly vector: Float32Array;
  readonly metadata?: string;
}

export const NAME = "trial";
const encoder = new TextEncoder();
let variant: Variant | undefined;

export class Alone {
  readonly catalog: Catalog;
  readonly writer: Writer;
  /** Runs whenever the thread lets others run. */
  onPause: () => Promise<void> = async () => {};

  /** `workers`: other threads may hold the collection too. `engine`: another than the best. */
  constructor(shardRows: number, workers = 1, engine?: Variant) {
    variant ??= chooseVariant(SHARED_VARIANTS, readVariant);
    const pause = () => this.onPause();
    this.catalog = new Catalog({ variant: engine ?? variant, worker: 0, pause });
    const { catalog } = this;
    const announce = async () => {};
    const room = new Room({ catalog, workers, shardRows, announce });
    this.writer = new Writer({ catalog, room, announce, ring: () => {} });
  }

  static async open(shardRows: number, settings: Partial<CollectionSettings>): Promise<Alone> {
    const alone = new Alone(shardRows);
    await alone.create(settings);
    return alone;
  }

  create(settings: Partial<CollectionSettings>): Promise<Answer> {
    const full = {
      ...{ dimensions: 8, metric: "l2", quantization: "sq8" },
      ...{ m: 16, efConstruction: 64, efSearch: 96 },
      ...settings,
    } as CollectionSettings;
    return this.writer.handle({ kind: "create", name: NAME, settings: full });
  }

  get collection(): Collection {
    return this.catalog.get(NAME)!;
  }

  put(
    rows: readonly PlainRow[],
    mode: WriteMode = "upsert",
    expected?: readonly Expected[],
  ): Promise<Answer> {
    const dimensions = rows[0]!.vector.length;
    const vectors = new Float32Array(rows.length * dimensions);
    for (const [row, { vector }] of rows.entries()) vectors.set(vector, row * dimensions);
    const ids = rows.map(({ id }) => id);
    const metadata = rows.map((row) =>
      row.metadata === undefined ? undefined : encoder.encode(row.metadata),
    );
    const frame = encodePut({ ids, metadata, vectors, dimensions });
    return this.writer.handle({ kind: "write", name: NAME, frame, mode, expected });
  }

  remove(ids: readonly string[], expected?: readonly Expected[]): Promise<Answer> {
    const frame = encodeRemove(ids);
    return this.writer.handle({ kind: "write", name: NAME, frame, mode: "upsert", expected });
  }

  search(vector: Float32Array, options: Partial<SearchQuery> = {}) {
    const query = {
      ...{ vector, k: 10, exact: true, includeMetadata: true, includeVector: true },
      ...options,
    };
    return this.collection.search(query);
  }
}

export function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
