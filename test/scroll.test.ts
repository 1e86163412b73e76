/**
 * Scrolling over HTTP: what a page may be asked for, and a scroll of a real server's rows while
 * writers run on other connections. SCROLL_ROWS makes that one as long as wanted; `npm run
 * test:scroll` asks for a million.
 */
import { expect } from "chai";
import { seededRandom, seedFromEnvironment } from "../perf/random.ts";
import { closeDoors, openDoor } from "./httpDoor.ts";
import { type Connection, type Server, startServer } from "./server.ts";

const ROWS = Number(process.env.SCROLL_ROWS ?? 20_000);
const DIMENSIONS = 8;
const BATCH_ROWS = 2000;
const PAGE_ROWS = 1000;
const WRITERS = 3;
/** Rows that nobody takes away, of each hundred. */
const STEADY_SHARE = 90;

describe("scroll over HTTP", () => {
  let client: Connection;
  before(async () => {
    client = (await openDoor()).connect();
  });
  after(closeDoors);

  it("gives nothing before the first write", async () => {
    const { status, body } = await client.get("/vectors");
    expect([status, body]).to.deep.equal([200, { vectors: [], next_cursor: null }]);
    const missing = await client.get("/collections/nowhere/vectors");
    expect(missing.body.code).to.equal("COLLECTION_NOT_FOUND");
    expect((await client.get("/vectors?cursor=AAAA")).body.code).to.equal("INVALID_CURSOR");
  });

  it("gives pages with what was asked for, and the cursor of the next", async () => {
    const vectors = Array.from({ length: 150 }, (_, n) => ({
      ...{ id: `${n}`.padStart(3, "0"), vector: [n, 1] },
      ...(n % 2 === 0 ? { metadata: { n } } : {}),
    }));
    await client.post("/vectors/batch", { vectors });
    const first = (await client.get("/vectors")).body;
    expect(first.vectors).to.have.length(100);
    const row = { id: "000", vector: [0, 1], metadata: { n: 0 }, version: 1 };
    expect(first.vectors[0]).to.deep.equal(row);
    expect(first.vectors[1].metadata).to.equal(null);
    const cursor = encodeURIComponent(first.next_cursor);
    const next = await client.get(
      `/collections/default/vectors?cursor=${cursor}&limit=50&include_vector=false&include_metadata=false`,
    );
    expect(next.body.next_cursor).to.equal(null);
    expect(next.body.vectors).to.have.length(50);
    expect(next.body.vectors[0]).to.deep.equal({ id: "100", version: 1 });
    const filter = encodeURIComponent('{"n":{"$lt":5}}');
    const few = (await client.get(`/vectors?filter=${filter}&include_vector=false`)).body;
    expect(few.vectors.map(({ id }: { id: string }) => id)).to.deep.equal(["000", "002", "004"]);
    const got = await client.post("/vectors/get", { ids: ["000"], include_metadata: false });
    expect(got.body.vectors).to.deep.equal([{ id: "000", vector: [0, 1], version: 1 }]);
  });

  it("refuses parameters that it cannot read, or does not know", async () => {
    for (const [query, code, detail] of [
      ["limit=0", "INVALID_REQUEST", /limit/],
      ["limit=10001", "INVALID_REQUEST", /limit/],
      ["limit=ten", "INVALID_REQUEST", /limit/],
      ["limit=1&limit=2", "INVALID_REQUEST", /limit.*more than once/],
      ["limits=1", "INVALID_REQUEST", /limits: is not known here; known are limit/],
      ["include_vector=yes", "INVALID_REQUEST", /include_vector/],
      ["filter=n", "INVALID_REQUEST", /filter.*not JSON/],
      ["filter=[]", "INVALID_FILTER", /expected an object/],
      ['filter={"n":{"$gt":[]}}', "INVALID_FILTER", /expected/],
      ["cursor=", "INVALID_CURSOR", /cursor/],
      ["cursor=%00", "INVALID_CURSOR", /cursor/],
    ] as const) {
      const { status, body } = await client.get(`/vectors?${encodeURI(query)}`);
      expect([status, body?.code], query).to.deep.equal([400, code]);
      expect(body.detail).to.match(detail);
    }
  });
});

describe(`scroll of ${ROWS} rows while ${WRITERS} clients write, 2 listeners`, () => {
  const seed = seedFromEnvironment();
  const random = seededRandom(seed);
  let server: Server;
  let clients: Connection[];
  /** Rows are named by their number; the last ones of each hundred come and go. */
  const isSteady = (n: number) => n % 100 < STEADY_SHARE;
  const rowOf = (n: number, by: number) => ({
    ...{ id: `row-${n}`, metadata: { n, by } },
    vector: Array.from({ length: DIMENSIONS }, () => Math.fround(random.next())),
  });

  before(async function () {
    this.timeout(60_000 + ROWS);
    // Shards of a third, so that rows lie in several; tail and time for a machine that is shared.
    server = await startServer({
      ...{ THREADS: 2, LOG_LEVEL: "warn", SHARD_ROWS: Math.ceil(ROWS / 3) },
      ...{ TAIL_ROWS: 100_000, WRITE_WAIT_MS: 120_000 },
    });
    clients = Array.from({ length: WRITERS + 1 }, () => server.connect());
    for (let n = 0; n < ROWS; n += BATCH_ROWS) {
      const length = Math.min(BATCH_ROWS, ROWS - n);
      const vectors = Array.from({ length }, (_, index) => rowOf(n + index, 0));
      const { status, text } = await clients[0]!.post("/vectors/batch", { vectors });
      expect(status, text).to.equal(200);
    }
  });
  after(() => {
    for (const client of clients) client.close();
    return server?.stop();
  });

  it("gives each row that was there throughout exactly once", async function () {
    this.timeout(60_000 + ROWS);
    console.log(`      SEED=${seed}`);
    let isDone = false;
    let writes = 0;
    let updates = 0;
    const write = async (client: Connection, by: number) => {
      const own = seededRandom(seed + by);
      while (!isDone) {
        const numbers = [...new Set(Array.from({ length: 20 }, () => own.integer(ROWS)))];
        const fresh = Array.from({ length: 5 }, () => rowOf(ROWS + own.integer(ROWS), by));
        const unique = new Map(fresh.map((row) => [row.id, row]));
        const vectors = [...numbers.map((n) => rowOf(n, by)), ...unique.values()];
        const put = await client.post("/vectors/batch", { vectors });
        const ids = numbers.filter((n) => !isSteady(n)).map((n) => `row-${n}`);
        const gone = await client.post("/vectors/delete", { ids: [...ids, "none"] });
        expect([put.status, gone.status], put.text + gone.text).to.deep.equal([200, 200]);
        writes += 2;
        updates += numbers.length;
      }
    };
    const writing = clients.slice(1).map((client, index) => write(client, index + 1));
    const times = new Uint8Array(ROWS);
    const beganAt = performance.now();
    let pages = 0;
    let cursor: string | null = null;
    let stray = "";
    try {
      do {
        const more: string = cursor === null ? "" : `&cursor=${cursor}`;
        const path = `/vectors?limit=${PAGE_ROWS}&include_vector=false${more}`;
        const { status, text, body } = await clients[0]!.get(path);
        expect(status, text).to.equal(200);
        for (const { id, metadata } of body.vectors) {
          const n = Number(id.slice(4));
          if (metadata.n !== n) stray = `${id} came with the metadata of ${metadata.n}`;
          if (n < ROWS && isSteady(n)) times[n]!++;
        }
        cursor = body.next_cursor;
        pages++;
      } while (cursor !== null);
    } finally {
      isDone = true;
    }
    const seconds = (performance.now() - beganAt) / 1000;
    await Promise.all(writing);
    console.log(
      `      ${pages} pages in ${seconds.toFixed(1)} s; ${writes} writes, ${updates} rows updated`,
    );
    expect(stray).to.equal("");
    const wrong = [...times.entries()].filter(([n, count]) => isSteady(n) && count !== 1);
    expect(wrong.slice(0, 5), `${wrong.length} rows came not once`).to.deep.equal([]);
    expect(writes).to.be.greaterThan(0);
  });
});
