/**
 * A real server under load from several clients, killed at random moments again and again on one
 * data path while checkpoints go on. After each start every write that was answered is there,
 * exactly; the one that each client had under way is there whole or not at all; what was deleted
 * stays deleted. KILLS says how often (`npm run test:crash`: a hundred times).
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { type Random, seededRandom, seedFromEnvironment } from "../perf/random.ts";
import { type Connection, pause, type Server, startServer } from "./server.ts";

const KILLS = Number(process.env.KILLS ?? 4);
const CLIENTS = 4;
const IDS = 400;
/** Of a server, at most. */
const LIFE_MS = 1200;
const BATCH_MAX = 60;
const DIMENSIONS = 24;
const VOLATILE = fileURLToPath(new URL("./crashServer.ts", import.meta.url));

/** What a row was last written with; 0 where it is not there. */
type Rows = Map<string, number>;

interface Outcome {
  acknowledged: number;
  lost: number;
  checkpoints: number;
}

describe("a server that is killed", () => {
  const seed = seedFromEnvironment();
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "omendb-crash-"));
  });
  afterEach(async () => {
    delete process.env.SERVER_ENTRY;
    delete process.env.LIES_ABOUT_SYNC;
    await rm(path, { recursive: true, force: true });
  });

  const run = async (kills: number, threads: number): Promise<Outcome> => {
    const random = seededRandom(seed + threads);
    const outcome = { acknowledged: 0, lost: 0, checkpoints: 0 };
    const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(index, random));
    let server: Server | undefined;
    for (let kill = 0; kill <= kills; kill++) {
      const settings = { PATH: path, THREADS: threads, LINKERS: 2, CHECKPOINT_MB: 1 };
      server = await startServer({ ...settings, SHARD_ROWS: 1000 });
      const connections = clients.map(() => server!.connect());
      for (const [index, client] of clients.entries()) {
        outcome.lost += await client.lost(connections[index]!);
      }
      const working = clients.map((client, index) => client.work(connections[index]!));
      await pause(kill === kills ? 50 : 100 + random.next() * LIFE_MS);
      outcome.checkpoints += server.output().split('"checkpoint"').length - 1;
      await server.stop("SIGKILL");
      await Promise.all(working);
    }
    outcome.acknowledged = clients.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
    return outcome;
  };

  for (const threads of [2, 1]) {
    const kills = threads === 2 ? KILLS : Math.ceil(KILLS / 4);
    it(`has lost nothing after ${kills} kills, ${threads} threads (SEED=${seed})`, async () => {
      const { acknowledged, lost, checkpoints } = await run(kills, threads);
      console.log(`    kills ${kills}, acknowledged ${acknowledged}, lost ${lost}`);
      console.log(`    checkpoints ${checkpoints}`);
      expect(lost).to.equal(0);
      expect(acknowledged).to.be.greaterThan(kills * 10);
      if (kills >= 20) expect(checkpoints).to.be.greaterThan(0);
    }).timeout(60_000 + kills * 15_000);
  }

  it("has lost nothing when all that was not synced goes with it", async () => {
    process.env.SERVER_ENTRY = VOLATILE;
    const kills = Math.ceil(KILLS / 2);
    const { acknowledged, lost } = await run(kills, 2);
    console.log(`    kills ${kills}, acknowledged ${acknowledged}, lost ${lost}`);
    expect(lost).to.equal(0);
  }).timeout(60_000 + KILLS * 15_000);

  it("loses writes when the log's sync does nothing: these tests would notice", async () => {
    process.env.SERVER_ENTRY = VOLATILE;
    process.env.LIES_ABOUT_SYNC = "1";
    // What is missing is found by the clients, or by the start, which names it.
    const refused = (error: Error) => ({ lost: /\.log, offset \d+/.test(error.message) ? 1 : 0 });
    const { lost } = await run(2, 2).catch(refused);
    expect(lost).to.be.greaterThan(0);
  }).timeout(120_000);
});

/** Ids of its own; one write at a time. */
class Client {
  acknowledged = 0;
  readonly #index: number;
  readonly #random: Random;
  #rows: Rows = new Map();
  /** What the write under way will make of the rows. */
  #pending: Rows | undefined;
  #count = 0;

  constructor(index: number, random: Random) {
    this.#index = index;
    this.#random = random;
  }

  /** Writes until the server is gone. */
  async work(connection: Connection): Promise<void> {
    for (;;) {
      const { path, body, rows } = this.#draw();
      this.#pending = new Map([...this.#rows, ...rows]);
      const answer = await connection.post(path, body).catch(() => undefined);
      if (answer === undefined) return connection.close();
      if (answer.status === 200) {
        this.#rows = this.#pending;
        this.acknowledged++;
      } else expect(answer.status, answer.text).to.be.oneOf([503]);
      this.#pending = undefined;
    }
  }

  #draw(): { path: string; body: unknown; rows: Rows } {
    const number = ++this.#count;
    const wanted = 1 + Math.floor(this.#random.next() * BATCH_MAX);
    const ids = new Set<string>();
    while (ids.size < wanted) ids.add(`${this.#index}-${Math.floor(this.#random.next() * IDS)}`);
    if (this.#random.next() < 0.2) {
      const rows = new Map([...ids].map((id) => [id, 0]));
      return { path: "/vectors/delete", body: { ids: [...ids] }, rows };
    }
    const vectors = [...ids].map((id) => ({
      id,
      vector: vectorOf(id, number),
      metadata: { number },
    }));
    const rows = new Map([...ids].map((id) => [id, number]));
    return { path: "/vectors/batch", body: { vectors }, rows };
  }

  /** How many of its rows are not as they must be; from here on it goes by what is there. */
  async lost(connection: Connection): Promise<number> {
    const ids = Array.from({ length: IDS }, (_, row) => `${this.#index}-${row}`);
    const answer = await connection.post("/vectors/get", { ids, include_vector: true });
    if (answer.status === 404) return this.#missing(new Map());
    expect(answer.status, answer.text).to.equal(200);
    const found: Rows = new Map();
    let wrong = 0;
    for (const [row, got] of answer.body.vectors.entries()) {
      const id = ids[row]!;
      const number: number = got?.metadata.number ?? 0;
      found.set(id, number);
      if (got === null) continue;
      const vector = vectorOf(id, number);
      if (!got.vector.every((x: number, i: number) => Math.fround(x) === vector[i])) wrong++;
    }
    return wrong + this.#missing(found);
  }

  #missing(found: Rows): number {
    const differing = (rows: Rows) =>
      [...rows].filter(([id, number]) => (found.get(id) ?? 0) !== number).length;
    const pending = this.#pending;
    this.#pending = undefined;
    const lost = Math.min(differing(this.#rows), pending ? differing(pending) : IDS);
    this.#rows = found;
    return lost;
  }
}

function vectorOf(id: string, number: number): number[] {
  const base = [...id].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 10_007;
  return Array.from({ length: DIMENSIONS }, (_, d) =>
    Math.fround(Math.sin(base + number * (d + 1))),
  );
}
