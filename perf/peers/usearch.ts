/**
 * usearch: a native HNSW with AVX-512 kernels and several scalar kinds. Its ef is fixed when an index
 * is made, so a search with another ef loads the saved index again under that ef.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Metric, Rows } from "../exact.ts";
import { type BuildOptions, type Peer, requireInstalled } from "./peer.ts";

export type UsearchKind = "f32" | "bf16" | "f16" | "i8" | "u8";

interface UsearchIndex {
  add(keys: BigUint64Array, vectors: Float32Array | Uint8Array, threads: number): void;
  search(query: Float32Array | Uint8Array, k: number, threads: number): { keys: BigUint64Array };
  save(path: string): void;
  load(path: string): void;
}

interface UsearchModule {
  readonly Index: new (configuration: object) => UsearchIndex;
}

const METRICS: Record<Metric, string> = { l2: "l2sq", cosine: "cos", dot: "ip" };
const THREADS = 1;

export function openUsearch(kind: UsearchKind): Peer | undefined {
  const module = requireInstalled(createRequire(import.meta.url), "usearch");
  return module === undefined ? undefined : new UsearchPeer(module as UsearchModule, kind);
}

class UsearchPeer implements Peer {
  readonly name: string;
  readonly measures: string;
  readonly #module: UsearchModule;
  readonly #kind: UsearchKind;
  readonly #folder = mkdtempSync(join(tmpdir(), "usearch-"));
  readonly #path = join(this.#folder, "index");
  #configuration: object = {};
  #searched: { ef: number; index: UsearchIndex } | undefined;

  constructor(module: UsearchModule, kind: UsearchKind) {
    this.name = `usearch ${kind}`;
    this.measures = kind === "f32" ? "float32" : `${kind}, not rescored`;
    this.#module = module;
    this.#kind = kind;
  }

  build(base: Rows, { m, efConstruction, metric }: BuildOptions): void {
    this.#configuration = {
      dimensions: base.dimensions,
      metric: METRICS[metric],
      quantization: this.#kind,
      connectivity: m,
      expansion_add: efConstruction,
      multi: false,
    };
    const index = this.#make(efConstruction);
    const keys = BigUint64Array.from({ length: base.count }, (_, row) => BigInt(row));
    index.add(keys, this.#asInput(base.values), THREADS);
    index.save(this.#path);
  }

  search(query: Float32Array, k: number, ef: number): ArrayLike<number> {
    if (this.#searched?.ef !== ef) {
      this.#searched = { ef, index: this.#make(ef) };
      this.#searched.index.load(this.#path);
    }
    const { keys } = this.#searched.index.search(this.#asInput(query), k, THREADS);
    return Array.from(keys, Number);
  }

  /** Of the saved index; in memory its table of keys comes on top. */
  bytes(): number {
    return statSync(this.#path).size;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  #make(ef: number): UsearchIndex {
    return new this.#module.Index({ ...this.#configuration, expansion_search: ef });
  }

  #asInput(values: Float32Array): Float32Array | Uint8Array {
    return this.#kind === "u8" ? Uint8Array.from(values) : values;
  }
}
