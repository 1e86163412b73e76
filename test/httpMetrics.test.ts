/** What the server says about itself to machines: metrics and the OpenAPI document. */
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "chai";
import { openApiDocument } from "../src/http/openapi.ts";
import { methodsAt, OPERATIONS, pathsOf } from "../src/http/operations.ts";
import { ControlMemory } from "../src/threads/control.ts";
import { closeDoors, openDoor } from "./httpDoor.ts";
import { MemoryDatabase } from "./memoryDatabase.ts";

// biome-ignore lint/suspicious/noExplicitAny: a document of every shape
const document: any = openApiDocument("1.2.3");

/** `name{labels}` -> value. */
function parseMetrics(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    expect(line).to.match(/^[a-z_]+(\{[^}]*\})? [-+.\deInf]+$/);
    const space = line.lastIndexOf(" ");
    values.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return values;
}

describe("http metrics", () => {
  afterEach(closeDoors);

  it("are the same whichever listener is asked, and count every request", async () => {
    const shared = { control: new ControlMemory(), database: new MemoryDatabase() };
    const doors = [await openDoor({}, shared), await openDoor({}, shared)];
    const clients = doors.map((door) => door.connect());
    for (let turn = 0; turn < 20; turn++) {
      const client = clients[turn % 2]!;
      await client.post("/vectors/add", { id: turn, vector: [turn, 1] });
      await client.post("/search", { vector: [turn, 1] });
      await client.post("/collections/default/search", { vector: [1] });
    }
    await clients[0]!.post("/vectors/delete", { ids: [1, 2, 99] });
    await clients[1]!.get("/nowhere");
    shared.control.count("writeWaits", 3);
    shared.control.count("writeWaitTime", 1.5e9);
    const texts = [await clients[0]!.get("/metrics"), await clients[1]!.get("/metrics")];
    const [first, second] = texts.map(({ text }) => parseMetrics(text));
    const series = (name: string) =>
      [...first!].filter(([key]) => key === name || key.startsWith(`${name}{`));
    for (const values of [first!, second!]) {
      expect(values.get("omendb_searches_total")).to.equal(20);
      expect(values.get("omendb_rows_inserted_total")).to.equal(20);
      expect(values.get("omendb_rows_deleted_total")).to.equal(2);
      expect(values.get("omendb_write_waits_total")).to.equal(3);
      expect(values.get("omendb_write_wait_seconds_total")).to.equal(1.5);
      expect(values.get("omendb_writes_refused_total")).to.equal(0);
      expect(values.get("omendb_search_duration_seconds_count")).to.equal(20);
      expect(values.get("omendb_search_distances_computed_count")).to.equal(20);
      const labels = (route: string, method: string, status: string) =>
        `omendb_http_request_duration_seconds_count{route="${route}",method="${method}",status="${status}"}`;
      expect(values.get(labels("/search", "POST", "2xx"))).to.equal(20);
      expect(values.get(labels("/search", "POST", "4xx"))).to.equal(20);
      expect(values.get(labels("none", "any", "4xx"))).to.equal(1);
      const rows = 'omendb_rows{collection="default",state="indexed"}';
      expect(values.get(rows)).to.equal(18);
      expect(values.get('omendb_memory_bytes{collection="default",part="vectors"}')).to.equal(144);
      expect(values.get("process_resident_memory_bytes")).to.be.greaterThan(1e7);
      expect(values.get("process_cpu_seconds_total")).to.be.greaterThan(0);
    }
    expect(second!.get("process_start_time_seconds")).to.be.closeTo(Date.now() / 1000, 3600);
    expect(texts[0]!.headers["content-type"]).to.match(/^text\/plain; version=0\.0\.4/);
    expect(series("process_start_time_seconds")).to.have.length(1);
  });

  it("have buckets that grow to the count", async () => {
    const door = await openDoor();
    const client = door.connect();
    for (let turn = 0; turn < 50; turn++) await client.get("/health");
    const { text } = await client.get("/metrics");
    const buckets = [...parseMetrics(text)].filter(
      ([key]) =>
        key.startsWith("omendb_http") && key.includes("_bucket") && key.includes("/health"),
    );
    const counts = buckets.map(([, value]) => value);
    expect(counts).to.deep.equal([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).to.equal(50);
    expect(buckets.at(-1)![0]).to.contain('le="+Inf"');
  });
});

describe("http control", () => {
  it("wakes who sleeps, and keeps awake who heard an older ring", () => {
    const control = new ControlMemory();
    const heard = control.heard();
    expect(control.sleep(heard, 10)).to.equal("timed-out");
    control.ring();
    expect(control.sleep(heard, 10_000)).to.equal("rung");
    expect(new ControlMemory(control.memory).heard()).to.equal(control.heard());
  });

  it("is one memory for all who are given it", () => {
    const control = new ControlMemory();
    const other = new ControlMemory(control.memory);
    control.count("searches", 2);
    other.count("searches");
    other.setLag(3, 12.5);
    expect(control.total("searches")).to.equal(3);
    expect(other.seed).to.equal(control.seed);
    expect(control.lags()[3]).to.equal(12.5);
    expect(control.lags()[4]).to.equal(undefined);
  });
});

describe("http openapi", () => {
  afterEach(closeDoors);

  it("has every operation at each of its addresses, and nothing else", () => {
    const expected = Object.values(OPERATIONS).flatMap((operation) =>
      pathsOf(operation).map((path) => `${operation.method} ${path}`),
    );
    const shown = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method} ${path}`),
    );
    expect(shown.sort()).to.deep.equal(expected.sort());
    for (const path of Object.keys(document.paths)) {
      const methods = methodsAt(path.replaceAll(/\{\w+\}/g, "x"));
      for (const method of Object.keys(document.paths[path])) {
        expect(methods).to.include(method.toUpperCase());
      }
    }
  });

  it("is well formed: its references resolve, its names are unique, its schemas compile", () => {
    expect(document.openapi).to.equal("3.1.0");
    expect(document.info).to.include({ version: "1.2.3", title: "OmenDB Server" });
    const text = JSON.stringify(document);
    expect(JSON.parse(text)).to.deep.equal(document);
    expect(text).to.not.contain("x-omendb");
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      expect(document.components.schemas).to.have.property(name!);
    }
    // biome-ignore lint/suspicious/noExplicitAny: operations as they stand in the document
    const operations = Object.values(document.paths).flatMap((path: any) => Object.values(path));
    // biome-ignore lint/suspicious/noExplicitAny: see above
    const ids = operations.map((operation: any) => operation.operationId);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const [path, methods] of Object.entries<Record<string, object>>(document.paths)) {
      for (const operation of Object.values(methods)) {
        const { parameters = [], responses } = operation as Record<string, never>;
        const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        const shown = parameters as { name: string; in: string }[];
        const inPath = shown.filter((parameter) => parameter.in === "path");
        expect(inPath.map(({ name }) => name)).to.deep.equal(names);
        expect(Object.keys(responses)).to.satisfy((all: string[]) =>
          all.some((status) => status.startsWith("2")),
        );
      }
    }
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema(document, "document");
    for (const name of Object.keys(document.components.schemas)) {
      ajv.compile({ $ref: `document#/components/schemas/${name}` });
    }
  });

  it("describes what the server really answers", async () => {
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema(document, "document");
    const client = (await openDoor()).connect();
    const answers = async (
      method: "get" | "post" | "put" | "delete",
      path: string,
      shown: string,
      body?: unknown,
    ) => {
      const answer = await client.send(method.toUpperCase(), path, body);
      const described = document.paths[shown][method].responses[answer.status];
      expect(described, `${method} ${shown} ${answer.status}`).to.not.equal(undefined);
      const type = answer.headers["content-type"]!.split(";")[0]!;
      const { schema } = described.content[type];
      const text = JSON.stringify(schema).replaceAll('"#/', '"document#/');
      const validate = ajv.compile(JSON.parse(text));
      expect(validate(answer.body), `${answer.text} ${ajv.errorsText(validate.errors)}`).to.equal(
        true,
      );
      return answer;
    };
    const row = { id: "a", vector: [1, 2], metadata: { x: 1 } };
    await answers("get", "/stats", "/stats");
    await answers("post", "/vectors/add", "/vectors/add", row);
    await answers("post", "/vectors/batch", "/vectors/batch", {
      vectors: [row, { ...row, id: 2 }],
    });
    const search = { vector: [1, 2], explain: true, include_vector: true };
    await answers("post", "/search", "/search", search);
    await answers("post", "/search", "/search", { vector: [1] });
    await answers("post", "/search/batch", "/search/batch", {
      searches: [search, { vector: [1, 1] }],
    });
    await answers("post", "/vectors/get", "/vectors/get", { ids: ["a", "no"] });
    await answers("get", "/vectors/a", "/vectors/{id}");
    await answers("get", "/vectors/no", "/vectors/{id}");
    await answers("get", "/stats", "/stats");
    await answers("get", "/collections", "/collections");
    const one = "/collections/{collection}";
    await answers("put", "/collections/c", one, { dimensions: 2 });
    await answers("put", "/collections/c", one, { dimensions: 2 });
    await answers("put", "/collections/c", one, { dimensions: 3 });
    await answers("get", "/collections/c", one);
    await answers("post", "/collections/c/search", `${one}/search`, { vector: [1, 1] });
    await answers("delete", "/collections/c", one);
    await answers("delete", "/collections/c", one);
    await answers("post", "/vectors/delete", "/vectors/delete", { ids: ["a"] });
    await answers("delete", "/vectors/a", "/vectors/{id}");
    await answers("get", "/health", "/health");
    await answers("get", "/livez", "/livez");
    await answers("get", "/readyz", "/readyz");
    const served = await client.get("/openapi.json");
    expect(served.body.paths).to.deep.equal(document.paths);
  });
});
