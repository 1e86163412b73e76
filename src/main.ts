/**
 * `npm start`: a server set up by the environment alone. It ends on SIGTERM or SIGINT, or when a
 * thread dies.
 */
import { readFileSync } from "node:fs";
import { type Config, readConfig } from "./config.ts";
import { OmenError } from "./errors.ts";
import { loadEngine } from "./threads/engineFiles.ts";
import { createLog } from "./threads/log.ts";
import { startServer } from "./threads/supervisor.ts";

const NODE_MAJOR_MIN = 24;

function readVersion(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

function refuseOldNode(): void {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= NODE_MAJOR_MIN) return;
  const message = `Node ${NODE_MAJOR_MIN} or newer is needed, this is ${node}`;
  throw new OmenError("UNSUPPORTED_PLATFORM", `${message}; npm start brings its own`);
}

/**
 * Resolves when the process is asked to end. It listens before anything can answer: none is missed.
 */
function untilAsked(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on("SIGTERM", resolve);
    process.on("SIGINT", resolve);
  });
}

/** The log and the images are not wired to the server yet: a promise it cannot keep is refused. */
function refuseStorage({ path, safety }: Config): void {
  const refused = path !== undefined ? "OMENDB_PATH" : safety === "normal" ? "OMENDB_SAFETY" : "";
  if (refused === "") return;
  const message = `${refused}: rows are kept in memory only, so the setting means nothing`;
  throw new OmenError("INVALID_SETTING", `${message}; unset it`);
}

async function main(): Promise<void> {
  refuseOldNode();
  const asked = untilAsked();
  const config = readConfig(process.env);
  refuseStorage(config);
  const log = createLog(config);
  const engine = loadEngine();
  const version = readVersion();
  const server = await startServer({
    ...{ config, log, version },
    ...engine,
    onFatal(error) {
      log.fatal({ err: error }, "a thread died; the process ends so that nothing is pretended");
      process.exit(1);
    },
  });
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  const url = `http://${host}:${server.port}`;
  const { threads, linkers } = config;
  const about = { url, version, engine: engine.variant.name, threads, linkers };
  log.info(about, `omendb ${version} listens on ${url}`);

  const signal = await asked;
  log.info({ signal }, "stopping: no new connections, requests in flight are finished");
  await server.close();
  log.info("stopped");
  process.exit(0);
}

main().catch((error) => {
  const text = error instanceof OmenError ? error.message : (error.stack ?? String(error));
  process.stderr.write(`omendb: ${text}\n`);
  process.exit(1);
});
