/**
 * What the engine and its rivals look like to a benchmark: an index that is built once from rows and
 * then searched with a given ef, in one thread, in this process.
 */
import type { Metric, Rows } from "../exact.ts";

export interface BuildOptions {
  readonly m: number;
  readonly efConstruction: number;
  readonly metric: Metric;
}

export interface Peer {
  readonly name: string;
  /** What its walk compares and, where that is not float32, whether float32 rows decide at last. */
  readonly measures: string;
  /** The only values of ef that it can search with, where it is not free to take any. */
  readonly widths?: readonly number[];
  build(base: Rows, options: BuildOptions): void;
  /** Row numbers, nearest first. The first call with another ef may take longer: warm up. */
  search(query: Float32Array, k: number, ef: number): ArrayLike<number>;
  /** What the index holds of the machine's memory, where it can be told. */
  bytes?(): number;
  close?(): void;
}

/** Makes a peer, or undefined when its package is not installed in perf/. */
export type PeerMaker = () => Peer | undefined;

/** Requires a native package of perf/; undefined when it is not installed. */
export function requireInstalled(require: NodeJS.Require, name: string): unknown {
  try {
    return require(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
