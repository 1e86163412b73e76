/**
 * Whatever is sent: requests drawn from the OpenAPI document, and spoilt ones, to every operation of
 * a real server. Only what the document says comes back, nothing fails inside, and a request that
 * was refused has written nothing. FUZZ_RUNS makes it longer; SEED repeats a run.
 */
import { expect } from "chai";
import fc from "fast-check";
import { seedFromEnvironment } from "../perf/random.ts";
import { openApiDocument } from "../src/http/openapi.ts";
import { requestsTo, type Sent } from "./bodies.ts";
import { type Call, Contract } from "./contract.ts";
import { type Answer, type Connection, type Server, startServer } from "./server.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 40);
const contract = new Contract(JSON.parse(JSON.stringify(openApiDocument("1.2.3"))));

/** A path may be one of another operation, so that is what answers. */
function answering(call: Call, { path }: Sent, status: number): Call | undefined {
  const asked = path.split("?")[0]!;
  const found = contract.calls.filter(({ method, path: template }) => {
    const pattern = template.replaceAll(/[.]/g, "\\.").replaceAll(/\{\w+\}/g, "[^/]+");
    return method === call.method && new RegExp(`^${pattern}$`).test(asked);
  });
  // Fixed paths come before those with parameters.
  found.sort((a, b) => a.path.split("{").length - b.path.split("{").length);
  return found.find(({ operation }) => status in operation.responses) ?? found[0];
}

describe(`what strangers send, seed ${seedFromEnvironment() | 0}`, () => {
  const seed = seedFromEnvironment() | 0;
  let server: Server;
  let client: Connection;
  let other: Connection;
  before(async () => {
    server = await startServer({ THREADS: 2, LOG_LEVEL: "error", MAX_BODY_MB: 4 });
    client = server.connect();
    other = server.connect();
  });
  after(async () => {
    client?.close();
    other?.close();
    await server?.stop();
  });

  async function begin(): Promise<void> {
    await other.send("PUT", "/collections/books", { dimensions: 3 });
    await other.send("PUT", "/collections/angles", { dimensions: 3, metric: "cosine" });
    const row = { id: "a", vector: [1, 2, 3], metadata: { n: 1 } };
    for (const base of ["", "/collections/books", "/collections/angles"]) {
      await other.post(`${base}/vectors/add`, row);
    }
  }

  /** Every collection, with what any write would change. */
  async function state(): Promise<string> {
    const { body } = await other.get("/collections");
    const names: string[] = body.collections.map(({ name }: { name: string }) => name);
    const all = names.map(async (name) => {
      const { body: stats } = await other.get(`/collections/${name}/stats`);
      return [name, stats.vectors, stats.sequence, stats.dimensions, stats.metric];
    });
    return JSON.stringify(await Promise.all(all));
  }

  async function judge(call: Call, sent: Sent): Promise<Answer> {
    const before = await state();
    const answer = await client.send(call.method, sent.path, sent.body, sent.headers);
    const what = `${call.method} ${sent.path} ${JSON.stringify(sent.headers)} ${sent.body}`;
    const shown = `${what.slice(0, 600)} -> ${answer.status} ${answer.text.slice(0, 300)}`;
    expect(answer.status, shown).to.be.below(500);
    if (answer.status >= 400) {
      expect(answer.headers["content-type"], shown).to.match(/^application\/problem\+json/);
      // Rows before a line at fault are written, and the answer counts them.
      if (answer.body.accepted === undefined) expect(await state(), shown).to.equal(before);
    }
    const by = answering(call, sent, answer.status);
    // Expect is judged before the address is looked up.
    const isExpecting = answer.status === 417 && sent.headers.expect !== undefined;
    const isNowhere = answer.status === 404 || answer.status === 405 || isExpecting;
    if (by === undefined) expect(isNowhere, shown).to.equal(true);
    else contract.hold(by, answer);
    return answer;
  }

  /** Of all requests, by status. */
  const statuses = new Map<number, number>();

  for (const call of contract.calls) {
    it(`gets documented answers from ${call.method} ${call.path}`, async () => {
      await begin();
      await fc.assert(
        fc.asyncProperty(requestsTo(call, contract.document), async (sent) => {
          const { status } = await judge(call, sent);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }),
        { seed, numRuns: RUNS, endOnFailure: false },
      );
    }).timeout(30_000 + RUNS * 200);
  }

  it("got through often enough for that to mean something", () => {
    const sent = [...statuses].sort(([a], [b]) => a - b);
    const total = sent.reduce((sum, [, count]) => sum + count, 0);
    console.log(`      ${total} requests: ${sent.map((each) => each.join(" x ")).join(", ")}`);
    expect(statuses.get(200)! / total).to.be.above(0.15);
    if (RUNS < 200) return;
    expect([...statuses.keys()]).to.include.members([201, 304, 400, 404, 409, 412, 415, 417]);
  });
});
