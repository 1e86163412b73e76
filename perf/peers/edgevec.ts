/**
 * edgevec: an HNSW in Rust, compiled to WebAssembly, float32. The width of its walks is fixed when an
 * index is made and cannot be changed later, so it walks by a few widths only, and each has a graph of
 * its own, built when it is first searched by; the build that is timed is the first.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Metric, type Rows, rowAt } from "../exact.ts";
import { type BuildOptions, type Peer, requireInstalled } from "./peer.ts";

interface EdgevecIndex {
  insert(vector: Float32Array): number;
  search(query: Float32Array, k: number): readonly { id: number }[];
  memoryUsage(): number;
  free(): void;
}

interface EdgevecModule {
  readonly EdgeVec: new (config: object) => EdgevecIndex;
  readonly EdgeVecConfig: new (dimensions: number) => object;
  initSync(options: { module: Uint8Array }): void;
}

interface Built {
  readonly index: EdgevecIndex;
  /** The row of each id that it gave. */
  readonly rows: readonly number[];
}

const METRICS: Record<Metric, string> = { l2: "l2", cosine: "cosine", dot: "dot" };
const WIDTHS = [24, 48, 96, 192, 384];

export function openEdgevec(): Peer | undefined {
  const require = createRequire(import.meta.url);
  const module = requireInstalled(require, "edgevec") as EdgevecModule | undefined;
  if (module === undefined) return undefined;
  module.initSync({ module: readFileSync(require.resolve("edgevec/edgevec_bg.wasm")) });
  return new EdgevecPeer(module);
}

class EdgevecPeer implements Peer {
  readonly name = "edgevec f32";
  readonly measures = "float32";
  readonly widths = WIDTHS;
  readonly #module: EdgevecModule;
  readonly #built = new Map<number, Built>();
  #given: { readonly base: Rows; readonly options: BuildOptions } | undefined;

  constructor(module: EdgevecModule) {
    this.#module = module;
  }

  build(base: Rows, options: BuildOptions): void {
    this.close();
    this.#given = { base, options };
    this.#builtFor(WIDTHS[0]!);
  }

  search(query: Float32Array, k: number, ef: number): ArrayLike<number> {
    const { index, rows } = this.#builtFor(ef);
    return index.search(query, k).map(({ id }) => rows[id]!);
  }

  /** Of one graph with its rows, as it says itself. */
  bytes(): number {
    return this.#builtFor(WIDTHS[0]!).index.memoryUsage();
  }

  close(): void {
    for (const { index } of this.#built.values()) index.free();
    this.#built.clear();
  }

  #builtFor(ef: number): Built {
    const known = this.#built.get(ef);
    if (known !== undefined) return known;
    const { base, options } = this.#given!;
    const config = new this.#module.EdgeVecConfig(base.dimensions);
    const { m, efConstruction, metric } = options;
    Object.assign(config, { m, ef_construction: efConstruction, ef_search: ef });
    Object.assign(config, { metric: METRICS[metric] });
    const index = new this.#module.EdgeVec(config);
    const rows: number[] = [];
    for (let row = 0; row < base.count; row++) rows[index.insert(rowAt(base, row))] = row;
    const built = { index, rows };
    this.#built.set(ef, built);
    return built;
  }
}
