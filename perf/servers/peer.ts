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
  /** What a reader should know of how it works to judge its figures. */
  readonly notes?: readonly string[];
  /** The processes whose time is counted; none where it runs on another machine. */
  readonly pids: readonly number[];
  /** Writes all rows, durably, and resolves when they are fully indexed. */
  load(base: Rows, onRows: (rows: number) => void): Promise<void>;
  /** From here on searches walk so wide. */
  setEf(ef: number): Promise<void>;
  /** Row numbers, nearest first; `client` is below the number of clients. */
  search(client: number, query: Float32Array, k: number, onlyRare: boolean): Promise<number[]>;
  /** What it says itself that its data takes in memory, or why that is not known. */
  ownBytes(): Promise<number | string>;
  /** What its processes hold, which is compared with what they held when empty. */
  residentBytes(): number | string;
  diskBytes(): Promise<number | string>;
  /** Ends it, and starts it on the same data: seconds from there to its first answered search. */
  restart(): Promise<number | string>;
  close(): Promise<void>;
}

/** Starts a peer with data in the folder; words that say why where it cannot run. */
export type PeerStart = (folder: string, clients: number) => Promise<ServerPeer | string>;
