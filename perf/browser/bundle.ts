/** The browser's files as a page loads them: bundled and minified by esbuild, beside the wasm builds. */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build, type Plugin } from "esbuild";
import { SEARCH_VARIANTS, SHARED_VARIANTS, UNSHARED_VARIANTS } from "../../src/engine/variant.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const BUNDLE_FOLDER = join(ROOT, "build", "browser");
/** A page has this in place of the package. */
const LOADER = fileURLToPath(new URL("../../src/browser/loader.ts", import.meta.url));
const SEARCH = { search: "src/browserSearch.ts" };
const ENTRIES = {
  browser: "src/browser.ts",
  worker: "src/browser/worker.ts",
  linker: "src/browser/linker.ts",
  ranges: "src/collections/absent.ts",
  store: "src/browser/store.ts",
};
const DEMO = { page: "src/demo/page.ts" };
const STATIC = ["src/demo/index.html", "src/demo/style.css"];
const ENGINES = [...SHARED_VARIANTS, ...UNSHARED_VARIANTS, ...SEARCH_VARIANTS];

/** What search.js asks for later lies in modules beside it. */
const LATER: Record<string, string> = {
  "./open.ts": "./browser.js",
  "../collections/absent.ts": "./ranges.js",
  "./store.ts": "./store.js",
};
const laterBeside: Plugin = {
  name: "later-beside",
  setup({ onResolve }) {
    onResolve({ filter: /\.ts$/ }, ({ kind, path }) =>
      kind === "dynamic-import" && LATER[path] ? { path: LATER[path], external: true } : undefined,
    );
  },
};

/** Writes build/browser: the module, its worker, the engines, and the demo page. */
export async function bundleBrowser(): Promise<void> {
  mkdirSync(BUNDLE_FOLDER, { recursive: true });
  const options = {
    outdir: BUNDLE_FOLDER,
    absWorkingDir: ROOT,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    alias: { "@assemblyscript/loader": LOADER },
    logLevel: "warning",
  } as const;
  await build({ ...options, entryPoints: SEARCH, plugins: [laterBeside] });
  await build({ ...options, entryPoints: { ...ENTRIES, ...DEMO } });
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

/** Files that a page takes off the network, by what it does; the relaxed builds run in most. */
export const SHAPES = {
  "to search": ["search.js", "relaxed-search.wasm"],
  "to search, vectors by range": ["search.js", "relaxed-search.wasm", "ranges.js"],
  "to search what the page keeps": ["search.js", "relaxed-search.wasm", "store.js"],
  "to search and write": ["browser.js", "relaxed.wasm"],
  "to write in an isolated page": ["browser.js", "relaxed-shared.wasm", "linker.js"],
} as const;

export function bundleSizes(): Record<string, Sizes> {
  const files = [
    ...new Set<string>(Object.values(SHAPES).flat()),
    "plain-search.wasm",
    "plain.wasm",
    "worker.js",
  ];
  return Object.fromEntries(
    files.map((file) => {
      const bytes = readFileSync(join(BUNDLE_FOLDER, file));
      const gzip = gzipSync(bytes, { level: 9 }).length;
      return [file, { bytes: bytes.length, gzip, brotli: brotliCompressSync(bytes).length }];
    }),
  );
}

/** Bytes compressed by brotli. */
export function shapeBytes(shape: keyof typeof SHAPES): number {
  const sizes = bundleSizes();
  return SHAPES[shape].reduce((sum, file) => sum + sizes[file]!.brotli, 0);
}

if (import.meta.main) {
  await bundleBrowser();
  for (const [file, { bytes, gzip, brotli }] of Object.entries(bundleSizes())) {
    console.log(`${file.padEnd(20)} ${bytes} bytes, ${gzip} gzip, ${brotli} brotli`);
  }
  for (const [shape, files] of Object.entries(SHAPES)) {
    const bytes = shapeBytes(shape as keyof typeof SHAPES);
    console.log(`${shape}: ${files.join(" + ")}, ${(bytes / 1024).toFixed(1)} KiB brotli`);
  }
}
