/** The browser's files as a page loads them: bundled and minified by esbuild, beside the wasm builds. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const BUNDLE_FOLDER = join(ROOT, "build", "browser");
const ENTRIES = { browser: "src/browser.ts", worker: "src/browser/worker.ts" };
const DEMO = { page: "src/demo/page.ts" };
const STATIC = ["src/demo/index.html", "src/demo/style.css"];
const ENGINES = ["relaxed", "plain", "relaxed-shared", "plain-shared"];

/** Writes build/browser: the module, its worker, the engines, and the demo page. */
export async function bundleBrowser(): Promise<void> {
  mkdirSync(BUNDLE_FOLDER, { recursive: true });
  await build({
    entryPoints: { ...ENTRIES, ...DEMO },
    outdir: BUNDLE_FOLDER,
    absWorkingDir: ROOT,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    logLevel: "warning",
  });
  for (const file of STATIC)
    copyFileSync(join(ROOT, file), join(BUNDLE_FOLDER, file.split("/").at(-1)!));
  for (const name of ENGINES) {
    copyFileSync(join(ROOT, "build", `${name}.wasm`), join(BUNDLE_FOLDER, `${name}.wasm`));
  }
}

export interface Sizes {
  readonly bytes: number;
  readonly gzip: number;
  readonly brotli: number;
}

/** What opening and searching takes off the network: one module and one engine. */
export function bundleSizes(): Record<string, Sizes> {
  const files = ["browser.js", "relaxed.wasm", "plain.wasm"];
  return Object.fromEntries(
    files.map((file) => {
      const bytes = readFileSync(join(BUNDLE_FOLDER, file));
      const gzip = gzipSync(bytes, { level: 9 }).length;
      return [file, { bytes: bytes.length, gzip, brotli: brotliCompressSync(bytes).length }];
    }),
  );
}

if (import.meta.main) {
  await bundleBrowser();
  for (const [file, { bytes, gzip, brotli }] of Object.entries(bundleSizes())) {
    console.log(`${file.padEnd(14)} ${bytes} bytes, ${gzip} gzip, ${brotli} brotli`);
  }
}
