/**
 * `omendb export`: the rows of a collection into a file. Pages are read by a cursor that survives
 * writes, so rows that are there throughout come once; it is no snapshot of one moment.
 */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { isFailure } from "../client/index.ts";
import { OmenError } from "../errors.ts";
import { Checkpoint } from "./checkpoint.ts";
import { Interrupted, UsageError } from "./exit.ts";
import { ParquetSink } from "./files/parquet.ts";
import { LinesSink, partOf, RecordsSink, type Sink } from "./files/sink.ts";
import { type Format, formatOf } from "./files/source.ts";
import { watchInterrupt } from "./interrupt.ts";
import { printAnswer, printNote } from "./output.ts";
import { Progress, timeShown } from "./progress.ts";
import { addTargetFlags, openTarget, type Target, type TargetFlags } from "./target.ts";

const EXAMPLES = `
The format follows the file's ending: .ndjson (or .jsonl), .npy, .fvecs, .bvecs, .parquet. Beside
.npy, .fvecs and .bvecs stand NAME.ids.ndjson and NAME.metadata.ndjson. The file is written as
FILE.part and renamed when it is whole. The same command again goes on where an earlier one was
broken off; Parquet begins anew.

Examples:
  $ omendb export songs.ndjson --collection songs
  $ omendb export books.parquet --path data
  $ omendb export red.npy --collection songs --filter '{"colour": "red"}'`;

interface ExportFlags extends TargetFlags {
  readonly collection: string;
  readonly format?: string;
  readonly filter?: string;
  readonly pageRows: string;
  readonly force?: boolean;
  readonly restart?: boolean;
  readonly json?: boolean;
}

/** Where an export goes on. */
interface State {
  readonly cursor: string;
  readonly rows: number;
  readonly marks: readonly number[];
}

const PAGE_ROWS_MAX = 10_000;

export function addExport(program: Command): void {
  const command = program
    .command("export")
    .description("write the rows of a collection to a file")
    .argument("<file>", "where to; its ending says the format");
  addTargetFlags(command)
    .option("--collection <name>", "which one", "default")
    .option("--format <ending>", "of the file, where its ending does not say it")
    .option("--filter <json>", "only rows whose metadata passes it")
    .option("--page-rows <count>", `rows a request, up to ${PAGE_ROWS_MAX}`, "1000")
    .option("--force", "replace a file that is there")
    .option("--restart", "begin anew, whatever an earlier run left")
    .option("--json", "print one JSON document")
    .addHelpText("after", EXAMPLES)
    .action(async (file: string, flags: ExportFlags) => {
      const target = await openTarget(flags);
      try {
        await exportRows(file, flags, target);
      } finally {
        await target.close();
      }
    });
}

async function exportRows(file: string, flags: ExportFlags, target: Target): Promise<void> {
  const { collection: name, json = false, force = false, restart = false } = flags;
  const format = formatOf(file, flags.format);
  const limit = wholeNumber("--page-rows", flags.pageRows, PAGE_ROWS_MAX);
  const filter = filterOf(flags.filter);
  if (!force && (await stat(file).catch(() => undefined)) !== undefined) {
    throw new UsageError(`${file} is there already; --force replaces it`);
  }
  const identity = { export: 1, target: target.name, collection: name, format, filter };
  const checkpoint = new Checkpoint<State>(`${partOf(file)}.json`, identity);
  const before = restart || format === ".parquet" ? undefined : await checkpoint.read();
  const collection = target.collection(name);
  const { vectors: total } = await collection.stats();
  const sink = await openSink(file, format, before?.marks);
  const interrupt = watchInterrupt();
  let { rows, cursor } = before ?? { rows: 0, cursor: undefined };
  if (before !== undefined) printNote(`goes on after ${rows.toLocaleString("en-US")} rows`);
  const progress = new Progress(`export ${name}`, json, rows);
  const note = async () => {
    const marks = cursor === undefined ? undefined : await sink.mark();
    if (marks !== undefined) await checkpoint.write({ cursor: cursor!, rows, marks });
    return marks !== undefined;
  };
  try {
    do {
      const page = await collection.scrollPage({ limit, cursor, filter });
      await sink.write(page.vectors);
      rows += page.vectors.length;
      cursor = page.cursor;
      progress.show(
        rows,
        filter === undefined ? Math.min(1, rows / Math.max(1, total)) : undefined,
      );
      if (checkpoint.isDue) await note();
      if (interrupt.signal.aborted && cursor !== undefined) throw new Interrupted("interrupted");
    } while (cursor !== undefined);
    await sink.finish();
    await checkpoint.remove();
  } catch (error) {
    progress.clear();
    throw await withAdvice(error, note, rows);
  } finally {
    interrupt.end();
    await sink.close();
  }
  progress.clear();
  const seconds = Math.round(progress.seconds * 1000) / 1000;
  const answer = { file, format, collection: name, rows, seconds };
  printAnswer(json, { ...answer, rows_per_second: progress.rowsPerSecond(rows) }, () => {
    const rate = progress.rowsPerSecond(rows).toLocaleString("en-US");
    const counts = `${rows.toLocaleString("en-US")} rows in ${timeShown(seconds)}, ${rate} rows/s`;
    return `${file}: ${counts}`;
  });
}

/** Notes how far it came, and says whether the same command goes on there. */
async function withAdvice(
  error: unknown,
  note: () => Promise<boolean>,
  rows: number,
): Promise<unknown> {
  // The order it was reading in is gone, so going on would be reading something else.
  if (isFailure(error, "INVALID_CURSOR") || isOmen(error, "INVALID_CURSOR")) return error;
  const isKept = await note().catch(() => false);
  if (!(error instanceof Interrupted)) {
    if (isKept) printNote(`${rows} rows are written; the same command goes on from there`);
    return error;
  }
  const advice = isKept ? "the same command goes on from there" : "the next run begins anew";
  return new Interrupted(`interrupted after ${rows} rows; ${advice}`);
}

const isOmen = (error: unknown, code: string) => error instanceof OmenError && error.code === code;

function openSink(file: string, format: Format, marks?: readonly number[]): Promise<Sink> {
  if (format === ".parquet") return ParquetSink.open(file);
  return format === ".ndjson" ? LinesSink.open(file, marks) : RecordsSink.open(file, format, marks);
}

function filterOf(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`--filter: ${(error as Error).message}`);
  }
}

export function wholeNumber(flag: string, text: string, maximum: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= maximum) return value;
  throw new UsageError(`${flag}: expected a whole number from 1 to ${maximum}, got "${text}"`);
}
