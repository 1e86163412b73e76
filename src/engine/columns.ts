/**
 * A shard's columns as one thread holds them: the thread's own instance of the engine over the
 * third memory, and its worker's area in it. The picture of the bytes is in assembly/columns.ts.
 *
 * The writer puts a row's lanes before the row is published, and logs its slot after. A reader that
 * first takes its snapshot and then looks how far the log is finds the lanes of every row of that
 * snapshot written, and knows by the log which slots have changed since it looked before.
 */
import * as C from "../../assembly/columns.ts";
import { OmenError } from "../errors.ts";
import { address, type EngineExports } from "./exports.ts";
import { writePowers } from "./powers.ts";
import { instantiate, type Variant } from "./variant.ts";

export const KINDS = {
  auto: C.KIND_AUTO,
  keyword: C.KIND_KEYWORD,
  number: C.KIND_NUMBER,
  boolean: C.KIND_BOOLEAN,
  none: C.KIND_NONE,
} as const;
export type ColumnKind = keyof typeof KINDS;
/** What a collection's schema says of paths: with dots, as filters write them. */
export type Schema = Readonly<Record<string, ColumnKind>>;

/** Rows of one run of a program, and of the words that it leaves. */
export const RUN_ROWS = C.RUN_ROWS;
export const GROUP_ROWS = C.GROUP_ROWS;
export const LOG_SLOTS = C.LOG_SLOTS;
const ROOT = 0;

export interface Column {
  readonly number: number;
  readonly isNone: boolean;
}

/** A filter in the engine's terms: `words` go to the worker's program as they are. */
export interface Program {
  readonly instructions: Uint8Array;
  readonly data: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class Columns {
  readonly memory: WebAssembly.Memory;
  readonly #engine: EngineExports;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #worker: number;
  readonly #area: number;
  readonly #log: number;
  readonly #byPath = new Map<string, Column>();
  #pathsKnown = 0;
  #loaded: Program | undefined;

  /**
   * Lays out an untouched memory for `capacity` rows. The seed is what strings are hashed with.
   * Throws OmenError MEMORY_LIMIT.
   */
  static format(
    variant: Variant,
    memory: WebAssembly.Memory,
    capacity: number,
    workers: number,
    schema: Schema = {},
    seed: number = crypto.getRandomValues(new Uint32Array(1))[0]!,
  ): void {
    const engine = instantiate(variant, memory);
    const { byteLength } = memory.buffer;
    if (engine.formatColumns(capacity, workers, seed, byteLength) === 0) {
      const message = `columns of ${capacity} rows do not fit a memory of ${byteLength} bytes`;
      throw new OmenError("MEMORY_LIMIT", message);
    }
    writePowers(memory);
    pin(engine, new Uint8Array(memory.buffer), schema);
  }

  constructor(variant: Variant, memory: WebAssembly.Memory, worker: number) {
    this.memory = memory;
    this.#engine = instantiate(variant, memory);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#worker = worker;
    if (this.#word(C.COLUMNS_HEADER_MAGIC) !== C.COLUMNS_MAGIC) {
      throw new OmenError("ENGINE_FAULT", "the memory holds no columns");
    }
    this.#area = this.#word(C.COLUMNS_WORKERS_BASE) + worker * C.COLUMNS_WORKER_BYTES;
    this.#log = this.#word(C.COLUMNS_LOG_BASE) >>> 2;
  }

  #word(offset: number): number {
    return this.#words[offset >>> 2]!;
  }

  #shared(offset: number): number {
    return Atomics.load(this.#words, offset >>> 2);
  }

  /** Writer only: the lanes of a slot, from the metadata that lies in a frame. */
  put(slot: number, frame: Uint8Array, offset: number, bytes: number): void {
    if (bytes > 0) this.#bytes.set(frame.subarray(offset, offset + bytes), C.SCRATCH_TEXT);
    this.#engine.putColumns(slot, bytes);
  }

  /** Writer only: the slot's row is gone for every reader. */
  free(slot: number): void {
    this.#engine.freeColumns(slot);
    this.log(slot);
  }

  /** Writer only: the slot's row is published. */
  log(slot: number): void {
    const logged = this.logged;
    Atomics.store(this.#words, this.#log + (logged % LOG_SLOTS), slot);
    Atomics.store(this.#words, C.COLUMNS_LOGGED >>> 2, logged + 1);
  }

  /** Slots logged so far, modulo 2^32. */
  get logged(): number {
    return this.#shared(C.COLUMNS_LOGGED);
  }

  /** The slot of an entry of the log, if it has not been overwritten meanwhile. */
  loggedSlot(entry: number): number {
    return Atomics.load(this.#words, this.#log + (entry % LOG_SLOTS));
  }

  /** A program is out of date when there are more columns, or strings that it did not find. */
  get columnCount(): number {
    return this.#shared(C.COLUMNS_COUNT);
  }

  get textCount(): number {
    return this.#shared(C.COLUMNS_ENTRIES_USED);
  }

  /** The column of a path; undefined when no row has had it, or there was no room for it. */
  columnOf(path: string): Column | undefined {
    for (const count = this.columnCount; this.#pathsKnown < count; this.#pathsKnown++) {
      const at = C.COLUMNS_TABLE + this.#pathsKnown * C.COLUMN_BYTES;
      const isNone = this.#word(at + C.COLUMN_KIND) === C.KIND_NONE;
      if (this.#pathsKnown === ROOT) continue;
      this.#byPath.set(this.#pathOf(this.#pathsKnown), { number: this.#pathsKnown, isNone });
    }
    return this.#byPath.get(path);
  }

  #pathOf(column: number): string {
    const at = C.COLUMNS_TABLE + column * C.COLUMN_BYTES;
    const start = this.#word(C.COLUMNS_TEXTS_BASE) + this.#word(at + C.COLUMN_NAME);
    const name = decoder.decode(
      this.#bytes.slice(start, start + this.#word(at + C.COLUMN_NAME_BYTES)),
    );
    const parent = this.#word(at + C.COLUMN_PARENT);
    return parent === ROOT ? name : `${this.#pathOf(parent)}.${name}`;
  }

  /** Whether rows are to be seen in their JSON for this column. */
  isPartial(column: number): boolean {
    const seen = this.#shared(C.COLUMNS_TABLE + column * C.COLUMN_BYTES + C.COLUMN_SEEN);
    return (seen & C.SEEN_JSON) !== 0;
  }

  /** The code of a string, undefined when no row has it. Spoils the program's area. */
  codeOf(text: string): number | undefined {
    const bytes = encoder.encode(text);
    if (bytes.length > C.COLUMN_TEXT_BYTES_MAX) return undefined;
    this.#loaded = undefined;
    const at = this.dataAddress;
    this.#bytes.set(bytes, at);
    this.#bytes.fill(0, at + bytes.length, at + bytes.length + 8);
    const code = address(this.#engine.findText(at, bytes.length));
    return code === C.NO_CODE ? undefined : code;
  }

  /** Where a program's data will lie: what its instructions point at. */
  get dataAddress(): number {
    return this.#area + C.WORKER_PROGRAM + C.PROGRAM_DATA;
  }

  /**
   * Runs a program over groups from..to of 64 rows, at most RUN_ROWS rows. Returns how many of them
   * are to be seen in their JSON; `matches` and `unsure` hold a bit a row until the next call.
   */
  run(program: Program, from: number, to: number): number {
    if (this.#loaded !== program) {
      const at = this.#area + C.WORKER_PROGRAM;
      this.#bytes.set(program.instructions, at);
      this.#bytes.set(program.data, at + C.PROGRAM_DATA);
      this.#loaded = program;
    }
    return this.#engine.runColumns(this.#worker, from, to);
  }

  /** Bytes of the words of the last run. */
  matches(groups: number): Uint8Array {
    const at = this.#area + C.WORKER_MATCHES;
    return this.#bytes.subarray(at, at + groups * 8);
  }

  unsure(groups: number): Uint8Array {
    const at = this.#area + C.WORKER_UNSURE;
    return this.#bytes.subarray(at, at + groups * 8);
  }

  /** Bytes that rows have touched: lanes, and the dictionary with its index. */
  memoryBytes(): number {
    const chunks = this.#shared(C.COLUMNS_CHUNKS_USED) * C.CHUNK_BYTES;
    const texts = this.#shared(C.COLUMNS_TEXTS_USED);
    if (chunks + texts === 0) return 0;
    const index = 4 * 2 ** (this.#shared(C.COLUMNS_INDEX) >>> 1);
    return chunks + texts + this.textCount * C.ENTRY_BYTES + index;
  }
}

/**
 * A schema's paths get their columns, in their order, and so does what lies on the way to them: an
 * image has the same columns under the same numbers.
 */
function pin(engine: EngineExports, bytes: Uint8Array, schema: Schema): void {
  const paths = Object.entries(schema).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [path, kind] of paths) {
    const names = path.split(".");
    let column = ROOT;
    for (const [index, name] of names.entries()) {
      const text = encoder.encode(name);
      bytes.set(text, C.SCRATCH_TEXT);
      bytes.fill(0, C.SCRATCH_TEXT + text.length, C.SCRATCH_TEXT + text.length + 8);
      const own = index === names.length - 1 ? KINDS[kind] : C.KIND_AUTO;
      column = address(engine.pinColumn(column, text.length, own));
      if (column === C.NO_CODE) {
        throw new OmenError("ENGINE_FAULT", `there is no column for ${path} of the schema`);
      }
    }
  }
}
