/**
 * zvec: an embedded vector database in native code, with its own HNSW, float32 or int8. int8 is not
 * rescored: with its refiner, which would, zvec 0.7.0 finds none of the right rows under l2.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Metric, type Rows, rowAt } from "../exact.ts";
import { folderBytes } from "../process.ts";
import { type BuildOptions, type Peer, requireInstalled } from "./peer.ts";

interface ZvecCollection {
  insertSync(rows: readonly { id: string; vectors: Record<string, Float32Array> }[]): unknown;
  optimizeSync(options: { concurrency: number }): void;
  querySync(query: object): readonly { id: string }[];
  closeSync(): void;
}

interface ZvecModule {
  readonly ZVecDataType: Record<string, number>;
  readonly ZVecIndexType: Record<string, number>;
  readonly ZVecMetricType: Record<string, number>;
  readonly ZVecQuantizeType: Record<string, number>;
  readonly ZVecCollectionSchema: new (schema: object) => object;
  ZVecInitialize(options: object): void;
  ZVecCreateAndOpen(path: string, schema: object): ZvecCollection;
}

const METRICS: Record<Metric, string> = { l2: "L2", cosine: "COSINE", dot: "IP" };
const BATCH_ROWS = 500;
const FIELD = "vector";
let isInitialized = false;

export function openZvec(kind: "f32" | "i8"): Peer | undefined {
  const module = requireInstalled(createRequire(import.meta.url), "@zvec/zvec");
  return module === undefined ? undefined : new ZvecPeer(module as ZvecModule, kind);
}

class ZvecPeer implements Peer {
  readonly name: string;
  readonly measures: string;
  readonly #module: ZvecModule;
  readonly #kind: "f32" | "i8";
  readonly #folder = mkdtempSync(join(tmpdir(), "zvec-"));
  #builds = 0;
  #collection: ZvecCollection | undefined;

  constructor(module: ZvecModule, kind: "f32" | "i8") {
    this.#module = module;
    this.#kind = kind;
    this.name = `zvec ${kind}`;
    this.measures = kind === "f32" ? "float32" : "i8, not rescored";
    if (!isInitialized) module.ZVecInitialize({ queryThreads: 1, optimizeThreads: 1, logLevel: 3 });
    isInitialized = true;
  }

  build(base: Rows, { m, efConstruction, metric }: BuildOptions): void {
    this.#collection?.closeSync();
    const { ZVecDataType, ZVecIndexType, ZVecMetricType, ZVecQuantizeType } = this.#module;
    const schema = new this.#module.ZVecCollectionSchema({
      name: "rows",
      vectors: {
        name: FIELD,
        dataType: ZVecDataType.VECTOR_FP32,
        dimension: base.dimensions,
        indexParams: {
          indexType: ZVecIndexType.HNSW,
          metricType: ZVecMetricType[METRICS[metric]],
          ...{ m, efConstruction },
          ...(this.#kind === "i8" ? { quantizeType: ZVecQuantizeType.INT8 } : {}),
        },
      },
    });
    const path = join(this.#folder, String(this.#builds++));
    const collection = this.#module.ZVecCreateAndOpen(path, schema);
    for (let first = 0; first < base.count; first += BATCH_ROWS) {
      const length = Math.min(BATCH_ROWS, base.count - first);
      collection.insertSync(
        Array.from({ length }, (_, at) => ({
          id: String(first + at),
          vectors: { [FIELD]: rowAt(base, first + at) },
        })),
      );
    }
    collection.optimizeSync({ concurrency: 1 });
    this.#collection = collection;
  }

  search(vector: Float32Array, topk: number, ef: number): ArrayLike<number> {
    const indexType = this.#module.ZVecIndexType.HNSW;
    const params = { indexType, ef, isUsingRefiner: false };
    const query = { fieldName: FIELD, vector, topk, outputFields: [], params };
    return this.#collection!.querySync(query).map(({ id }) => Number(id));
  }

  /** Of its folder. */
  bytes(): number {
    return folderBytes(join(this.#folder, String(this.#builds - 1)));
  }

  close(): void {
    this.#collection?.closeSync();
    rmSync(this.#folder, { recursive: true });
  }
}
