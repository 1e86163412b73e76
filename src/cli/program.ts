/**
 * The command line's table of contents: each command is a file of its own that adds itself here.
 * Whatever goes wrong in one comes out in one place, as a sentence on stderr (a JSON object with
 * --json) and an exit code of exit.ts.
 */
import { Command, CommanderError } from "commander";
import { EXIT, EXIT_MEANINGS, type ExitCode, failureOf } from "./exit.ts";
import { addExport } from "./export.ts";
import { addImport } from "./import.ts";
import { addKeys } from "./keys.ts";
import { printNote } from "./output.ts";
import { readVersion } from "./platform.ts";
import { addServe } from "./serve.ts";
import { addSnapshot } from "./snapshot.ts";
import { addWal } from "./wal.ts";

/** A command that ends in another way than `done` says so here. */
export interface Ending {
  exit: ExitCode;
}

const COMMANDS = [addServe, addExport, addImport, addSnapshot, addWal, addKeys];

const HELP = `
Exit codes:
${EXIT_MEANINGS.map(([code, meaning]) => `  ${code}  ${meaning}`).join("\n")}

Examples:
  $ omendb serve --port 9000
  $ omendb import songs.ndjson --collection songs
  $ omendb wal inspect data
  $ omendb help serve`;

/** Runs one command and resolves with the process's exit code. */
export async function runProgram(words: readonly string[]): Promise<number> {
  const ending: Ending = { exit: EXIT.DONE };
  const program = new Command("omendb")
    .description("A vector database: the server, and the tools for its data")
    .version(readVersion())
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", HELP);
  for (const add of COMMANDS) add(program, ending);
  try {
    await program.parseAsync(words, { from: "user" });
    return ending.exit;
  } catch (error) {
    return report(error, words);
  }
}

function report(error: unknown, words: readonly string[]): ExitCode {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.DONE;
  // No command was named: what there is has been printed.
  if (error instanceof CommanderError && error.code === "commander.help") return EXIT.USAGE;
  const { code, message, exit, stack } = failureOf(error);
  if (words.includes("--json")) printNote(JSON.stringify({ error: { code, message } }));
  else printNote(`omendb: ${stack ?? message}`);
  return exit;
}
