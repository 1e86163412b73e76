/** What the endpoints answer when all is well, and what the server says about itself. */
import { expect } from "chai";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import type { Connection } from "./server.ts";

describe("http", () => {
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    door = await openDoor();
    client = door.connect();
  });
  afterEach(closeDoors);

  const add = (id: unknown, vector: unknown, more: object = {}, base = "") =>
    client.post(`${base}/vectors/add`, { id, vector, ...more });
  const search = async (body: object, base = "") =>
    (await client.post(`${base}/search`, body)).body.results;

  describe("rows", () => {
    it("makes the default collection by its first write and finds the row at once", async () => {
      expect((await client.post("/search", { vector: [1] })).body.results).to.deep.equal([]);
      const { status, body } = await add("a", [3, 4], { metadata: { n: 1 } });
      expect(status).to.equal(200);
      expect(body).to.deep.equal({ status: "ok", id: "a", sequence: 1 });
      const answer = await client.post("/search", { vector: [0, 0] });
      expect(answer.body.results).to.deep.equal([
        { id: "a", distance: 5, score: 1 / 6, metadata: { n: 1 } },
      ]);
      expect(answer.body.took_ms).to.be.a("number");
      expect(answer.headers["content-type"]).to.equal("application/json; charset=utf-8");
    });

    it("gives metadata back byte for byte, and ids of any characters", async () => {
      const metadata = '{ "b":1.0,\t"a":"\\u00e9 😀", "__proto__":{"x":[ 1e2 ]} }';
      const id = '/?#.. "\\\u0000é😀';
      const text = `{"id":${JSON.stringify(id)},"vector":[1],"metadata":${metadata}}`;
      expect((await client.send("POST", "/vectors/add", text)).status).to.equal(200);
      const found = await client.post("/search", { vector: [1] });
      expect(found.text).to.contain(`"metadata":${metadata}`);
      expect(found.body.results[0].id).to.equal(id);
      const row = await client.get(`/vectors/${encodeURIComponent(id)}`);
      expect(row.status).to.equal(200);
      expect(row.text).to.contain(`"metadata":${metadata}`);
      expect(row.headers.etag).to.equal('"1"');
      expect(row.body.version).to.equal(1);
    });

    it("takes whole numbers as ids and vectors as base64", async () => {
      const vector = Buffer.from(Float32Array.of(1, 2.5, -3).buffer).toString("base64");
      expect((await add(7, vector)).body.id).to.equal("7");
      const { body } = await client.get("/vectors/7");
      expect(body).to.deep.equal({ id: "7", vector: [1, 2.5, -3], metadata: null, version: 1 });
      expect((await add(2 ** 53 - 1, vector)).body.id).to.equal("9007199254740991");
    });

    it("gives vectors back as numbers of the same float32, also -0", async () => {
      const words = Uint32Array.from({ length: 2000 }, (_, i) => Math.imul(i + 1, 2654435761));
      const floats = [...new Float32Array(words.buffer)];
      const vector = [-0, 0.1, 1e-45, 1e16, ...floats.filter((x) => Math.abs(x) <= 1e15)];
      await add(
        "v",
        vector.map((x) => (Object.is(x, -0) ? 0 : x)),
      );
      const text = JSON.stringify({ id: "v", vector: [1] }).replace(
        "[1]",
        `[-0,${vector.slice(1)}]`,
      );
      expect((await client.send("POST", "/vectors/add", text)).status).to.equal(200);
      const [hit] = await search({ vector, include_vector: true, include_metadata: false });
      const same = (got: number[]) =>
        got.every((x, i) => Object.is(Math.fround(x), Math.fround(vector[i]!)));
      expect(same(hit.vector)).to.equal(true);
      expect(same((await client.get("/vectors/v")).body.vector)).to.equal(true);
    });

    it("gives answers of every size whole, and small ones after large ones", async () => {
      const metadata = { text: "é😀".repeat(2000) };
      const vectors = Array.from({ length: 30 }, (_, row) => ({
        ...{ id: `r${row}`, metadata },
        vector: Array.from({ length: 4000 }, (_, i) => Math.fround(Math.sin(i + row))),
      }));
      await client.post("/vectors/batch", { vectors });
      const { vector } = vectors[0]!;
      for (const k of [30, 1, 3, 2]) {
        const found = await search({ vector, k, include_vector: true });
        expect(found).to.have.length(k);
        expect(found[0]).to.deep.include({ id: "r0", metadata, vector });
      }
      const small = await search({ vector, k: 1, include_metadata: false });
      expect(small).to.deep.equal([{ id: "r0", distance: 0, score: 1 }]);
    });

    it("writes a batch with one sequence, and reads, searches and deletes many", async () => {
      const vectors = Array.from({ length: 300 }, (_, i) => ({
        ...{ id: `row-${i}`, vector: [i, 0, 1] },
        ...(i % 2 === 0 ? { metadata: { even: true, i } } : {}),
      }));
      const { body } = await client.post("/vectors/batch", { vectors });
      expect(body).to.deep.equal({ status: "ok", count: 300, sequence: 1 });
      const got = await client.post("/vectors/get", { ids: ["row-3", "no", "row-2"] });
      expect(got.body.vectors).to.deep.equal([
        { id: "row-3", vector: [3, 0, 1], metadata: null, version: 1 },
        null,
        { id: "row-2", vector: [2, 0, 1], metadata: { even: true, i: 2 }, version: 1 },
      ]);
      const searches = [
        { vector: [0, 0, 1], k: 1 },
        { vector: [299, 0, 1], k: 2, filter: { even: true }, explain: true },
      ];
      const many = await client.post("/search/batch", { searches });
      const ids = many.body.results.map((hits: { id: string }[]) => hits.map(({ id }) => id));
      expect(ids).to.deep.equal([["row-0"], ["row-298", "row-296"]]);
      expect(many.body.explain).to.deep.equal([
        null,
        { strategy: "exact", matching: 150, ef: 0, distances_computed: 150 },
      ]);
      const deleted = await client.post("/vectors/delete", {
        ids: ["row-0", "row-0", "no", "row-1"],
      });
      expect(deleted.body).to.deep.include({ status: "ok", deleted: 2 });
      expect(deleted.body.sequence).to.be.a("number");
      const one = await client.send("DELETE", "/vectors/row-2");
      const sequence = deleted.body.sequence + 1;
      expect(one.body).to.deep.equal({ status: "ok", deleted: 1, sequence });
      expect((await client.send("DELETE", "/vectors/row-2")).body.deleted).to.equal(0);
      expect((await client.get("/vectors/row-2")).body.code).to.equal("ROW_NOT_FOUND");
      expect((await client.get("/stats")).body.vectors).to.equal(297);
    });

    it("keeps insert from replacing and update from making rows", async () => {
      await add("a", [1]);
      expect((await add("a", [1], { mode: "insert" })).status).to.equal(409);
      expect((await add("b", [1], { mode: "update" })).status).to.equal(404);
      expect((await add("a", [2], { mode: "update" })).status).to.equal(200);
    });

    it("sorts by distance, then id, and keeps to k, max_distance and the filter", async () => {
      for (const id of ["b", "a", "c", "d"])
        await add(id, [id === "d" ? 9 : 1], { metadata: { id } });
      const ids = async (body: object) =>
        (await search({ vector: [1], ...body })).map((hit: { id: string }) => hit.id);
      expect(await ids({})).to.deep.equal(["a", "b", "c", "d"]);
      expect(await ids({ k: 2 })).to.deep.equal(["a", "b"]);
      expect(await ids({ max_distance: 1 })).to.deep.equal(["a", "b", "c"]);
      expect(await ids({ filter: { id: { $gt: "b" } }, exact: true })).to.deep.equal(["c", "d"]);
      const [hit] = await search({ vector: [1], k: 1, include_metadata: false });
      expect(hit).to.deep.equal({ id: "a", distance: 0, score: 1 });
      const { body } = await client.post("/search", { vector: [1], explain: true });
      expect(body.explain).to.deep.include({ strategy: "exact", matching: 4 });
    });
  });

  it("writes an answer of many rows in slices, as it would in one", async () => {
    const vectors = Array.from({ length: 1234 }, (_, n) => ({
      ...{ id: `${n}`, vector: [n, ...Array<number>(700).fill(0.5)] },
      ...(n % 2 === 0 ? { metadata: { n } } : {}),
    }));
    await client.post("/vectors/batch", { vectors });
    const body = { vector: vectors[0]!.vector, k: 2000, include_vector: true, explain: true };
    const [many, few] = await Promise.all([
      client.post("/search", body),
      door.connect().post("/search", { ...body, k: 50 }),
    ]);
    const batch = await client.post("/search/batch", { searches: [body, { ...body, k: 50 }] });
    for (const [count, { results }] of [
      [1234, many.body],
      [50, few.body],
      [1234, { results: batch.body.results[0] }],
      [50, { results: batch.body.results[1] }],
    ] as const) {
      expect(results).to.have.length(count);
      for (const [n, { id, vector, metadata }] of results.entries()) {
        expect([id, metadata?.n]).to.deep.equal([`${n}`, n % 2 === 0 ? n : undefined]);
        expect(vector).to.deep.equal(vectors[n]!.vector);
      }
    }
  });

  describe("collections", () => {
    it("are made, listed, described and dropped", async () => {
      const made = await client.send("PUT", "/collections/books", { dimensions: 2, metric: "dot" });
      expect(made.status).to.equal(201);
      expect(made.body).to.deep.equal({
        ...{ name: "books", dimensions: 2, metric: "dot", quantization: "sq8", vectors: "memory" },
        ...{ m: 16, ef_construction: 64, ef_search: 96 },
      });
      const again = { dimensions: 2, metric: "dot", vectors: "memory", m: 16 };
      expect((await client.send("PUT", "/collections/books", again)).status).to.equal(200);
      const other = await client.send("PUT", "/collections/books", { dimensions: 3 });
      expect([other.status, other.body.code]).to.deep.equal([409, "COLLECTION_EXISTS"]);

      await add("x", [1, 2], {}, "/collections/books");
      expect(await search({ vector: [1, 1] }, "/collections/books")).to.deep.equal([
        { id: "x", distance: -3, score: 3 },
      ]);
      const list = (await client.get("/collections")).body.collections;
      expect(list).to.deep.equal([
        { name: "books", vectors: 1, dimensions: 2, metric: "dot", memory_bytes: 8 },
      ]);
      const { body } = await client.get("/collections/books");
      expect(body.stats.vectors).to.equal(1);
      expect((await client.get("/collections/books/stats")).body.metric).to.equal("dot");
      const dropped = await client.send("DELETE", "/collections/books");
      expect([dropped.status, dropped.body]).to.deep.equal([200, { status: "ok" }]);
      const missing = await client.send("DELETE", "/collections/books");
      expect([missing.status, missing.body.code]).to.deep.equal([404, "COLLECTION_NOT_FOUND"]);
    });

    it("act on default at the root and by name", async () => {
      await add("a", [1, 2]);
      expect(await search({ vector: [1, 2] }, "/collections/default")).to.have.length(1);
      expect((await client.get("/collections/default")).body.name).to.equal("default");
      await client.send("DELETE", "/collections/default");
      expect(await search({ vector: [1, 2, 3] })).to.deep.equal([]);
    });

    it("are only made by a write when they are default", async () => {
      for (const [method, path, body] of [
        ["POST", "/vectors/add", { id: "a", vector: [1] }],
        ["POST", "/vectors/batch", { vectors: [{ id: "a", vector: [1] }] }],
        ["POST", "/search", { vector: [1] }],
        ["POST", "/search/batch", { searches: [{ vector: [1] }] }],
        ["POST", "/vectors/get", { ids: ["a"] }],
        ["POST", "/vectors/delete", { ids: ["a"] }],
        ["GET", "/vectors/a"],
        ["DELETE", "/vectors/a"],
        ["GET", "/stats"],
        ["GET", ""],
      ] as const) {
        const answer = await client.send(method, `/collections/nowhere${path}`, body);
        expect([answer.status, answer.body.code], `${method} ${path}`).to.deep.equal([
          404,
          "COLLECTION_NOT_FOUND",
        ]);
        expect(answer.body.detail).to.contain("PUT /collections/nowhere makes it");
      }
      expect(door.database.collections()).to.deep.equal([]);
      expect((await client.get("/stats")).body).to.include({ vectors: 0, dimensions: null });
      expect((await client.get("/vectors/a")).body.code).to.equal("ROW_NOT_FOUND");
      expect((await client.send("DELETE", "/vectors/a")).body.deleted).to.equal(0);
    });

    it("have plain names", async () => {
      for (const name of ["a.b", "%20", "x".repeat(65), "é", "..%2Fx"]) {
        const path = `/collections/${encodeURIComponent(name)}`;
        const put = await client.send("PUT", path, { dimensions: 2 });
        expect([put.status, put.body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
        expect((await client.get(path)).status).to.equal(404);
      }
    });
  });

  describe("health", () => {
    it("says healthy, starting with progress, and read_only with the reason", async () => {
      const health = await client.get("/health");
      expect(health.status).to.equal(200);
      expect(health.body).to.include({ status: "healthy", version: "0.0.0-test" });
      expect(health.body.uptime_seconds).to.be.greaterThan(0);
      expect((await client.get("/livez")).status).to.equal(200);
      expect((await client.get("/readyz")).status).to.equal(200);

      door.database.healthNow = { status: "starting", progress: 0.5 };
      const starting = await client.get("/health");
      expect(starting.status).to.equal(503);
      expect(starting.body).to.include({ status: "starting", progress: 0.5 });
      expect((await client.get("/readyz")).status).to.equal(503);
      expect((await client.get("/livez")).status).to.equal(200);

      door.database.healthNow = { status: "read_only", reason: "the disk is full" };
      const readOnly = await client.get("/health");
      expect(readOnly.status).to.equal(503);
      expect(readOnly.body).to.include({ status: "read_only", reason: "the disk is full" });
      expect((await client.get("/readyz")).status).to.equal(200);
    });
  });

  describe("every answer", () => {
    it("carries the client's request id if it is sane, else one of its own", async () => {
      const idFor = async (id: string) =>
        (await client.send("GET", "/health", undefined, { "x-request-id": id })).headers[
          "x-request-id"
        ];
      expect(await idFor("abc-123")).to.equal("abc-123");
      for (const id of ["a b", "x".repeat(129), "<script>", ""]) {
        expect(await idFor(id))
          .to.match(/^[\w-]{8,}$/)
          .and.not.equal(id);
      }
      const ids = await Promise.all([1, 2, 3].map(() => client.get("/nowhere")));
      expect(new Set(ids.map(({ body }) => body.request_id)).size).to.equal(3);
      expect(ids[0]!.body.request_id).to.equal(ids[0]!.headers["x-request-id"]);
    });

    it("tells browsers to guess, frame and cache nothing, and not what it is made of", async () => {
      for (const path of ["/health", "/nowhere"]) {
        const { headers } = await client.get(path);
        expect(headers).to.include({
          "x-content-type-options": "nosniff",
          "cache-control": "no-store",
          "x-frame-options": "DENY",
          "content-security-policy": "default-src 'none';frame-ancestors 'none'",
        });
        expect(headers).to.not.have.any.keys("x-powered-by", "server");
      }
    });

    it("says 404 and 405 with what is allowed", async () => {
      const allowed = async (method: string, path: string) => {
        const { status, headers, body } = await client.send(method, path);
        return [status, body?.code, headers.allow];
      };
      expect(await allowed("GET", "/nowhere")).to.deep.equal([404, "NOT_FOUND", undefined]);
      const post = "OPTIONS, POST";
      expect(await allowed("GET", "/search")).to.deep.equal([405, "METHOD_NOT_ALLOWED", post]);
      expect(await allowed("PUT", "/collections/x/search")).to.deep.equal([
        405,
        "METHOD_NOT_ALLOWED",
        post,
      ]);
      expect(await allowed("POST", "/vectors/some-id")).to.deep.equal([
        405,
        "METHOD_NOT_ALLOWED",
        "DELETE, GET, HEAD, OPTIONS, PATCH",
      ]);
      expect(await allowed("OPTIONS", "/search")).to.deep.equal([204, undefined, post]);
      expect((await client.get("/SEARCH")).status).to.equal(404);
      expect((await client.get("/health/")).status).to.equal(404);
      expect((await client.get("/vectors/%E0%A4%A")).body.code).to.equal("INVALID_REQUEST");
    });

    it("lets pages of named origins call, and no others", async () => {
      const open = await openDoor({ CORS_ORIGINS: "https://a.example", API_KEY: "key" });
      const browser = open.connect();
      const from = (origin: string, method = "GET", more = {}) =>
        browser.send(method, "/search", undefined, { origin, ...more });
      const preflight = await from("https://a.example", "OPTIONS", {
        "access-control-request-method": "POST",
      });
      expect(preflight.status).to.equal(204);
      expect(preflight.headers["access-control-allow-headers"]).to.contain("X-API-Key");
      const known = (await from("https://a.example")).headers;
      expect(known["access-control-allow-origin"]).to.equal("https://a.example");
      const strange = (await from("https://b.example")).headers;
      expect(strange).to.not.have.any.keys("access-control-allow-origin");
    });
  });

  describe("the log", () => {
    it("has failed requests at info, and never a key or a vector", async () => {
      const secret = "a-very-secret-key";
      const open = await openDoor({ API_KEY: secret });
      const known = open.connect({ "x-api-key": secret });
      await known.post("/vectors/add", { id: "a", vector: [12345.5] });
      expect(open.lines).to.deep.equal([]);
      await known.post("/vectors/add", { id: "a", vector: [12345.5, 1] });
      await open.connect({ authorization: "Bearer wrong-key" }).get("/stats");
      expect(open.lines).to.have.length(2);
      expect(open.lines[0]).to.deep.include({ level: 30 });
      expect(open.lines[0].req).to.include({ method: "POST", path: "/vectors/add" });
      expect(open.lines[0].res).to.deep.equal({ statusCode: 400, code: "DIMENSION_MISMATCH" });
      const text = JSON.stringify(open.lines);
      expect(text).to.not.contain(secret).and.not.contain("wrong-key").and.not.contain("12345");
    });

    it("has every request at debug", async () => {
      const open = await openDoor({ LOG_LEVEL: "debug" });
      const { headers } = await open.connect().get("/health");
      await open.connect().get("/nowhere");
      expect(open.lines.map(({ res }) => res.statusCode)).to.deep.equal([200, 404]);
      expect(open.lines[0].req.id).to.equal(headers["x-request-id"]);
    });

    it("has the stack of what was not foreseen, and the client has not", async () => {
      door.database.collections = () => {
        throw new Error("the secret of the house");
      };
      const { status, body, text } = await client.get("/collections");
      expect([status, body.code]).to.deep.equal([500, "INTERNAL"]);
      expect(text).to.not.contain("secret");
      const line = door.lines.at(-1);
      expect(line.level).to.equal(50);
      expect(line.err.message).to.equal("the secret of the house");
      expect(line.err.stack).to.contain("http.test.ts");
      expect(line.req.id).to.equal(body.request_id);
    });
  });
});
