/**
 * What a vector server looks like to the comparison: a process (or an address) that takes rows with a
 * tag, says when they are searchable at full speed, and answers searches at a width that is given.
 */
import type { Rows } from "../exact.ts";

/** Rows whose number is a multiple of this carry `{"rare": true}`: one in a hundred. */
export const RARE_EVERY = 100;
export const M = 16;
export const EF_CONSTRUCTION = 128;

export interface ServerPeer {
  readonly name: string;
  readonly version: string;
  /** The processes whose time and memory are counted; none where it runs on another machine. */
  readonly pids: readonly number[];
  /** Writes all rows, durably, and resolves when they are fully indexed. */
  load(base: Rows, onRows: (rows: number) => void): Promise<void>;
  /** From here on searches walk so wide. */
  setEf(ef: number): Promise<void>;
  /** Row numbers, nearest first; `client` is below the number of clients. */
  search(client: number, query: Float32Array, k: number, onlyRare: boolean): Promise<number[]>;
  /** Ends the process and starts it on the same data; resolves when it answers a search. */
  restart?(): Promise<void>;
  diskBytes?(): number;
  close(): Promise<void>;
}

/** Starts a peer with data in the folder; words that say why where it cannot run. */
export type PeerStart = (folder: string, clients: number) => Promise<ServerPeer | string>;
