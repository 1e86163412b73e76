/** The database inside a program: the client's story again, and what a path keeps. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { OmenError, type OpenDatabase, open } from "omendb-server";
import type { Client } from "../src/client/index.ts";
import { CHAPTERS } from "./clientStory.ts";

const HTTP_ONLY = /^uploads|^stops an upload|^can be called off|^asks how/;

for (const linkers of [0, 1]) {
  describe(`embedded, ${linkers} linkers`, () => {
    let database: OpenDatabase;
    before(async () => {
      database = await open(undefined, { linkers });
    });
    after(() => database.close());

    for (const [index, [title, chapter]] of Object.entries(CHAPTERS).entries()) {
      if (HTTP_ONLY.test(title)) continue;
      it(title, () => chapter(database as unknown as Client, `chapter-${index}`));
    }

    it("puts every row into the graph by itself, and finds it meanwhile", async () => {
      const rows = await database.createCollection("graph", { dimensions: 16 });
      const vectorAt = (index: number) =>
        Array.from({ length: 16 }, (_, i) => Math.sin(index * (i + 1)));
      await rows.batch(Array.from({ length: 3000 }, (_, id) => ({ id, vector: vectorAt(id) })));
      const { results } = await rows.search({ vector: vectorAt(1234), k: 1 });
      expect(results[0]).to.include({ id: "1234", distance: 0 });
      while ((await rows.stats()).unindexed > 0)
        await new Promise((resolve) => setTimeout(resolve, 5));
      expect((await rows.search({ vector: vectorAt(2999), k: 1 })).results[0]!.id).to.equal("2999");
    });
  });
}

describe("embedded on a path", () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "omendb-embedded-"));
  });
  afterEach(() => rm(path, { recursive: true }));

  it("keeps what was written, and says when another holds the path", async () => {
    const first = await open(path, { metric: "cosine" });
    const { sequence } = await first
      .collection()
      .add({ id: "a", vector: [3, 4], metadata: { n: 1 } });
    await first.close();
    await first.close();
    const closed = await Promise.resolve()
      .then(() => first.collection())
      .catch((error) => error);
    expect(closed).to.be.instanceOf(OmenError).and.include({ code: "SHUTTING_DOWN" });
    const second = await open(path);
    const row = await second.collection().get("a");
    expect(row).to.deep.include({ metadata: { n: 1 }, version: sequence });
    expect([...row!.vector!]).to.deep.equal([3, 4]);
    expect((await second.describeCollection("default"))!.metric).to.equal("cosine");
    const found: string[] = [];
    for await (const { id } of second.collection().scroll()) found.push(id);
    expect(found).to.deep.equal(["a"]);
    await second.close();
  });
});

describe("embedded refusals", () => {
  let database: OpenDatabase;
  before(async () => {
    database = await open();
    await database.createCollection("rows", { dimensions: 2, metric: "cosine" });
  });
  after(() => database.close());

  const row = { id: "a", vector: [1, 2] };
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const deep = Array.from({ length: 70 }).reduce<object>((inner) => ({ inner }), {});
  const saying = (what: unknown) => ({ toJSON: () => what });
  // biome-ignore lint/suspicious/noExplicitAny: what a program without types may pass
  const wrong: [string, any, string, string?][] = [
    ["an empty id", { ...row, id: "" }, "INVALID_ID", "/0/id"],
    ["an id that is long", { ...row, id: "x".repeat(513) }, "INVALID_ID"],
    ["an id that is a half", { ...row, id: "\ud800" }, "INVALID_ID"],
    ["an id that is none", { ...row, id: undefined }, "INVALID_ID"],
    ["wrong dimensions", { ...row, vector: [1] }, "DIMENSION_MISMATCH", "/0/vector"],
    ["what is not a number", { ...row, vector: [1, Number.NaN] }, "INVALID_VECTOR", "/0/vector/1"],
    ["what is too large", { ...row, vector: [1, 1e17] }, "INVALID_VECTOR"],
    ["no vector", { id: "a" }, "INVALID_VECTOR"],
    ["no direction", { ...row, vector: [0, 0] }, "ZERO_VECTOR"],
    ["metadata that is a list", { ...row, metadata: [] }, "INVALID_METADATA"],
    ["metadata in a circle", { ...row, metadata: circle }, "INVALID_METADATA"],
    ["metadata that is deep", { ...row, metadata: deep }, "INVALID_METADATA"],
    ["metadata that is large", { ...row, metadata: { a: "x".repeat(65536) } }, "INVALID_METADATA"],
    ["metadata that says it is a text", { ...row, metadata: new Date() }, "INVALID_METADATA"],
    ["metadata that says it is a list", { ...row, metadata: saying([1]) }, "INVALID_METADATA"],
    ["metadata that says nothing", { ...row, metadata: saying(undefined) }, "INVALID_METADATA"],
    [
      "a member that says it is deep",
      { ...row, metadata: { a: saying(deep) } },
      "INVALID_METADATA",
    ],
    [
      "a member that says a half",
      { ...row, metadata: { a: saying("\ud800") } },
      "INVALID_METADATA",
    ],
    ["what JSON has not", { ...row, metadata: { a: 1n } }, "INVALID_METADATA", "/0/metadata/a"],
    ["what JSON would change", { ...row, metadata: { a: Number.NaN } }, "INVALID_METADATA"],
  ];
  for (const [what, given, code, pointer] of wrong) {
    it(`refuses ${what}, and writes nothing of the batch`, async () => {
      const rows = database.collection("rows");
      const batch = pointer?.startsWith("/0") ? [given] : [{ ...row, id: "sound" }, given];
      const refused = await rows.batch(batch).catch((error) => error);
      expect(refused).to.be.instanceOf(OmenError).and.include({ code });
      if (pointer !== undefined) expect(refused.errors[0].pointer).to.equal(pointer);
      expect((await rows.stats()).vectors).to.equal(0);
    });
  }

  it("keeps what a member's toJSON gives, and refuses a patch that gives no object", async () => {
    const others = await database.createCollection("others", { dimensions: 2 });
    const at = new Date(0);
    await others.add({ ...row, metadata: { at } } as never);
    const patched = others.patch("a", { metadata: at } as never);
    const refused = await patched.catch((error) => error);
    expect(refused).to.be.instanceOf(OmenError).and.include({ code: "INVALID_METADATA" });
    expect((await others.get("a"))!.metadata).to.deep.equal({ at: at.toJSON() });
  });

  it("refuses twice the same id, wrong searches, names and settings", async () => {
    const rows = database.collection("rows");
    const refusals: [() => Promise<unknown>, string][] = [
      [() => rows.batch([row, row]), "DUPLICATE_ID"],
      [() => rows.batch([]), "BATCH_EMPTY"],
      [() => rows.search({ vector: [1, 2], k: 0 }), "INVALID_REQUEST"],
      [() => rows.search({ vector: [1, 2], filter: { a: { $near: 1 } } }), "INVALID_FILTER"],
      [() => database.collection("missing").add(row), "COLLECTION_NOT_FOUND"],
      [() => database.createCollection("a/b", { dimensions: 2 }), "INVALID_REQUEST"],
      [() => database.createCollection("a", { dimensions: 9000 }), "INVALID_REQUEST"],
      [() => open(undefined, { shardRows: 1 }), "INVALID_SETTING"],
      [() => open(undefined, { linkers: -1 }), "INVALID_SETTING"],
    ];
    for (const [call, code] of refusals) {
      const refused = await call().catch((error) => error);
      expect(refused, code).to.be.instanceOf(OmenError).and.include({ code });
    }
    const named = await open(undefined, { shardRows: 1 }).catch((error) => error);
    expect(named.message).to.match(/^shardRows: expected/);
    expect((await rows.stats()).vectors).to.equal(0);
  });
});
