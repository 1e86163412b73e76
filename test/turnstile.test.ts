/** Whom a listener turns away when there is more heavy work than it can do. */
import { expect } from "chai";
import type { OmenError } from "../src/errors.ts";
import { Turnstile } from "../src/http/turnstile.ts";
import { ControlMemory } from "../src/threads/control.ts";
import { createTurns } from "../src/threads/turns.ts";
import { closeDoors, openDoor } from "./httpDoor.ts";
import type { MemoryCollection } from "./memoryDatabase.ts";
import { pause } from "./server.ts";

/** Work of so many milliseconds at the rate a turnstile begins with. */
const ms = (count: number) => count * 1_000_000;
const BURST_OVER_MS = 300;

/** Searches that end when they are told to. */
function begin(turnstile: Turnstile, work: number) {
  let end!: () => void;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { done: turnstile.pass(work, () => ended), end };
}

async function isLetIn(turnstile: Turnstile, work: number): Promise<boolean> {
  try {
    await turnstile.pass(work, async () => undefined);
    return true;
  } catch (error) {
    expect((error as OmenError).code).to.equal("OVERLOADED");
    expect((error as OmenError).retryAfterSeconds).to.equal(1);
    return false;
  }
}

describe("turnstile", () => {
  it("lets in what will end in time, and refuses the rest at once", async () => {
    const control = new ControlMemory();
    const turnstile = new Turnstile(control, 40);
    const first = begin(turnstile, ms(20));
    await pause(BURST_OVER_MS);
    const others = [begin(turnstile, ms(20)), begin(turnstile, ms(20)), begin(turnstile, ms(20))];
    // A fifth would take 100 ms, where 80 are allowed; a short one has those four to share with.
    expect(await isLetIn(turnstile, ms(20))).to.equal(false);
    expect(await isLetIn(turnstile, ms(9))).to.equal(false);
    expect(await isLetIn(turnstile, ms(7))).to.equal(true);
    expect(await isLetIn(turnstile, 1000)).to.equal(true);
    expect(control.total("searchesRefused")).to.equal(2);
    for (const { end, done } of [first, ...others]) {
      end();
      await done;
    }
    expect(await isLetIn(turnstile, ms(1000))).to.equal(true);
  });

  it("takes a burst after a rest, but not for long", async () => {
    const turnstile = new Turnstile(new ControlMemory(), 40);
    const burst = Array.from({ length: 20 }, () => begin(turnstile, ms(20)));
    for (const { done } of burst) done.catch(() => undefined);
    expect(await isLetIn(turnstile, ms(20))).to.equal(false);
    await pause(BURST_OVER_MS);
    expect(await isLetIn(turnstile, ms(1.5))).to.equal(true);
    expect(await isLetIn(turnstile, ms(3))).to.equal(false);
    for (const { end } of burst) end();
    await Promise.all(burst.map(({ done }) => done));
    expect(await isLetIn(turnstile, ms(20))).to.equal(true);
  });

  it("has room again when a search fails", async () => {
    const turnstile = new Turnstile(new ControlMemory(), 40);
    for (let turn = 0; turn < 20; turn++) {
      const failing = turnstile.pass(ms(1000), async () => {
        throw new Error("no");
      });
      await failing.then(
        () => expect.fail("it did not fail"),
        (error) => expect(error.message).to.equal("no"),
      );
    }
    expect(await isLetIn(turnstile, ms(1))).to.equal(true);
  });
});

describe("turns", () => {
  it("go round, one in each turn of the event loop", async () => {
    const turn = createTurns();
    const order: string[] = [];
    let loops = 0;
    let isOver = false;
    const count = () => {
      loops++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const work = async (name: string, slices: number) => {
      for (let slice = 0; slice < slices; slice++) {
        await turn();
        order.push(name);
      }
    };
    await Promise.all([work("a", 4), work("b", 2), work("c", 3)]);
    isOver = true;
    expect(order.join("")).to.equal("abcabcaca");
    expect(loops).to.be.at.least(order.length - 1);
  });
});

describe("http overload", () => {
  afterEach(closeDoors);

  it("answers 503 to the scans that are too many, others as ever, and all once it is over", async () => {
    const door = await openDoor({ SCAN_WAIT_MS: 1 });
    const client = door.connect();
    await client.send("PUT", "/collections/c", { dimensions: 8000 });
    const vectors = Array.from({ length: 40 }, (_, id) => ({ id, vector: Array(8000).fill(id) }));
    await client.post("/collections/c/vectors/batch", { vectors });
    const collection = door.database.collection("c") as MemoryCollection;
    const { search } = collection;
    const held: (() => void)[] = [];
    collection.search = async (query) => {
      if (query.exact) await new Promise<void>((resolve) => held.push(resolve));
      return search.call(collection, query);
    };
    const exact = { vector: Array(8000).fill(1), exact: true, k: 1 };
    const first = door.connect().post("/collections/c/search", exact);
    while (held.length === 0) await pause(5);
    await pause(BURST_OVER_MS);
    const many = Array.from({ length: 10 }, () =>
      door.connect().post("/collections/c/search", exact),
    );
    const refused = await Promise.all(many.slice(6));
    for (const { status, body, headers } of refused) {
      expect([status, body.code]).to.deep.equal([503, "OVERLOADED"]);
      expect(headers["retry-after"]).to.equal("1");
    }
    expect((await client.get("/livez")).status).to.equal(200);
    const walk = { ...exact, exact: false };
    expect((await client.post("/collections/c/search", walk)).status).to.equal(200);
    collection.search = search;
    for (const release of held) release();
    expect((await first).status).to.equal(200);
    await Promise.all(many.slice(0, 6));
    expect((await client.post("/collections/c/search", exact)).status).to.equal(200);
  });

  it("holds for scans that nobody asked for, and for batches of wide walks", async () => {
    const door = await openDoor({ SCAN_WAIT_MS: 1 });
    const client = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1, 2] });
    const collection = door.database.collection("default") as MemoryCollection;
    const { search } = collection;
    const held: (() => void)[] = [];
    collection.search = async (query) => {
      await new Promise<void>((resolve) => held.push(resolve));
      return search.call(collection, query);
    };
    for (const [path, isWalk] of [
      ["/search", false],
      ["/search/batch", true],
    ] as const) {
      collection.work = () => ({ components: ms(20), isWalk });
      const query = { vector: [1, 2] };
      const body = isWalk ? { searches: [query, query] } : query;
      const first = door.connect().post(path, body);
      while (held.length === 0) await pause(5);
      await pause(BURST_OVER_MS);
      const others = Array.from({ length: 10 }, () => door.connect().post(path, body));
      const isRefused = (await Promise.all(others.slice(6))).map(({ status }) => status === 503);
      expect(isRefused, path).to.deep.equal([true, true, true, true]);
      const release = setInterval(() => held.splice(0).forEach((go) => void go()), 5);
      expect((await first).status).to.equal(200);
      await Promise.all(others);
      clearInterval(release);
    }
  });

  it("asks how many rows there are, and not for all that is to be said of them", async () => {
    const door = await openDoor();
    const client = door.connect();
    await client.post("/vectors/batch", { vectors: [{ id: "a", vector: [1] }] });
    const collection = door.database.collection("default") as MemoryCollection;
    collection.stats = () => expect.fail("it adds up all memory");
    const filter = { n: { $exists: false } };
    const search = { vector: [1], filter };
    const answers = await Promise.all([
      client.post("/search", search),
      client.post("/search", { vector: [1], exact: true }),
      client.post("/collections/default/search/batch", { searches: [search, search] }),
      client.post("/vectors/count", { filter }),
      client.get("/vectors?filter=%7B%22n%22:%7B%22$exists%22:false%7D%7D"),
      client.post("/vectors/delete", { filter }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal(Array(6).fill(200));
    expect(answers[0]!.body.results).to.have.length(1);
    expect(answers.at(-1)!.body.deleted).to.equal(1);
  });

  for (const [what, method, path, body] of [
    ["counts", "POST", "/vectors/count", { filter: { n: 1 } }],
    ["pages", "GET", "/vectors?limit=1&filter=%7B%22n%22:1%7D", undefined],
    ["removals", "POST", "/vectors/delete", { filter: { n: 1 } }],
  ] as const) {
    it(`holds for ${what} by a filter too`, async () => {
      const door = await openDoor({ SCAN_WAIT_MS: 1 });
      const client = door.connect();
      const vectors = Array.from({ length: 20_000 }, (_, id) => ({ id, vector: [1] }));
      await client.post("/vectors/batch", { vectors });
      const { database } = door;
      const collection = database.collection("default") as MemoryCollection;
      const held: (() => void)[] = [];
      const hold = () => new Promise<void>((resolve) => held.push(resolve));
      collection.count = (filter) => (filter ? hold().then(() => 0) : Promise.resolve(7));
      collection.scroll = ({ filter }) =>
        filter ? hold().then(() => undefined) : Promise.resolve(undefined);
      database.removeMatching = () => hold().then(() => ({ deleted: 0, sequence: 1 }));
      const ask = () => door.connect().send(method, path, body);
      const asked = [ask()];
      while (held.length === 0) await pause(5);
      await pause(BURST_OVER_MS);
      asked.push(...Array.from({ length: 9 }, ask));
      const statuses: number[] = [];
      for (const each of asked) each.then(({ status }) => statuses.push(status));
      while (statuses.length < 6) await pause(5);
      expect(new Set(statuses)).to.deep.equal(new Set([503]));
      expect((await client.post("/vectors/count", {})).body.count).to.equal(7);
      expect((await client.get("/vectors?limit=1")).status).to.equal(200);
      for (const release of held) release();
      await Promise.all(asked);
      expect(statuses.filter((status) => status === 200)).to.have.length(held.length);
    });
  }
});
