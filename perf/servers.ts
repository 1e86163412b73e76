/**
 * `npm run bench:servers`: this server beside others on one machine, the same rows, queries and
 * recall. All run at once and are measured in turns: ingest until everything is indexed, one after
 * the other; searches at recall@10 0.95 and 0.99 with 1 and 16 clients, and among one row in a
 * hundred, in rounds of all; bytes; restart to the first answer. CPU is that of the servers'
 * processes, from the OS, so the client's own work is not in it. A dash has its reason below the
 * table.
 *
 * --only NAME,.. takes some of them, --rows N that many generated rows, --json FILE gets the figures.
 * REDIS_URL and POSTGRES_URL name servers (Redis 8, PostgreSQL with pgvector), REDIS_SERVER and
 * POSTGRES_CTL the commands that start them: see perf/servers/redis.ts and postgres.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { readArguments } from "./arguments.ts";
import { generate, loadSift } from "./data.ts";
import { startChroma } from "./servers/chroma.ts";
import { CLIENTS, Entrant, K, ROUNDS, rareOf, type ServerResult } from "./servers/entrant.ts";
import { startOmenDb } from "./servers/omendb.ts";
import type { PeerStart } from "./servers/peer.ts";
import { startPostgres } from "./servers/postgres.ts";
import { startRedis } from "./servers/redis.ts";
import { describeServers } from "./servers/table.ts";

const PEERS: Record<string, PeerStart> = {
  omendb: startOmenDb,
  chroma: startChroma,
  redis: startRedis,
  postgres: startPostgres,
};
export interface ServersData {
  readonly about: { readonly machine: string; readonly data: string; readonly date: string };
  readonly results: readonly ServerResult[];
  readonly absent: Readonly<Record<string, string>>;
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    only: { type: "string" },
    rows: { type: "string" },
    json: { type: "string" },
  });
  const rows = values.rows === undefined ? undefined : Number(values.rows);
  const dataset =
    rows === undefined
      ? loadSift("sift100k")
      : generate({ rows, dimensions: 128, metric: "l2", queries: 500 });
  const rare = rareOf(dataset);
  const names = values.only?.split(",") ?? Object.keys(PEERS);
  for (const name of names) {
    if (PEERS[name] === undefined) throw new Error(`there is no server called ${name}`);
  }
  const absent: Record<string, string> = {};
  const folder = mkdtempSync(join(tmpdir(), "omendb-servers-"));
  const entrants: Entrant[] = [];
  const results: ServerResult[] = [];
  try {
    for (const name of names) {
      const peer = await PEERS[name]!(folder, Math.max(...CLIENTS));
      if (typeof peer === "string") absent[name] = peer;
      else entrants.push(new Entrant(peer));
    }
    for (const entrant of entrants) await entrant.load(dataset);
    for (const entrant of entrants) await entrant.explore(dataset, rare);
    for (let round = 0; round < ROUNDS; round++) {
      for (const entrant of entrants) await entrant.turn(dataset);
    }
    for (const entrant of entrants) results.push(await entrant.finish(dataset));
  } finally {
    for (const { peer } of entrants) await peer.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  const about = { machine, data: dataset.name, date: new Date().toISOString() };
  const data: ServersData = { about, results, absent };
  console.log(describeServers(data, K));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(data, null, 2));
}

if (import.meta.main) await main();
