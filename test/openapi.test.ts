/**
 * The OpenAPI document: a validator of others finds nothing wrong with it, its examples keep its
 * own schemas, and a real server, asked for every operation in it, answers as it says, also when it
 * refuses.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect } from "chai";
import { ERRORS } from "../src/errors.ts";
import { openApiDocument } from "../src/http/openapi.ts";
import { type Call, Contract, type Json } from "./contract.ts";
import { type Answer, type Connection, pause, type Server, startServer } from "./server.ts";

const KEY = "the-key-of-this-test";
const TRIES = 400;
const contract = new Contract(JSON.parse(JSON.stringify(openApiDocument("1.2.3"))));

/** In an order in which each finds what it needs. */
const ORDER = [
  ...["health", "live", "ready", "metrics", "openapi", "docs", "docsFile"],
  ...[
    "createCollection",
    "addRow",
    "addRows",
    "search",
    "searchMany",
    "getRow",
    "getRows",
    "countRows",
  ],
  ...["scroll", "stats", "listCollections", "getCollection", "recall", "patchRow"],
  ...["createSnapshot", "listSnapshots", "getSnapshot", "downloadSnapshot", "restoreSnapshot"],
  ...["deleteSnapshot", "uploadSnapshot", "deleteRow", "deleteRows", "dropCollection"],
];
/** Those need a data path and images. */
const isOfSnapshots = (id: string) => /snapshot/i.test(id);

const jsonBody = ({ operation }: Call) => operation.requestBody?.content["application/json"];

describe("the OpenAPI document", () => {
  it("passes a public validator", async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(contract.document));
    expect(valid, JSON.stringify(errors)).to.equal(true);
    expect(validator.version).to.equal("3.1");
  });

  it("has an example of every operation, which keeps its schema, and every answer's", () => {
    for (const { operationId, method, path, operation } of contract.calls) {
      const place = ["paths", path, method.toLowerCase()];
      const json = operation.requestBody?.content["application/json"];
      if (json !== undefined) {
        expect(json.example, operationId).to.be.an("object");
        const at = [...place, "requestBody", "content", "application/json", "schema"];
        const check = contract.compile(at);
        expect(check(json.example), `${operationId} ${JSON.stringify(check.errors)}`).to.equal(
          true,
        );
      }
      for (const [status, { content = {} }] of Object.entries<Json>(operation.responses)) {
        for (const [media, { schema, example, examples }] of Object.entries<Json>(content)) {
          if (schema === undefined) continue;
          const at = [...place, "responses", status, "content", media, "schema"];
          const check = contract.compile(at);
          const values = examples === undefined ? [example] : Object.keys(examples).map(problemOf);
          for (const value of values) {
            const what = `${operationId} ${status} ${JSON.stringify(value)}`;
            expect(check(value), `${what} ${JSON.stringify(check.errors)}`).to.equal(true);
          }
        }
      }
    }
  });

  it("names at every operation the codes of its errors, and every code it can be asked for", () => {
    const named = new Set<string>();
    for (const { operation } of contract.calls) {
      for (const [status, { content = {} }] of Object.entries<Json>(operation.responses)) {
        const codes = content["application/problem+json"]?.schema.properties.code.enum ?? [];
        for (const code of codes) {
          expect(ERRORS[code as keyof typeof ERRORS].status).to.equal(Number(status));
          named.add(code);
        }
      }
      expect(Object.keys(operation.responses)).to.include.members(["400", "408", "431", "500"]);
    }
    const inside = ["CORRUPT_FILE", "UNSUPPORTED_FORMAT", "ENGINE_FAULT", "UNSUPPORTED_PLATFORM"];
    const elsewhere = ["METHOD_NOT_ALLOWED", "NOT_ACCEPTABLE", "INVALID_SETTING", ...inside];
    const missing = Object.keys(ERRORS).filter((code) => !named.has(code));
    expect(missing.filter((code) => !elsewhere.includes(code))).to.deep.equal([]);
  });
});

const problemOf = (code: string) => contract.document.components.examples[code].value;

describe("a server, asked for every operation of its document", () => {
  let path: string;
  let server: Server;
  let client: Connection;
  let stranger: Connection;
  before(async () => {
    path = await mkdtemp(join(tmpdir(), "omendb-"));
    server = await startServer({
      ...{ THREADS: 2, API_KEY: KEY, LOG_LEVEL: "fatal", PATH: join(path, "data") },
    });
    client = server.connect({ "x-api-key": KEY });
    stranger = server.connect();
  });
  after(async () => {
    client?.close();
    stranger?.close();
    await server?.stop();
    await rm(path, { recursive: true, force: true });
  });

  const examplePath = ({ path: template, operation }: Call, more: Record<string, string> = {}) => {
    const parameters: Json[] = operation.parameters ?? [];
    const values = Object.fromEntries(
      parameters.filter((each) => each.in === "path").map((each) => [each.name, each.example]),
    );
    const filled = template.replaceAll(/\{(\w+)\}/g, (_, name) =>
      encodeURIComponent(more[name] ?? values[name]),
    );
    return filled;
  };
  /** The parameters' examples, of a request that is read from the address. */
  const exampleQuery = ({ operation }: Call) => {
    const given = (operation.parameters ?? []).flatMap((each: Json) => {
      const example = each.example ?? each.content?.["application/json"]?.example;
      if (each.in !== "query" || example === undefined) return [];
      return [[each.name, typeof example === "object" ? JSON.stringify(example) : `${example}`]];
    });
    return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
  };
  const send = (call: Call, more: Record<string, string> = {}, by = client): Promise<Answer> => {
    const address = examplePath(call, more) + exampleQuery(call);
    return by.send(call.method, address, jsonBody(call)?.example);
  };

  it("has every operation of the document in the order of this test", () => {
    const ids = contract.calls.map(({ operationId }) => operationId.replace(/In$/, ""));
    expect([...new Set(ids)].sort()).to.deep.equal([...ORDER].sort());
  });

  it("answers each by its example as the document says", async () => {
    const live = (await client.get("/openapi.json")).body;
    expect({ ...live, info: 0 }).to.deep.equal({ ...contract.document, info: 0 });
    // Under its name and, after the collection is there, at the root.
    await client.post("/vectors/add", jsonBody(contract.call("addRow")).example);
    let snapshot = { id: "none", bytes: undefined as Uint8Array | undefined };
    for (const id of ORDER) {
      for (const call of contract.calls.filter(
        ({ operationId }) => operationId === id || operationId === `${id}In`,
      )) {
        if (isOfSnapshots(id) && call.operationId === id) continue;
        if (id === "uploadSnapshot") {
          if (snapshot.bytes === undefined) continue;
          const type = { "content-type": "application/octet-stream" };
          const to = examplePath(call);
          contract.hold(call, await client.send("PUT", to, snapshot.bytes, type));
          continue;
        }
        const answer = await send(call, { snapshot: snapshot.id });
        contract.hold(call, answer);
        if (isOfSnapshots(id)) {
          expect(answer.status, answer.text).to.be.below(500);
          if (id === "createSnapshot" && answer.status === 202) {
            snapshot = { id: answer.body.id, bytes: undefined };
            await untilReady(snapshot.id);
          }
        } else expect(answer.status, `${call.operationId} ${answer.text}`).to.be.below(300);
      }
    }
  }).timeout(60_000);

  async function untilReady(snapshot: string): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      const { body } = await client.get(`/collections/books/snapshots/${snapshot}`);
      if (body.status === "ready") return;
      await pause(10);
    }
    throw new Error(`the snapshot ${snapshot} was not ready in time`);
  }

  it("refuses as the document says: without a key, in another place, with other bodies", async () => {
    for (const call of contract.calls) {
      const isOpen = call.operation.security?.length === 0;
      const unknown = await send(call, {}, stranger);
      contract.hold(call, unknown);
      if (!isOpen) expect(unknown.status, call.operationId).to.equal(401);
      const isWrite = call.method !== "GET";
      if (call.path.includes("{collection}") && !(call.operationId === "createCollection")) {
        const elsewhere = await send(call, { collection: "nowhere" });
        contract.hold(call, elsewhere);
        if (!isOfSnapshots(call.operationId)) {
          expect(elsewhere.body?.code, call.operationId).to.equal("COLLECTION_NOT_FOUND");
        }
      }
      if (jsonBody(call) === undefined) continue;
      const to = examplePath(call);
      const { example } = jsonBody(call);
      for (const [body, headers, code] of [
        ["{", {}, "INVALID_JSON"],
        ["[]", {}, "INVALID_REQUEST"],
        [{ ...example, surplus: 1 }, {}, "INVALID_REQUEST"],
        ["text", { "content-type": "text/plain" }, "UNSUPPORTED_MEDIA_TYPE"],
        [example, { expect: "miracles" }, "EXPECTATION_FAILED"],
        ...(isWrite && to.includes("vectors") && !/(get|count)$/.test(to)
          ? ([[example, { "idempotency-key": "a key" }, "INVALID_REQUEST"]] as const)
          : []),
      ] as const) {
        const answer = await client.send(call.method, to, body, headers as Record<string, string>);
        contract.hold(call, answer);
        expect(answer.body?.code, `${call.operationId} ${body}`).to.equal(code);
      }
    }
  }).timeout(60_000);
});
