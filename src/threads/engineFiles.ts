/** The engine's builds on disk, and the choice among them on this machine. */
import { readFileSync } from "node:fs";
import {
  chooseVariant,
  SHARED_VARIANTS,
  UNSHARED_VARIANTS,
  type Variant,
  type VariantName,
  type WasmBytes,
} from "../engine/variant.ts";
import { OmenError } from "../errors.ts";

const FOLDER = new URL("../../build/", import.meta.url);

export function readVariant(name: VariantName): WasmBytes {
  const file = new URL(`${name}.wasm`, FOLDER);
  try {
    return new Uint8Array(readFileSync(file));
  } catch (cause) {
    const message = `the engine's build ${file.pathname} cannot be read; npm run build makes it`;
    throw new OmenError("UNSUPPORTED_PLATFORM", message, { cause });
  }
}

export interface Engine {
  /** For shards, in shared memory. */
  readonly variant: Variant;
  /** For reading bodies, in memory of a thread's own. */
  readonly desk: WebAssembly.Module;
}

export function loadEngine(): Engine {
  return {
    variant: chooseVariant(SHARED_VARIANTS, readVariant),
    desk: chooseVariant(UNSHARED_VARIANTS, readVariant).module,
  };
}
