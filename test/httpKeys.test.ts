/** Who may call, how often, and that the threads together keep one budget. */
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { Windows } from "../src/http/windows.ts";
import { ControlMemory } from "../src/threads/control.ts";
import { closeDoors, openDoor } from "./httpDoor.ts";
import { makeKeyring } from "./keyring.ts";

const KEY = "the key, with spaces";

/** So that no window ends on the way. */
async function startOfSecond(control: ControlMemory): Promise<void> {
  const { msLeft } = new Windows(control.requestCells, control.seed, 1000).add("nobody");
  await new Promise((resolve) => setTimeout(resolve, msLeft + 20));
}

describe("http keys", () => {
  afterEach(closeDoors);

  it("asks for a key everywhere but for health, before it reads a body", async () => {
    const door = await openDoor({ API_KEY: KEY });
    const stranger = door.connect();
    for (const path of ["/health", "/livez", "/readyz"]) {
      expect((await stranger.get(path)).status).to.equal(200);
    }
    for (const path of ["/stats", "/metrics", "/openapi.json", "/collections", "/nowhere"]) {
      const { status, body, headers } = await stranger.get(path);
      expect([status, body.code], path).to.deep.equal([401, "UNAUTHENTICATED"]);
      expect(headers["www-authenticate"]).to.match(/^Bearer/);
    }
    const broken = await stranger.send("POST", "/vectors/add", "broken");
    expect(broken.body.code).to.equal("UNAUTHENTICATED");
    expect(door.database.collections()).to.deep.equal([]);
  });

  it("takes the key in both headers, and only whole", async () => {
    const door = await openDoor({ API_KEY: KEY });
    const statusWith = async (headers: Record<string, string>) =>
      (await door.connect(headers).get("/stats")).status;
    expect(await statusWith({ "x-api-key": KEY })).to.equal(200);
    expect(await statusWith({ authorization: `Bearer ${KEY}` })).to.equal(200);
    expect(await statusWith({ authorization: `bearer ${KEY}` })).to.equal(200);
    for (const wrong of [KEY.slice(1), `${KEY}x`, KEY.toUpperCase(), ""]) {
      expect(await statusWith({ "x-api-key": wrong })).to.equal(401);
      expect(await statusWith({ authorization: `Bearer ${wrong}` })).to.equal(401);
    }
    expect(await statusWith({ authorization: `Basic ${KEY}` })).to.equal(401);
  });

  it("opens metrics and docs when told to", async () => {
    const door = await openDoor({ API_KEY: KEY, METRICS_PUBLIC: "true", DOCS_PUBLIC: "true" });
    expect((await door.connect().get("/metrics")).status).to.equal(200);
    expect((await door.connect().get("/openapi.json")).status).to.equal(200);
    expect((await door.connect().get("/stats")).status).to.equal(401);
  });

  it("slows down who tries keys, over all listeners, and never who has one", async () => {
    const control = new ControlMemory();
    const doors = [
      await openDoor({ API_KEY: KEY }, { control }),
      await openDoor({ API_KEY: KEY }, { control }),
    ];
    const guess = (turn: number) =>
      doors[turn % 2]!.connect({ "x-api-key": `guess ${turn}` }).get("/stats");
    const statuses: number[] = [];
    for (let turn = 0; turn < 30; turn++) statuses.push((await guess(turn)).status);
    expect(statuses.filter((status) => status === 401)).to.have.length(20);
    expect(statuses.slice(20)).to.deep.equal(Array.from({ length: 10 }, () => 429));
    const { headers, body } = await guess(31);
    expect(body.code).to.equal("RATE_LIMITED");
    expect(Number(headers["retry-after"])).to.be.within(1, 60);
    for (const door of doors) {
      expect((await door.connect({ "x-api-key": KEY }).get("/stats")).status).to.equal(200);
      expect((await door.connect().get("/health")).status).to.equal(200);
    }
    expect(control.total("authFailures")).to.equal(31);
    expect(control.total("rateLimited")).to.equal(11);
  });
});

describe("http rate limit", () => {
  afterEach(closeDoors);

  it("is one budget over two listeners, says what is left, and is over with the second", async () => {
    const control = new ControlMemory();
    const settings = { RATE_LIMIT: 50 };
    const clients = [
      (await openDoor(settings, { control })).connect(),
      (await openDoor(settings, { control })).connect(),
    ];
    await startOfSecond(control);
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, turn) => clients[turn % 2]!.get("/stats")),
    );
    const passed = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect([passed.length, refused.length]).to.deep.equal([50, 30]);
    const [first] = passed;
    expect(first!.headers["ratelimit-policy"]).to.match(/^"requests"; q=50; w=1/);
    expect(first!.headers.ratelimit).to.match(/^"requests"; r=\d+; t=\d+/);
    expect(refused[0]!.body).to.include({ code: "RATE_LIMITED", status: 429 });
    expect(refused[0]!.headers["retry-after"]).to.equal("1");
    expect((await clients[0]!.get("/health")).status).to.equal(200);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect((await clients[0]!.get("/stats")).status).to.equal(200);
  });

  it("counts vectors over two listeners, batches whole, and never more than a second has", async () => {
    const control = new ControlMemory();
    const settings = { VECTOR_RATE_LIMIT: 500 };
    const clients = [
      (await openDoor(settings, { control })).connect(),
      (await openDoor(settings, { control })).connect(),
    ];
    const vectors = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ id: index, vector: [index, 1] }));
    await startOfSecond(control);
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, turn) =>
        clients[turn % 2]!.post("/vectors/batch", { vectors: vectors(49) }),
      ),
    );
    const passed = answers.filter(({ status }) => status === 200);
    // Ten batches of 49 fit into 500, an eleventh does not, and ten single rows are left.
    expect(passed).to.have.length(10);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.body).to.include({ code: "RATE_LIMITED" });
    expect(refused.headers["retry-after"]).to.equal("1");
    expect(refused.headers["ratelimit-policy"]).to.equal('"vectors"; q=500; w=1');
    const singles = await Promise.all(
      Array.from({ length: 20 }, (_, turn) =>
        turn % 2
          ? clients[turn % 2]!.post("/search", { vector: [1, 1] })
          : clients[turn % 2]!.post("/vectors/add", { id: "x", vector: [1, 1] }),
      ),
    );
    expect(singles.filter(({ status }) => status === 200)).to.have.length(10);
    const large = await clients[0]!.post("/vectors/batch", { vectors: vectors(501) });
    expect([large.status, large.body.code]).to.deep.equal([413, "BODY_TOO_LARGE"]);
    const lines = vectors(1200).map((row) => JSON.stringify(row));
    const begunAt = performance.now();
    const type = { "content-type": "application/x-ndjson" };
    const streamed = await clients[1]!.send("POST", "/vectors/batch", lines.join("\n"), type);
    expect(streamed.body).to.include({ accepted: 1200 });
    // 500 a second: the last of 1,200 come two seconds after the first at the earliest.
    expect(performance.now() - begunAt).to.be.above(1000);
  });

  it("is the key's own where the key file says so", async () => {
    const { text, keys } = makeKeyring([
      { name: "slow", role: "reader", rate_limit: 3 },
      { name: "free", role: "reader", rate_limit: 0 },
      { name: "usual", role: "writer", vector_rate_limit: 5 },
    ]);
    const settings = { KEYS_FILE: "keys.json", RATE_LIMIT: 6 };
    const door = await openDoor(settings, { texts: { keys: text } });
    await startOfSecond(door.control);
    const passedOf = async (key: string, body: object, path: string) => {
      const client = door.connect({ "x-api-key": key });
      const answers = await Promise.all(Array.from({ length: 9 }, () => client.post(path, body)));
      return answers.filter(({ status }) => status === 200).length;
    };
    const search = { vector: [1] };
    expect(await passedOf(keys.slow!, search, "/search")).to.equal(3);
    expect(await passedOf(keys.free!, search, "/search")).to.equal(9);
    expect(await passedOf(keys.usual!, search, "/search")).to.equal(5);
  });

  it("is off by default", async () => {
    const { headers } = await (await openDoor()).connect().get("/stats");
    expect(headers).to.not.have.any.keys("ratelimit", "ratelimit-policy");
  });
});

describe("http windows", () => {
  const cells = (count: number) => new BigUint64Array(new SharedArrayBuffer(count * 8));

  it("count each key by itself, from 1 in each window", () => {
    const windows = new Windows(cells(1024), 7, 1000);
    expect(windows.add("a", 1, 5100)).to.deep.equal({ count: 1, msLeft: 900 });
    expect(windows.add("a", 1, 5200).count).to.equal(2);
    expect(windows.add("b", 1, 5300).count).to.equal(1);
    expect(windows.add("a", 1, 6000)).to.deep.equal({ count: 1, msLeft: 1000 });
    expect(windows.add("a", -1, 6000).count).to.equal(0);
    expect(windows.add("a", -5, 6000).count).to.equal(0);
  });

  it("let a thread that is late join the newer window rather than undo it", () => {
    const windows = new Windows(cells(8), 7, 1000);
    windows.add("a", 1, 6000);
    expect(windows.add("a", 1, 5999).count).to.equal(2);
    expect(windows.add("a", 1, 6001).count).to.equal(3);
  });

  it("wrap their numbers without harm", () => {
    const windows = new Windows(cells(8), 7, 1000);
    for (let second = 65_530; second < 65_545; second++) {
      expect(windows.add("a", 1, second * 1000).count).to.equal(1);
      expect(windows.add("a", 1, second * 1000).count).to.equal(2);
    }
  });

  it("never refuse a key for another's sake when the table is full", () => {
    const windows = new Windows(cells(64), 7, 1000);
    for (let turn = 0; turn < 10_000; turn++) windows.add(`flood ${turn}`, 1, 5000);
    expect(windows.add("newcomer", 1, 5000).count).to.equal(1);
  });

  it("lose no count between threads", async () => {
    const control = new ControlMemory();
    const each = 20_000;
    const threads = 4;
    const source = `
      import { workerData } from "node:worker_threads";
      import { ControlMemory } from ${JSON.stringify(import.meta.resolve("../src/threads/control.ts"))};
      import { Windows } from ${JSON.stringify(import.meta.resolve("../src/http/windows.ts"))};
      const control = new ControlMemory(workerData.memory);
      const windows = new Windows(control.requestCells, control.seed, 1000);
      for (let turn = 0; turn < workerData.each; turn++) {
        windows.add("key " + (turn % 50), 1, 5000);
        control.count("searches");
        control.observe("distances", 300);
      }`;
    const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
    await Promise.all(
      Array.from({ length: threads }, () => {
        const worker = new Worker(url, { workerData: { memory: control.memory, each } });
        return new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));
      }),
    );
    const windows = new Windows(control.requestCells, control.seed, 1000);
    for (let key = 0; key < 50; key++) {
      expect(windows.add(`key ${key}`, 0, 5000).count).to.equal((each * threads) / 50);
    }
    expect(control.total("searches")).to.equal(each * threads);
    const { buckets, sum } = control.read("distances");
    expect(buckets[2]).to.equal(each * threads);
    expect(sum).to.equal(each * threads * 300);
  });
});
