/**
 * A collection in this process. The calls, their arguments and their answers are those of the
 * client (src/client/collection.ts), so a program can move from one to the other.
 */
import type {
  Deleted,
  Metadata,
  Row,
  RowToAdd,
  Vector,
  WriteMode,
  Written,
} from "../client/types.ts";
import type * as inner from "../collections/database.ts";
import { compileFilter } from "../collections/filter.ts";
import { patchRow } from "../collections/patch.ts";
import { OmenError } from "../errors.ts";
import { Reader, rowOf } from "./reader.ts";
import { floatsOf, idText, metadataBytes, rowsToWrite } from "./rows.ts";
import { Snapshots } from "./snapshots.ts";

type Database = inner.Database;

export interface Conditional {
  /** The version that the row must have. */
  readonly ifMatch?: number;
}

export interface Scroll {
  readonly filter?: Record<string, unknown>;
  /** true by default. */
  readonly include_vector?: boolean;
  /** Rows a page; 1000 by default. */
  readonly limit?: number;
  /** Where an earlier page ended. */
  readonly cursor?: string;
}

const SCROLL_ROWS = 1000;
const DEFAULTS = { quantization: "sq8", m: 16, efConstruction: 64, efSearch: 96 } as const;

export class Collection extends Reader<inner.CollectionView> {
  readonly snapshots: Snapshots;
  readonly #database: Database;

  constructor(database: Database, name: string, metric: inner.Metric) {
    super(database, name, metric);
    this.#database = database;
    this.snapshots = new Snapshots(database, name);
  }

  /** Writes one row, over the one of that id unless `mode` says otherwise. */
  async add(row: RowToAdd, options: { mode?: WriteMode } = {}): Promise<Written & { id: string }> {
    const { sequence, ids } = await this.#put([row], options.mode);
    return { status: "ok", id: ids[0]!, sequence };
  }

  /** Writes all of the rows, or none. */
  async batch(
    rows: readonly RowToAdd[],
    options: { mode?: WriteMode } = {},
  ): Promise<Written & { count: number }> {
    const { sequence, ids } = await this.#put(rows, options.mode);
    return { status: "ok", count: ids.length, sequence };
  }

  /** Changes parts of a row; the metadata is a JSON Merge Patch, in which null removes. */
  async patch(
    id: string | number,
    change: { readonly vector?: Vector; readonly metadata?: Metadata | null },
    { ifMatch }: Conditional = {},
  ): Promise<Written & { id: string }> {
    const { vector, metadata } = change;
    if (vector === undefined && metadata === undefined) {
      throw new OmenError("INVALID_REQUEST", "expected a vector, metadata, or both");
    }
    const settings = this.view()?.settings;
    const text = idText(id, "/id");
    const patch = {
      ...(vector === undefined ? {} : { vector: floatsOf(vector, settings, "/vector") }),
      ...(metadata === undefined
        ? {}
        : { metadata: metadata && metadataBytes(metadata, "/metadata") }),
    };
    const expected = ifMatch === undefined ? undefined : [ifMatch];
    const { sequence } = await patchRow(this.#database, this.name, text, patch, expected);
    return { status: "ok", id: text, sequence };
  }

  /** `deleted` is 0 when no row has the id. */
  delete(id: string | number, { ifMatch }: Conditional = {}): Promise<Deleted> {
    const terms = ifMatch === undefined ? {} : { expected: [[ifMatch]] };
    return this.#remove([id], terms);
  }

  /** The rows of these ids, or exactly those that match the filter when its turn comes. */
  async deleteMany(
    which:
      | { readonly ids: readonly (string | number)[] }
      | { readonly filter: Record<string, unknown> },
  ): Promise<Deleted> {
    if ("ids" in which) return this.#remove([...new Set(which.ids)], {});
    const filter = compileFilter(which.filter, "/filter");
    if (this.view() === undefined) return { status: "ok", deleted: 0, sequence: 0 };
    return { status: "ok", ...(await this.#database.removeMatching(this.name, filter)) };
  }

  /** Every row that is there throughout comes exactly once, also while others write. */
  async *scroll(options: Scroll = {}): AsyncGenerator<Row, void, undefined> {
    let { cursor } = options;
    do {
      const page = await this.scrollPage({ ...options, cursor });
      yield* page.vectors;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** `cursor` is undefined on the last page. */
  async scrollPage(options: Scroll = {}): Promise<{ vectors: Row[]; cursor?: string }> {
    const { filter, include_vector = true, limit = SCROLL_ROWS, cursor } = options;
    const compiled = filter === undefined ? undefined : compileFilter(filter, "/filter");
    const vectors: Row[] = [];
    const next = await this.view()?.scroll({ limit, cursor, filter: compiled }, (row) =>
      vectors.push(rowOf(row, include_vector)),
    );
    return { vectors, cursor: next };
  }

  async #put(rows: readonly RowToAdd[], mode?: WriteMode) {
    const view = this.view();
    const toWrite = rowsToWrite(rows, view?.settings, this.metric, mode);
    const { dimensions } = toWrite;
    const made = { dimensions, metric: this.metric, ...DEFAULTS };
    const defaults = view === undefined ? made : undefined;
    const { sequence } = await this.#database.put(this.name, toWrite, defaults);
    return { sequence, ids: toWrite.ids };
  }

  async #remove(ids: readonly (string | number)[], terms: inner.Terms): Promise<Deleted> {
    const texts = ids.map((id, index) => idText(id, `/ids/${index}`));
    if (texts.length === 0) throw new OmenError("BATCH_EMPTY", "there is no id");
    if (this.view() === undefined) return { status: "ok", deleted: 0, sequence: 0 };
    const { deleted, sequence } = await this.#database.remove(this.name, texts, terms);
    return { status: "ok", deleted, sequence };
  }
}
