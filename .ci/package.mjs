// Makes the published package in build/package: sources compiled to JavaScript with their types, since Node
// strips no types under node_modules; the engine's builds; and a package.json without what only a checkout needs.
// It mirrors the tree, src/ as dist/, so that every relative path means the same. `npm pack ./build/package` packs it.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = join(root, "build", "package");
const VARIANTS = [
  ...["relaxed-shared", "plain-shared", "relaxed", "plain"],
  ...["relaxed-search", "plain-search"],
];
const ENTRIES = { ".": "index", "./client": "client/index" };
/** Modules for pages, each in one file beside the engine's builds, and whose types they have. */
const MODULES = {
  "./browser": ["browser", "browser"],
  "./browser/search": ["search", "browserSearch"],
};
/** What they fetch later: nobody imports it by name. */
const BESIDE = ["worker.js", "linker.js", "ranges.js", "store.js"];

function compile() {
  const config = join(root, "build", "tsconfig.package.json");
  const compilerOptions = {
    ...{ noEmit: false, outDir: "./package", rootDir: "..", declaration: true },
    ...{ rewriteRelativeImportExtensions: true, types: ["node"] },
  };
  writeFileSync(
    config,
    JSON.stringify({ extends: "../tsconfig.json", include: ["../src"], compilerOptions }),
  );
  const tsc = join(root, "node_modules", ".bin", "tsc");
  const { status } = spawnSync(tsc, ["--project", config], { stdio: ["ignore", 2, 2] });
  rmSync(config);
  if (status !== 0) process.exit(1);
  renameSync(join(target, "src"), join(target, "dist"));
  chmodSync(join(target, "dist", "cli.js"), 0o755);
}

function copy() {
  mkdirSync(join(target, "build"));
  for (const name of VARIANTS) {
    copyFileSync(join(root, "build", `${name}.wasm`), join(target, "build", `${name}.wasm`));
  }
  for (const name of ["README.md", "CHANGELOG.md", "LICENSE"]) {
    copyFileSync(join(root, name), join(target, name));
  }
}

/** A page takes no other file along: what it imports is in the module. */
function bundle() {
  const program = join(root, "perf", "browser", "bundle.ts");
  const { status } = spawnSync(process.execPath, [program], { stdio: ["ignore", "ignore", 2] });
  if (status !== 0) process.exit(1);
  const files = [...Object.values(MODULES).map(([file]) => `${file}.js`), ...BESIDE];
  for (const file of files) {
    copyFileSync(join(root, "build", "browser", file), join(target, "build", file));
  }
}

function describe() {
  const { name, version, description, license, type, engines, dependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  );
  const entries = Object.entries(ENTRIES).filter(([, file]) =>
    existsSync(join(target, "dist", `${file}.js`)),
  );
  const exports = Object.fromEntries(
    entries.map(([path, file]) => [
      path,
      { types: `./dist/${file}.d.ts`, default: `./dist/${file}.js` },
    ]),
  );
  for (const [path, [file, types]] of Object.entries(MODULES)) {
    exports[path] = { types: `./dist/${types}.d.ts`, default: `./build/${file}.js` };
  }
  const packed = {
    ...{ name, version, description, license, type, engines },
    keywords: ["vector", "database", "search", "hnsw", "wasm", "embeddings"],
    bin: { omendb: "dist/cli.js" },
    exports: { ...exports, "./wasm/*.wasm": "./build/*.wasm", "./package.json": "./package.json" },
    files: ["dist", "assembly", "build", "CHANGELOG.md"],
    dependencies,
  };
  writeFileSync(join(target, "package.json"), `${JSON.stringify(packed, null, 2)}\n`);
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
compile();
copy();
bundle();
describe();
