/**
 * `omendb serve`: the server in this process, until SIGTERM or SIGINT, or until a thread dies. Its
 * flags are made from the table of settings.
 */
import { type Command, Option } from "commander";
import { type Config, describeSettings, readConfig } from "../config.ts";
import { OmenError } from "../errors.ts";
import { loadEngine } from "../threads/engineFiles.ts";
import { createLog } from "../threads/log.ts";
import type { RunningServer } from "../threads/supervisor.ts";
import { EXIT, type ExitCode, UsageError } from "./exit.ts";
import { readVersion } from "./platform.ts";
import type { Ending } from "./program.ts";

const EXAMPLES = `
Each flag has a variable of the same name, OMENDB_PORT for --port; a flag wins. Other users of the
machine can see flags, so keys are better in the environment. The log is JSON lines on stdout.

Examples:
  $ omendb serve                                     on 127.0.0.1:8000
  $ omendb serve --port 9000 --metric cosine         another port, and cosine by default
  $ OMENDB_API_KEY=secret omendb serve --host ::     for other machines, with a key`;

export function addServe(program: Command, ending: Ending): void {
  const command = program.command("serve").description("serve the database over HTTP");
  for (const { flag, shown, help, isSwitch } of describeSettings()) {
    const value = isSwitch ? "[true|false]" : "<value>";
    const option = new Option(`${flag} ${value}`, `${help} (default: ${shown})`);
    command.addOption(isSwitch ? option.preset("true") : option);
  }
  command.addHelpText("after", EXAMPLES).action(async (flags: Record<string, string>) => {
    ending.exit = await serve(settingsOf(flags));
  });
}

function settingsOf(flags: Record<string, string>): Config {
  try {
    return readConfig(process.env, flags);
  } catch (error) {
    throw error instanceof OmenError ? new UsageError(error.message) : error;
  }
}

/** A promise that nothing keeps is refused. */
function refuseIdleSafety({ path, safety }: Config): void {
  if (path !== undefined || safety === "strict") return;
  const message = "OMENDB_SAFETY: without OMENDB_PATH rows are kept in memory only";
  throw new OmenError("INVALID_SETTING", `${message}, so the setting means nothing; unset it`);
}

/** Resolves when the server has ended as it was asked to. */
async function serve(config: Config): Promise<ExitCode> {
  const asked = untilAsked();
  refuseIdleSafety(config);
  const log = createLog(config);
  const engine = loadEngine();
  const version = readVersion();
  // Only here, because it takes the other commands long enough to load what they need.
  const { startServer } = await import("../threads/supervisor.ts");
  let server: RunningServer | undefined;
  let isStale = false;
  process.on("SIGHUP", () => {
    if (server === undefined) isStale = true;
    else server.reload();
  });
  server = await startServer({
    ...{ config, log, version },
    ...engine,
    onFatal(error) {
      log.fatal({ err: error }, "a thread died; the process ends so that nothing is pretended");
      process.exit(EXIT.FAILED);
    },
  });
  // Listeners answer a moment before this: who asked in that moment is not forgotten.
  if (isStale) server.reload();
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  const url = `${config.tlsCert === undefined ? "http" : "https"}://${host}:${server.port}`;
  const { threads, linkers } = config;
  const where = config.path === undefined ? " and keeps rows in memory alone" : "";
  const about = { url, version, engine: engine.variant.name, threads, linkers };
  log.info(about, `omendb ${version} listens on ${url}${where}`);

  const signal = await Promise.race([asked, server.ready.then(() => asked)]);
  log.info({ signal }, "stopping: no new connections, requests in flight are finished");
  await server.close();
  log.info("stopped");
  return EXIT.DONE;
}

/** It listens before anything can answer: no signal is missed. */
function untilAsked(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on("SIGTERM", resolve);
    process.on("SIGINT", resolve);
  });
}
