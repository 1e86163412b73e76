/**
 * What a page has in place of the package @assemblyscript/loader (perf/browser/bundle.ts): its
 * modules depend on nothing, and of the loader the engine needs this much.
 */
export function instantiateSync(module: WebAssembly.Module, imports: WebAssembly.Imports) {
  return new WebAssembly.Instance(module, imports);
}
