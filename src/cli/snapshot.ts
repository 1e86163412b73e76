/**
 * `omendb snapshot`: made, looked at, checked, carried and restored; on a running server or on a
 * data path that none holds. A file is checked here, byte by byte, without a database.
 */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import type { Snapshot } from "../client/index.ts";
import { NodeFiles } from "../storage/files.ts";
import { type ImageReport, verifyImage, verifySource } from "../storage/inspect.ts";
import { EXIT, type ExitCode, UsageError } from "./exit.ts";
import { bytesShown, printAnswer, table } from "./output.ts";
import type { Ending } from "./program.ts";
import { Progress } from "./progress.ts";
import { idOfFile, type SnapshotShelf, shelfOf } from "./shelf.ts";
import { loadSums } from "./sums.ts";
import { addTargetFlags, openTarget, type TargetFlags } from "./target.ts";

const EXAMPLES = `
A snapshot is named by its id; where a file is meant, its path has a dot or a slash in it. Restoring
a file uploads it first. verify ends with 3 when bytes are damaged, with 4 when another build wrote
them.

Examples:
  $ omendb snapshot create --collection songs --file songs.omen
  $ omendb snapshot list --collection songs --json
  $ omendb snapshot download 20260102-030405 songs.omen --collection songs
  $ omendb snapshot verify songs.omen
  $ omendb snapshot restore songs.omen --collection songs --url http://elsewhere:8000
  $ omendb snapshot list --path data`;

interface Flags extends TargetFlags {
  readonly collection: string;
  readonly json?: boolean;
  readonly id?: string;
  readonly file?: string;
  readonly force?: boolean;
}

export function addSnapshot(program: Command, ending: Ending): void {
  const snapshot = program
    .command("snapshot")
    .description("make, look at, check, carry and restore snapshots")
    .addHelpText("after", EXAMPLES);
  const add = (name: string, description: string, ...words: string[]) => {
    const command = addTargetFlags(snapshot.command(name).description(description));
    for (const word of words) command.argument(`<${word}>`);
    return command
      .option("--collection <name>", "whose", "default")
      .option("--json", "print one JSON document")
      .addHelpText("after", EXAMPLES);
  };

  add("create", "make one and wait until it is ready")
    .option("--file <file>", "write it to a file too")
    .option("--force", "replace a file that is there")
    .action((flags: Flags) =>
      onShelf(flags, async (shelf) => {
        const { file } = flags;
        if (file !== undefined) await refusePresent(file, flags);
        const made = await create(shelf, flags.json ?? false);
        if (file !== undefined) await shelf.fetch(made.id, file);
        printAnswer(flags.json ?? false, made, () => `${made.id}: ${describe(made)}`);
      }),
    );
  add("list", "all of a collection").action((flags: Flags) =>
    onShelf(flags, async (shelf) => {
      const snapshots = await shelf.list();
      printAnswer(flags.json ?? false, { snapshots }, () => listed(snapshots));
    }),
  );
  for (const [name, description] of [
    ["inspect", "show what a snapshot, or a file, holds, section by section"],
    ["verify", "compare every checksum of a snapshot, or a file"],
  ] as const) {
    add(name, description, "id-or-file").action(async (which: string, flags: Flags) => {
      const report = await check(which, flags);
      printAnswer(flags.json ?? false, report, () => reported(report, name === "verify"));
      ending.exit = exitOf(report);
    });
  }
  add("restore", "put a collection back to a snapshot, or a file", "id-or-file").action(
    (which: string, flags: Flags) =>
      onShelf(flags, async (shelf) => {
        const id = (await isFile(which)) ? (await shelf.keep(idOfFile(which), which)).id : which;
        const restored = { id, ...(await shelf.restore(id)) };
        printAnswer(flags.json ?? false, restored, () => {
          const rows = restored.vectors.toLocaleString("en-US");
          return `${flags.collection}: back to ${id}, ${rows} rows, sequence ${restored.sequence}`;
        });
      }),
  );
  add("download", "write one to a file", "id", "file")
    .option("--force", "replace a file that is there")
    .action((id: string, file: string, flags: Flags) =>
      onShelf(flags, async (shelf) => {
        await refusePresent(file, flags);
        const bytes = await shelf.fetch(id, file);
        printAnswer(flags.json ?? false, { id, file, bytes }, () => {
          return `${file}: ${bytesShown(bytes)}`;
        });
      }),
    );
  add("upload", "keep a file as a snapshot", "file")
    .option("--id <id>", "its id (default: the file's name)")
    .action((file: string, flags: Flags) =>
      onShelf(flags, async (shelf) => {
        if (!(await isFile(file)))
          throw new UsageError(`${file}: a file's path has a dot or a slash`);
        const kept = await shelf.keep(flags.id ?? idOfFile(file), file);
        printAnswer(flags.json ?? false, kept, () => `${kept.id}: ${describe(kept)}`);
      }),
    );
  add("delete", "delete one", "id").action((id: string, flags: Flags) =>
    onShelf(flags, async (shelf) => {
      await shelf.delete(id);
      printAnswer(flags.json ?? false, { status: "ok", id }, () => `${id}: deleted`);
    }),
  );
}

async function refusePresent(file: string, { force }: Flags): Promise<void> {
  if (force || (await stat(file).catch(() => undefined)) === undefined) return;
  throw new UsageError(`${file} is there already; --force replaces it`);
}

async function onShelf(flags: Flags, use: (shelf: SnapshotShelf) => Promise<void>): Promise<void> {
  const target = await openTarget(flags);
  try {
    await use(shelfOf(target.collection(flags.collection)));
  } finally {
    await target.close();
  }
}

async function create(shelf: SnapshotShelf, isSilent: boolean): Promise<Snapshot> {
  const { id } = await shelf.create();
  const progress = new Progress(`snapshot ${id}`, isSilent);
  try {
    return await shelf.wait(id, {
      onProgress: (snapshot) => progress.show(snapshot.vectors ?? 0, snapshot.progress),
    });
  } finally {
    progress.clear();
  }
}

async function check(which: string, flags: Flags): Promise<ImageReport> {
  const crc32c = loadSums();
  if (await isFile(which)) return verifyImage(new NodeFiles(), which, crc32c);
  let report: ImageReport | undefined;
  await onShelf(flags, async (shelf) => {
    report = await verifySource(await shelf.open(which), crc32c);
  });
  return report!;
}

/** No id has a dot or a slash. */
const isPath = (which: string) => /[./]/.test(which);

/** Throws UsageError for a path where no file is. */
async function isFile(which: string): Promise<boolean> {
  if (!isPath(which)) return false;
  if ((await stat(which).catch(() => undefined))?.isFile()) return true;
  throw new UsageError(`there is no file ${which}`);
}

function exitOf({ sound, fault }: ImageReport): ExitCode {
  if (sound) return EXIT.DONE;
  return fault?.code === "UNSUPPORTED_FORMAT" ? EXIT.FORMAT : EXIT.DAMAGED;
}

function describe({ status, bytes, vectors, sequence }: Snapshot): string {
  if (bytes === undefined) return status;
  const rows = (vectors ?? 0).toLocaleString("en-US");
  return `${status}, ${rows} rows, ${bytesShown(bytes)}, sequence ${sequence}`;
}

function listed(snapshots: readonly Snapshot[]): string {
  const rows = snapshots.map((each) => [
    ...[each.id, each.status, each.created_at, each.sequence, each.vectors],
    each.bytes === undefined ? undefined : bytesShown(each.bytes),
  ]);
  return table(["id", "status", "made", "sequence", "rows", "size"], rows);
}

function reported(report: ImageReport, isVerdict: boolean): string {
  const { file, bytes, version, sequence, settings, sections, sound, fault } = report;
  if (fault !== undefined) return `${file}: ${fault.message} [${fault.code}]`;
  const head = `${file}: format version ${version}, sequence ${sequence}, ${bytesShown(bytes!)}`;
  const verdict = sound ? "sound: every checksum holds" : "damaged";
  if (isVerdict && sound) return `${head}\n${verdict}`;
  const rows = sections.map(({ name, offset, length, fault: wrong }) => [
    ...[name, offset, length, wrong ?? "sound"],
  ]);
  const shown = table(["section", "offset", "bytes", "read"], rows);
  return `${head}\n${JSON.stringify(settings)}\n${shown}\n${verdict}`;
}
