/** A server whose unsynced bytes are gone when it is killed: the program of crash.test.ts. */
import { readConfig } from "../src/config.ts";
import { loadEngine } from "../src/threads/engineFiles.ts";
import { createLog } from "../src/threads/log.ts";
import { startServer } from "../src/threads/supervisor.ts";
import { VolatileFiles } from "./volatileFiles.ts";

const config = readConfig(process.env);
const files = new VolatileFiles(process.env.LIES_ABOUT_SYNC === "1");
const server = await startServer({
  ...{ config, files, version: "0.0.0", log: createLog(config) },
  ...loadEngine(),
  onFatal(error) {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
});
server.ready.catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
