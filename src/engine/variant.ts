/**
 * Which build of the engine runs here. The fastest is tried first; it must pass
 * `WebAssembly.validate` and a self-test, for a platform may accept relaxed SIMD and still compute
 * it wrongly.
 */
import { instantiateSync } from "@assemblyscript/loader";
import { CELLS } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { address, type EngineExports } from "./exports.ts";
import { PAGE_BYTES, smallMemory } from "./memory.ts";

export const SHARED_VARIANTS = ["relaxed-shared", "plain-shared"] as const;
export const UNSHARED_VARIANTS = ["relaxed", "plain"] as const;
export const VARIANTS = [...SHARED_VARIANTS, ...UNSHARED_VARIANTS, "debug"] as const;
/** They lack whatever writes (assembly/searching.ts): for a page that only searches. */
export const SEARCH_VARIANTS = ["relaxed-search", "plain-search"] as const;
export type VariantName = (typeof VARIANTS)[number] | (typeof SEARCH_VARIANTS)[number];

/** A compiled engine; it can be handed to other threads as it is. */
export interface Variant {
  readonly name: VariantName;
  readonly shared: boolean;
  readonly module: WebAssembly.Module;
}

export type WasmBytes = Uint8Array<ArrayBuffer>;

/** Pages that every build asks of its memory. */
const TEST_PAGES = 16;
/** Codes of the self-test: long enough to show a lane that saturates. */
const TEST_BYTES = 1024;
const TEST_ROUNDS = 64;

/**
 * Compiles one named variant. Throws OmenError UNSUPPORTED_PLATFORM when it is refused or computes
 * wrongly.
 */
export function compileVariant(name: VariantName, bytes: WasmBytes): Variant {
  if (!WebAssembly.validate(bytes)) {
    throw new OmenError("UNSUPPORTED_PLATFORM", `this platform does not accept the ${name} engine`);
  }
  const shared = name.endsWith("shared") || name === "debug";
  const module = new WebAssembly.Module(bytes);
  const memory = smallMemory(TEST_PAGES, shared);
  const fault = selfTest(instantiate({ name, shared, module }, memory), memory);
  if (fault) throw new OmenError("UNSUPPORTED_PLATFORM", `the ${name} engine fails here: ${fault}`);
  return { name, shared, module };
}

/** The first of `names` that works. `load` yields the bytes of a build. */
export function chooseVariant(
  names: readonly VariantName[],
  load: (name: VariantName) => WasmBytes,
): Variant {
  const reasons: string[] = [];
  for (const name of names) {
    try {
      return compileVariant(name, load(name));
    } catch (error) {
      if (!(error instanceof OmenError) || error.code === "MEMORY_LIMIT") throw error;
      reasons.push(error.message);
    }
  }
  throw new OmenError("UNSUPPORTED_PLATFORM", reasons.join("; "));
}

/** An instance over `memory`: a thread makes its own, for globals are not shared. */
export function instantiate(variant: Variant, memory: WebAssembly.Memory): EngineExports {
  const abort = (_message: number, _file: number, line: number, column: number): never => {
    throw new OmenError("ENGINE_FAULT", `an assertion failed at ${line}:${column}`);
  };
  const { exports } = instantiateSync(variant.module, { env: { memory, abort } });
  return exports as unknown as EngineExports;
}

/**
 * Compares the code kernels with plain arithmetic over random and extreme codes. Returns what was
 * wrong.
 */
function selfTest(engine: EngineExports, memory: WebAssembly.Memory): string | undefined {
  const bytes = new Uint8Array(memory.buffer);
  const a = address((TEST_PAGES - 1) * PAGE_BYTES);
  const b = a + TEST_BYTES;
  const table = b + TEST_BYTES;
  for (let cell = 0; cell < CELLS; cell++) bytes[table + cell] = cell * 8 + 3;
  bytes.fill(CELLS - 1, table + CELLS, table + 2 * CELLS);
  let seed = 42;
  for (let round = 0; round < TEST_ROUNDS; round++) {
    let product = 0;
    let squared = 0;
    for (let i = 0; i < TEST_BYTES; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const x = round === 0 ? 127 : (seed >>> 8) & 127;
      const y = round <= 1 ? 127 : round === 2 ? 0 : (seed >>> 16) & 127;
      bytes[a + i] = x;
      bytes[b + i] = y;
      product += x * y;
      squared += (x - y) * (x - y);
    }
    if (engine.dotCodes(a, b, TEST_BYTES) !== product) return "wrong inner product of codes";
    if (engine.squaredCodes(a, b, TEST_BYTES) !== squared) return "wrong distance of codes";
    if (engine.squaredCoarse(a, b, TEST_BYTES / 2, table) !== coarseOf(bytes, a, b, table)) {
      return "wrong distance to a coarse half";
    }
  }
  return undefined;
}

/** Squared distance of the code at `query` to the row whose coarse half lies at `row`. */
function coarseOf(bytes: Uint8Array, query: number, row: number, table: number): number {
  let sum = 0;
  for (let i = 0; i < TEST_BYTES; i++) {
    const pair = bytes[row + (i >> 5) * 16 + (i & 15)]!;
    const level = bytes[table + ((i & 16) === 0 ? pair & 15 : pair >> 4)]!;
    sum += (bytes[query + i]! - level) ** 2;
  }
  return sum;
}
