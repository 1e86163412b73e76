/** What is told of a request while it runs: a line of the log, and spans where somebody listens. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Context,
  type Span,
  type SpanOptions,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { expect } from "chai";
import { open } from "omendb-server";
import { closeDoors, openDoor } from "./httpDoor.ts";
import { makeKeyring } from "./keyring.ts";

const DIMENSIONS = 1024;

interface Told {
  name: string;
  attributes: Record<string, unknown>;
  parent?: Told;
  isEnded: boolean;
}

/** As much of an SDK as remembers what it was told. */
function listen(): Told[] {
  const told: Told[] = [];
  const spans = new WeakMap<object, Told>();
  function startSpan(name: string, options: SpanOptions = {}, context?: Context): Span {
    const parentSpan = context && trace.getSpan(context);
    const parent = parentSpan && spans.get(parentSpan);
    const entry: Told = { name, attributes: { ...options.attributes }, parent, isEnded: false };
    told.push(entry);
    const span = {
      setAttributes: (attributes: object) => Object.assign(entry.attributes, attributes) && span,
      updateName: (updated: string) => Object.assign(entry, { name: updated }) && span,
      setStatus: () => span,
      recordException: () => undefined,
      spanContext: () => ({ traceId: "0", spanId: "0", traceFlags: 1 }),
      end: () => {
        entry.isEnded = true;
      },
    };
    spans.set(span, entry);
    return span as unknown as Span;
  }
  const tracer = { startSpan } as unknown as Tracer;
  trace.setGlobalTracerProvider({ getTracer: () => tracer } as TracerProvider);
  return told;
}

describe("http tracing", () => {
  afterEach(() => {
    trace.disable();
    return closeDoors();
  });

  it("makes spans of a request and of its search when somebody listens", async () => {
    const door = await openDoor();
    const client = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1, 2] });
    const told = listen();
    await client.post("/search", { vector: [1, 2] });
    await client.post("/search", { vector: [1] });
    await client.get("/nowhere");
    const [request, search, wrong, nowhere] = told;
    expect(told.map(({ name }) => name)).to.deep.equal([
      ...["POST /search", "search", "POST /search", "GET none"],
    ]);
    expect(request!.attributes).to.include({
      "http.route": "/search",
      "http.response.status_code": 200,
    });
    expect(search!.parent).to.equal(request);
    expect(search!.attributes).to.include({ "omendb.strategy": "exact", "omendb.hits": 1 });
    expect(wrong!.attributes).to.include({ "error.type": "DIMENSION_MISMATCH" });
    expect(nowhere!.attributes).to.include({ "http.response.status_code": 404 });
    expect(told.every(({ isEnded }) => isEnded)).to.equal(true);
  });

  it("makes spans of the log's syncs and of checkpoints", async () => {
    const told = listen();
    const path = await mkdtemp(join(tmpdir(), "omendb-spans-"));
    const database = await open(path, { linkers: 0 });
    const rows = await database.createCollection("rows", { dimensions: DIMENSIONS });
    // More than a MiB, so that an image is taken at the end.
    const vectors = Array.from({ length: 400 }, (_, id) => ({
      id,
      vector: new Array(DIMENSIONS).fill(id),
    }));
    await rows.batch(vectors);
    expect(told.map(({ name }) => name)).to.include("wal sync");
    await database.close();
    await rm(path, { recursive: true });
    const [checkpoint] = told.filter(({ name }) => name === "checkpoint");
    expect(checkpoint!.attributes["omendb.bytes"]).to.be.above(400 * DIMENSIONS * 4);
    expect(told.every(({ isEnded }) => isEnded)).to.equal(true);
  });

  it("says in the log who called which route, and never a vector, a key or a token", async () => {
    const { text, keys } = makeKeyring([{ name: "shop", role: "writer" }]);
    const settings = { KEYS_FILE: "keys.json", LOG_LEVEL: "trace" };
    const door = await openDoor(settings, { texts: { keys: text } });
    const secret = 0.123456789;
    const callers: Record<string, string>[] = [
      { "x-api-key": keys.shop! },
      { authorization: `Bearer ${keys.shop}` },
      { "x-api-key": `${keys.shop}x` },
      { authorization: "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzZWNyZXQiOjF9.c2lnbmF0dXJl" },
    ];
    for (const headers of callers) {
      const client = door.connect(headers);
      const metadata = { note: "confidential" };
      await client.post("/vectors/add", { id: "a", vector: [secret, 2], metadata });
      await client.post("/search", { vector: [secret, 2], filter: { note: "confidential" } });
      await client.post("/search", { vector: [secret, "x"] });
      await client.post("/search", `{"vector":[${secret},`);
    }
    const lines = door.lines.filter(({ res }) => res !== undefined);
    expect(lines).to.have.length(16);
    const [first] = lines;
    expect(first).to.include({ who: "shop", route: "addRow" });
    expect(first.req).to.include({ method: "POST", path: "/vectors/add" });
    expect(first.req.id).to.be.a("string").and.not.equal("");
    expect(first.res.statusCode).to.equal(200);
    expect(first.responseTime).to.be.a("number");
    const all = JSON.stringify(door.lines);
    for (const word of [keys.shop!, "0.1234", "confidential", "eyJ", "c2lnbmF0dXJl"]) {
      expect(all).to.not.contain(word);
    }
  });
});
