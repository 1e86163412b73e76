/** The command line, each command in a process of its own. */
import { cp, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { describeSettings } from "../src/config.ts";
import { beginCommand, runCommand } from "./command.ts";
import { connect, freePort, pause } from "./server.ts";

const FIXTURES = fileURLToPath(new URL("fixtures/", import.meta.url));
const SEGMENT = "wal-0000000000000001.log";
const STACK = /^\s+at /m;

describe("omendb", () => {
  it("shows its commands, its exit codes and examples", async () => {
    const { code, stdout } = await runCommand(["--help"]);
    expect(code).to.equal(0);
    expect(stdout)
      .to.match(/serve/)
      .and.match(/wal/)
      .and.match(/Exit codes:/);
    expect(stdout).to.match(/Examples:\n\s+\$ omendb /);
  });

  it("names a wrong word and the one that was meant, and ends with 2", async () => {
    const wrong: [string[], RegExp][] = [
      [["serv"], /'serv'.*serve/],
      [["serve", "--prot", "1"], /'--prot'.*--port/],
      [["serve", "--port", "99999"], /--port: expected .*65535, got "99999"/],
      [["wal", "inspect"], /missing required argument 'path'/],
      [["wal", "inspect", FIXTURES, "--jsno"], /'--jsno'.*--json/],
      [["serve", "stray"], /too many arguments/],
    ];
    for (const [words, sentence] of wrong) {
      const { code, stdout, stderr } = await runCommand(words);
      expect(code, words.join(" ")).to.equal(2);
      expect(stderr).to.match(sentence).and.not.match(STACK);
      expect(stdout).to.equal("");
    }
    const { code, stderr } = await runCommand(["wal", "inspect", "nowhere", "--json"]);
    expect(code).to.equal(2);
    expect(JSON.parse(stderr).error).to.include({ code: "USAGE" });
  });

  it("says what it can when no command is given", async () => {
    const { code, stderr } = await runCommand([]);
    expect(code).to.equal(2);
    expect(stderr).to.match(/Commands:/);
  });
});

describe("omendb serve", () => {
  it("has a flag for every setting", async () => {
    const { stdout } = await runCommand(["serve", "--help"]);
    for (const { flag } of describeSettings()) expect(stdout).to.contain(`${flag} `);
  });

  it("serves by flags, which win over the environment", async () => {
    const [port, other] = [await freePort(), await freePort()];
    const flags = ["--port", String(port), "--threads", "1", "--metrics-public"];
    const environment = {
      ...{ OMENDB_PORT: String(other), OMENDB_API_KEY: "secret", OMENDB_URL: "http://elsewhere" },
    };
    const child = beginCommand(["serve", ...flags], environment);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => (output += part));
    child.stderr.setEncoding("utf8").on("data", (part: string) => (output += part));
    const client = connect(port);
    while (!output.includes("listens") && child.exitCode === null) await pause(20);
    expect((await client.get("/metrics")).status, output).to.equal(200);
    expect((await client.get("/stats")).status).to.equal(401);
    client.close();
    const ended = new Promise((resolve) => child.on("close", resolve));
    child.kill("SIGTERM");
    expect(await ended, output).to.equal(0);
  });
});

describe("omendb wal inspect", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-cli-"));
    await cp(join(FIXTURES, "format1"), join(folder, "default"), { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true }));

  const segment = () => join(folder, "default", SEGMENT);
  const inspect = async () => {
    const { code, stdout } = await runCommand(["wal", "inspect", folder, "--json"]);
    return { code, log: JSON.parse(stdout).logs[0] };
  };

  it("shows each segment of every log below the path", async () => {
    const { code, stdout } = await runCommand(["wal", "inspect", folder]);
    expect(code).to.equal(0);
    expect(stdout).to.match(/wal-0000000000000001\.log\s+\d+ bytes\s+1\s+4\s+4\s+4\s+sound/);
    const { log } = await inspect();
    expect(log.folder).to.equal(join(folder, "default"));
    const { size: bytes } = await stat(segment());
    expect(log.segments[0]).to.include({ bytes, frames: 4, rows: 4, lastSequence: 4 });
  });

  it("tells a torn end from damage", async () => {
    await truncate(segment(), 450);
    const torn = await inspect();
    expect(torn.code).to.equal(0);
    expect(torn.log.cut[0]).to.include({ file: segment() });
    const bytes = await readFile(segment());
    bytes[30]! ^= 1;
    await writeFile(segment(), bytes);
    const damaged = await inspect();
    expect(damaged.code).to.equal(3);
    expect(damaged.log.fault).to.include({ code: "CORRUPT_FILE" });
  });

  it("refuses a newer format by its number and ends with 4", async () => {
    const { code, stdout } = await runCommand(["wal", "inspect", join(FIXTURES, "format2")]);
    expect(code).to.equal(4);
    expect(stdout).to.match(/format version 2, this build opens 1/);
  });
});
