/**
 * `npm run soak -- --hours N`: a durable server under mixed work for hours, and a verdict. Clients
 * read, write, replace, delete and search at a steady rate and judge every answer; meanwhile snapshots
 * are taken and removed, keys are given and revoked in the file the server watches, and in the first
 * half the server is restarted now and then. What the process holds is sampled all the while: in
 * the last half, in which nothing is restarted, memory and handles must stay flat. Ends with 1 when
 * something was wrong.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createKey } from "../src/access/keyFile.ts";
import { type Connection, connect, ok, pause, type Server, startServer } from "../test/server.ts";
import { numberOf, readArguments } from "./arguments.ts";
import { seededRandom, seedFromEnvironment } from "./random.ts";
import { takeSnapshot } from "./snapshot.ts";
import { Client, newTally, type Tally } from "./soakWork.ts";
import { type Vitals, vitalsOf } from "./vitals.ts";

const CLIENTS = 8;
const CENTRES = 64;
const DIMENSIONS = 128;
const SAMPLES = 240;
const RESTARTS = 6;
const SNAPSHOTS = 12;
const KEY_RELOADS = 24;
/** The server looks at its file of keys every few seconds. */
const RELOAD_SECONDS_MAX = 15;
const RECALL_QUERIES = 50;
/** Wide enough that what is missed tells of the graph and not of a short walk. */
const RECALL_EF = 200;
const K = 10;
/** Rows that each client reads again after a restart. */
const REREAD_ROWS = 200;
const RECALL_MIN = 0.95;
const MISSED_MAX = 0.001;
const GROWTH_MAX = 0.05;
const HANDLES_MAX = 16;
const RESTART_SECONDS_MAX = 10;

interface Sample extends Vitals {
  readonly atSeconds: number;
  readonly recall: number;
}

interface Restart {
  readonly stopSeconds: number;
  readonly readySeconds: number;
}

class Soak {
  readonly tally: Tally = newTally();
  readonly samples: Sample[] = [];
  readonly restarts: Restart[] = [];
  snapshots = 0;
  keyReloads = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), "omendb-soak-"));
  readonly #keysFile = join(this.#folder, "keys.json");
  readonly #own = createKey(undefined, { name: "soak", role: "admin" });
  readonly #perSecond: number;
  readonly #clients: Client[];
  readonly #centres: Float32Array[];
  readonly #random;
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
      if (isDue.snapshot(SNAPSHOTS, elapsed())) await this.#snapshot();
      if (isDue.keys(KEY_RELOADS, elapsed())) await this.#reloadKeys();
      const isFirstHalf = elapsed() < seconds / 2;
      if (isFirstHalf && isDue.restart(RESTARTS * 2, elapsed())) await this.#restart();
      await pause(200);
    }
    await Promise.all(work);
    await this.#restart();
    await this.#sample(elapsed());
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

  /** What searches at RECALL_EF find of what exact ones do, for points near the rows. */
  async #recall(connection: Connection): Promise<number> {
    let right = 0;
    for (let query = 0; query < RECALL_QUERIES; query++) {
      const centre = this.#centres[this.#random.integer(CENTRES)]!;
      const vector = Array.from(centre, (value) => value + 0.4 * this.#random.normal());
      const ask = (exact: boolean) =>
        connection.post("/search", { vector, k: K, ...(exact ? { exact } : { ef: RECALL_EF }) });
      const [truth, found] = [(await ask(true)).body, (await ask(false)).body];
      const bound = truth.results.at(-1).distance * (1 + 1e-6);
      right += found.results.filter(
        ({ distance }: { distance: number }) => distance <= bound,
      ).length;
    }
    return right / (RECALL_QUERIES * K);
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
    snapshot: due("snapshot"),
    restart: due("restart"),
    keys: due("keys"),
  };
}

const rounded = (sample: object) =>
  Object.fromEntries(
    Object.entries(sample).map(([name, value]) => [name, Number(Number(value).toPrecision(6))]),
  );

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** What is not as promised, in words; nothing when all is well. */
function judge({ tally, samples, restarts }: Soak): string[] {
  const half = samples.filter(({ atSeconds }) => atSeconds >= samples.at(-1)!.atSeconds / 2);
  // The last sample was taken after the last restart.
  const steady = half.slice(0, -1);
  const quarter = Math.floor(steady.length / 2);
  const growth = (of: (sample: Sample) => number) =>
    median(steady.slice(quarter).map(of)) - median(steady.slice(0, quarter).map(of));
  const resident = median(steady.map(({ residentBytes }) => residentBytes));
  const grown = growth(({ residentBytes }) => residentBytes) / resident;
  const handles = growth(({ handles: count }) => count);
  const recall = Math.min(...samples.map((sample) => sample.recall));
  const slowest = Math.max(...restarts.map(({ readySeconds }) => readySeconds));
  const missed = tally.missed / Math.max(1, tally.searches);
  return [
    ...tally.wrong.map((what) => `wrong: ${what}`),
    ...(grown > GROWTH_MAX ? [`memory grew by ${(grown * 100).toFixed(1)} %`] : []),
    ...(handles > HANDLES_MAX ? [`${handles} more handles`] : []),
    ...(recall < RECALL_MIN ? [`recall fell to ${recall.toFixed(3)}`] : []),
    ...(missed > MISSED_MAX ? [`${tally.missed} rows were not found by their own vector`] : []),
    ...(slowest > RESTART_SECONDS_MAX ? [`a restart took ${slowest.toFixed(1)} s`] : []),
  ];
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    hours: { type: "string", default: "2" },
    rate: { type: "string", default: "200" },
    rows: { type: "string", default: "40000" },
    json: { type: "string" },
  });
  const seconds = numberOf("hours", values.hours) * 3600;
  const perSecond = numberOf("rate", values.rate, 1);
  const rows = numberOf("rows", values.rows, 1);
  const seed = seedFromEnvironment();
  const about = `${rows} rows of ${DIMENSIONS} dimensions, ${perSecond} operations/s, SEED=${seed}`;
  console.log(`soak of ${values.hours} h: ${about}`);
  console.log(`${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`);
  const soak = new Soak(perSecond, rows, seed);
  try {
    await soak.run(seconds);
  } finally {
    soak.remove();
  }
  const { tally, samples, restarts, snapshots, keyReloads } = soak;
  const faults = judge(soak);
  const last = samples.at(-2) ?? samples.at(-1)!;
  console.log(`
searches ${tally.searches} (${tally.missed} missed their own row), reads ${tally.reads}, rows written ${tally.writes}, deletes ${tally.deletes}, refused for a while ${tally.refused}
snapshots ${snapshots}, key reloads ${keyReloads}, restarts ${restarts.length}: stopped in ${worst(restarts.map((r) => r.stopSeconds))} s, ready in ${worst(restarts.map((r) => r.readySeconds))} s at worst
recall ${Math.min(...samples.map(({ recall }) => recall)).toFixed(4)} at worst, resident ${mib(last.residentBytes)} MiB, handles ${last.handles}, log ${mib(last.walBytes)} MiB, lag ${worst(samples.map(({ lagMs }) => lagMs))} ms at worst
verdict: ${faults.length === 0 ? "sound" : "NOT SOUND"}`);
  for (const fault of faults) console.log(`  ${fault}`);
  if (values.json !== undefined) {
    const report = { about, seconds, tally, samples, restarts, snapshots, keyReloads, faults };
    writeFileSync(values.json, JSON.stringify(report));
  }
  process.exitCode = faults.length === 0 ? 0 : 1;
}

const worst = (values: readonly number[]) => Math.max(0, ...values).toFixed(1);
const mib = (bytes: number) => Math.round(bytes / 1048576);

await main();
