/**
 * This server, durable in strict mode, with default settings but ef. Rows go in as JSON with base64
 * vectors; a query is raw float32, as Redis takes it, and its answer JSON.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  type Connection,
  connect,
  ok,
  pause,
  type Server,
  startServer,
} from "../../test/server.ts";
import { type Rows, rowAt } from "../exact.ts";
import { folderBytes, residentBytesOf } from "../process.ts";
import { type PeerStart, RARE_EVERY, type ServerPeer } from "./peer.ts";

const BATCH_ROWS = 1000;
const LOADERS = 4;
const POLL_MS = 10;
const OCTETS = { "content-type": "application/octet-stream" };
const RARE_ONLY = `&filter=${encodeURIComponent(JSON.stringify({ rare: true }))}`;
const PACKAGE = new URL("../../package.json", import.meta.url);

export const startOmenDb: PeerStart = async (folder, clients) => {
  const path = join(folder, "omendb");
  const server = await startServer({ PATH: path, LOG_LEVEL: "warn" });
  return new OmenDbPeer(server, path, clients);
};

class OmenDbPeer implements ServerPeer {
  readonly name = "OmenDB Server";
  readonly version: string = JSON.parse(readFileSync(PACKAGE, "utf8")).version;
  readonly notes = [
    "few rows with a tag are found in its column, and all of them measured",
    "resident bytes are also the heaps of its threads, which grow with load and not with rows",
  ];
  readonly #path: string;
  readonly #clients: number;
  #server: Server;
  #connections: Connection[] = [];
  #ef = 96;

  constructor(server: Server, path: string, clients: number) {
    this.#server = server;
    this.#path = path;
    this.#clients = clients;
    this.#connect();
  }

  get pids(): number[] {
    return [this.#server.pid];
  }

  async load(base: Rows, onRows: (rows: number) => void): Promise<void> {
    let next = 0;
    const work = async () => {
      const connection = connect(this.#server.port);
      for (let start = next; start < base.count; start = next) {
        next += BATCH_ROWS;
        const count = Math.min(BATCH_ROWS, base.count - start);
        const vectors = Array.from({ length: count }, (_, index) => {
          const row = start + index;
          const vector = Buffer.from(rowAt(base, row).slice().buffer).toString("base64");
          return { id: String(row), vector, metadata: { rare: row % RARE_EVERY === 0 } };
        });
        await ok(connection.post("/vectors/batch", { vectors }));
        onRows(count);
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: LOADERS }, work));
    const [probe] = this.#connections;
    while ((await ok(probe!.get("/stats"))).unindexed > 0) await pause(POLL_MS);
  }

  async setEf(ef: number): Promise<void> {
    this.#ef = ef;
  }

  async search(client: number, query: Float32Array, k: number, onlyRare: boolean) {
    const filter = onlyRare ? RARE_ONLY : "";
    const path = `/search?k=${k}&ef=${this.#ef}&include_metadata=false${filter}`;
    const vector = new Uint8Array(query.buffer, query.byteOffset, query.byteLength);
    const connection = this.#connections[client]!;
    const { results } = await ok(connection.send("POST", path, vector, OCTETS));
    return results.map(({ id }: { id: string }) => Number(id));
  }

  async ownBytes(): Promise<number> {
    return (await ok(this.#connections[0]!.get("/stats"))).memory_bytes ?? 0;
  }

  residentBytes(): number | string {
    return residentBytesOf(this.#server.pid) ?? "there is no /proc here";
  }

  async diskBytes(): Promise<number> {
    return folderBytes(this.#path);
  }

  async restart(): Promise<number> {
    const [probe] = this.#connections;
    const { dimensions } = await ok(probe!.get("/stats"));
    this.#disconnect();
    await this.#server.stop();
    const start = performance.now();
    this.#server = await startServer({ PATH: this.#path, LOG_LEVEL: "warn" });
    this.#connect();
    await this.search(0, new Float32Array(dimensions), 1, false);
    return (performance.now() - start) / 1000;
  }

  async close(): Promise<void> {
    this.#disconnect();
    await this.#server.stop();
    rmSync(this.#path, { recursive: true, force: true });
  }

  #connect(): void {
    const { port } = this.#server;
    this.#connections = Array.from({ length: this.#clients }, () => connect(port));
  }

  #disconnect(): void {
    for (const connection of this.#connections) connection.close();
  }
}
