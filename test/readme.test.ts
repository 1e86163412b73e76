/**
 * README, guide and reference are held to the server: the table of settings is the one that the
 * code prints, and the curl lines, sent to a real server in their order, README first, are answered
 * as it says.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { settingsTable } from "../src/config.ts";
import { type Connection, startServer } from "./server.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../", import.meta.url));
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const guide = readFileSync(new URL("../docs/GUIDE.md", import.meta.url), "utf8");
const walk = `${readme}\n${guide}`;
const reference = readFileSync(new URL("../docs/REFERENCE.md", import.meta.url), "utf8");
/** What differs from run to run and from machine to machine. */
const VARYING = new Set([
  ...["took_ms", "uptime_seconds", "request_id", "threads", "wasm_variant"],
  ...["indexed", "unindexed", "memory_bytes", "memory", "bytes_per_vector", "capacity"],
]);

/** The block of commands that keep a snapshot and go back to it, and what they print. */
const KEEPING = /```sh\n(npm run -s omendb -- snapshot [^`]+)```\n```text\n([^`]+)```/;

interface Example {
  readonly command: string;
  readonly answer: string;
}

describe("readme", () => {
  it("shows every setting as the code describes it", () => {
    expect(reference, "src/config.ts prints the table anew: settingsTable()").to.contain(
      `\n\n${settingsTable()}\n\n`,
    );
  });

  it("shows what its curl lines are answered, and its programs print", async () => {
    const examples = examplesOf(walk);
    expect(examples).to.have.length.above(5);
    const curls = walk.replace(KEEPING, "").match(/^curl /gm);
    expect(curls).to.have.length(examples.length);
    const server = await startServer({ LOG_LEVEL: "silent" });
    const client = server.connect();
    try {
      for (const { command, answer } of examples) {
        const { body } = await send(client, command);
        expect(steady(body), command).to.deep.equal(steady(JSON.parse(answer)));
      }
      for (const { program, printed } of programsOf(walk)) {
        expect(await runProgram(program, server.port)).to.equal(printed);
      }
    } finally {
      client.close();
      expect(await server.stop()).to.equal(0);
    }
  });

  it("keeps a snapshot, wipes, restores and searches again by the lines that it shows", async () => {
    const [, lines, printed] = KEEPING.exec(readme)!;
    const rows = examplesOf(readme).filter(({ command }) => command.includes("/vectors/"));
    const folder = await mkdtemp(join(tmpdir(), "omendb-readme-"));
    const server = await startServer({ LOG_LEVEL: "silent", PATH: join(folder, "data") });
    const client = server.connect();
    try {
      for (const { command } of rows) expect((await send(client, command)).status).to.equal(200);
      const script = lines!
        .replaceAll("npm run -s omendb --", `"${process.execPath}" "${join(root, "src/cli.ts")}"`)
        .replaceAll("localhost:8000", `127.0.0.1:${server.port}`);
      const env = { ...process.env, OMENDB_URL: `http://127.0.0.1:${server.port}` };
      const { stdout } = await run("sh", ["-ec", script], { cwd: folder, env });
      const same = (text: string) =>
        text
          .trim()
          .replace(/^[\d-]+[0-9a-f]{4}:/, "ID:")
          .replaceAll(/\d+(\.\d+)? [KM]iB/g, "SIZE")
          .replace(/"took_ms":[\d.]+/, "TOOK");
      expect(same(stdout)).to.equal(same(printed!));
    } finally {
      client.close();
      await server.stop("SIGKILL");
      await rm(folder, { recursive: true });
    }
  });

  it("names only files that are there", () => {
    const named = /`((?:src|assembly|test|perf|\.ci|docs)\/[\w./]*)`/g;
    for (const [, path] of `${walk}${reference}`.matchAll(named)) expectFile(path!);
    for (const [, path] of readme.matchAll(/\]\(([\w./]+)\)/g)) expectFile(path!);
  });
});

/** A block of sh that begins with curl, and the block of json after it. */
function examplesOf(text: string): Example[] {
  const found = text.matchAll(/```sh\n(curl [^`]+)\n```\n```json\n([^`]+)```/g);
  return [...found].map(([, command, answer]) => ({ command: command!, answer: answer! }));
}

/** A block of ts, and the block of text after it. */
function programsOf(text: string) {
  const found = text.matchAll(/```ts\n([^`]+)```\n```text\n([^`]+)```/g);
  return [...found].map(([, program, printed]) => ({ program: program!, printed: printed! }));
}

/** From a file in the checkout, so that the package's own name leads to its sources. */
async function runProgram(text: string, port: number): Promise<string> {
  const file = join(root, "build", "readme.ts");
  await writeFile(file, text.replaceAll("http://localhost:8000", `http://127.0.0.1:${port}`));
  const cwd = await mkdtemp(join(tmpdir(), "omendb-readme-"));
  try {
    return (await run(process.execPath, [file], { cwd })).stdout;
  } finally {
    await rm(file);
    await rm(cwd, { recursive: true });
  }
}

/** As much of a shell and of curl as the README uses. */
function send(client: Connection, command: string) {
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, bare]) => quoted ?? bare!,
  );
  const headers: Record<string, string> = {};
  let method: string | undefined;
  let body: string | undefined;
  let url: URL | undefined;
  let plain = false;
  for (let at = 1; at < words.length; at++) {
    const word = words[at]!;
    if (word === "-g") plain = true;
    else if (word === "-X") method = words[++at];
    else if (word === "-d" || word === "--data-binary") body = words[++at];
    else if (word === "-H") {
      const [name, value] = words[++at]!.split(": ");
      headers[name!] = value!;
    } else {
      if (!plain) expect(word, "curl takes these away without -g").not.to.match(/[{}[\]]/);
      url = new URL(`http://${word}`);
    }
  }
  expect(url?.host, command).to.equal("localhost:8000");
  const path = `${url!.pathname}${url!.search}`;
  return client.send(method ?? (body === undefined ? "GET" : "POST"), path, body, headers);
}

/** The same with a mark in place of what varies. */
function steady(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer, (name, value) => (VARYING.has(name) ? "varies" : value)),
  );
}

function expectFile(path: string): void {
  expect(existsSync(new URL(`../${path}`, import.meta.url)), path).to.equal(true);
}
