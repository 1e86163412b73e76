/**
 * The real server beside a plain model: the same app over rows in a Map. Random operations over
 * every verb, several collections and connections go to both, one after the other, and both answer
 * the same, also after the real one was ended, killed and put back to snapshots.
 *
 * MODEL_OPERATIONS makes it longer: `npm run test:model` asks for 200,000.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type Random, seededRandom, seedFromEnvironment } from "../perf/random.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { MemorySnapshots } from "./memorySnapshots.ts";
import { type Answer, type Connection, pause, type Server, startServer } from "./server.ts";

const OPERATIONS = Number(process.env.MODEL_OPERATIONS ?? 3000);
const IS_LONG = OPERATIONS > 10_000;
const DIMENSIONS = 6;
const IDS = 120;
const CONNECTIONS = 3;
const PAGE_ROWS = 25;
/** Operations between two ends of the real server. */
const LIFE = Math.max(400, Math.floor(OPERATIONS / 40));
const PATIENT = {
  KEEP_ALIVE_TIMEOUT_MS: 3_600_000,
  HEADERS_TIMEOUT_MS: 600_000,
  REQUEST_TIMEOUT_MS: 600_000,
};
const TOLERANCE = 1e-5;
const BASES = ["", "/collections/books", "/collections/angles", "/collections/dots"];

type Json = Record<string, unknown>;

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** What an operation may look like; each draws its own numbers. */
class Draw {
  readonly #random: Random;
  readonly #keys: Asked[] = [];
  #keyCount = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  below(n: number): number {
    return this.#random.integer(n);
  }

  chance(share: number): boolean {
    return this.#random.next() < share;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  id(): string {
    return `id-${this.below(IDS)}`;
  }

  ids(most: number): string[] {
    return [...new Set(Array.from({ length: 1 + this.below(most) }, () => this.id()))];
  }

  /** Small whole numbers, so that sums are exact and rows tie; never all zero. */
  vector(): number[] {
    const length = this.chance(0.02) ? DIMENSIONS + 1 : DIMENSIONS;
    return Array.from({ length }, (_, index) => this.below(4) + (index === 0 ? 1 : 0));
  }

  metadata(): Json {
    const tags = ["red", "green", "blue"].filter(() => this.chance(0.4));
    return {
      n: this.below(50),
      ...(this.chance(0.7) ? { tags } : {}),
      ...(this.chance(0.3) ? { deep: { flag: this.chance(0.5), text: `t${this.below(9)}` } } : {}),
      ...(this.chance(0.1) ? { n: `${this.below(50)}` } : {}),
      ...(this.chance(0.1) ? { gone: null } : {}),
    };
  }

  row(id = this.id()): Json {
    return {
      id,
      vector: this.vector(),
      ...(this.chance(0.8) ? { metadata: this.metadata() } : {}),
    };
  }

  filter(): Json {
    const n = this.below(50);
    return this.of<Json>([
      { n: { $lt: n } },
      { n: { $gte: n, $ne: n + 3 } },
      { tags: this.of(["red", "green", "blue"]) },
      { tags: { $nin: ["red", "blue"] } },
      { "deep.flag": true },
      { "deep.text": { $contains: `${this.below(9)}` } },
      { gone: { $exists: this.chance(0.5) } },
      { $or: [{ n }, { tags: "green", "deep.flag": { $exists: true } }] },
      { $not: { n: { $in: [n, n + 1, `${n}`] } } },
    ]);
  }

  mode(): Json {
    return this.chance(0.6) ? {} : { mode: this.of(["upsert", "insert", "update"]) };
  }

  condition(): Record<string, string> {
    if (this.chance(0.7)) return {};
    return this.of<Record<string, string>>([
      { "if-match": "*" },
      { "if-match": `"${1 + this.below(400)}"` },
      { "if-none-match": "*" },
    ]);
  }

  write(base: string): Asked {
    const headers = this.condition();
    const path = `${base}/vectors/${this.id()}`;
    return this.of<() => Asked>([
      () => ({
        ...{ method: "POST", path: `${base}/vectors/add`, headers },
        body: { ...this.row(), ...this.mode() },
      }),
      () => ({
        ...{ method: "POST", path: `${base}/vectors/batch` },
        body: { vectors: this.ids(30).map((id) => this.row(id)), ...this.mode() },
      }),
      () => ({
        ...{ method: "PATCH", path, headers: { ...headers, "if-none-match": undefined! } },
        body: this.of<Json>([{ vector: this.vector() }, { metadata: this.metadata() }]),
      }),
      () => ({ method: "DELETE", path, headers }),
      () => ({ method: "POST", path: `${base}/vectors/delete`, body: { ids: this.ids(10) } }),
      () => ({
        ...{ method: "POST", path: `${base}/vectors/delete` },
        body: { filter: { $and: [this.filter(), { n: { $lt: this.below(12) } }] } },
      }),
    ])();
  }

  /** Under a key, and now and then one that was there before, as it was or another. */
  keyed(base: string): Asked {
    if (this.#keys.length > 0 && this.chance(0.5)) {
      const before = this.of(this.#keys);
      return this.chance(0.8) ? before : { ...this.write(base), headers: before.headers };
    }
    const asked = this.write(base);
    const headers = { ...asked.headers, "idempotency-key": `key-${this.#keyCount++}` };
    if (this.#keys.push({ ...asked, headers }) > 50) this.#keys.shift();
    return this.#keys.at(-1)!;
  }

  search(): Json {
    return {
      ...{ vector: this.vector(), k: 1 + this.below(40), exact: true },
      include_vector: this.chance(0.3),
      ...(this.chance(0.4) ? { filter: this.filter() } : {}),
      ...(this.chance(0.1) ? { max_distance: this.below(6) } : {}),
    };
  }

  read(base: string): Asked {
    return this.of<() => Asked>([
      () => ({ method: "GET", path: `${base}/vectors/${this.id()}`, headers: this.condition() }),
      () => ({ method: "POST", path: `${base}/vectors/get`, body: { ids: this.ids(20) } }),
      () => ({ method: "POST", path: `${base}/vectors/count`, body: { filter: this.filter() } }),
      () => ({ method: "POST", path: `${base}/vectors/count`, body: {} }),
      () => ({ method: "POST", path: `${base}/search`, body: this.search() }),
      () => ({ method: "POST", path: `${base}/search`, body: this.search() }),
      () => ({
        ...{ method: "POST", path: `${base}/search/batch` },
        body: { searches: [this.search(), this.search()] },
      }),
    ])();
  }

  collection(base: string): Asked {
    const path = base === "" ? "/collections/default" : base;
    const metric = { angles: "cosine", dots: "dot" }[base.slice(13)] ?? "l2";
    const m = this.chance(0.1) ? { m: 8 } : {};
    return this.chance(0.25)
      ? { method: "DELETE", path }
      : { method: "PUT", path, body: { dimensions: DIMENSIONS, metric, ...m } };
  }
}

describe(`twins, ${OPERATIONS} operations`, () => {
  const seed = seedFromEnvironment();
  const draw = new Draw(seededRandom(seed));
  let folder: string;
  let server: Server;
  let real: Connection[] = [];
  let door: OpenDoor;
  let model: Connection;
  /** Snapshots by what both call them. */
  let snapshots: { base: string; ids: readonly [string, string] }[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-"));
    door = await openDoor(PATIENT);
    door.database.snapshots = new MemorySnapshots(door.database);
    model = door.connect();
    await begin();
  });
  after(async () => {
    await server?.stop("SIGKILL");
    await closeDoors();
    await rm(folder, { recursive: true, force: true });
  });

  async function begin(): Promise<void> {
    server = await startServer({
      ...{ PATH: join(folder, "data"), THREADS: 2, SHARD_ROWS: 90, LOG_LEVEL: "warn" },
      // A process that is killed loses nothing then either, and a long run takes half the time.
      ...{ WRITE_WAIT_MS: 60_000, SAFETY: IS_LONG ? "normal" : "strict" },
      // Both may be halted for minutes, by whoever wants the machine for himself.
      ...PATIENT,
    });
    real = Array.from({ length: CONNECTIONS }, () => server.connect());
  }

  const both = ({ method, path, body, headers = {} }: Asked, paths = [path, path]) => {
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value));
    return Promise.all([
      draw.of(real).send(method, paths[0]!, body, sent),
      model.send(method, paths[1]!, body, sent),
    ]);
  };

  async function compare(asked: Asked): Promise<Answer> {
    const [got, wanted] = await both(asked);
    const what = JSON.stringify(asked);
    expect([got.status, got.body?.code], `${what} ${got.text} ${wanted.text}`).to.deep.equal([
      wanted.status,
      wanted.body?.code,
    ]);
    expect(got.headers.etag, what).to.equal(wanted.headers.etag);
    if (got.status < 400) expectSame(asked, got.body, wanted.body, what);
    else expect(got.body.ids, what).to.deep.equal(wanted.body.ids);
    return got;
  }

  function expectSame(asked: Asked, got: Json, wanted: Json, what: string): void {
    const isSearch = /search(\/batch)?$/.test(asked.path);
    if (!isSearch) return void expect(got, what).to.deep.equal(wanted);
    const lists = [got, wanted].map(({ results }) =>
      asked.path.endsWith("batch") ? (results as Json[][]) : [results as Json[]],
    );
    if (!asked.path.includes("angles")) return void expect(lists[0], what).to.deep.equal(lists[1]);
    // Under cosine the last digits differ, and so may the order of what is equally far, and on which
    // side of max_distance a row lies.
    const searches = (asked.body as { searches?: Json[] }).searches ?? [asked.body as Json];
    for (const [index, { max_distance: limit = Number.POSITIVE_INFINITY }] of searches.entries()) {
      const [hits, others] = lists.map((list) =>
        list[index]!.map(({ distance }) => distance as number).filter(
          (distance) => distance < (limit as number) - TOLERANCE,
        ),
      );
      expect(hits!.length, what).to.equal(others!.length);
      for (const [place, distance] of hits!.entries()) {
        expect(distance, what).to.be.closeTo(others![place]!, TOLERANCE);
      }
    }
  }

  async function compareAll(base: string): Promise<void> {
    const pages = await Promise.all([scroll(draw.of(real), base), scroll(model, base)]);
    expect(pages[0]).to.deep.equal(pages[1]);
    const [got, wanted] = await both({ method: "GET", path: `${base}/stats` });
    const told = (body: Json) => [body.code, body.vectors, body.sequence, body.dimensions];
    expect(told(got.body)).to.deep.equal(told(wanted.body));
  }

  async function scroll(client: Connection, base: string): Promise<Json[]> {
    const rows: Json[] = [];
    for (let cursor = ""; ; ) {
      const { status, body } = await client.get(`${base}/vectors?limit=${PAGE_ROWS}${cursor}`);
      if (status !== 200) return [{ status, code: body.code }];
      rows.push(...body.vectors);
      if (body.next_cursor === null) break;
      cursor = `&cursor=${encodeURIComponent(body.next_cursor)}`;
    }
    return rows.sort((a, b) => ((a.id as string) < (b.id as string) ? -1 : 1));
  }

  async function snapshot(): Promise<void> {
    const base = draw.of(BASES);
    const [got, wanted] = await both({ method: "POST", path: `${base}/snapshots` });
    expect(got.status, got.text).to.equal(wanted.status);
    if (got.status !== 202) return;
    const ids = [got.body.id, wanted.body.id] as const;
    const path = `${base}/snapshots/${ids[0]}`;
    for (;;) {
      const { body } = await real[0]!.get(path);
      if (body.status === "ready") break;
      expect(body.status, JSON.stringify(body)).to.equal("creating");
      await pause(5);
    }
    snapshots.push({ base, ids });
  }

  async function restore(): Promise<void> {
    if (snapshots.length === 0) return;
    const { base, ids } = draw.of(snapshots);
    const paths = ids.map((id) => `${base}/snapshots/${id}/restore`);
    const [got, wanted] = await both({ method: "POST", path: "" }, paths);
    expect([got.status, got.body], got.text).to.deep.equal([wanted.status, wanted.body]);
    await compareAll(base);
  }

  it(`answer the same, seed ${seed}`, async () => {
    let restarts = 0;
    const statuses = new Map<number, number>();
    for (const base of BASES.slice(1)) await compare(draw.collection(base));
    for (let done = 0; done < OPERATIONS; done++) {
      const base = draw.of(BASES);
      const drawn = draw.below(1000);
      if (drawn < 450) note(await compare(draw.write(base)));
      else if (drawn < 550) note(await compare(draw.keyed(base)));
      else if (drawn < 980) note(await compare(draw.read(base)));
      else if (drawn < 984) {
        const asked = draw.collection(base);
        note(await compare(asked));
        if (asked.method === "DELETE") snapshots = snapshots.filter((each) => each.base !== base);
      } else if (drawn < 994) await compareAll(base);
      else await (drawn < 997 ? snapshot() : restore());
      if (done % LIFE === LIFE - 1) {
        await server.stop(draw.chance(0.5) ? "SIGKILL" : "SIGTERM");
        await begin();
        restarts++;
        for (const each of BASES) await compareAll(each);
        if (IS_LONG) console.log(`      ${done + 1} operations, no difference`);
      }
    }
    const counts = [...statuses].sort(([a], [b]) => a - b).map((each) => each.join(" x "));
    console.log(`      ${OPERATIONS} operations, ${restarts} restarts: ${counts.join(", ")}`);
    for (const status of [200, 400, 404, 409, 412]) expect(statuses).to.include.keys(status);

    function note({ status }: Answer): void {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  }).timeout(60_000 + OPERATIONS * 20);
});
