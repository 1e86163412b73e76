/**
 * `omendb import`: rows of a file into a collection. Batches are acknowledged in any order; noted
 * is how many rows from the first on are acknowledged without a gap, and a next run goes on there.
 * Rows of an unfinished batch may be written twice, which changes nothing: they replace themselves.
 */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import type { RowToAdd, UploadProgress } from "../client/index.ts";
import { Checkpoint } from "./checkpoint.ts";
import { Interrupted, UsageError } from "./exit.ts";
import { wholeNumber } from "./export.ts";
import { openLines } from "./files/lines.ts";
import { openParquet } from "./files/parquet.ts";
import { openRecords } from "./files/records.ts";
import { formatOf, type Source } from "./files/source.ts";
import { watchInterrupt } from "./interrupt.ts";
import { printAnswer, printNote } from "./output.ts";
import { Progress, timeShown } from "./progress.ts";
import { addTargetFlags, openTarget, type Target, type TargetFlags } from "./target.ts";

const EXAMPLES = `
The format follows the file's ending: .ndjson (or .jsonl), .npy, .fvecs, .bvecs, .parquet. NDJSON
has a line of {"id", "vector", "metadata"?} a row. Beside .npy, .fvecs and .bvecs, ids and metadata
are read from NAME.ids.ndjson and NAME.metadata.ndjson, a line of JSON a row; without ids a row's
number is its id. Parquet has columns id, vector and metadata, or those that flags name; without a
metadata column all others become metadata. The collection is made when it is not there.

How far it came is kept in FILE.import.json until all is done: the same command goes on from there.

Examples:
  $ omendb import songs.ndjson --collection songs
  $ omendb import base.fvecs --path data --metric cosine
  $ omendb import books.parquet --id-column isbn --vector-column embedding`;

interface ImportFlags extends TargetFlags {
  readonly collection: string;
  readonly format?: string;
  readonly metric?: "l2" | "cosine" | "dot";
  readonly ids?: string;
  readonly metadata?: string;
  readonly idColumn: string;
  readonly vectorColumn: string;
  readonly metadataColumn: string;
  readonly batchRows: string;
  readonly concurrency: string;
  readonly state?: string;
  readonly restart?: boolean;
  readonly json?: boolean;
}

interface State {
  readonly rows: number;
}

const BATCH_ROWS_MAX = 100_000;
const CONCURRENCY_MAX = 64;

export function addImport(program: Command): void {
  const command = program
    .command("import")
    .description("write the rows of a file into a collection")
    .argument("<file>", "where from; its ending says the format");
  addTargetFlags(command)
    .option("--collection <name>", "which one", "default")
    .option("--format <ending>", "of the file, where its ending does not say it")
    .option("--metric <metric>", "of the collection, if it has to be made: l2, cosine or dot")
    .option("--ids <file>", "a line of JSON for each row of .npy, .fvecs, .bvecs")
    .option("--metadata <file>", "the same, with its metadata")
    .option("--id-column <name>", "of Parquet", "id")
    .option("--vector-column <name>", "of Parquet", "vector")
    .option("--metadata-column <name>", "of Parquet", "metadata")
    .option("--batch-rows <count>", "rows a request", "1000")
    .option("--concurrency <count>", "requests at once", "4")
    .option("--state <file>", "where to keep how far it came (default: FILE.import.json)")
    .option("--restart", "begin anew, whatever an earlier run noted")
    .option("--json", "print one JSON document")
    .addHelpText("after", EXAMPLES)
    .action(async (file: string, flags: ImportFlags) => {
      if (!["l2", "cosine", "dot", undefined].includes(flags.metric)) {
        throw new UsageError(`--metric: expected l2, cosine or dot, got "${flags.metric}"`);
      }
      const found = await stat(file).catch(() => undefined);
      if (!found?.isFile()) throw new UsageError(`there is no file ${file}`);
      const source = await openSource(file, flags);
      const target = await openTarget(flags, true);
      try {
        await importRows(file, found, source, flags, target);
      } finally {
        await target.close();
      }
    });
}

async function openSource(file: string, flags: ImportFlags): Promise<Source> {
  const format = formatOf(file, flags.format);
  if (format === ".ndjson") return openLines(file);
  if (format !== ".parquet") return openRecords(file, format, flags);
  const { idColumn: id, vectorColumn: vector, metadataColumn: metadata } = flags;
  return openParquet(file, { id, vector, metadata });
}

async function importRows(
  file: string,
  { size, mtimeMs }: { size: number; mtimeMs: number },
  source: Source,
  flags: ImportFlags,
  target: Target,
): Promise<void> {
  const { collection: name, json = false, restart = false } = flags;
  const batchRows = wholeNumber("--batch-rows", flags.batchRows, BATCH_ROWS_MAX);
  const concurrency = wholeNumber("--concurrency", flags.concurrency, CONCURRENCY_MAX);
  const identity = { import: 1, target: target.name, collection: name, size, mtimeMs };
  const path = flags.state ?? `${file}.import.json`;
  const checkpoint = new Checkpoint<State>(path, identity);
  const before = (restart ? undefined : await checkpoint.read())?.rows ?? 0;
  if (before > 0) printNote(`goes on after ${before.toLocaleString("en-US")} rows`);
  const interrupt = watchInterrupt();
  const progress = new Progress(`import ${name}`, json, before);
  let [rows, inOrder] = [before, before];
  let noting: Promise<unknown> = Promise.resolve();
  const onProgress = (done: Pick<UploadProgress, "rows" | "rowsInOrder">) => {
    rows = before + done.rows;
    inOrder = before + done.rowsInOrder;
    progress.show(rows, source.share(rows));
    if (checkpoint.isDue) noting = noting.then(() => checkpoint.write({ rows: inOrder }));
  };
  try {
    const wanted = withCollection(source.read(before), flags, target);
    const { signal } = interrupt;
    await writeRows(target, name, wanted, { batchRows, concurrency, onProgress, signal });
    await noting;
    await checkpoint.remove();
  } catch (error) {
    progress.clear();
    await noting.catch(() => undefined);
    if (inOrder > before) await checkpoint.write({ rows: inOrder }).catch(() => undefined);
    const advice = `${inOrder} rows are written; the same command goes on from there`;
    if (interrupt.signal.aborted) throw new Interrupted(`interrupted: ${advice}`);
    if (inOrder > 0) printNote(advice);
    throw error;
  } finally {
    interrupt.end();
  }
  progress.clear();
  const seconds = Math.round(progress.seconds * 1000) / 1000;
  const rate = progress.rowsPerSecond(rows);
  const answer = { file, collection: name, rows, resumed_after: before, seconds };
  printAnswer(json, { ...answer, rows_per_second: rate }, () => {
    const counts = `${rows.toLocaleString("en-US")} rows in ${timeShown(seconds)}`;
    return `${name}: ${counts}, ${rate.toLocaleString("en-US")} rows/s`;
  });
}

/** Sees to it, at the first row, that there is a collection for it. */
async function* withCollection(
  rows: AsyncGenerator<RowToAdd>,
  { collection: name, metric }: ImportFlags,
  target: Target,
): AsyncGenerator<RowToAdd> {
  let isThere = false;
  for await (const row of rows) {
    if (!isThere && (await target.describeCollection(name)) === undefined) {
      await target.createCollection(name, { dimensions: row.vector.length, metric });
    }
    isThere = true;
    yield row;
  }
}

interface WriteOptions {
  readonly batchRows: number;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly onProgress: (done: Pick<UploadProgress, "rows" | "rowsInOrder">) => void;
}

/** A server takes several batches at a time; a data path has this process's one thread. */
async function writeRows(
  target: Target,
  name: string,
  rows: AsyncGenerator<RowToAdd>,
  options: WriteOptions,
): Promise<void> {
  const collection = target.collection(name);
  if ("upload" in collection) {
    await collection.upload(rows, { ...options, retries: 8 });
    return;
  }
  const { batchRows, signal, onProgress } = options;
  let batch: RowToAdd[] = [];
  let written = 0;
  const write = async () => {
    signal.throwIfAborted();
    if (batch.length > 0) await collection.batch(batch);
    written += batch.length;
    batch = [];
    onProgress({ rows: written, rowsInOrder: written });
  };
  for await (const row of rows) {
    batch.push(row);
    if (batch.length >= batchRows) await write();
  }
  await write();
}
