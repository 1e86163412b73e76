/**
 * The engine in a page: which of its builds, fetched from beside the module. Memory is shared only
 * where the page is cross-origin isolated; relaxed SIMD is used where the browser has it.
 */
import {
  chooseVariant,
  SHARED_VARIANTS,
  UNSHARED_VARIANTS,
  type Variant,
  type VariantName,
  type WasmBytes,
} from "../engine/variant.ts";
import { OmenError } from "../errors.ts";

/** A function of one `v128` and one relaxed operation: what the browser makes of it says enough. */
const RELAXED_PROBE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0],
  ...[65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
);
const SIMD_PROBE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0],
  ...[65, 0, 253, 15, 253, 98, 11],
);

/** Only what this browser can run is fetched. Throws OmenError UNSUPPORTED_PLATFORM. */
export async function loadEngine(
  folder: URL,
  wanted?: VariantName,
  isShared = globalThis.crossOriginIsolated === true,
): Promise<Variant> {
  if (typeof WebAssembly === "undefined") throw unsupported("this browser has no WebAssembly");
  if (!WebAssembly.validate(SIMD_PROBE)) {
    throw unsupported("this browser has no WebAssembly SIMD, which the engine needs");
  }
  const all: readonly VariantName[] = isShared ? SHARED_VARIANTS : UNSHARED_VARIANTS;
  const isRelaxed = WebAssembly.validate(RELAXED_PROBE);
  const names = wanted ? [wanted] : all.filter((name) => isRelaxed || name.startsWith("plain"));
  const bytes = new Map<VariantName, WasmBytes>();
  const [first, ...others] = names;
  bytes.set(first!, await fetchEngine(folder, first!));
  try {
    return chooseVariant([first!], (name) => bytes.get(name)!);
  } catch (error) {
    if (others.length === 0) throw error;
  }
  for (const name of others) bytes.set(name, await fetchEngine(folder, name));
  return chooseVariant(others, (name) => bytes.get(name)!);
}

async function fetchEngine(folder: URL, name: VariantName): Promise<WasmBytes> {
  const url = new URL(`${name}.wasm`, folder);
  const response = await fetch(url).catch((cause) => {
    throw new OmenError("NOT_FOUND", `the engine at ${url} cannot be reached`, { cause });
  });
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw new OmenError("NOT_FOUND", `the engine at ${url}: ${response.status}`);
}

function unsupported(message: string): OmenError {
  return new OmenError("UNSUPPORTED_PLATFORM", message);
}
