/**
 * PostgreSQL with pgvector's hnsw, at POSTGRES_URL, through the package pg of perf/. Rows go in by
 * batches of values, the index is built after them, which is its faster way. The tag has an index of
 * its own, and scans go on until k rows are found (iterative_scan), as its manual advises.
 *
 * POSTGRES_CTL is a shell command that takes `start` and `stop` (pg_ctl -D FOLDER -w): with it the
 * server is started here when it does not run, and again for the time that a start takes.
 */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { type Rows, rowAt } from "../exact.ts";
import { requireInstalled } from "../peers/peer.ts";
import { EF_CONSTRUCTION, M, type PeerStart, RARE_EVERY, type ServerPeer } from "./peer.ts";

const TABLE = "omendb_comparison";
const BATCH_ROWS = 500;

interface PgClient {
  connect(): Promise<void>;
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  end(): Promise<void>;
  on(event: "error", listener: () => void): void;
}

interface PgModule {
  readonly Client: new (options: { connectionString: string }) => PgClient;
}

export const startPostgres: PeerStart = async (_folder, clients) => {
  const { POSTGRES_URL: url } = process.env;
  if (url === undefined) return "POSTGRES_URL names no server";
  const module = requireInstalled(createRequire(import.meta.url), "pg") as PgModule | undefined;
  if (module === undefined) return "the package pg is not installed; npm ci in perf/ installs it";
  const connect = async () => {
    const links = Array.from({ length: clients }, () => newClient(module, url));
    await Promise.all(links.map((link) => link.connect()));
    return links;
  };
  try {
    const isOurs = await startIfAsked(module, url);
    const links = await connect();
    await links[0]!.query("CREATE EXTENSION IF NOT EXISTS vector");
    const { rows } = await links[0]!.query(
      "SELECT extversion, current_setting('server_version') AS server FROM pg_extension WHERE extname = 'vector'",
    );
    const server = String(rows[0]!.server).split(" ")[0];
    const version = `${server}, pgvector ${rows[0]!.extversion}`;
    const peer = new PostgresPeer(version, connect, isOurs);
    await peer.take(links);
    return peer;
  } catch (error) {
    return `no pgvector at POSTGRES_URL: ${(error as Error).message}`;
  }
};

function newClient(module: PgModule, connectionString: string): PgClient {
  const client = new module.Client({ connectionString });
  // A server that stops ends its connections, which is no reason to end this program.
  client.on("error", () => undefined);
  return client;
}

/** Whether it was started here. */
async function startIfAsked(module: PgModule, url: string): Promise<boolean> {
  if (process.env.POSTGRES_CTL === undefined) return false;
  const probe = newClient(module, url);
  try {
    await probe.connect();
    await probe.end();
    return false;
  } catch {
    control("start");
    return true;
  }
}

function control(verb: "start" | "stop"): void {
  execFileSync("sh", ["-c", `${process.env.POSTGRES_CTL} ${verb}`], { stdio: "ignore" });
}

/** Each connection is a process of the server. */
async function backendOf(link: PgClient): Promise<number> {
  const { rows } = await link.query("SELECT pg_backend_pid() AS pid");
  return Number(rows[0]!.pid);
}

class PostgresPeer implements ServerPeer {
  readonly name = "pgvector hnsw";
  readonly notes = ["the tag has an index, and the rows that it names are all measured"];
  readonly version: string;
  pids: readonly number[] = [];
  readonly #connect: () => Promise<PgClient[]>;
  /** Whether it is stopped at the end. */
  readonly #isOurs: boolean;
  #links: readonly PgClient[] = [];
  #dimensions = 0;

  constructor(version: string, connect: () => Promise<PgClient[]>, isOurs: boolean) {
    this.version = version;
    this.#connect = connect;
    this.#isOurs = isOurs;
  }

  async take(links: readonly PgClient[]): Promise<void> {
    this.#links = links;
    this.pids = await Promise.all(links.map(backendOf));
    await this.#set("hnsw.iterative_scan = strict_order");
  }

  async load(base: Rows, onRows: (rows: number) => void): Promise<void> {
    const [link] = this.#links;
    this.#dimensions = base.dimensions;
    await link!.query(`DROP TABLE IF EXISTS ${TABLE}`);
    const type = `vector(${base.dimensions})`;
    await link!.query(`CREATE TABLE ${TABLE} (id int PRIMARY KEY, rare boolean, v ${type})`);
    for (let start = 0; start < base.count; start += BATCH_ROWS) {
      const count = Math.min(BATCH_ROWS, base.count - start);
      const values = Array.from({ length: count }, (_, index) => {
        const row = start + index;
        return `(${row}, ${row % RARE_EVERY === 0}, '${textOf(rowAt(base, row))}')`;
      });
      await link!.query(`INSERT INTO ${TABLE} VALUES ${values.join(",")}`);
      onRows(count);
    }
    await link!.query("SET maintenance_work_mem = '1GB'");
    const options = `WITH (m = ${M}, ef_construction = ${EF_CONSTRUCTION})`;
    await link!.query(`CREATE INDEX ON ${TABLE} USING hnsw (v vector_l2_ops) ${options}`);
    await link!.query(`CREATE INDEX ON ${TABLE} (rare)`);
    await link!.query(`ANALYZE ${TABLE}`);
  }

  async setEf(ef: number): Promise<void> {
    await this.#set(`hnsw.ef_search = ${ef}`);
  }

  async search(client: number, query: Float32Array, k: number, onlyRare: boolean) {
    const where = onlyRare ? "WHERE rare" : "";
    const text = `SELECT id FROM ${TABLE} ${where} ORDER BY v <-> $1 LIMIT ${k}`;
    const { rows } = await this.#links[client]!.query(text, [textOf(query)]);
    return rows.map(({ id }) => Number(id));
  }

  /** Of the table and its indexes: what has to be cached for full speed. */
  async ownBytes(): Promise<number> {
    const text = `SELECT coalesce(pg_total_relation_size(to_regclass('${TABLE}')), 0) AS bytes`;
    const { rows } = await this.#links[0]!.query(text);
    return Number(rows[0]!.bytes);
  }

  residentBytes(): string {
    return "its pages are shared, and cached by the kernel too";
  }

  diskBytes(): Promise<number> {
    return this.ownBytes();
  }

  async restart(): Promise<number | string> {
    if (process.env.POSTGRES_CTL === undefined) return "POSTGRES_CTL names no command";
    for (const link of this.#links) await link.end();
    control("stop");
    const start = performance.now();
    control("start");
    await this.take(await this.#connect());
    await this.search(0, new Float32Array(this.#dimensions), 1, false);
    return (performance.now() - start) / 1000;
  }

  async close(): Promise<void> {
    await this.#links[0]!.query(`DROP TABLE IF EXISTS ${TABLE}`);
    for (const link of this.#links) await link.end();
    if (this.#isOurs) control("stop");
  }

  async #set(setting: string): Promise<void> {
    for (const link of this.#links) await link.query(`SET ${setting}`);
  }
}

const textOf = (vector: Float32Array) => `[${vector.join(",")}]`;
