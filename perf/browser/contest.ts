/**
 * The page of bench:browser: the engine and its rivals, one after the other on the page's one
 * thread, over the same rows. bench.ts tells it what to do, and when.
 */
import { chooseVariant, UNSHARED_VARIANTS, type WasmBytes } from "../../src/engine/variant.ts";
import { type Rows, rowAt } from "../exact.ts";
import type { BuildOptions, Peer } from "../peers/peer.ts";
import { EngineTrial } from "./engineTrial.ts";
import { leastEf, recallAt, searchRate, secondsOf, type Trial } from "./timing.ts";

interface HnswlibIndex {
  initIndex(rows: number, m: number, efConstruction: number, seed: number): void;
  addPoints(points: Float32Array[], labels: number[], replaceDeleted: boolean): void;
  setEfSearch(ef: number): void;
  searchKnn(query: Float32Array, k: number, filter: undefined): { neighbors: number[] };
}

interface Hnswlib {
  readonly HierarchicalNSW: new (space: string, dimensions: number, file: string) => HnswlibIndex;
}

class HnswlibPeer implements Peer {
  readonly name = "hnswlib-wasm";
  readonly measures = "float32";
  readonly #library: Hnswlib;
  #index: HnswlibIndex | undefined;
  #ef = 0;

  constructor(library: Hnswlib) {
    this.#library = library;
  }

  build(base: Rows, { m, efConstruction }: BuildOptions): void {
    const index = new this.#library.HierarchicalNSW("l2", base.dimensions, "");
    index.initIndex(base.count, m, efConstruction, 100);
    for (let row = 0; row < base.count; row += 1000) {
      const labels = Array.from({ length: Math.min(1000, base.count - row) }, (_, at) => row + at);
      index.addPoints(
        labels.map((label) => rowAt(base, label)),
        labels,
        false,
      );
    }
    this.#index = index;
  }

  search(query: Float32Array, k: number, ef: number): number[] {
    const index = this.#index!;
    if (this.#ef !== ef) index.setEfSearch((this.#ef = ef));
    return index.searchKnn(query, k, undefined).neighbors;
  }
}

interface EdgevecIndex {
  insert(vector: Float32Array): number;
  search(query: Float32Array, k: number): { id: number }[];
}

interface Edgevec {
  readonly default: () => Promise<unknown>;
  readonly EdgeVec: new (config: object) => EdgevecIndex;
  readonly EdgeVecConfig: new (
    dimensions: number,
  ) => { m: number; ef_construction: number; ef_search: number; metric: string };
}

/** The width of its walks is fixed when it is made. */
class EdgevecPeer implements Peer {
  readonly name = "edgevec";
  readonly measures = "float32";
  readonly #library: Edgevec;
  readonly #ef: number;
  #index: EdgevecIndex | undefined;
  readonly #rows: number[] = [];

  constructor(library: Edgevec, ef: number) {
    this.#library = library;
    this.#ef = ef;
  }

  build(base: Rows, { m, efConstruction }: BuildOptions): void {
    const config = new this.#library.EdgeVecConfig(base.dimensions);
    Object.assign(config, { m, ef_construction: efConstruction, ef_search: this.#ef });
    config.metric = "l2";
    const index = new this.#library.EdgeVec(config);
    for (let row = 0; row < base.count; row++) this.#rows[index.insert(rowAt(base, row))] = row;
    this.#index = index;
  }

  search(query: Float32Array, k: number): number[] {
    return this.#index!.search(query, k).map(({ id }) => this.#rows[id]!);
  }
}

let trial: Trial;
const peers = new Map<string, Peer>();

const fetchBytes = async (path: string) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return await response.arrayBuffer();
};

async function load(dimensions: number): Promise<string> {
  const rowsOf = (bytes: ArrayBuffer): Rows => {
    const values = new Float32Array(bytes);
    return { values, count: values.length / dimensions, dimensions };
  };
  const base = rowsOf(await fetchBytes("base"));
  const queries = rowsOf(await fetchBytes("queries"));
  trial = { base, queries, bounds: new Float64Array(await fetchBytes("bounds")) };
  const builds = new Map<string, WasmBytes>();
  for (const name of UNSHARED_VARIANTS) {
    builds.set(name, new Uint8Array(await fetchBytes(`${name}.wasm`)));
  }
  const variant = chooseVariant(UNSHARED_VARIANTS, (name) => builds.get(name)!);
  peers.set("omendb", new EngineTrial(variant));
  return variant.name;
}

/** Makes a rival of what bench.ts has bundled for it; `ef` for one that fixes it. */
async function invite(name: string, ef: number): Promise<void> {
  const address = new URL(`${name}.js`, location.href).href;
  const library = await import(address);
  if (name === "edgevec") {
    await library.default();
    peers.set(name, new EdgevecPeer(library, ef));
  } else peers.set(name, new HnswlibPeer(await library.loadHnswlib()));
}

Object.assign(globalThis, {
  contest: {
    load,
    invite,
    build: (name: string, options: BuildOptions) =>
      secondsOf(() => peers.get(name)!.build(trial.base, options)),
    leastEf: (name: string, target: number) => leastEf(peers.get(name)!, trial, target),
    recallAt: (name: string, ef: number) => recallAt(peers.get(name)!, trial, ef),
    searchRate: (name: string, ef: number, seconds: number) =>
      searchRate(peers.get(name)!, trial, ef, seconds),
  },
});
