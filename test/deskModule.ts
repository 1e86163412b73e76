/** The engine for the tests of the desk, which is never in shared memory, and their seed. */
import { readFileSync } from "node:fs";

const BUILT = new URL("../build/relaxed.wasm", import.meta.url);

export function deskModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(BUILT));
}

/** Of random tests, from the environment or the clock. */
export const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31) | 0;
