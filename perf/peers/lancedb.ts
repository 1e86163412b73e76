/**
 * LanceDB: an embedded vector database over column files, HNSW over scalar codes in one partition, its
 * candidates measured again on float32. It speaks in promises only, and a benchmark's turns do not
 * wait: so it lives in a thread (lancedbThread.ts), which is asked for one thing at a time. What that
 * costs, some tens of microseconds a search, is within what it takes itself.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from "node:worker_threads";
import type { Rows } from "../exact.ts";
import { folderBytes } from "../process.ts";
import type { LancedbAnswer, LancedbOrder } from "./lancedbThread.ts";
import { type BuildOptions, type Peer, requireInstalled } from "./peer.ts";

export function openLancedb(): Peer | undefined {
  const isThere =
    requireInstalled(createRequire(import.meta.url), "@lancedb/lancedb") !== undefined;
  return isThere ? new LancedbPeer() : undefined;
}

class LancedbPeer implements Peer {
  readonly name = "LanceDB HNSW SQ";
  readonly measures = "8-bit codes, rescored";
  readonly #folder = mkdtempSync(join(tmpdir(), "lancedb-"));
  readonly #answered = new Int32Array(new SharedArrayBuffer(4));
  readonly #port: MessagePort;
  readonly #thread: Worker;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#thread = new Worker(new URL("./lancedbThread.ts", import.meta.url), {
      workerData: { port: port2, answered: this.#answered, folder: this.#folder },
      transferList: [port2],
    });
    this.#thread.unref();
  }

  build(base: Rows, { m, efConstruction, metric }: BuildOptions): void {
    this.#ask({ build: { base, m, efConstruction, metric } });
  }

  search(query: Float32Array, k: number, ef: number): ArrayLike<number> {
    return this.#ask({ search: { query, k, ef } });
  }

  /** Of its folder. */
  bytes(): number {
    return folderBytes(this.#folder);
  }

  close(): void {
    void this.#thread.terminate();
    rmSync(this.#folder, { recursive: true });
  }

  #ask(order: LancedbOrder): readonly number[] {
    Atomics.store(this.#answered, 0, 0);
    this.#port.postMessage(order);
    Atomics.wait(this.#answered, 0, 0);
    const { rows, error } = receiveMessageOnPort(this.#port)!.message as LancedbAnswer;
    if (error !== undefined) throw new Error(`LanceDB: ${error}`);
    return rows;
  }
}
