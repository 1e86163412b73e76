/**
 * What a client can send that is wrong. Each is answered with the right problem, writes nothing, and
 * the server answers /health meanwhile on another connection.
 */
import { expect } from "chai";
import { EF_MAX, IDS_MAX, K_MAX, SEARCHES_MAX } from "../src/http/schemas.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import type { Answer, Connection } from "./server.ts";

type Headers = Readonly<Record<string, string>>;

const BODY_MB_MAX = 1;

describe("http refusals", () => {
  let door: OpenDoor;
  let client: Connection;
  let other: Connection;

  before(async () => {
    door = await openDoor({ MAX_BODY_MB: BODY_MB_MAX });
    client = door.connect();
    other = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1, 2, 3] });
    await client.send("PUT", "/collections/angles", { dimensions: 2, metric: "cosine" });
    await other.get("/health");
  });
  after(closeDoors);

  const state = () =>
    JSON.stringify(
      door.database.collections().map(({ name, rows, sequence }) => [name, [...rows], sequence]),
    );

  async function expectProblem(answer: Answer, status: number, code: string): Promise<void> {
    expect([answer.status, answer.body?.code], answer.text).to.deep.equal([status, code]);
    expect(answer.headers["content-type"]).to.match(/^application\/problem\+json/);
    expect(answer.body).to.include.all.keys(
      ...["type", "title", "status", "detail", "instance", "request_id"],
    );
    expect(answer.body.status).to.equal(status);
    expect(answer.body.type).to.equal(`urn:omendb:problem:${code}`);
    expect(answer.body.request_id).to.equal(answer.headers["x-request-id"]);
    expect(answer.text).to.not.match(/\bat .+:\d+:\d+/);
  }

  async function isRefused(
    path: string,
    body: unknown,
    code: string,
    more: { status?: number; pointer?: string; detail?: RegExp; type?: string } = {},
  ): Promise<void> {
    const before = state();
    const type = more.type ?? "application/json";
    const sent = client.send("POST", path, body, { "content-type": type });
    expect((await other.get("/health")).status).to.equal(200);
    const answer = await sent;
    await expectProblem(answer, more.status ?? 400, code);
    if (more.pointer !== undefined) expect(answer.body.errors[0].pointer).to.equal(more.pointer);
    if (more.detail !== undefined) expect(answer.body.detail).to.match(more.detail);
    expect(state()).to.equal(before);
  }

  const add = (member: string) => `{"id":"new","vector":[1,2,3],${member}}`;
  const vector = (text: string) => `{"id":"new","vector":${text}}`;

  it("dimensions that are not the collection's, with expected and got", async () => {
    const more = { pointer: "/vector", detail: /expected 3 dimensions, got 2/ };
    await isRefused("/vectors/add", vector("[1,2]"), "DIMENSION_MISMATCH", more);
    await isRefused("/vectors/add", vector("[]"), "DIMENSION_MISMATCH", { pointer: "/vector" });
    await isRefused("/search", { vector: [1, 2] }, "DIMENSION_MISMATCH", more);
    const searches = [{ vector: [1, 2, 3] }, { vector: [1] }];
    await isRefused("/search/batch", { searches }, "DIMENSION_MISMATCH", {
      pointer: "/searches/1/vector",
    });
    const vectors = [
      { id: "x", vector: [1, 2, 3] },
      { id: "y", vector: [1, 2, 3, 4] },
    ];
    await isRefused("/vectors/batch", { vectors }, "DIMENSION_MISMATCH", {
      pointer: "/vectors/1/vector",
      detail: /row "y": expected 3 dimensions, got 4/,
    });
  });

  it("dimensions beyond the limit in a first write", async () => {
    const fresh = await openDoor();
    for (const dimensions of [0, 8193]) {
      const row = { id: "a", vector: Array.from({ length: dimensions }, () => 1) };
      for (const [path, body] of [
        ["/vectors/add", row],
        ["/vectors/batch", { vectors: [row] }],
      ] as const) {
        const answer = await fresh.connect().post(path, body);
        await expectProblem(answer, 400, "DIMENSION_MISMATCH");
        expect(answer.body.detail).to.contain(`expected 1 to 8192 dimensions, got ${dimensions}`);
      }
    }
    expect(fresh.database.collections()).to.deep.equal([]);
  });

  it("components that float32 or the engine cannot hold", async () => {
    for (const component of ["1e999", "-1e999", "3.5e38", "1.1e16", "null", '"1"', "[1]"]) {
      const pointer = "/vector/1";
      await isRefused("/vectors/add", vector(`[1,${component},3]`), "INVALID_VECTOR", { pointer });
    }
    for (const component of ["NaN", "Infinity", "-Infinity", "0x10", "1.", ".5", "+1", "01"]) {
      await isRefused("/vectors/add", vector(`[1,${component},3]`), "INVALID_JSON");
    }
    const nan = Buffer.from(Float32Array.of(1, Number.NaN, 3).buffer).toString("base64");
    await isRefused("/vectors/add", { id: "new", vector: nan }, "INVALID_VECTOR");
    for (const bad of ['"?"', '"AAA="', "5", "{}", "true", "null"]) {
      await isRefused("/vectors/add", vector(bad), "INVALID_VECTOR", { pointer: "/vector" });
    }
    const vectors = [
      { id: "x", vector: [1, 2, 3] },
      { id: "y", vector: [1, 1e17, 3] },
    ];
    await isRefused("/vectors/batch", { vectors }, "INVALID_VECTOR", {
      pointer: "/vectors/1/vector/1",
    });
  });

  it("a zero vector under cosine, naming the row", async () => {
    const base = "/collections/angles";
    const row = { id: "z", vector: [0, -0] };
    const more = { pointer: "/vector" };
    await isRefused(`${base}/vectors/add`, row, "ZERO_VECTOR", { ...more, detail: /row "z"/ });
    await isRefused(`${base}/search`, { vector: [0, 0] }, "ZERO_VECTOR", more);
    const vectors = [{ id: "x", vector: [1, 0] }, row];
    await isRefused(`${base}/vectors/batch`, { vectors }, "ZERO_VECTOR", {
      pointer: "/vectors/1/vector",
      detail: /row "z"/,
    });
  });

  it("ids that are empty, too long or no ids", async () => {
    const wrong = ["", "x".repeat(513), "é".repeat(257), "x".repeat(600), -1, 1.5, 2 ** 53];
    for (const id of [...wrong.slice(0, -1), true, null, [], {}]) {
      const body = { id, vector: [1, 2, 3] };
      await isRefused("/vectors/add", body, "INVALID_ID", { pointer: "/id" });
      await isRefused("/vectors/get", { ids: ["a", id] }, "INVALID_ID", { pointer: "/ids/1" });
    }
    const beyond = `{"id":${2 ** 53},"vector":[1,2,3]}`;
    await isRefused("/vectors/add", beyond, "INVALID_JSON", { detail: /2\^53-1/ });
    await isRefused("/vectors/add", '{"id":"\\ud800","vector":[1,2,3]}', "INVALID_JSON");
    expect((await client.post("/vectors/get", { ids: ["x".repeat(512)] })).status).to.equal(200);
    const long = await client.get(`/vectors/${"x".repeat(513)}`);
    await expectProblem(long, 400, "INVALID_ID");
  });

  it("an id twice in a batch, naming it and both places", async () => {
    const rows = ["x", 1, "y", "1"].map((id) => ({ id, vector: [1, 2, 3] }));
    await isRefused("/vectors/batch", { vectors: rows }, "DUPLICATE_ID", {
      pointer: "/vectors/3/id",
      detail: /row "1" stands at 1 and at 3/,
    });
  });

  it("an empty batch", async () => {
    await isRefused("/vectors/batch", { vectors: [] }, "BATCH_EMPTY", { pointer: "/vectors" });
    await isRefused("/search/batch", { searches: [] }, "BATCH_EMPTY");
    await isRefused("/vectors/get", { ids: [] }, "BATCH_EMPTY");
    await isRefused("/vectors/delete", { ids: [] }, "BATCH_EMPTY");
  });

  it("more than the limits of a list", async () => {
    const ids = Array.from({ length: IDS_MAX + 1 }, (_, i) => i);
    await isRefused("/vectors/delete", { ids }, "INVALID_REQUEST", { pointer: "/ids" });
    const searches = Array.from({ length: SEARCHES_MAX + 1 }, () => ({ vector: [1, 2, 3] }));
    await isRefused("/search/batch", { searches }, "INVALID_REQUEST", { pointer: "/searches" });
  });

  it("members it does not know, wherever they stand", async () => {
    const is = (path: string, body: unknown, pointer: string) =>
      isRefused(path, body, "INVALID_REQUEST", { pointer, detail: /is not known here/ });
    await is("/vectors/add", add('"metdata":{}'), "/metdata");
    await is("/vectors/add", add('"__proto__":{}'), "/__proto__");
    await is("/vectors/add", add('"a/b~c":1'), "/a~1b~0c");
    await is("/search", { vector: [1, 2, 3], top_k: 5 }, "/top_k");
    const vectors = [
      { id: "x", vector: [1, 2, 3] },
      { id: "y", vector: [1, 2, 3], extra: 1 },
    ];
    await is("/vectors/batch", { vectors }, "/vectors/1/extra");
    await is("/search/batch", { searches: [{ vector: [1, 2, 3], kk: 1 }] }, "/searches/0/kk");
    const put = await client.send("PUT", "/collections/x", { dimensions: 2, shards: 3 });
    await expectProblem(put, 400, "INVALID_REQUEST");
  });

  it("members that are missing", async () => {
    const is = (path: string, body: unknown, pointer: string) =>
      isRefused(path, body, "INVALID_REQUEST", { pointer, detail: /is missing/ });
    await is("/vectors/add", { vector: [1, 2, 3] }, "/id");
    await is("/vectors/add", { id: "x" }, "/vector");
    await is("/vectors/batch", { vectors: [{ id: "x" }] }, "/vectors/0/vector");
    await is("/vectors/batch", {}, "/vectors");
    await is("/search", {}, "/vector");
  });

  it("numbers out of their range", async () => {
    for (const k of [0, -1, 1.5, 1e9, K_MAX + 1, "10", null, true]) {
      const body = { vector: [1, 2, 3], k };
      await isRefused("/search", body, "INVALID_REQUEST", { pointer: "/k" });
    }
    for (const ef of [0, EF_MAX + 1]) {
      await isRefused("/search", { vector: [1, 2, 3], ef }, "INVALID_REQUEST", { pointer: "/ef" });
    }
    const far = '{"vector":[1,2,3],"max_distance":1e999}';
    await isRefused("/search", far, "INVALID_REQUEST", { pointer: "/max_distance" });
    for (const dimensions of [0, 8193, 1.5, "3"]) {
      const answer = await client.send("PUT", "/collections/new", { dimensions });
      await expectProblem(answer, 400, "INVALID_REQUEST");
      expect(answer.body.errors[0].pointer).to.equal("/dimensions");
    }
    expect((await client.post("/search", { vector: [1, 2, 3], k: K_MAX })).status).to.equal(200);
  });

  it("metadata that is no object or over its limit", async () => {
    for (const metadata of ["[]", '"x"', "5", "null", "true"]) {
      const more = { pointer: "/metadata" };
      await isRefused("/vectors/add", add(`"metadata":${metadata}`), "INVALID_METADATA", more);
    }
    const large = add(`"metadata":{"x":"${"y".repeat(65_536)}"}`);
    await isRefused("/vectors/add", large, "INVALID_METADATA");
  });

  it("filters that are none, with a pointer", async () => {
    const is = (filter: unknown, pointer: string) =>
      isRefused("/search", { vector: [1, 2, 3], filter }, "INVALID_FILTER", { pointer });
    await is({ a: { $regex: "x" } }, "/filter/a/$regex");
    await is([], "/filter");
    await is(null, "/filter");
    const searches = [{ vector: [1, 2, 3], filter: { $or: [{ a: 1 }, 7] } }];
    await isRefused("/search/batch", { searches }, "INVALID_FILTER", {
      pointer: "/searches/0/filter/$or/1",
    });
  });

  it("broken JSON, with the place", async () => {
    const broken = ["", "{", '{"id":"new","vector":[1,2,3}', "nonsense", '{"a":1}x', "\ufeff{}"];
    for (const text of broken) {
      await isRefused("/vectors/add", text, "INVALID_JSON", { detail: /at byte \d+/ });
    }
    await isRefused("/vectors/add", add('"id":"twice"'), "INVALID_JSON", { pointer: "/id" });
    const twice = add('"metadata":{"a":1,"\\u0061":2}');
    await isRefused("/vectors/add", twice, "INVALID_JSON");
    await isRefused("/vectors/add", Buffer.from([0x22, 0xff, 0x22]), "INVALID_JSON");
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    await isRefused("/vectors/add", deep, "INVALID_JSON");
    await isRefused("/vectors/add", add(`"metadata":{"a":${deep}}`), "INVALID_JSON");
    await isRefused("/search", `{"vector":[1,2,3],"filter":${deep}}`, "INVALID_JSON");
    for (const text of ["[]", "5", '"x"', "null", "true"]) {
      await isRefused("/vectors/add", text, "INVALID_REQUEST", { pointer: "" });
    }
  });

  it("another content type, or none, or another content encoding", async () => {
    for (const type of ["text/plain", "application/xml", "", "application/json; charset=latin1"]) {
      const more = { status: 415, type };
      await isRefused("/vectors/add", add('"mode":"upsert"'), "UNSUPPORTED_MEDIA_TYPE", more);
    }
    for (const encoding of ["compress", "gzip, br", "utf-8"]) {
      const answer = await client.send("POST", "/search", "x", { "content-encoding": encoding });
      await expectProblem(answer, 415, "UNSUPPORTED_MEDIA_TYPE");
      expect(answer.headers["accept-encoding"]).to.equal("gzip, deflate, br, zstd");
    }
    expect(
      (
        await client.send("POST", "/search", '{"vector":[1,2,3]}', {
          "content-type": "Application/JSON; charset=UTF-8",
        })
      ).status,
    ).to.equal(200);
  });

  it("a body over the limit, by its declared length and by its bytes", async () => {
    const large = Buffer.alloc(BODY_MB_MAX * 1024 * 1024 + 1, " ");
    await isRefused("/vectors/add", large, "BODY_TOO_LARGE", { status: 413 });
    const chunked = await fetch(`http://127.0.0.1:${door.port}/vectors/add`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new ReadableStream({
        pull: (stream) => stream.enqueue(large.subarray(0, 100_000)),
      }),
      duplex: "half",
    } as RequestInit);
    expect(chunked.status).to.equal(413);
    expect(((await chunked.json()) as { code: string }).code).to.equal("BODY_TOO_LARGE");
  });

  it("conditions that are none, or that many rows cannot keep", async () => {
    const before = state();
    const one = { id: "a", vector: [1, 2, 3] };
    const is = async (method: string, path: string, body: unknown, headers: Headers) => {
      await expectProblem(await client.send(method, path, body, headers), 400, "INVALID_REQUEST");
    };
    for (const tag of ["1", "'1'", '"1', '"1" "2"', 'w/"1"']) {
      await is("DELETE", "/vectors/a", undefined, { "if-match": tag });
      await is("PATCH", "/vectors/a", { metadata: {} }, { "if-match": tag });
      await is("POST", "/vectors/add", one, { "if-match": tag });
      await is("GET", "/vectors/a", undefined, { "if-none-match": tag });
    }
    await is("POST", "/vectors/batch", { vectors: [one] }, { "if-match": '"1"' });
    await is("POST", "/vectors/delete", { ids: ["a"] }, { "if-none-match": "*" });
    await is("POST", "/vectors/add", one, { "if-none-match": '"1"' });
    await is("POST", "/vectors/add", one, { "if-none-match": "*", "if-match": "*" });
    expect(state()).to.equal(before);
  });

  it("patches that say nothing, or nothing that fits the row", async () => {
    const before = state();
    const is = async (body: unknown, code: string, pointer: string) => {
      const answer = await client.send("PATCH", "/vectors/a", body);
      await expectProblem(answer, 400, code);
      expect(answer.body.errors[0].pointer).to.equal(pointer);
    };
    await is({}, "INVALID_REQUEST", "");
    await is({ id: "b", metadata: {} }, "INVALID_REQUEST", "/id");
    await is({ vector: [1, 2] }, "DIMENSION_MISMATCH", "/vector");
    await is({ vector: null }, "INVALID_VECTOR", "/vector");
    for (const metadata of [1, "x", [], true])
      await is({ metadata }, "INVALID_METADATA", "/metadata");
    const large = (name: string) => ({ metadata: { [name]: "y".repeat(40_000) } });
    await client.post("/vectors/add", { id: "large", vector: [1, 2, 3], ...large("a") });
    const answer = await client.send("PATCH", "/vectors/large", large("b"));
    await expectProblem(answer, 400, "INVALID_METADATA");
    expect(answer.body.detail).to.match(/would have 80\d{3} bytes, 65536 are allowed/);
    await client.send("DELETE", "/vectors/large");
    const missing = await client.send("PATCH", "/vectors/none", { metadata: {} });
    await expectProblem(missing, 404, "ROW_NOT_FOUND");
    expect(state().replace(/,\d+\]/g, "")).to.equal(before.replace(/,\d+\]/g, ""));
  });
});
