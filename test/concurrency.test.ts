/**
 * Many clients at once against a model in plain TypeScript. The clients only write down what they
 * asked, what came, and when; afterwards test/model.ts looks for a state that explains each answer.
 */
import { expect } from "chai";
import { generate } from "../perf/data.ts";
import { rowAt } from "../perf/exact.ts";
import { type Random, seededRandom, seedFromEnvironment } from "../perf/random.ts";
import type { RowVersion, Write } from "./history.ts";
import { judge, type Lookup, type Search } from "./model.ts";
import { type Answer, type Connection, type Server, startServer } from "./server.ts";

const DIMENSIONS = 32;
const POOL_ROWS = 3000;
const CLIENTS = 16;
const RECALL_MIN = 0.95;

interface Load {
  readonly operations: number;
  readonly ids: number;
  readonly ks: readonly number[];
}

describe("2 listeners under concurrent writes and reads", () => {
  const seed = seedFromEnvironment();
  let server: Server;
  beforeEach(async () => {
    server = await startServer({ THREADS: 2, LOG_LEVEL: "warn" });
  });
  afterEach(() => server?.stop());

  const run = async (load: Load) => {
    console.log(`    SEED=${seed}`);
    const workload = new Workload(server, load, seed);
    await workload.fill();
    await workload.runAll();
    return judge(workload.writes, workload.searches, workload.lookups);
  };

  it("explains every one of 10,000 answers by a state between its request and its end", async () => {
    const verdict = await run({ operations: 10_000, ids: 1200, ks: [1, 10, 25] });
    expect(verdict.recall).to.be.at.least(RECALL_MIN);
  }).timeout(180_000);

  it("never gives fewer than k rows when k exist, nor rows that are gone", async () => {
    const verdict = await run({ operations: 3000, ids: 30, ks: [10, 15, 20, 40] });
    expect(verdict.recall).to.be.at.least(RECALL_MIN);
  }).timeout(120_000);
});

/** What the clients do; each draws its own numbers, so that a seed gives each the same requests. */
class Workload {
  readonly writes: Write[] = [];
  readonly searches: Search[] = [];
  readonly lookups: Lookup[] = [];
  readonly #server: Server;
  readonly #load: Load;
  readonly #seed: number;
  readonly #pool = generate({
    ...{ rows: POOL_ROWS, dimensions: DIMENSIONS, metric: "l2", queries: 1, truthWidth: 1 },
  }).base;
  #nonce = 0;

  constructor(server: Server, load: Load, seed: number) {
    this.#server = server;
    this.#load = load;
    this.#seed = seed;
  }

  /** Most ids are there from the beginning. */
  async fill(): Promise<void> {
    const random = seededRandom(this.#seed);
    const connection = this.#server.connect();
    const ids = Array.from({ length: this.#load.ids }, (_, index) => `row-${index}`);
    while (ids.length > 0) {
      await this.#put(
        connection,
        ids.splice(0, 250).map((id) => this.#version(random, id)),
      );
    }
    connection.close();
  }

  async runAll(): Promise<void> {
    const connections = Array.from({ length: CLIENTS }, () => this.#server.connect());
    const others = Array.from({ length: CLIENTS }, () => this.#server.connect());
    let left = this.#load.operations;
    const work = async (connection: Connection, client: number) => {
      const random = seededRandom(this.#seed + client + 1);
      while (left-- > 0) await this.#act(random, connection, others[random.integer(CLIENTS)]!);
    };
    await Promise.all(connections.map(work));
    for (const connection of [...connections, ...others]) connection.close();
  }

  async #act(random: Random, connection: Connection, other: Connection): Promise<void> {
    const drawn = random.next();
    if (drawn < 0.28) await this.#put(connection, [this.#version(random, this.#id(random))]);
    else if (drawn < 0.34) await this.#put(connection, this.#batch(random));
    else if (drawn < 0.44) await this.#remove(connection, this.#id(random));
    else if (drawn < 0.48) await this.#removeAll(connection, this.#ids(random));
    else if (drawn < 0.54) await this.#look(connection, this.#id(random));
    else if (drawn < 0.64) {
      const row = this.#version(random, this.#id(random));
      await this.#put(connection, [row]);
      await this.#search(random, other, row);
    } else await this.#search(random, connection);
  }

  async #put(connection: Connection, rows: readonly RowVersion[]): Promise<void> {
    const bodies = rows.map(({ id, nonce, vector }) => ({
      ...{ id, vector: [...vector], metadata: { nonce } },
    }));
    const isOne = bodies.length === 1;
    const start = performance.now();
    const answer = await (isOne
      ? connection.post("/vectors/add", bodies[0])
      : connection.post("/vectors/batch", { vectors: bodies }));
    const end = performance.now();
    const { sequence } = bodyOf(answer);
    this.writes.push({ start, end, sequence, rows, removed: [], deleted: 0 });
  }

  async #remove(connection: Connection, id: string): Promise<void> {
    const start = performance.now();
    const answer = await connection.send("DELETE", `/collections/default/vectors/${id}`);
    const end = performance.now();
    const { sequence, deleted } = bodyOf(answer);
    this.writes.push({ start, end, sequence, rows: [], removed: [id], deleted });
  }

  async #removeAll(connection: Connection, ids: readonly string[]): Promise<void> {
    const start = performance.now();
    const answer = await connection.post("/collections/default/vectors/delete", { ids });
    const end = performance.now();
    const { sequence, deleted } = bodyOf(answer);
    this.writes.push({ start, end, sequence, rows: [], removed: ids, deleted });
  }

  async #look(connection: Connection, id: string): Promise<void> {
    const start = performance.now();
    const answer = await connection.get(`/collections/default/vectors/${id}`);
    const end = performance.now();
    const row = answer.status === 404 ? undefined : bodyOf(answer);
    this.lookups.push({ start, end, id, row });
  }

  async #search(random: Random, connection: Connection, written?: RowVersion): Promise<void> {
    const query = written?.vector ?? rowAt(this.#pool, random.integer(POOL_ROWS));
    const k = this.#load.ks[random.integer(this.#load.ks.length)]!;
    const exact = random.next() < 0.5;
    const body = { vector: [...query], k, exact, include_vector: true };
    const start = performance.now();
    const answer = await connection.post("/search", body);
    const end = performance.now();
    this.searches.push({ start, end, query, k, exact, hits: bodyOf(answer).results, written });
  }

  #id(random: Random): string {
    return `row-${random.integer(this.#load.ids)}`;
  }

  #ids(random: Random): string[] {
    const length = 2 + random.integer(7);
    return [...new Set(Array.from({ length }, () => this.#id(random)))];
  }

  #batch(random: Random): RowVersion[] {
    return this.#ids(random).map((id) => this.#version(random, id));
  }

  /** Vectors are drawn from a pool with repetition, so that rows tie. */
  #version(random: Random, id: string): RowVersion {
    const vector = rowAt(this.#pool, random.integer(POOL_ROWS));
    return { id, nonce: ++this.#nonce, vector };
  }
}

function bodyOf({ status, text, body }: Answer) {
  if (status !== 200) throw new Error(`the server answered ${status}: ${text}`);
  return body;
}
