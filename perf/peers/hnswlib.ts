/**
 * hnswlib-node: the reference implementation of the paper, float32. It takes arrays of numbers only;
 * they are made ahead of the clock where a vector is seen a second time.
 */
import { createRequire } from "node:module";
import { type Metric, type Rows, rowAt } from "../exact.ts";
import { type BuildOptions, type Peer, requireInstalled } from "./peer.ts";

interface HnswlibIndex {
  initIndex(options: { maxElements: number; m: number; efConstruction: number }): void;
  addPoint(point: number[], label: number): void;
  setEf(ef: number): void;
  searchKnn(point: number[], k: number): { neighbors: number[] };
}

interface HnswlibModule {
  readonly HierarchicalNSW: new (space: string, dimensions: number) => HnswlibIndex;
}

const SPACES: Record<Metric, string> = { l2: "l2", cosine: "cosine", dot: "ip" };

export function openHnswlib(): Peer | undefined {
  const module = requireInstalled(createRequire(import.meta.url), "hnswlib-node");
  return module === undefined ? undefined : new HnswlibPeer(module as HnswlibModule);
}

class HnswlibPeer implements Peer {
  readonly name = "hnswlib f32";
  readonly measures = "float32";
  readonly #module: HnswlibModule;
  readonly #arrays = new WeakMap<Float32Array, number[]>();
  #index: HnswlibIndex | undefined;
  #bytes = 0;
  #ef = 0;

  constructor(module: HnswlibModule) {
    this.#module = module;
  }

  build(base: Rows, { m, efConstruction, metric }: BuildOptions): void {
    const index = new this.#module.HierarchicalNSW(SPACES[metric], base.dimensions);
    index.initIndex({ maxElements: base.count, m, efConstruction });
    for (let row = 0; row < base.count; row++) index.addPoint(Array.from(rowAt(base, row)), row);
    this.#index = index;
    // A row is its float32 components, 2m links and their count, and a label of 8 bytes.
    this.#bytes = base.count * (4 * base.dimensions + 4 * (2 * m + 1) + 8);
  }

  search(query: Float32Array, k: number, ef: number): ArrayLike<number> {
    const index = this.#index!;
    if (this.#ef !== ef) index.setEf((this.#ef = ef));
    return index.searchKnn(this.#arrayOf(query), k).neighbors;
  }

  bytes(): number {
    return this.#bytes;
  }

  #arrayOf(vector: Float32Array): number[] {
    const known = this.#arrays.get(vector);
    if (known !== undefined) return known;
    const made = Array.from(vector);
    this.#arrays.set(vector, made);
    return made;
  }
}
