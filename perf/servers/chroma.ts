/**
 * Chroma's own server, as its npm package runs it, over its REST API. Rows are handed to the graph in
 * batches as they come; the log that a restart replays is emptied by its own rules.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Connection, connect, freePort, pause } from "../../test/server.ts";
import { type Rows, rowAt } from "../exact.ts";
import { folderBytes, residentBytesOf } from "../process.ts";
import { EF_CONSTRUCTION, M, type PeerStart, RARE_EVERY, type ServerPeer } from "./peer.ts";

const PACKAGE = fileURLToPath(new URL("../node_modules/chromadb/", import.meta.url));
const ROOT = "/api/v2/tenants/default_tenant/databases/default_database/collections";
const BATCH_ROWS = 1000;
const LOADERS = 2;
const READY_MS = 30_000;

export const startChroma: PeerStart = async (folder, clients) => {
  if (!existsSync(PACKAGE)) return "not installed; npm ci in perf/ installs it";
  const path = join(folder, "chroma");
  const peer = new ChromaPeer(path, clients);
  try {
    await peer.open();
    await peer.create();
  } catch (error) {
    await peer.close();
    return `did not start: ${(error as Error).message}`;
  }
  return peer;
};

class ChromaPeer implements ServerPeer {
  readonly name = "Chroma";
  readonly version = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")).version;
  readonly #path: string;
  readonly #clients: number;
  #child: ChildProcess | undefined;
  #connections: Connection[] = [];
  #port = 0;
  #collection = "";
  #dimensions = 0;

  constructor(path: string, clients: number) {
    this.#path = path;
    this.#clients = clients;
  }

  get pids(): number[] {
    return this.#child?.pid === undefined ? [] : [this.#child.pid];
  }

  async open(): Promise<void> {
    this.#port = await freePort();
    const program = join(PACKAGE, "dist", "cli.mjs");
    const args = ["run", "--path", this.#path, "--port", String(this.#port)];
    const child = spawn(process.execPath, [program, ...args], { stdio: "ignore" });
    this.#child = child;
    let hasEnded = false;
    child.once("exit", () => (hasEnded = true));
    this.#connections = Array.from({ length: this.#clients }, () => connect(this.#port));
    const end = performance.now() + READY_MS;
    for (;;) {
      const [probe] = this.#connections;
      const answer = await probe!.get("/api/v2/heartbeat").catch(() => undefined);
      if (answer?.status === 200) return;
      if (hasEnded || performance.now() > end) throw new Error("no heartbeat");
      await pause(20);
    }
  }

  async create(): Promise<void> {
    const hnsw = { space: "l2", ef_construction: EF_CONSTRUCTION, max_neighbors: M };
    const body = { name: "rows", configuration: { hnsw } };
    this.#collection = (await ok(this.#connections[0]!.post(ROOT, body))).id;
  }

  async load(base: Rows, onRows: (rows: number) => void): Promise<void> {
    this.#dimensions = base.dimensions;
    let next = 0;
    const work = async () => {
      const connection = connect(this.#port);
      for (let start = next; start < base.count; start = next) {
        next += BATCH_ROWS;
        const count = Math.min(BATCH_ROWS, base.count - start);
        const rows = Array.from({ length: count }, (_, index) => start + index);
        await ok(
          connection.post(`${ROOT}/${this.#collection}/add`, {
            ids: rows.map(String),
            embeddings: rows.map((row) => Array.from(rowAt(base, row))),
            metadatas: rows.map((row) => ({ rare: row % RARE_EVERY === 0 })),
          }),
        );
        onRows(count);
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: LOADERS }, work));
    // What the log still holds is put into the graph by the first search.
    await this.search(0, rowAt(base, 0), 1, false);
  }

  async setEf(ef: number): Promise<void> {
    const body = { new_configuration: { hnsw: { ef_search: ef } } };
    await ok(this.#connections[0]!.send("PUT", `${ROOT}/${this.#collection}`, body));
  }

  async search(client: number, query: Float32Array, k: number, onlyRare: boolean) {
    const where = onlyRare ? { rare: true } : undefined;
    const body = { query_embeddings: [Array.from(query)], n_results: k, where, include: [] };
    const path = `${ROOT}/${this.#collection}/query`;
    const { ids } = await ok(this.#connections[client]!.post(path, body));
    return ids[0].map(Number);
  }

  async ownBytes(): Promise<string> {
    return "it does not tell";
  }

  residentBytes(): number | string {
    const [pid] = this.pids;
    return residentBytesOf(pid!) ?? "there is no /proc here";
  }

  async diskBytes(): Promise<number> {
    return folderBytes(this.#path);
  }

  async restart(): Promise<number> {
    for (const connection of this.#connections) connection.close();
    this.#child!.kill("SIGTERM");
    await once(this.#child!, "exit");
    const start = performance.now();
    await this.open();
    await this.search(0, new Float32Array(this.#dimensions), 1, false);
    return (performance.now() - start) / 1000;
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  }
}

async function ok(answering: ReturnType<Connection["get"]>) {
  const { status, text, body } = await answering;
  if (status < 200 || status > 299) throw new Error(`the server answered ${status}: ${text}`);
  return body;
}
