/**
 * Rows that go into files. A file is written aside, as NAME.part, and takes its name when it is
 * whole; what is under the name is never a half. Where the format can be cut and gone on with,
 * `mark` says where.
 */
import { type FileHandle, open, rename } from "node:fs/promises";
import type { Row } from "../../client/index.ts";
import { OmenError } from "../../errors.ts";
import { companionOf, type RecordKind } from "./records.ts";

export interface Sink {
  write(rows: readonly Row[]): Promise<void>;
  /** When it resolves, the sizes up to which the files are whole; undefined where none can be. */
  mark(): Promise<readonly number[] | undefined>;
  /** Gives the files their names. */
  finish(): Promise<void>;
  /** Lets go of the files; what is written aside stays. */
  close(): Promise<void>;
}

export const partOf = (path: string) => `${path}.part`;

/** A file that grows aside. */
export class Appender {
  readonly #path: string;
  readonly #file: FileHandle;
  bytes: number;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#file = file;
    this.bytes = bytes;
  }

  /** Keeps the first `bytes` of what is there. */
  static async open(path: string, bytes: number): Promise<Appender> {
    const file = await open(partOf(path), bytes === 0 ? "w" : "r+");
    await file.truncate(bytes);
    return new Appender(path, file, bytes);
  }

  async append(part: Uint8Array): Promise<void> {
    await this.writeAt(this.bytes, part);
    this.bytes += part.length;
  }

  async writeAt(offset: number, part: Uint8Array): Promise<void> {
    for (let done = 0; done < part.length; ) {
      const { bytesWritten } = await this.#file.write(
        part,
        done,
        part.length - done,
        offset + done,
      );
      done += bytesWritten;
    }
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async finish(): Promise<void> {
    await this.sync();
    await this.#file.close();
    await rename(partOf(this.#path), this.#path);
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}

/** One or more files that grow together. */
abstract class Growing implements Sink {
  readonly files: readonly Appender[];

  constructor(files: readonly Appender[]) {
    this.files = files;
  }

  abstract write(rows: readonly Row[]): Promise<void>;

  async mark(): Promise<readonly number[]> {
    for (const file of this.files) await file.sync();
    return this.files.map(({ bytes }) => bytes);
  }

  async finish(): Promise<void> {
    for (const file of this.files) await file.finish();
  }

  async close(): Promise<void> {
    for (const file of this.files) await file.close();
  }
}

const textOf = (lines: readonly unknown[]) =>
  Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));

/** `marks` are those of an earlier run. */
async function openAll(paths: readonly string[], marks?: readonly number[]): Promise<Appender[]> {
  return Promise.all(paths.map((path, index) => Appender.open(path, marks?.[index] ?? 0)));
}

export class LinesSink extends Growing {
  static async open(path: string, marks?: readonly number[]): Promise<LinesSink> {
    return new LinesSink(await openAll([path], marks));
  }

  async write(rows: readonly Row[]): Promise<void> {
    const lines = rows.map(({ id, vector, metadata }) => ({
      id,
      vector: Array.from(vector!),
      ...(metadata === null ? {} : { metadata }),
    }));
    await this.files[0]!.append(textOf(lines));
  }
}

const NPY_HEAD_BYTES = 128;

export class RecordsSink extends Growing {
  readonly #kind: RecordKind;
  #dimensions = 0;

  constructor(files: readonly Appender[], kind: RecordKind) {
    super(files);
    this.#kind = kind;
  }

  static pathsOf(path: string): string[] {
    return [path, companionOf(path, "ids"), companionOf(path, "metadata")];
  }

  static async open(
    path: string,
    kind: RecordKind,
    marks?: readonly number[],
  ): Promise<RecordsSink> {
    const files = await openAll(RecordsSink.pathsOf(path), marks);
    const isNew = marks === undefined;
    if (isNew && kind === ".npy") await files[0]!.append(new Uint8Array(NPY_HEAD_BYTES));
    return new RecordsSink(files, kind);
  }

  async write(rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return;
    this.#dimensions = rows[0]!.vector!.length;
    const [records, ids, metadata] = this.files;
    await records!.append(this.#encode(rows));
    await ids!.append(textOf(rows.map(({ id }) => id)));
    await metadata!.append(textOf(rows.map((row) => row.metadata)));
  }

  override async finish(): Promise<void> {
    if (this.#kind === ".npy") await this.#writeHead();
    await super.finish();
  }

  /** How many rows there are is only known now. */
  async #writeHead(): Promise<void> {
    const rowBytes = this.#dimensions * 4;
    const rows = rowBytes === 0 ? 0 : (this.files[0]!.bytes - NPY_HEAD_BYTES) / rowBytes;
    const shape = `(${rows}, ${this.#dimensions})`;
    const text = `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`;
    const head = Buffer.alloc(NPY_HEAD_BYTES, " ");
    head.set([0x93, ...Buffer.from("NUMPY"), 1, 0]);
    head.writeUInt16LE(NPY_HEAD_BYTES - 10, 8);
    head.write(text, 10, "latin1");
    head[NPY_HEAD_BYTES - 1] = 0x0a;
    await this.files[0]!.writeAt(0, head);
  }

  #encode(rows: readonly Row[]): Uint8Array {
    const headBytes = this.#kind === ".npy" ? 0 : 4;
    const componentBytes = this.#kind === ".bvecs" ? 1 : 4;
    const rowBytes = headBytes + this.#dimensions * componentBytes;
    const view = new DataView(new ArrayBuffer(rows.length * rowBytes));
    for (const [index, { id, vector }] of rows.entries()) {
      const at = index * rowBytes;
      if (headBytes > 0) view.setInt32(at, this.#dimensions, true);
      for (const [i, component] of vector!.entries()) {
        const offset = at + headBytes + i * componentBytes;
        if (componentBytes === 4) view.setFloat32(offset, component, true);
        else view.setUint8(offset, wholeByte(component, id));
      }
    }
    return new Uint8Array(view.buffer);
  }
}

function wholeByte(component: number, id: string): number {
  if (Number.isInteger(component) && component >= 0 && component <= 255) return component;
  const message = `.bvecs holds whole numbers from 0 to 255, row ${JSON.stringify(id)}`;
  throw new OmenError("INVALID_REQUEST", `${message} has ${component}; .fvecs holds all`);
}
