/**
 * The published package as its users meet it: packed, installed into a folder of its own, and used
 * from there. npm takes what it depends on from its cache, and what is missing there from the
 * registry.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { build } from "esbuild";
import { publint } from "publint";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";
import { pageProgram, STORY, storyOf } from "./pageConsumer.ts";
import { freePort, pause } from "./server.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const built = join(root, "build", "package");
const INSTALL_MS = 300_000;
const READY_MS = 20_000;
const execute = promisify(execFile);

const CONSUMER = `
import { open, OmenError } from "omendb-server";
import { connect, isFailure, type Hit } from "omendb-server/client";

const db = await open();
const rows = await db.createCollection("rows", { dimensions: 2 });
await rows.batch([{ id: "near", vector: [1, 0] }, { id: "far", vector: new Float32Array([9, 9]) }]);
const { results } = await rows.search({ vector: [1, 1], k: 1 });
const first: Hit | undefined = results[0];
console.log(first?.id, new OmenError("INTERNAL", "x").code);
await db.close();
try {
  await connect(process.argv[2]!, { retries: 0 }).collection("none").stats();
} catch (error) {
  if (isFailure(error, "COLLECTION_NOT_FOUND")) console.log(error.status);
}
`;

describe("package", function () {
  this.timeout(INSTALL_MS);
  let folder: string;
  // npm and npx find the same Node as this.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|OMENDB_)/i.test(name)),
  );
  env.PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
  const run = (command: string, words: string[], cwd = folder) =>
    execute(command, words, { cwd, env, timeout: INSTALL_MS });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-package-"));
    await run(process.execPath, [join(root, ".ci", "package.mjs")], root);
    await run("npm", ["pack", built, "--silent"]);
    const [file] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
    await writeFile(join(folder, "package.json"), '{"private":true,"type":"module"}');
    const options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
    await run("npm", ["install", `./${file}`, ...options]);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("passes publint", async () => {
    const { messages } = await publint({ pkgDir: built, pack: false });
    expect(messages).to.deep.equal([]);
  });

  it("holds what runs and nothing else", async () => {
    const installed = join(folder, "node_modules", "omendb-server");
    const files = await readdir(installed, { recursive: true });
    expect(files).to.include.members(["dist/cli.js", "dist/client/index.d.ts", "README.md"]);
    expect(files).to.include.members(["build/relaxed-shared.wasm", "build/plain.wasm", "LICENSE"]);
    expect(files).to.include.members(["build/search.js", "build/worker.js", "build/browser.js"]);
    expect(files).to.include.members(["build/linker.js", "build/ranges.js", "build/store.js"]);
    expect(files.filter((name) => /(?<!\.d)\.ts$|debug|test/.test(name))).to.deep.equal([]);
    const { dependencies, optionalDependencies } = JSON.parse(
      await readFile(join(installed, "package.json"), "utf8"),
    );
    expect(dependencies).to.include.keys("express", "commander");
    expect(optionalDependencies).to.equal(undefined);
  });

  it("serves by npx, and is imported with its types", async () => {
    const port = await freePort();
    const words = ["omendb", "serve", "--port", String(port), "--log-level", "warn"];
    const server = spawn("npx", ["--no-install", ...words], { cwd: folder, env, detached: true });
    try {
      const url = `http://127.0.0.1:${port}`;
      await untilReady(server, url);
      await writeFile(join(folder, "consumer.ts"), CONSUMER);
      const { stdout } = await run(process.execPath, ["consumer.ts", url]);
      expect(stdout).to.equal("near INTERNAL\n404\n");
      const strict = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2024"];
      const types = ["--lib", "es2024,dom,esnext.disposable", "--types", "node"];
      const roots = ["--typeRoots", join(root, "node_modules", "@types")];
      const tsc = join(root, "node_modules", ".bin", "tsc");
      await run(tsc, [...strict, ...types, ...roots, "--skipLibCheck", "consumer.ts"]);
    } finally {
      // npx runs it in a process of its own, so the whole group is told.
      process.kill(-server.pid!, "SIGTERM");
      await new Promise((resolve) => server.once("close", resolve));
    }
  });

  it("runs in a page: as it lies in node_modules, and bundled by esbuild", async () => {
    const program = findChromium();
    if (program === undefined) throw new Error(NO_CHROMIUM);
    const built = join(folder, "node_modules", "omendb-server", "build");
    const here = "./node_modules/omendb-server/build";
    const asItLies = pageProgram(`${here}/browser.js`, `${here}/search.js`);
    await writeFile(join(folder, "index.html"), `<script type="module">${asItLies}</script>`);
    const site = join(folder, "site");
    await mkdir(site);
    await writeFile(join(site, "index.html"), '<script type="module" src="page.js"></script>');
    await build({
      stdin: {
        contents: pageProgram("omendb-server/browser", "omendb-server/browser/search"),
        resolveDir: folder,
      },
      ...{ outfile: join(site, "page.js"), bundle: true, format: "esm", logLevel: "silent" },
    });
    // As the README says: a bundler that takes no files along is given them.
    for (const file of await readdir(built)) {
      if (/^(worker|linker)\.js$|\.wasm$/.test(file))
        await copyFile(join(built, file), join(site, file));
    }
    const browser = await launchChromium(program);
    try {
      expect(await storyOf(browser, folder)).to.deep.equal(STORY);
      expect(await storyOf(browser, site, true)).to.deep.equal(STORY);
    } finally {
      await browser.close();
    }
  });

  it("has its version and its commands", async () => {
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const said = await run("npx", ["--no-install", "omendb", "--version"]);
    expect(said.stdout.trim()).to.equal(version);
    const wasm = `console.log((await import("node:fs")).statSync(new URL(import.meta.resolve(
      "omendb-server/wasm/relaxed.wasm"))).size > 1000)`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", wasm]);
    expect(stdout).to.equal("true\n");
  });
});

async function untilReady(server: ChildProcess, url: string): Promise<void> {
  const end = performance.now() + READY_MS;
  while (performance.now() < end && server.exitCode === null) {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await pause(50);
  }
  throw new Error(`no server answered at ${url}`);
}
