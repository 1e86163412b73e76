/** The course of a soak (soak.ts): a server, its clients, what befalls it, and what is seen of it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKey } from "../src/access/keyFile.ts";
import { type Connection, connect, ok, pause, type Server, startServer } from "../test/server.ts";
import { lastCollected } from "./collecting.ts";
import { type Random, seededRandom } from "./random.ts";
import { takeSnapshot } from "./snapshot.ts";
import {
  type Collection,
  K,
  RECALL_QUERIES,
  RECALL_TARGET,
  type Restart,
  type Sample,
  type Selves,
} from "./soakJudge.ts";
import { Client, newTally, type Tally } from "./soakWork.ts";
import { vitalsOf } from "./vitals.ts";

const CLIENTS = 8;
const CENTRES = 64;
export const DIMENSIONS = 128;
const SAMPLES = 240;
const RESTARTS = 6;
const SNAPSHOTS = 12;
const KEY_RELOADS = 24;
/** The server looks at its file of keys every few seconds. */
const RELOAD_SECONDS_MAX = 15;
/** Rows that each client reads again after a restart. */
const REREAD_ROWS = 200;
const COLLECTIONS = 48;
const COLLECTED_SECONDS_MAX = 10;
const FRESH = "/collections/fresh";
/** After the last row is linked, repairs and what betters hasty links have so long. */
const REST_SECONDS = 20;

export class Soak {
  readonly tally: Tally = newTally();
  readonly samples: Sample[] = [];
  readonly collections: Collection[] = [];
  readonly restarts: Restart[] = [];
  selves: Selves = { rows: 0, missed: 0, missedFresh: 0 };
  snapshots = 0;
  keyReloads = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), "omendb-soak-"));
  readonly #keysFile = join(this.#folder, "keys.json");
  readonly #own = createKey(undefined, { name: "soak", role: "admin" });
  readonly #perSecond: number;
  readonly #clients: Client[];
  readonly #centres: Float32Array[];
  readonly #random: Random;
  #server!: Server;
  #connections: Connection[] = [];
  /** Clients that wait here are not in the middle of anything. */
  #gate: Promise<void> = Promise.resolve();
  #busy = 0;

  constructor(perSecond: number, rows: number, seed: number) {
    this.#perSecond = perSecond;
    this.#random = seededRandom(seed);
    this.#centres = Array.from({ length: CENTRES }, () =>
      Float32Array.from({ length: DIMENSIONS }, () => this.#random.normal()),
    );
    this.#clients = Array.from({ length: CLIENTS }, (_, index) => {
      const random = seededRandom(seed + 1 + index);
      return new Client(`c${index}`, this.#centres, rows / CLIENTS, random, this.tally);
    });
  }

  async run(seconds: number): Promise<void> {
    await this.#open();
    await Promise.all(this.#clients.map((client, index) => client.fill(this.#connections[index]!)));
    const start = performance.now();
    const elapsed = () => (performance.now() - start) / 1000;
    const work = this.#clients.map((client, index) => this.#work(client, index, seconds, elapsed));
    const isDue = everyPart(seconds);
    while (elapsed() < seconds) {
      if (isDue.sample(SAMPLES, elapsed())) await this.#sample(elapsed());
      if (isDue.collection(COLLECTIONS, elapsed())) await this.#collect(elapsed());
      if (isDue.snapshot(SNAPSHOTS, elapsed())) await this.#snapshot();
      if (isDue.keys(KEY_RELOADS, elapsed())) await this.#reloadKeys();
      const isFirstHalf = elapsed() < seconds / 2;
      if (isFirstHalf && isDue.restart(RESTARTS * 2, elapsed())) await this.#restart();
      await pause(200);
    }
    await Promise.all(work);
    await this.#restart();
    await this.#sample(elapsed());
    this.selves = await this.#selves();
    this.#disconnect();
    const code = await this.#server.stop();
    if (code !== 0) this.tally.wrong.push(`the server ended with ${code}`);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #open(): Promise<void> {
    const path = join(this.#folder, "data");
    mkdirSync(path, { recursive: true });
    writeFileSync(this.#keysFile, this.#own.text);
    this.#server = await startServer({
      PATH: path,
      KEYS_FILE: this.#keysFile,
      LOG_LEVEL: "warn",
    });
    this.#connections = this.#clients.map(() => this.#connect());
  }

  #connect(key = this.#own.key): Connection {
    return connect(this.#server.port, { "X-API-Key": key });
  }

  #disconnect(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** Keeps to its share of the rate; a server that falls behind is not pressed harder. */
  async #work(client: Client, index: number, seconds: number, elapsed: () => number) {
    const everyMs = (1000 * CLIENTS) / this.#perSecond;
    for (let next = performance.now(); elapsed() < seconds; ) {
      await this.#gate;
      this.#busy++;
      try {
        await client.turn(this.#connections[index]!);
      } catch (error) {
        this.tally.wrong.push(`a request failed: ${(error as Error).message}`);
      } finally {
        this.#busy--;
      }
      next = Math.max(next + everyMs, performance.now() - everyMs);
      await pause(Math.max(0, next - performance.now()));
    }
  }

  async #sample(atSeconds: number): Promise<void> {
    const connection = this.#connect();
    const vitals = await vitalsOf(this.#server.pid, connection);
    this.samples.push({ atSeconds, ...vitals, recall: await this.#recall(connection) });
    connection.close();
    process.stdout.write(`${JSON.stringify(rounded(this.samples.at(-1)!))}\n`);
  }

  /** What searches that ask for RECALL_TARGET find of what exact ones do, near the rows. */
  async #recall(connection: Connection): Promise<number> {
    let right = 0;
    for (let query = 0; query < RECALL_QUERIES; query++) {
      const centre = this.#centres[this.#random.integer(CENTRES)]!;
      const vector = Array.from(centre, (value) => value + 0.4 * this.#random.normal());
      const ask = (how: object) => ok(connection.post("/search", { vector, k: K, ...how }));
      const truth = await ask({ exact: true });
      const found = await ask({ recall_target: RECALL_TARGET });
      const bound = truth.results.at(-1).distance * (1 + 1e-6);
      right += found.results.filter(
        ({ distance }: { distance: number }) => distance <= bound,
      ).length;
    }
    return right / (RECALL_QUERIES * K);
  }

  /** What the server holds when its threads have collected their garbage. */
  async #collect(atSeconds: number): Promise<void> {
    const from = this.#server.output().length;
    process.kill(this.#server.pid, "SIGUSR2");
    for (const start = performance.now(); ; await pause(100)) {
      const collected = lastCollected(this.#server.output(), from);
      if (collected !== undefined) {
        this.collections.push({ atSeconds, ...collected });
        process.stdout.write(`${JSON.stringify(rounded(this.collections.at(-1)!))}\n`);
        return;
      }
      if (performance.now() - start < COLLECTED_SECONDS_MAX * 1000) continue;
      this.tally.wrong.push("the server did not say what it holds");
      return;
    }
  }

  /** How many rows do not find themselves, beside a fresh collection of the same rows. */
  async #selves(): Promise<Selves> {
    const connection = this.#connect();
    await ok(connection.send("PUT", FRESH, { dimensions: DIMENSIONS }), 201);
    for (const client of this.#clients) await client.copy(connection, FRESH);
    while ((await ok(connection.get(`${FRESH}/stats`))).unindexed > 0) await pause(200);
    await pause(REST_SECONDS * 1000);
    const missedIn = async (collection: string) => {
      const each = this.#clients.map((client, index) =>
        client.missed(this.#connections[index]!, collection),
      );
      return (await Promise.all(each)).reduce((sum, missed) => sum + missed, 0);
    };
    const rows = this.#clients.reduce((sum, client) => sum + client.rows.size, 0);
    const missed = await missedIn("");
    const missedFresh = await missedIn(FRESH);
    connection.close();
    return { rows, missed, missedFresh };
  }

  /** A key that is added to the file is taken, and refused again once it is out of it. */
  async #reloadKeys(): Promise<void> {
    const added = createKey(this.#own.text, { name: "guest", role: "reader" });
    const guest = this.#connect(added.key);
    const comesTo = async (isTaken: boolean) => {
      for (const start = performance.now(); ; await pause(250)) {
        if (((await guest.get("/stats")).status === 200) === isTaken) return;
        if (performance.now() - start > RELOAD_SECONDS_MAX * 1000) {
          this.tally.wrong.push(`a key that was ${isTaken ? "added" : "removed"} was not noticed`);
          return;
        }
      }
    };
    writeFileSync(this.#keysFile, added.text);
    await comesTo(true);
    writeFileSync(this.#keysFile, this.#own.text);
    await comesTo(false);
    guest.close();
    this.keyReloads++;
  }

  async #snapshot(): Promise<void> {
    const connection = this.#connect();
    try {
      await ok(connection.send("DELETE", await takeSnapshot(connection)));
      this.snapshots++;
    } catch (error) {
      this.tally.wrong.push(`snapshot: ${(error as Error).message}`);
    }
    connection.close();
  }

  /** Everyone waits; what was acknowledged must be there again. */
  async #restart(): Promise<void> {
    let release = () => {};
    this.#gate = new Promise((resolve) => (release = resolve));
    while (this.#busy > 0) await pause(10);
    this.#disconnect();
    const start = performance.now();
    const code = await this.#server.stop();
    if (code !== 0) this.tally.wrong.push(`the server ended with ${code}`);
    const stopped = performance.now();
    await this.#open();
    const ready = performance.now();
    this.restarts.push({
      stopSeconds: (stopped - start) / 1000,
      readySeconds: (ready - stopped) / 1000,
    });
    for (const [index, client] of this.#clients.entries()) {
      const ids = [...client.rows.keys()].slice(0, REREAD_ROWS);
      for (const id of ids) await client.read(this.#connections[index]!, id);
    }
    release();
  }
}

/** Each kind of event so many times over the whole, evenly. */
function everyPart(seconds: number) {
  const counts = new Map<string, number>();
  const due = (kind: string) => (times: number, at: number) => {
    const done = counts.get(kind) ?? 0;
    if (at < ((done + 1) * seconds) / (times + 1)) return false;
    counts.set(kind, done + 1);
    return true;
  };
  return {
    sample: due("sample"),
    collection: due("collection"),
    snapshot: due("snapshot"),
    restart: due("restart"),
    keys: due("keys"),
  };
}

const rounded = (sample: object) =>
  Object.fromEntries(
    Object.entries(sample).map(([name, value]) => [name, Number(Number(value).toPrecision(6))]),
  );
