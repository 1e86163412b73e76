/**
 * PostgreSQL with pgvector's hnsw, at POSTGRES_URL, through the package pg of perf/. Rows go in by
 * batches of values, the index is built after them, which is its faster way.
 */
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
}

interface PgModule {
  readonly Client: new (options: { connectionString: string }) => PgClient;
}

export const startPostgres: PeerStart = async (_folder, clients) => {
  const { POSTGRES_URL: url } = process.env;
  if (url === undefined) return "POSTGRES_URL names no server";
  const module = requireInstalled(createRequire(import.meta.url), "pg") as PgModule | undefined;
  if (module === undefined) return "the package pg is not installed; npm ci in perf/ installs it";
  const links = Array.from({ length: clients }, () => new module.Client({ connectionString: url }));
  try {
    for (const link of links) await link.connect();
    await links[0]!.query("CREATE EXTENSION IF NOT EXISTS vector");
    const { rows } = await links[0]!.query(
      "SELECT extversion, current_setting('server_version') AS server FROM pg_extension WHERE extname = 'vector'",
    );
    const pids = await Promise.all(links.map(backendOf));
    return new PostgresPeer(`${rows[0]!.server}, pgvector ${rows[0]!.extversion}`, pids, links);
  } catch (error) {
    return `no pgvector at POSTGRES_URL: ${(error as Error).message}`;
  }
};

/** Each connection is a process of the server. */
async function backendOf(link: PgClient): Promise<number> {
  const { rows } = await link.query("SELECT pg_backend_pid() AS pid");
  return Number(rows[0]!.pid);
}

class PostgresPeer implements ServerPeer {
  readonly name = "PostgreSQL, pgvector hnsw";
  readonly version: string;
  readonly pids: readonly number[];
  readonly #links: readonly PgClient[];

  constructor(version: string, pids: readonly number[], links: readonly PgClient[]) {
    this.version = version;
    this.pids = pids;
    this.#links = links;
  }

  async load(base: Rows, onRows: (rows: number) => void): Promise<void> {
    const [link] = this.#links;
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
  }

  async setEf(ef: number): Promise<void> {
    for (const link of this.#links) await link.query(`SET hnsw.ef_search = ${ef}`);
  }

  async search(client: number, query: Float32Array, k: number, onlyRare: boolean) {
    const where = onlyRare ? "WHERE rare" : "";
    const text = `SELECT id FROM ${TABLE} ${where} ORDER BY v <-> $1 LIMIT ${k}`;
    const { rows } = await this.#links[client]!.query(text, [textOf(query)]);
    return rows.map(({ id }) => Number(id));
  }

  async close(): Promise<void> {
    await this.#links[0]!.query(`DROP TABLE IF EXISTS ${TABLE}`);
    for (const link of this.#links) await link.end();
  }
}

const textOf = (vector: Float32Array) => `[${vector.join(",")}]`;
