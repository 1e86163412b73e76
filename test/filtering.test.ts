/** What a real server does by filters beside searching: counts, deletes, scrolls, schemas. */
import { expect } from "chai";
import { type Connection, type Server, startServer } from "./server.ts";

const ROWS = 3000;

describe("filters over HTTP", () => {
  let server: Server;
  let client: Connection;
  before(async () => {
    server = await startServer({ THREADS: "2", LINKERS: "1" });
    client = server.connect();
  });
  after(() => server.stop());

  const load = async (base: string, rows = ROWS) => {
    const vectors = Array.from({ length: rows }, (_, row) => ({
      id: `r${row}`,
      vector: [row, row % 7],
      metadata: { row, tag: `t${row % 10}`, labels: [`l${row % 3}`, row % 2] },
    }));
    const { status } = await client.post(`${base}/vectors/batch`, { vectors });
    expect(status).to.equal(200);
  };
  const count = async (base: string, filter?: unknown) =>
    (await client.post(`${base}/vectors/count`, { filter })).body.count;
  const make = async (name: string, more: object = {}) => {
    const answer = await client.send(
      "PUT",
      `/collections/${name}`,
      JSON.stringify({ dimensions: 2, ...more }),
    );
    return answer;
  };

  it("counts what matches, exactly, also where there is nothing yet", async () => {
    expect(await count("")).to.equal(0);
    await make("counted");
    const base = "/collections/counted";
    expect(await count(base, { tag: "t1" })).to.equal(0);
    await load(base);
    expect(await count(base)).to.equal(ROWS);
    expect(await count(base, {})).to.equal(ROWS);
    expect(await count(base, { tag: "t1" })).to.equal(ROWS / 10);
    expect(await count(base, { tag: "t1", labels: 0 })).to.equal(0);
    expect(await count(base, { row: { $gte: 100 }, labels: "l0" })).to.equal(966);
    await client.send("DELETE", `${base}/vectors/r1`);
    await client.post(`${base}/vectors/add`, { id: "r11", vector: [0, 1] });
    expect(await count(base, { tag: "t1" })).to.equal(ROWS / 10 - 2);
    expect(await count(base, { tag: { $exists: false } })).to.equal(1);
    expect(await count(base)).to.equal(ROWS - 1);
  });

  it("deletes what matches and nothing else, and once for a key", async () => {
    await make("cleared");
    const base = "/collections/cleared";
    await load(base);
    const remove = (filter: unknown, key?: string) =>
      client.send(
        "POST",
        `${base}/vectors/delete`,
        JSON.stringify({ filter }),
        key === undefined ? {} : { "idempotency-key": key },
      );
    const first = await remove({ $or: [{ tag: "t1" }, { row: { $lt: 5 } }] });
    expect(first.body).to.deep.equal({ status: "ok", deleted: ROWS / 10 + 4, sequence: 2 });
    expect(await count(base)).to.equal(ROWS - ROWS / 10 - 4);
    expect(await count(base, { tag: "t1" })).to.equal(0);
    const nothing = await remove({ tag: "t1" });
    expect(nothing.body).to.deep.equal({ status: "ok", deleted: 0, sequence: 2 });
    // A key remembers that nothing matched, too.
    expect((await remove({ tag: "new" }, "k1")).body.deleted).to.equal(0);
    await client.post(`${base}/vectors/add`, {
      id: "late",
      vector: [1, 1],
      metadata: { tag: "new" },
    });
    expect((await remove({ tag: "new" }, "k1")).body.deleted).to.equal(0);
    expect(await count(base, { tag: "new" })).to.equal(1);
    expect((await remove({ tag: "new" }, "k2")).body.deleted).to.equal(1);
    expect((await remove({ tag: "new" }, "k2")).body.deleted).to.equal(1);
    expect((await remove({})).body.deleted).to.equal(ROWS - ROWS / 10 - 4);
    expect(await count(base)).to.equal(0);
  });

  it("deletes at one moment of its turn while others write", async () => {
    await make("raced");
    const base = "/collections/raced";
    const writers = [server.connect(), server.connect()];
    let isOver = false;
    let written = 0;
    // Each batch is of one tag as a whole, so what is left of a tag is all or nothing of a batch.
    const writing = writers.map(async (writer, number) => {
      for (let round = 0; !isOver; round++) {
        const vectors = Array.from({ length: 20 }, (_, row) => ({
          id: `w${number}-${round}-${row}`,
          vector: [number, row],
          metadata: { tag: round % 3, batch: `${number}-${round}` },
        }));
        expect((await writer.post(`${base}/vectors/batch`, { vectors })).status).to.equal(200);
        written += 20;
      }
    });
    let deleted = 0;
    for (let round = 0; round < 40; round++) {
      const answer = await client.post(`${base}/vectors/delete`, { filter: { tag: round % 3 } });
      expect(answer.status).to.equal(200);
      expect(answer.body.deleted % 20, "a part of a batch").to.equal(0);
      deleted += answer.body.deleted;
      expect((await count(base, { tag: round % 3 })) % 20).to.equal(0);
    }
    isOver = true;
    await Promise.all(writing);
    expect(await count(base)).to.equal(written - deleted);
    for (const writer of writers) writer.close();
  });

  it("refuses what is neither ids nor a filter, and filters that are none", async () => {
    const cases: [string, object, string][] = [
      ["/vectors/delete", {}, ""],
      ["/vectors/delete", { ids: ["a"], filter: {} }, ""],
      ["/vectors/delete", { filter: { a: { $regex: "x" } } }, "/filter/a/$regex"],
      ["/vectors/delete", { filter: [] }, "/filter"],
      ["/vectors/count", { filter: { $or: [] } }, "/filter/$or"],
      ["/vectors/count", { where: {} }, "/where"],
    ];
    for (const [path, body, pointer] of cases) {
      const answer = await client.post(path, body);
      expect(answer.status, JSON.stringify(body)).to.equal(400);
      expect(answer.body.errors[0].pointer).to.equal(pointer);
    }
  });

  it("scrolls through what matches, each row once", async () => {
    await make("scrolled");
    const base = "/collections/scrolled";
    await load(base);
    const filter = encodeURIComponent(JSON.stringify({ tag: { $in: ["t1", "t2"] } }));
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page = cursor === undefined ? "" : `&cursor=${cursor}`;
      const { body } = await client.get(`${base}/vectors?limit=70&filter=${filter}${page}`);
      for (const { id, metadata } of body.vectors) {
        expect(metadata.tag).to.be.oneOf(["t1", "t2"]);
        ids.push(id);
      }
      cursor = body.next_cursor ?? undefined;
      // Written between pages: rows that the remembered bits do not speak of.
      await client.post(`${base}/vectors/add`, { id: ids.at(-1), vector: [5, 5], metadata: {} });
    } while (cursor !== undefined);
    expect(new Set(ids).size).to.equal(ids.length);
    expect(ids).to.have.length(ROWS / 5);
  });

  it("pins columns by a schema, shows it, and refuses what no column can be", async () => {
    const schema = { tag: "keyword", "a.b": "number", note: "none" };
    const made = await make("pinned", { schema });
    expect(made.status).to.equal(201);
    expect(made.body.schema).to.deep.equal(schema);
    const again = { note: "none", "a.b": "number", tag: "keyword" };
    expect((await make("pinned", { schema: again })).status).to.equal(200);
    const other = await make("pinned", { schema: { tag: "number" } });
    expect(other.status).to.equal(409);
    expect(other.body.detail).to.contain("schema");
    await client.post("/collections/pinned/vectors/batch", {
      vectors: [
        { id: "a", vector: [0, 0], metadata: { tag: "x", a: { b: 5 }, note: "long" } },
        { id: "b", vector: [1, 0], metadata: { tag: 7, a: { b: "5" }, note: "short" } },
      ],
    });
    const base = "/collections/pinned";
    expect(await count(base, { tag: "x" })).to.equal(1);
    expect(await count(base, { tag: 7 })).to.equal(1);
    expect(await count(base, { "a.b": "5" })).to.equal(1);
    expect(await count(base, { note: { $contains: "o" } })).to.equal(2);
    const explained = await client.post(`${base}/search`, {
      vector: [0, 0],
      filter: { note: "short" },
      explain: true,
    });
    expect(explained.body.explain.json).to.deep.equal({ rows: 2, fields: ["note"] });
    const cases: [unknown, string][] = [
      [{ a: "text" }, "/schema/a"],
      [{ [`${"a.".repeat(32)}b`]: "auto" }, `/schema/${"a.".repeat(32)}b`],
      [{ ["é".repeat(129)]: "auto" }, `/schema/${"é".repeat(80)}`],
      [{ a: "none", "a.b": "auto" }, "/schema/a.b"],
      [Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`p${i}`, "auto"])), "/schema"],
    ];
    for (const [refused, pointer] of cases) {
      const answer = await make("refused", { schema: refused });
      expect(answer.status, JSON.stringify(refused).slice(0, 80)).to.equal(400);
      expect(answer.body.errors[0].pointer).to.equal(pointer);
    }
  });
});
