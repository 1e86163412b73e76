/**
 * The engine in a page: which of its builds, fetched from beside the module. Relaxed SIMD is used
 * where the browser has it. Each address is written out where it is needed, for that is how
 * bundlers know which files to take along.
 */
import {
  chooseVariant,
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

/** Builds that may be taken, the fastest first, and where each lies. */
export type Builds = readonly (readonly [name: VariantName, url: () => URL])[];

/** Only what this browser can run is fetched. Throws OmenError UNSUPPORTED_PLATFORM. */
export async function loadEngine(
  builds: Builds,
  { engine, variant }: { readonly engine?: string | URL; readonly variant?: VariantName } = {},
): Promise<Variant> {
  if (typeof WebAssembly === "undefined") throw unsupported("this browser has no WebAssembly");
  if (!WebAssembly.validate(SIMD_PROBE)) {
    throw unsupported("this browser has no WebAssembly SIMD, which the engine needs");
  }
  const isRelaxed = WebAssembly.validate(RELAXED_PROBE);
  const isWanted = (name: VariantName) =>
    variant === undefined ? isRelaxed || name.startsWith("plain") : name === variant;
  const wanted = builds.filter(([name]) => isWanted(name));
  let failure: unknown = unsupported(`there is no build ${variant} for this page`);
  for (const [name, beside] of wanted) {
    const url = engine === undefined ? beside() : new URL(`${name}.wasm`, folderOf(engine));
    const bytes = await fetchEngine(url);
    try {
      return chooseVariant([name], () => bytes);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** A folder's address, relative ones to the page's. */
function folderOf(engine: string | URL): URL {
  return new URL(String(engine).replace(/\/?$/, "/"), globalThis.location?.href);
}

async function fetchEngine(url: URL): Promise<WasmBytes> {
  const response = await fetch(url).catch((cause) => {
    throw new OmenError("NOT_FOUND", `the engine at ${url} cannot be reached`, { cause });
  });
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw new OmenError("NOT_FOUND", `the engine at ${url}: ${response.status}`);
}

function unsupported(message: string): OmenError {
  return new OmenError("UNSUPPORTED_PLATFORM", message);
}
