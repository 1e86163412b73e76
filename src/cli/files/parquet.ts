/**
 * Parquet: columns `id`, `vector` (a list of numbers, or bytes of float32) and `metadata` (JSON),
 * or others that are named. Without a column of metadata, all others become it.
 */

import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { Metadata, Row, RowToAdd } from "../../client/index.ts";
import { OmenError } from "../../errors.ts";
import { Appender, type Sink } from "./sink.ts";
import type { Source } from "./source.ts";

export interface Columns {
  readonly id: string;
  readonly vector: string;
  readonly metadata: string;
}

/** Rows that are in memory at a time. */
const READ_ROWS = 4096;
const GROUP_ROWS = 10_000;

const compressors = {
  GZIP: (bytes: Uint8Array) => new Uint8Array(gunzipSync(bytes)),
  BROTLI: (bytes: Uint8Array) => new Uint8Array(brotliDecompressSync(bytes)),
  ZSTD: (bytes: Uint8Array) => new Uint8Array(zstdDecompressSync(bytes)),
};

export async function openParquet(path: string, columns: Columns): Promise<Source> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file).catch((error: Error) => {
    throw refusal(path, `is no sound Parquet file: ${error.message}`);
  });
  const names = new Set(metadata.schema.map(({ name }) => name));
  for (const name of [columns.id, columns.vector]) {
    if (!names.has(name)) throw refusal(path, `has no column ${name}: ${[...names].join(", ")}`);
  }
  const rows = Number(metadata.num_rows);
  async function* read(skip: number): AsyncGenerator<RowToAdd> {
    for (let rowStart = skip; rowStart < rows; rowStart += READ_ROWS) {
      const rowEnd = Math.min(rows, rowStart + READ_ROWS);
      const options = { file, metadata, compressors, rowStart, rowEnd };
      const found = await parquetReadObjects(options);
      for (const [index, row] of found.entries()) yield rowOf(row, columns, path, rowStart + index);
    }
  }
  return { rows, read, share: (done) => done / Math.max(1, rows) };
}

function rowOf(
  row: Record<string, unknown>,
  columns: Columns,
  path: string,
  number: number,
): RowToAdd {
  const { [columns.id]: id, [columns.vector]: vector, [columns.metadata]: stated, ...others } = row;
  const isIn = columns.metadata in row;
  if (id === null || id === undefined) throw refusal(path, `has no id in row ${number}`);
  return {
    id: String(id),
    vector: vectorOf(vector, path, number),
    metadata: isIn ? metadataOf(stated, path, number) : plainOf(others),
  };
}

function vectorOf(value: unknown, path: string, number: number): Float32Array {
  if (value instanceof Uint8Array && value.length % 4 === 0) {
    return new Float32Array(value.slice().buffer);
  }
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return Float32Array.from(value as ArrayLike<number>, Number);
  }
  throw refusal(path, `has no vector in row ${number}`);
}

function metadataOf(value: unknown, path: string, number: number): Metadata | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "object") return plainOf(value as Record<string, unknown>);
  try {
    return JSON.parse(String(value)) as Metadata;
  } catch {
    throw refusal(path, `has metadata in row ${number} that is not JSON`);
  }
}

/** As JSON has it: whole numbers as numbers, dates as texts, nothing for null. */
function plainOf(row: Record<string, unknown>): Metadata | undefined {
  const given = Object.entries(row).filter(([, value]) => value !== null && value !== undefined);
  if (given.length === 0) return undefined;
  const text = JSON.stringify(Object.fromEntries(given), (_name, value) =>
    typeof value === "bigint" ? Number(value) : value,
  );
  return JSON.parse(text) as Metadata;
}

const SCHEMA = [
  { name: "root", num_children: 3 },
  { name: "id", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
  { name: "vector", repetition_type: "REQUIRED", num_children: 1, converted_type: "LIST" },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
  { name: "metadata", type: "BYTE_ARRAY", converted_type: "JSON", repetition_type: "OPTIONAL" },
] as const;

/** Writes groups of rows as they come; the file is whole once it is finished. */
export class ParquetSink implements Sink {
  readonly #file: Appender;
  readonly #bytes = new ByteWriter();
  readonly #writer: ParquetWriter;
  #rows: Row[] = [];

  private constructor(file: Appender) {
    this.#file = file;
    const schema = SCHEMA.map((element) => ({ ...element }));
    this.#writer = new ParquetWriter({ writer: this.#bytes, schema, statistics: false });
  }

  static async open(path: string): Promise<ParquetSink> {
    return new ParquetSink(await Appender.open(path, 0));
  }

  /** What is at the end of the file names all that is before it, so it is one piece. */
  async mark(): Promise<undefined> {
    return undefined;
  }

  async write(rows: readonly Row[]): Promise<void> {
    this.#rows.push(...rows);
    if (this.#rows.length >= GROUP_ROWS) await this.#writeGroup();
  }

  async finish(): Promise<void> {
    await this.#writeGroup();
    await this.#writer.finish();
    await this.#flush();
    await this.#file.finish();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #writeGroup(): Promise<void> {
    const rows = this.#rows;
    this.#rows = [];
    if (rows.length === 0) return;
    await this.#writer.write({
      columnData: [
        { name: "id", data: rows.map(({ id }) => id) },
        { name: "vector", data: rows.map(({ vector }) => Array.from(vector!)) },
        { name: "metadata", data: rows.map(({ metadata }) => metadata) },
      ],
      rowGroupSize: rows.length,
    });
    await this.#flush();
  }

  /** The writer counts on in `offset`; what it holds goes out. */
  async #flush(): Promise<void> {
    const part = this.#bytes.getBytes().slice(0, this.#bytes.index);
    this.#bytes.index = 0;
    await this.#file.append(part);
  }
}

function refusal(path: string, message: string): OmenError {
  return new OmenError("INVALID_REQUEST", `${path} ${message}`);
}
