/** The client, in Node: the story over a real server, and what it does when the way is bad. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { connect, isFailure, OmenDBError } from "../src/client/index.ts";
import { CHAPTERS } from "./clientStory.ts";
import { freePort, type Server, startServer } from "./server.ts";

describe("client", () => {
  let server: Server;
  before(async () => {
    server = await startServer({ LOG_LEVEL: "silent", API_KEY: "secret" });
  });
  after(() => server.stop());

  const url = () => `http://127.0.0.1:${server.port}`;
  for (const [index, [title, chapter]] of Object.entries(CHAPTERS).entries()) {
    it(title, () => chapter(connect(url(), { apiKey: "secret" }), `chapter-${index}`));
  }

  it("says when its key is missing or wrong, and takes it as a bearer too", async () => {
    const refused = await connect(url())
      .collection()
      .stats()
      .catch((error) => error);
    expect(refused).to.be.instanceOf(OmenDBError);
    expect(refused).to.include({ code: "UNAUTHENTICATED", status: 401 });
    expect(refused.requestId).to.be.a("string");
    const { vectors } = await connect(url(), { token: "secret" }).collection().stats();
    expect(vectors).to.equal(0);
  });
});

describe("client on a bad way", () => {
  type Turn = (request: IncomingMessage, response: ServerResponse) => void;
  let turns: Turn[] = [];
  let heard: IncomingMessage[] = [];
  const door = createServer((request, response) => {
    heard.push(request);
    request.resume();
    const turn = turns.length > 1 ? turns.shift()! : turns[0]!;
    request.on("end", () => turn(request, response));
  });
  before(async () => {
    door.listen(0, "127.0.0.1");
    await once(door, "listening");
  });
  after(() => {
    door.closeAllConnections();
    door.close();
  });
  beforeEach(() => {
    heard = [];
  });
  const client = (options = {}) =>
    connect(`http://127.0.0.1:${(door.address() as AddressInfo).port}/`, options);

  const answers = (status: number, body: object, headers = {}): Turn => {
    return (_request, response) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(body));
    };
  };
  const overloaded = (headers = {}) =>
    answers(503, { code: "OVERLOADED", detail: "later" }, headers);
  const breaks: Turn = (request) => request.socket.destroy();
  const added = answers(200, { status: "ok", id: "a", sequence: 7 });
  const row = { id: "a", vector: [1] };

  it("sends again what was not done, as Retry-After asks", async () => {
    turns = [overloaded({ "retry-after": "1" }), added];
    const begunAtMs = performance.now();
    expect((await client().collection().add(row)).sequence).to.equal(7);
    expect(performance.now() - begunAtMs).to.be.at.least(1000);
    expect(heard).to.have.length(2);
  });

  it("sends a write again under the same key when nobody knows what became of it", async () => {
    turns = [breaks, breaks, added];
    await client().collection().add(row);
    const keys = heard.map(({ headers }) => headers["idempotency-key"]);
    expect(keys).to.have.length(3);
    expect(new Set(keys).size).to.equal(1);
    await client().collection().add(row);
    expect(heard.at(-1)!.headers["idempotency-key"]).not.to.equal(keys[0]);
  });

  it("waits for its own write where that is still under way", async () => {
    turns = [breaks, answers(409, { code: "IDEMPOTENCY_KEY_IN_FLIGHT", detail: "wait" }), added];
    expect((await client().collection().add(row)).sequence).to.equal(7);
    expect(heard).to.have.length(3);
  });

  it("never sends a restore twice when nobody knows what became of it", async () => {
    turns = [breaks];
    const failed = await client()
      .collection()
      .snapshots.restore("s")
      .catch((error) => error);
    expect(failed).to.include({ code: "UNREACHABLE", status: 0 });
    expect(heard).to.have.length(1);
  });

  it("does not send again what was refused", async () => {
    turns = [answers(400, { code: "INVALID_VECTOR", detail: "no", errors: [] })];
    const failed = await client()
      .collection()
      .add(row)
      .catch((error) => error);
    expect(failed).to.include({ code: "INVALID_VECTOR", status: 400, message: "no" });
    expect(heard).to.have.length(1);
  });

  it("gives up after its retries, and at once when the wait would be long", async () => {
    turns = [overloaded()];
    const failed = await client({ retries: 2 })
      .collection()
      .stats()
      .catch((error) => error);
    expect(failed).to.include({ code: "OVERLOADED", status: 503 });
    expect(heard).to.have.length(3);
    turns = [overloaded({ "retry-after": "3600" })];
    const patient = await client()
      .collection()
      .stats()
      .catch((error) => error);
    expect(patient).to.include({ retryAfterSeconds: 3600 });
    expect(heard).to.have.length(4);
  });

  it("names a server that is silent, gone, or not ours", async () => {
    turns = [() => undefined];
    const silent = client({ timeoutMs: 100, retries: 1 }).collection().stats();
    expect(await silent.catch((error) => error)).to.include({ code: "TIMEOUT" });
    expect(heard).to.have.length(2);
    const gone = connect(`http://127.0.0.1:${await freePort()}`, { retries: 0 })
      .collection()
      .stats();
    const refused = await gone.catch((error) => error);
    expect(refused).to.include({ code: "UNREACHABLE" });
    expect(refused.message).to.match(/ECONNREFUSED/);
    turns = [(_request, response) => response.writeHead(200).end("<html>")];
    const strange = await client()
      .collection()
      .stats()
      .catch((error) => error);
    expect(isFailure(strange, "BAD_ANSWER")).to.equal(true);
    turns = [(_request, response) => response.writeHead(404).end("<html>")];
    const elsewhere = await client()
      .collection()
      .stats()
      .catch((error) => error);
    expect(elsewhere).to.include({ code: "BAD_ANSWER", status: 404 });
  });

  it("takes a health of 503 for an answer", async () => {
    turns = [answers(503, { status: "starting", version: "1", uptime_seconds: 1, progress: 0.5 })];
    expect(await client().health()).to.include({ status: "starting", progress: 0.5 });
    expect(await client().isReady()).to.equal(false);
  });
});
