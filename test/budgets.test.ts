/**
 * Budgets of requests and vectors on a real server with several listeners, asked over many
 * connections at once: what passes in a window is the budget, to the request.
 */
import { expect } from "chai";
import { type Answer, type Server, startServer } from "./server.ts";

const CONNECTIONS = 48;
const WINDOWS = 4;
const REQUESTS = 300;
const VECTORS = 2000;
const BATCH = 10;
const WINDOW_MS = 1000;
const QUOTA = 500;

/** The process's monotonic clock, which the server's windows are cut from: one for all processes. */
function windowNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return Math.floor((seconds * 1000 + nanoseconds / 1e6) / WINDOW_MS);
}

interface Seen {
  /** How often a passed request was told that so much is left: once in each window. */
  readonly left: Map<number, number>;
  passed: number;
  refused: number;
}

/** Asks on all connections until the budget was used up in so many windows. */
async function exhaust(
  server: Server,
  policy: string,
  path: string,
  body: unknown,
): Promise<Seen & { windows: number }> {
  const seen: Seen = { left: new Map(), passed: 0, refused: 0 };
  const first = windowNow();
  const isDone = () => (seen.left.get(0) ?? 0) >= WINDOWS;
  const note = ({ status, headers, text }: Answer) => {
    if (status === 429) {
      seen.refused++;
      expect(Number(headers["retry-after"])).to.be.at.least(1);
      return;
    }
    expect(status, text).to.equal(200);
    const left = Number(new RegExp(`"${policy}"; r=(\\d+)`).exec(`${headers.ratelimit}`)?.[1]);
    seen.left.set(left, (seen.left.get(left) ?? 0) + 1);
    seen.passed++;
  };
  const asking = Array.from({ length: CONNECTIONS }, async () => {
    const connection = server.connect();
    while (!isDone()) note(await connection.post(path, body));
    connection.close();
  });
  await Promise.all(asking);
  return { ...seen, windows: windowNow() - first + 1 };
}

describe("budgets over several listeners", () => {
  let server: Server;
  afterEach(async () => {
    expect(await server.stop()).to.equal(0);
  });

  function holds(seen: Seen & { windows: number }, budget: number, step: number): void {
    const { left, passed, refused, windows } = seen;
    const exhausted = left.get(0)!;
    const shown = `${passed} passed, ${refused} refused, ${exhausted} of ${windows} windows used up`;
    console.log(`      ${shown}, ${budget / step} allowed in each`);
    expect(refused).to.be.above(0);
    // None twice in a window, and none left out of a window that was used up.
    for (let rest = 0; rest < budget; rest += step) {
      expect(left.get(rest), `${rest} left`).to.be.within(exhausted, windows);
    }
    expect([...left.keys()].every((rest) => rest % step === 0 && rest < budget)).to.equal(true);
    expect(passed).to.be.at.most((windows * budget) / step);
  }

  it("lets exactly the requests of a window pass, however they are spread", async () => {
    server = await startServer({ THREADS: 3, RATE_LIMIT: REQUESTS, LOG_LEVEL: "warn" });
    holds(await exhaust(server, "requests", "/search", { vector: [1, 2] }), REQUESTS, 1);
  });

  it("lets exactly the vectors of a window pass, batch by batch", async () => {
    server = await startServer({ THREADS: 3, VECTOR_RATE_LIMIT: VECTORS, LOG_LEVEL: "warn" });
    const searches = Array.from({ length: BATCH }, () => ({ vector: [1, 2] }));
    holds(await exhaust(server, "vectors", "/search/batch", { searches }), VECTORS, BATCH);
  });

  it("takes exactly the rows of a quota, whoever is faster", async () => {
    server = await startServer({ THREADS: 3, LOG_LEVEL: "fatal" });
    const client = server.connect();
    await client.send("PUT", "/collections/c", { dimensions: 2, quota: { vectors: QUOTA } });
    const statuses = new Map<number, number>();
    const writing = Array.from({ length: CONNECTIONS }, async (_, writer) => {
      const connection = server.connect();
      for (let row = 0; row < (2 * QUOTA) / CONNECTIONS; row++) {
        const body = { id: `${writer}-${row}`, vector: [writer, row] };
        const { status } = await connection.post("/collections/c/vectors/add", body);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
      connection.close();
    });
    await Promise.all(writing);
    expect([...statuses.keys()].sort()).to.deep.equal([200, 507]);
    expect(statuses.get(200)).to.equal(QUOTA);
    expect((await client.post("/collections/c/vectors/count", {})).body.count).to.equal(QUOTA);
    client.close();
  });
});
