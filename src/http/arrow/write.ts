/**
 * Rows that go out as an Arrow IPC stream of one record batch. Columns are gathered as arrays and
 * become buffers at the end; no row becomes an object. A column that the request leaves out is not
 * there; where a row lacks what the others have, it is null.
 */
import type { Response } from "express";
import type { Hit, Row } from "../../collections/database.ts";
import { OmenError } from "../../errors.ts";
import { ANSWER_BYTES_MAX } from "../answer.ts";
import { nextTurn } from "../door.ts";
import { ARROW_MEDIA } from "../media.ts";

const SLICE_COMPONENTS = 1024 * 1024;
const encoder = new TextEncoder();

/** What is wanted of each row. */
export interface Wanted {
  readonly vector: boolean;
  readonly metadata: boolean;
}

export function wantedBy(included: {
  readonly include_vector?: boolean;
  readonly include_metadata?: boolean;
}): Wanted {
  const { include_vector: vector = true, include_metadata: metadata = true } = included;
  return { vector, metadata };
}

export class ArrowAnswer {
  readonly #kind: "rows" | "hits";
  readonly #wanted: Wanted;
  readonly #dimensions: number;
  readonly #ids: Uint8Array[] = [];
  readonly #vectors: (Float32Array | undefined)[] = [];
  readonly #metadata: (Uint8Array | undefined)[] = [];
  readonly #versions: (number | undefined)[] = [];
  readonly #searches: number[] = [];
  readonly #distances: number[] = [];
  readonly #scores: number[] = [];
  #bytes = 0;

  /** `dimensions` are the collection's; of none, any will do. */
  constructor(kind: "rows" | "hits", dimensions: number, wanted: Wanted) {
    this.#kind = kind;
    this.#dimensions = dimensions;
    this.#wanted = wanted;
  }

  /** A row that is not there has an id and nothing else. */
  row(id: string, row: Row | undefined): void {
    this.#versions.push(row?.version);
    this.#common(id, row?.vector, row?.metadata);
  }

  hit({ id, vector, metadata, distance, score }: Hit, search: number): void {
    this.#searches.push(search);
    this.#distances.push(distance);
    this.#scores.push(score);
    this.#common(id, vector, metadata);
  }

  #common(id: string, vector?: Float32Array, metadata?: Uint8Array): void {
    this.#ids.push(encoder.encode(id));
    if (this.#wanted.vector) this.#vectors.push(vector);
    if (this.#wanted.metadata) this.#metadata.push(metadata);
    this.#bytes += 64 + (this.#wanted.vector ? this.#dimensions * 4 : 0) + (metadata?.length ?? 0);
    if (this.#bytes <= ANSWER_BYTES_MAX) return;
    throw new OmenError(
      "INVALID_REQUEST",
      `the answer would pass ${ANSWER_BYTES_MAX} bytes; ask for fewer rows or less of each`,
    );
  }

  /** `notes` go into the schema's own metadata. */
  async send(response: Response, notes: Readonly<Record<string, string>> = {}): Promise<void> {
    const bytes = await this.#encode(new Map(Object.entries(notes)));
    response.setHeader("Content-Type", ARROW_MEDIA);
    response.setHeader("Content-Length", bytes.length);
    response.end(bytes);
  }

  async #encode(notes: Map<string, string>): Promise<Uint8Array> {
    const arrow = await import("apache-arrow");
    const { Field, FixedSizeList, Float32, Float64, Uint32, Uint64, Utf8, makeData } = arrow;
    const rows = this.#ids.length;
    const isOfHits = this.#kind === "hits";
    const columns: [InstanceType<typeof Field>, ReturnType<typeof makeData>][] = [];
    const add = (name: string, data: ReturnType<typeof makeData>, isNullable = false) =>
      columns.push([new Field(name, data.type, isNullable), data]);
    const utf8 = (texts: readonly (Uint8Array | undefined)[]) =>
      makeData({ type: new Utf8(), length: rows, ...validityOf(texts), ...joined(texts) });

    if (isOfHits) {
      add("search", makeData({ type: new Uint32(), data: Uint32Array.from(this.#searches) }));
    }
    add("id", utf8(this.#ids));
    if (isOfHits) {
      add("distance", makeData({ type: new Float64(), data: Float64Array.from(this.#distances) }));
      add("score", makeData({ type: new Float64(), data: Float64Array.from(this.#scores) }));
    }
    if (this.#wanted.vector) {
      const child = makeData({ type: new Float32(), data: await this.#matrix() });
      const item = new Field("item", new Float32(), false);
      const type = new FixedSizeList(this.#dimensions, item);
      add("vector", makeData({ type, length: rows, ...validityOf(this.#vectors), child }), true);
    }
    if (this.#wanted.metadata) add("metadata", utf8(this.#metadata), true);
    if (!isOfHits) {
      const data = BigUint64Array.from(this.#versions, (version) => BigInt(version ?? 0));
      add("version", makeData({ type: new Uint64(), ...validityOf(this.#versions), data }), true);
    }
    const fields = columns.map(([field]) => field);
    const schema = new arrow.Schema(fields, notes);
    const children = columns.map(([, data]) => data);
    const type = new arrow.Struct(fields);
    const batch = new arrow.RecordBatch(
      schema,
      makeData({ type, length: rows, nullCount: 0, children }),
    );
    return arrow.RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true);
  }

  async #matrix(): Promise<Float32Array> {
    const matrix = new Float32Array(this.#vectors.length * this.#dimensions);
    let copied = 0;
    for (const [row, vector] of this.#vectors.entries()) {
      if (vector !== undefined) matrix.set(vector, row * this.#dimensions);
      copied += this.#dimensions;
      if (copied < SLICE_COMPONENTS) continue;
      copied = 0;
      await nextTurn();
    }
    return matrix;
  }
}

function joined(texts: readonly (Uint8Array | undefined)[]) {
  const valueOffsets = new Int32Array(texts.length + 1);
  for (const [row, text] of texts.entries()) {
    valueOffsets[row + 1] = valueOffsets[row]! + (text?.length ?? 0);
  }
  const data = new Uint8Array(valueOffsets.at(-1)!);
  for (const [row, text] of texts.entries()) {
    if (text !== undefined) data.set(text, valueOffsets[row]);
  }
  return { valueOffsets, data };
}

/** One bit a row, the lowest first. */
function validityOf(values: readonly unknown[]) {
  const nullBitmap = new Uint8Array(Math.ceil(values.length / 64) * 8);
  let nullCount = 0;
  for (const [row, value] of values.entries()) {
    if (value === undefined) nullCount++;
    else nullBitmap[row >>> 3]! |= 1 << (row & 7);
  }
  return nullCount === 0 ? { nullCount } : { nullCount, nullBitmap };
}
