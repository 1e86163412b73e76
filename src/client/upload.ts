/**
 * Any number of rows as batches, some of them on their way at once. Rows are taken from the source
 * only as batches leave, so memory holds `concurrency` batches at most, however much there is.
 */
import type { CallOptions } from "./transport.ts";
import type { RowToAdd, WriteMode, Written } from "./types.ts";

export interface UploadOptions extends CallOptions {
  readonly mode?: WriteMode;
  /** Rows a batch; 1000 by default, fewer where they are large. */
  readonly batchRows?: number;
  /** Batches on their way at once; 4 by default. */
  readonly concurrency?: number;
  /** Called after each batch. */
  readonly onProgress?: (progress: UploadProgress) => void;
}

export interface UploadProgress {
  /** Rows acknowledged. */
  readonly rows: number;
  /** Of the rows from the first on, how many are acknowledged without a gap. */
  readonly rowsInOrder: number;
  readonly batches: number;
  /** Bytes of the bodies. */
  readonly bytes: number;
  readonly rowsPerSecond: number;
}

export interface Upload extends UploadProgress {
  /** Of the latest write. */
  readonly sequence: number;
}

const BATCH_ROWS = 1000;
/** Well under a server's default limit on bodies. */
const BATCH_BYTES = 8 * 1024 * 1024;
const CONCURRENCY = 4;

interface Batch {
  readonly start: number;
  readonly texts: string[];
}

/**
 * Throws what the first failing batch threw, once the others on their way have been answered;
 * `onProgress` has then told what is acknowledged.
 */
export async function uploadRows(
  rows: Iterable<RowToAdd> | AsyncIterable<RowToAdd>,
  encode: (row: RowToAdd) => string,
  send: (body: string, signal: AbortSignal) => Promise<Written>,
  options: UploadOptions,
): Promise<Upload> {
  const { mode, concurrency = CONCURRENCY, onProgress, signal } = options;
  const begunAtMs = performance.now();
  const batches = batchesOf(rows, encode, options.batchRows ?? BATCH_ROWS);
  const never = new AbortController().signal;
  const tally = new Tally();
  let [batchCount, bytes, sequence] = [0, 0, 0];
  let failure: { error: unknown } | undefined;

  const progress = (): UploadProgress => {
    const { rows, rowsInOrder } = tally;
    const seconds = Math.max(1e-3, (performance.now() - begunAtMs) / 1000);
    return { rows, rowsInOrder, batches: batchCount, bytes, rowsPerSecond: rows / seconds };
  };
  const work = async () => {
    while (failure === undefined) {
      try {
        signal?.throwIfAborted();
        const { value: batch } = await batches.next();
        if (batch === undefined) return;
        const head = mode === undefined ? "" : `"mode":"${mode}",`;
        const body = `{${head}"vectors":[${batch.texts.join(",")}]}`;
        const answer = await send(body, signal ?? never);
        sequence = Math.max(sequence, answer.sequence);
        batchCount++;
        bytes += body.length;
        tally.add(batch.start, batch.texts.length);
        onProgress?.(progress());
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, concurrency) }, work));
  await batches.return(undefined);
  if (failure !== undefined) throw failure.error;
  return { ...progress(), sequence };
}

/** A generator answers one `next` after the other, so its callers need no lock. */
async function* batchesOf(
  rows: Iterable<RowToAdd> | AsyncIterable<RowToAdd>,
  encode: (row: RowToAdd) => string,
  batchRows: number,
): AsyncGenerator<Batch, undefined, undefined> {
  let start = 0;
  let texts: string[] = [];
  let length = 0;
  for await (const row of rows) {
    const text = encode(row);
    if (texts.length > 0 && length + text.length > BATCH_BYTES) {
      yield { start, texts };
      [start, texts, length] = [start + texts.length, [], 0];
    }
    texts.push(text);
    length += text.length;
    if (texts.length < batchRows) continue;
    yield { start, texts };
    [start, texts, length] = [start + texts.length, [], 0];
  }
  if (texts.length > 0) yield { start, texts };
  return undefined;
}

/** Counts what is done in any order, and what is done without a gap. */
class Tally {
  rows = 0;
  rowsInOrder = 0;
  readonly #early = new Map<number, number>();

  add(start: number, count: number): void {
    this.rows += count;
    this.#early.set(start, count);
    for (let next = this.#early.get(this.rowsInOrder); next !== undefined; ) {
      this.#early.delete(this.rowsInOrder);
      this.rowsInOrder += next;
      next = this.#early.get(this.rowsInOrder);
    }
  }
}
