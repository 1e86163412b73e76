/**
 * `npm run test:bundlers`: the package as Vite builds it into a page, and as attw judges its types.
 * Both are installed beside it, into a folder of their own; the test suite has the short form, with
 * esbuild and publint (package.test.ts). Ends with 1 when one of them finds something.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";
import { pageProgram, STORY, storyOf } from "./pageConsumer.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const TOOLS = ["vite@7.3.8", "@arethetypeswrong/cli@0.18.5"];
const CONFIG = `export default {
  build: { target: "esnext" },
  worker: { format: "es" },
};
`;

const folder = mkdtempSync(join(tmpdir(), "omendb-bundlers-"));
const run = (command: string, words: string[], cwd = folder) =>
  execFileSync(command, words, { cwd, stdio: "inherit" });
const program = findChromium();
if (program === undefined) throw new Error(NO_CHROMIUM);
try {
  run(process.execPath, [join(ROOT, ".ci", "package.mjs")], ROOT);
  run("npm", ["pack", join(ROOT, "build", "package"), "--silent"]);
  const file = readdirSync(folder).find((name) => name.endsWith(".tgz"))!;
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  const options = ["--prefer-offline", "--no-audit", "--no-fund"];
  run("npm", ["install", `./${file}`, ...TOOLS, ...options]);
  const bin = (name: string) => join(folder, "node_modules", ".bin", name);
  run(bin("attw"), [file, "--profile", "esm-only", "--exclude-entrypoints", "./wasm/*"]);

  mkdirSync(join(folder, "src"));
  const text = pageProgram("omendb-server/browser", "omendb-server/browser/search");
  writeFileSync(join(folder, "src", "main.js"), text);
  const html = '<!doctype html><script type="module" src="/src/main.js"></script>';
  writeFileSync(join(folder, "index.html"), html);
  writeFileSync(join(folder, "vite.config.js"), CONFIG);
  run(bin("vite"), ["build", "--logLevel", "warn"]);
  const browser = await launchChromium(program);
  try {
    for (const isolated of [false, true]) {
      const story = await storyOf(browser, join(folder, "dist"), isolated);
      if (story.join() !== STORY.join()) throw new Error(`the page of Vite found ${story}`);
      console.log(`Vite: the page found what it should${isolated ? ", isolated" : ""}`);
    }
  } finally {
    await browser.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
