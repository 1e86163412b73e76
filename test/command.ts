/** The command line as a user's shell runs it: a process of its own, away from our settings. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const RUN_MS = 60_000;

export interface Ran {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export type Environment = Readonly<Record<string, string>>;

/** Begins `omendb WORDS`; CLI_ENTRY names another program to test, such as a packed build. */
export function beginCommand(words: readonly string[], environment: Environment = {}, cwd = root) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("OMENDB_"));
  const entry = process.env.CLI_ENTRY ?? join(root, "src", "cli.ts");
  return spawn(process.execPath, [entry, ...words], {
    cwd,
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: RUN_MS,
    killSignal: "SIGKILL",
  });
}

export async function runCommand(
  words: readonly string[],
  environment: Environment = {},
  cwd = root,
): Promise<Ran> {
  const child = beginCommand(words, environment, cwd);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => (stdout += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  const [code, signal] = await once(child, "close");
  return { code: code ?? signal, stdout, stderr };
}
