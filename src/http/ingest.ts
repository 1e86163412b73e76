/**
 * Rows that come as lines. Each part of the body becomes a write; while the writer is at some, the
 * next part is read, and when WRITES_MAX are on their way the sender waits. Parts are sent in
 * order, and inside a part a line whose id has come before begins another write: so the rows end up
 * as if each line had been a write of its own.
 *
 * The first line that cannot be read or written ends it. All rows before that line are written,
 * however the body came in pieces: `accepted` counts them. Where the writer refused a part, some
 * part after it may be written too; only replacing rows goes several parts at a time, and to send
 * those again changes nothing.
 */
import type { CollectionSettings, RowsToWrite, WriteMode } from "../collections/database.ts";
import { OmenError } from "../errors.ts";
import type { LineFault, ScannedLines } from "./body.ts";
import { isTurnOver, nextTurn } from "./door.ts";
import { checkVector, type RowBody } from "./rows.ts";

/** Parts that are on their way to the writer. */
const WRITES_MAX = 4;

export interface Ingestion {
  readonly mode: WriteMode;
  /** Throws the OmenError that says what is wrong with a line. */
  readonly check: (row: unknown) => RowBody;
  /** Of the collection, or what the first row makes of it; the vector is that row's. */
  readonly settings: (vector: Float32Array, id: string) => CollectionSettings;
  /** Resolves when the rows are written; calls `onSent` once their place in the order is sure. */
  readonly put: (rows: RowsToWrite, onRead: () => void, onSent: () => void) => Promise<number>;
}

export interface Ingested {
  readonly accepted: number;
  readonly sequence: number;
}

/** Throws what went wrong, with how far it came. */
export async function ingest(
  parts: AsyncIterable<ScannedLines>,
  ingestion: Ingestion,
): Promise<Ingested> {
  const writes = new Writes(ingestion.mode === "upsert" ? WRITES_MAX : 1);
  let settings: CollectionSettings | undefined;
  let linesRead = 0;
  try {
    for await (const part of parts) {
      const gathered = new Gathered(ingestion, part, settings);
      let fault: LineFault | undefined;
      try {
        fault = (await gathered.read()) ?? part.fault;
        settings = gathered.settings;
        for (const { rows, line, onRead } of gathered.writes()) {
          await writes.add(line, rows.ids.length, (onSent) => ingestion.put(rows, onRead, onSent));
        }
      } finally {
        part.release();
      }
      if (fault !== undefined) await writes.failAt(fault.line, fault.error);
      linesRead = part.linesEnd;
    }
  } catch (error) {
    await writes.failAt(linesRead + 1, error);
  }
  await writes.settle(0);
  if (writes.accepted === 0) {
    await writes.failAt(Math.max(1, linesRead), new OmenError("BATCH_EMPTY", "there is no row"));
  }
  return { accepted: writes.accepted, sequence: writes.sequence };
}

interface Write {
  readonly rows: RowsToWrite;
  /** Of its first row. */
  readonly line: number;
  readonly onRead: () => void;
}

/** The rows of one part, up to the first that is wrong. */
class Gathered {
  readonly #ingestion: Ingestion;
  readonly #part: ScannedLines;
  /** Where a write begins: at the first row, and at rows whose id the write has already. */
  readonly #starts: number[] = [];
  readonly #ids: string[] = [];
  readonly #vectors: number[] = [];
  readonly #metadata: (number | undefined)[] = [];
  settings: CollectionSettings | undefined;

  constructor(ingestion: Ingestion, part: ScannedLines, settings: CollectionSettings | undefined) {
    this.#ingestion = ingestion;
    this.#part = part;
    this.settings = settings;
  }

  async read(): Promise<LineFault | undefined> {
    const { value, lines } = this.#part;
    const seen = new Set<string>();
    let begunAtMs = performance.now();
    for (let index = 0; index < value.length; index++) {
      try {
        this.#take(value[index], index, seen);
      } catch (error) {
        return { line: lines[index]!, error: error as OmenError };
      }
      if (index % 256 === 255 && isTurnOver(begunAtMs)) {
        await nextTurn();
        begunAtMs = performance.now();
      }
    }
    return undefined;
  }

  #take(value: unknown, index: number, seen: Set<string>): void {
    const row = this.#ingestion.check(value);
    const id = String(row.id);
    const vector = this.#part.vector(row.vector).values;
    this.settings ??= this.#ingestion.settings(vector, id);
    checkVector(vector, this.settings, "/vector", id);
    if (index === 0 || seen.has(id)) {
      this.#starts.push(index);
      seen.clear();
    }
    seen.add(id);
    this.#ids.push(id);
    this.#vectors.push(row.vector);
    this.#metadata.push(row.metadata);
  }

  /** One as a rule. Several are copies, so that the part need not wait for them. */
  *writes(): Generator<Write> {
    const part = this.#part;
    const isOne = this.#starts.length === 1;
    const copies = isOne ? undefined : this.#starts.map((_, index) => this.#write(index, true));
    if (copies !== undefined) {
      part.release();
      yield* copies;
    } else if (this.#starts.length === 1) yield this.#write(0, false);
  }

  #write(index: number, isCopied: boolean): Write {
    const part = this.#part;
    const [from, to] = [this.#starts[index]!, this.#starts[index + 1] ?? this.#ids.length];
    const { dimensions } = this.settings!;
    const vectors = part.matrix(this.#vectors.slice(from, to), dimensions);
    const metadata = this.#metadata.slice(from, to).map((handle) => {
      if (handle === undefined) return undefined;
      return isCopied ? part.metadata(handle).slice() : part.metadata(handle);
    });
    return {
      rows: {
        ids: this.#ids.slice(from, to),
        vectors: isCopied ? vectors.slice() : vectors,
        dimensions,
        metadata,
        mode: this.#ingestion.mode,
      },
      line: part.lines[from]!,
      onRead: () => part.release(),
    };
  }
}

/** Writes on their way, in order. */
class Writes {
  readonly #max: number;
  readonly #waiting: { line: number; rows: number; written: Promise<number> }[] = [];
  accepted = 0;
  sequence = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves once the write has its place in the order and another may follow. */
  async add(
    line: number,
    rows: number,
    begin: (onSent: () => void) => Promise<number>,
  ): Promise<void> {
    await new Promise<void>((resolve) => {
      const written = begin(resolve);
      this.#waiting.push({ line, rows, written });
      written.then(
        () => resolve(),
        () => resolve(),
      );
    });
    await this.settle(this.#max - 1);
  }

  /** Waits until at most so many are on their way. Throws with how far it came. */
  async settle(max: number): Promise<void> {
    while (this.#waiting.length > max) {
      const { line, rows, written } = this.#waiting.shift()!;
      try {
        this.sequence = await written;
        this.accepted += rows;
      } catch (error) {
        await Promise.allSettled(this.#waiting.map((each) => each.written));
        this.#waiting.length = 0;
        throw this.#withProgress(error, line);
      }
    }
  }

  /** Throws the error, or the one of a write before it; both say how far it came. */
  async failAt(line: number, error: unknown): Promise<never> {
    await this.settle(0);
    throw this.#withProgress(error, line);
  }

  #withProgress(error: unknown, line: number): unknown {
    if (!(error instanceof OmenError)) return error;
    if (error.progress !== undefined) return error;
    const { code, message, cause } = error;
    const progress = { accepted: this.accepted, line };
    const { errors, ids, retryAfterSeconds } = error;
    const details = { errors, ids, retryAfterSeconds, progress, cause };
    return new OmenError(code, `line ${line}: ${message}`, details);
  }
}
