/** The first hour of a client in Python, with nothing but its standard library. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { startServer } from "./server.ts";

const SCRIPT = fileURLToPath(new URL("./seed_client.py", import.meta.url));
const KEY = "the-key-of-the-first-hour";
const hasPython = spawnSync("python3", ["--version"]).status === 0;

describe("a client in Python", () => {
  const title = hasPython
    ? "adds, searches, counts, and is refused with a wrong key"
    : "cannot be tried here: there is no python3";
  it(title, async () => {
    if (!hasPython) return;
    const server = await startServer({ API_KEY: KEY, LOG_LEVEL: "warn" });
    const url = `http://127.0.0.1:${server.port}`;
    const { status, stdout, stderr } = spawnSync("python3", [SCRIPT, url, KEY], {
      encoding: "utf8",
      timeout: 60_000,
    });
    await server.stop();
    expect(status, stdout + stderr).to.equal(0);
    expect(stdout).to.contain("all is well");
  });
});
