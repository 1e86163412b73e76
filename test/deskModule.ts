/**
 * The engine for the tests of the desk: the built one, or, where it does not have the desk's exports yet,
 * these alone, compiled aside.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const BUILT = join(root, "build", "relaxed.wasm");
const EXPORTS = ["jsonStep", "crc32c", "crc32cInit"];

let compiled: WebAssembly.Module | undefined;

export function deskModule(): WebAssembly.Module {
  compiled ??= builtModule() ?? compileAside();
  return compiled;
}

function builtModule(): WebAssembly.Module | undefined {
  if (!existsSync(BUILT)) return undefined;
  const module = new WebAssembly.Module(readFileSync(BUILT));
  const names = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  return EXPORTS.every((name) => names.has(name)) ? module : undefined;
}

function compileAside(): WebAssembly.Module {
  const folder = mkdtempSync(join(tmpdir(), "omendb-desk-"));
  const out = join(folder, "desk.wasm");
  const asc = join(root, "node_modules", "assemblyscript", "bin", "asc.js");
  const options = "--runtime stub --importMemory --initialMemory 16 --maximumMemory 65536";
  const build = "--memoryBase 65536 --enable simd --enable bulk-memory -O3 --noAssert";
  const { status, stderr } = spawnSync(
    process.execPath,
    [asc, "assembly/json.ts", "assembly/crc32c.ts", "--config", "none.json", "-o", out].concat(
      options.split(" "),
      build.split(" "),
    ),
    { cwd: root, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`asc failed: ${stderr}`);
  return new WebAssembly.Module(readFileSync(out));
}

/** Seed of random tests, from the environment or the clock. */
export const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31) | 0;
