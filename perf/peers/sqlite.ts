/**
 * sqlite-vec, in Node's own SQLite: every search measures every row, so recall is 1 and ef means
 * nothing to it. What an index saves is seen beside it.
 */
import { createRequire } from "node:module";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Metric, type Rows, rowAt } from "../exact.ts";
import { type BuildOptions, type Peer, requireInstalled } from "./peer.ts";

/** It knows no dot product. */
const METRICS: Partial<Record<Metric, string>> = { l2: "l2", cosine: "cosine" };

export function openSqlite(): Peer | undefined {
  const module = requireInstalled(createRequire(import.meta.url), "sqlite-vec");
  if (module === undefined) return undefined;
  return new SqlitePeer((module as { getLoadablePath(): string }).getLoadablePath());
}

class SqlitePeer implements Peer {
  readonly name = "sqlite-vec, exact";
  readonly measures = "float32";
  readonly #database = new DatabaseSync(":memory:", { allowExtension: true });
  #search: StatementSync | undefined;

  constructor(extension: string) {
    this.#database.loadExtension(extension);
  }

  build(base: Rows, { metric }: BuildOptions): void {
    const measure = METRICS[metric];
    if (measure === undefined) throw new Error(`sqlite-vec does not know ${metric}`);
    const column = `v float[${base.dimensions}] distance_metric=${measure}`;
    this.#database.exec(`CREATE VIRTUAL TABLE vectors USING vec0(${column}); BEGIN`);
    const insert = this.#database.prepare("INSERT INTO vectors(rowid, v) VALUES (?, ?)");
    for (let row = 0; row < base.count; row++) insert.run(BigInt(row), bytesOf(rowAt(base, row)));
    this.#database.exec("COMMIT");
    const nearest = "SELECT rowid AS row FROM vectors WHERE v MATCH ? AND k = ? ORDER BY distance";
    this.#search = this.#database.prepare(nearest);
  }

  search(query: Float32Array, k: number): ArrayLike<number> {
    return this.#search!.all(bytesOf(query), k).map(({ row }) => Number(row));
  }

  /** Of its pages. */
  bytes(): number {
    const pages = (name: string) => {
      return Number(Object.values(this.#database.prepare(`PRAGMA ${name}`).get()!)[0]);
    };
    return pages("page_count") * pages("page_size");
  }

  close(): void {
    this.#database.close();
  }
}

function bytesOf(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}
