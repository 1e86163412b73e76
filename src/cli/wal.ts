/**
 * `omendb wal inspect`: what stands in a log, and what a start would make of it. It only reads, so
 * it may look at the log of a running server; the last group may then be on its way.
 */
import type { Command } from "commander";
import { NodeFiles } from "../storage/files.ts";
import { inspectChain, inspectWal, type SegmentReport } from "../storage/inspect.ts";
import { EXIT, type ExitCode, UsageError } from "./exit.ts";
import { bytesShown, printAnswer, table } from "./output.ts";
import type { Ending } from "./program.ts";
import { loadSums } from "./sums.ts";

const SEGMENT = /^wal-[0-9a-f]{16}\.log$/;
/** How far below the given folder logs are looked for. */
const DEPTH_MAX = 3;

const EXAMPLES = `
PATH is a data path, or a folder in it: every log below is shown. Segments are read to their end
and each checksum is compared. Exit code 3 means damage, 4 a format version of another build.

Examples:
  $ omendb wal inspect data
  $ omendb wal inspect data --json`;

type Chain = Awaited<ReturnType<typeof inspectChain>>;

interface LogReport extends Chain {
  readonly folder: string;
  readonly segments: readonly SegmentReport[];
}

export function addWal(program: Command, ending: Ending): void {
  const wal = program.command("wal").description("look into the write-ahead log");
  wal
    .command("inspect")
    .description("show the segments of a log and what a start would make of them")
    .argument("<path>", "a data path, or a folder in it")
    .option("--json", "print one JSON document")
    .addHelpText("after", EXAMPLES)
    .action(async (path: string, { json = false }: { json?: boolean }) => {
      const logs = await inspectLogs(path);
      printAnswer(json, { logs }, () => logs.map(describe).join("\n\n"));
      ending.exit = exitOf(logs);
    });
}

async function inspectLogs(path: string): Promise<LogReport[]> {
  const files = new NodeFiles();
  const crc32c = loadSums();
  const folders = await findLogs(files, path.replace(/(?<=.)\/+$/, ""), DEPTH_MAX);
  if (folders.length === 0) throw new UsageError(`there is no log at ${path} or below`);
  const logs: LogReport[] = [];
  for (const folder of folders) {
    const segments = await inspectWal(files, folder, crc32c);
    logs.push({ folder, segments, ...(await inspectChain(files, folder, crc32c)) });
  }
  return logs;
}

async function findLogs(files: NodeFiles, folder: string, depth: number): Promise<string[]> {
  const names = await files.list(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR" || error.code === "ENOENT") return undefined;
    throw error;
  });
  if (names === undefined) return [];
  const found = names.some((name) => SEGMENT.test(name)) ? [folder] : [];
  if (depth === 0) return found;
  for (const name of names.toSorted()) {
    found.push(...(await findLogs(files, `${folder}/${name}`, depth - 1)));
  }
  return found;
}

function exitOf(logs: readonly LogReport[]): ExitCode {
  const faults = logs.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  if (faults.length === 0) return EXIT.DONE;
  const isOtherFormat = faults.every(({ code }) => code === "UNSUPPORTED_FORMAT");
  return isOtherFormat ? EXIT.FORMAT : EXIT.DAMAGED;
}

function describe({ folder, segments, cut, ignored, fault }: LogReport): string {
  const rows = segments.map((segment) => [
    segment.file.slice(folder.length + 1),
    bytesShown(segment.bytes),
    segment.firstSequence,
    segment.lastSequence,
    segment.frames,
    segment.rows,
    segment.fault === undefined ? "sound" : `not sound after ${segment.validBytes ?? 0}`,
  ]);
  const head = ["segment", "size", "first", "last", "writes", "rows", "read"];
  const lines = [folder, table(head, rows)];
  for (const { file, offset, bytes, reason } of ignored) {
    lines.push(`${file}: ${bytes} bytes from ${offset} on are passed over: ${reason}`);
  }
  for (const { file, offset, bytes, reason } of cut) {
    lines.push(`${file}: a torn end of ${bytes} bytes from ${offset} on will be cut: ${reason}`);
  }
  if (fault !== undefined) lines.push(`a start is refused: ${fault.message} [${fault.code}]`);
  return lines.join("\n");
}
