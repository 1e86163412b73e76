/** `npm start`: a server set up by the environment alone. It ends on SIGTERM or SIGINT, or when a thread dies. */
import { readFileSync } from "node:fs";
import { readConfig } from "./config.ts";
import { OmenError } from "./errors.ts";
import { loadEngine } from "./threads/engineFiles.ts";
import { createLog } from "./threads/log.ts";
import { startServer } from "./threads/supervisor.ts";

const NODE_MAJOR_MIN = 24;

function readVersion(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

async function main(): Promise<void> {
  const major = Number.parseInt(process.versions.node, 10);
  if (major < NODE_MAJOR_MIN) {
    throw new OmenError(
      "UNSUPPORTED_PLATFORM",
      `Node ${NODE_MAJOR_MIN} or newer is needed, this is ${process.versions.node}; npm start brings its own`,
    );
  }
  const config = readConfig(process.env);
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
  const url = `http://${config.host.includes(":") ? `[${config.host}]` : config.host}:${server.port}`;
  const { threads, linkers } = config;
  const about = { url, version, engine: engine.variant.name, threads, linkers };
  log.info(about, `omendb ${version} listens on ${url}`);

  let isStopping = false;
  const stop = async (signal: string) => {
    if (isStopping) return;
    isStopping = true;
    log.info({ signal }, "stopping: no new connections, requests in flight are finished");
    await server.close();
    log.info("stopped");
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

main().catch((error) => {
  const text = error instanceof OmenError ? error.message : (error.stack ?? String(error));
  process.stderr.write(`omendb: ${text}\n`);
  process.exit(1);
});
