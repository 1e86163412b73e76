/** Which readers a listener turns away when more come than it can do in a turn of its event loop. */
import { expect } from "chai";
import type { OmenError } from "../src/errors.ts";
import { Backlog } from "../src/http/backlog.ts";
import { ControlMemory } from "../src/threads/control.ts";
import { closeDoors, openDoor } from "./httpDoor.ts";
import type { MemoryCollection } from "./memoryDatabase.ts";

const WAIT_MS = 40;
const CLIENTS = 100;
const SEARCH_MS = 10;

/** A listener whose time is told, not measured. */
function open() {
  let nowMs = 1000;
  let callbacks: (() => void)[] = [];
  const control = new ControlMemory();
  const afterTurn = (callback: () => void) => void callbacks.push(callback);
  const backlog = new Backlog(control, WAIT_MS, { nowMs: () => nowMs, afterTurn });
  const waitedMs: number[] = [];
  const done = { waitedMs, refused: 0 };
  return {
    control,
    done,
    nowMs: () => nowMs,
    connected: () => backlog.connected(),
    /** One turn in which so many readers come, each of which takes so long once it is let in. */
    turn(readers: number, eachMs: number): void {
      for (let reader = 0; reader < readers; reader++) {
        const cameAtMs = nowMs;
        try {
          backlog.enter(() => {
            waitedMs.push(nowMs - cameAtMs);
            nowMs += eachMs;
          });
        } catch (error) {
          expect((error as OmenError).code).to.equal("OVERLOADED");
          expect((error as OmenError).retryAfterSeconds).to.equal(1);
          done.refused++;
        }
      }
      const due = callbacks;
      callbacks = [];
      for (const callback of due) callback();
    },
    isAtRest: () => callbacks.length === 0,
  };
}

describe("backlog", () => {
  it("lets in what a slice allows, and the others in the turns that follow, in their order", () => {
    const { done, turn, isAtRest } = open();
    turn(10, 1);
    expect(done.waitedMs).to.deep.equal([0, 0, 0, 0, 0, 1, 2, 3].slice(0, done.waitedMs.length));
    for (let turns = 0; turns < 3; turns++) turn(0, 1);
    expect(done.waitedMs).to.have.length(10);
    expect(done.waitedMs).to.deep.equal(done.waitedMs.toSorted((a, b) => a - b));
    expect([done.refused, isAtRest()]).to.deep.equal([0, true]);
  });

  it("keeps the line as short as the setting says when more come all the time", () => {
    const { control, done, turn } = open();
    for (let turns = 0; turns < 1000; turns++) turn(16, 1);
    expect(Math.max(...done.waitedMs.slice(1000))).to.be.at.most(WAIT_MS * 2);
    expect(done.refused).to.be.above(10_000);
    expect(control.total("requestsRefused")).to.equal(done.refused);
    // Nothing is lost by it: each turn has answered readers for as long as it may.
    expect(done.waitedMs.length).to.be.above(3900);
  });

  it("takes a burst, and takes the next one only after a rest", () => {
    const { done, turn } = open();
    turn(300, 1);
    expect(done.refused).to.equal(0);
    for (let turns = 0; turns < 100; turns++) turn(0, 1);
    expect(done.waitedMs).to.have.length(300);
    turn(1000, 1);
    expect(done.refused).to.be.above(500);
    for (let turns = 0; turns < 200; turns++) turn(0, 1);
    const { refused } = done;
    turn(300, 1);
    expect(done.refused - refused).to.be.above(200);
  });

  it("never refuses a few clients, however long their requests take", () => {
    const { done, turn } = open();
    for (let rounds = 0; rounds < 3; rounds++) {
      turn(48, 50);
      for (let turns = 0; turns < 48; turns++) turn(0, 50);
    }
    expect([done.refused, done.waitedMs.length]).to.deep.equal([0, 3 * 48]);
  });
});

describe("backlog and new connections", () => {
  it("lets all that wait in the kernel in before the readers on them, for a while", () => {
    const { done, turn, nowMs, connected } = open();
    // A turn takes up one connection, on which a reader comes a turn later.
    const begunAtMs = nowMs();
    connected();
    for (let turns = 0; turns < 100; turns++) {
      connected();
      turn(1, 4);
    }
    // No time passed but a reader's: none may have had a turn.
    expect([done.waitedMs.length, nowMs()]).to.deep.equal([0, begunAtMs]);
    turn(1, 4);
    turn(0, 4);
    expect(done.waitedMs.length).to.be.within(1, 2);
  });

  it("gives readers a turn again when connections never end", () => {
    const { done, turn, connected } = open();
    let turns = 0;
    for (; turns < 1000; turns++) {
      connected();
      // What taking a connection up costs.
      turn(0, 0);
      turn(turns % 2, 1);
    }
    expect(done.waitedMs.length + done.refused).to.be.above(400);
  });
});

describe("http backlog", () => {
  afterEach(closeDoors);

  it("answers 503 to readers that are too many, on connections that go on, and nobody else", async () => {
    const door = await openDoor({ SCAN_WAIT_MS: WAIT_MS, LOG_LEVEL: "fatal" });
    const client = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1, 2] });
    const collection = door.database.collection("default") as MemoryCollection;
    const { search } = collection;
    collection.search = (query) => {
      const end = performance.now() + SEARCH_MS;
      while (performance.now() < end);
      return search.call(collection, query);
    };
    const others = Array.from({ length: CLIENTS }, () => door.connect());
    await Promise.all(others.map((each) => each.get("/livez")));
    const searches = () =>
      Promise.all(others.map((each) => each.post("/search", { vector: [1, 2] })));
    const statuses: number[] = [];
    for (let round = 0; round < 3; round++) {
      const writing = client.post("/vectors/add", { id: "a", vector: [1, 2] });
      for (const { status, headers, body } of await searches()) {
        statuses.push(status);
        expect(headers.connection).to.equal("keep-alive");
        if (status === 200) continue;
        expect([status, body.code]).to.deep.equal([503, "OVERLOADED"]);
        expect(headers["retry-after"]).to.equal("1");
      }
      expect((await writing).status).to.equal(200);
    }
    expect(statuses).to.include(200).and.include(503);
    expect(door.control.total("requestsRefused")).to.equal(
      statuses.filter((status) => status === 503).length,
    );
    collection.search = search;
    await client.post("/search", { vector: [1, 2] });
    const calm = await Promise.all(
      others.slice(0, 60).map((each) => each.post("/search", { vector: [1, 2] })),
    );
    expect(calm.map(({ status }) => status)).to.deep.equal(Array(60).fill(200));
  });
});
