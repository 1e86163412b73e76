/**
 * Every operation of the OpenAPI document against every kind of caller: exactly those get through
 * that should. The list is made from the document, so a route that is new is in it.
 */
import { expect } from "chai";
import { mayAct, ROLES, type Role } from "../src/access/grant.ts";
import { openApiDocument } from "../src/http/openapi.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { makeKeyring } from "./keyring.ts";
import { MemoryDatabase } from "./memoryDatabase.ts";

// biome-ignore lint/suspicious/noExplicitAny: a document of every shape
const document: any = openApiDocument("1.2.3");
const SETTINGS = { dimensions: 2, metric: "l2", quantization: "sq8" } as const;
const GRAPH = { m: 16, efConstruction: 64, efSearch: 96 };
const { text, keys } = makeKeyring([
  ...ROLES.map((role) => ({ name: role, role })),
  { name: "other", role: "admin", collections: ["films", "songs-*"] },
  { name: "expired", role: "admin", expires: "2020-01-01T00:00:00Z" },
]);

interface Call {
  readonly method: string;
  readonly path: string;
  readonly role: Role | "anyone";
}

const calls: Call[] = Object.entries<Record<string, Record<string, unknown>>>(
  document.paths,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    method: method.toUpperCase(),
    path,
    role: (operation["x-role"] ?? "anyone") as Role | "anyone",
  })),
);

interface Caller {
  readonly name: string;
  readonly key?: string;
  /** What every operation that is not open to all must answer, and undefined when it depends. */
  expects(call: Call): "pass" | 401 | 403 | 404;
}

const isOfCollection = ({ path }: Call) =>
  path.includes("{collection}") || document.paths[`/collections/{collection}${path}`] !== undefined;
const byRole = (role: Role) => (call: Call) =>
  call.role === "anyone" || mayAct({ name: role, role }, call.role) ? "pass" : 403;
const never = ({ role }: Call) => (role === "anyone" ? "pass" : 401);

const CALLERS: Caller[] = [
  { name: "no credential", expects: never },
  { name: "a wrong key", key: `${keys.admin}x`, expects: never },
  { name: "an expired key", key: keys.expired, expects: never },
  ...ROLES.map((role) => ({ name: `a ${role}`, key: keys[role], expects: byRole(role) })),
  {
    name: "an admin of other collections",
    key: keys.other,
    expects: (call) => (call.role !== "anyone" && isOfCollection(call) ? 404 : "pass"),
  },
];

async function fill(database: MemoryDatabase): Promise<void> {
  for (const name of ["default", "books", "films", "songs-1"]) {
    await database.create(name, { ...SETTINGS, ...GRAPH });
    const vectors = Float32Array.of(1, 2);
    const rows = { ids: ["a"], vectors, dimensions: 2, metadata: [undefined] };
    await database.put(name, { ...rows, mode: "upsert" });
  }
}

async function openFilled(settings: Record<string, string> = {}): Promise<OpenDoor> {
  const database = new MemoryDatabase();
  await fill(database);
  const named = { KEYS_FILE: "keys.json", TRUST_PROXY: "loopback", ...settings };
  return openDoor(named, { database, texts: { keys: text } });
}

let addressCount = 0;
/** Each from an address of its own, so that nobody is throttled. */
function from(key?: string): Record<string, string> {
  const address = `10.1.${(addressCount >> 8) & 255}.${addressCount++ & 255}`;
  return { "x-forwarded-for": address, ...(key === undefined ? {} : { "x-api-key": key }) };
}

describe("http roles", () => {
  afterEach(closeDoors);

  it("say of every operation who may do it, by what it does", () => {
    expect(calls).to.have.length.above(25);
    for (const { method, path, role } of calls) {
      const shown = `${method} ${path}`;
      const isProbe = ["/health", "/livez", "/readyz"].includes(path);
      expect(role === "anyone", shown).to.equal(isProbe);
      if (method === "GET" && !/snapshots|debug/.test(path)) {
        expect(role, shown).to.be.oneOf(["reader", "anyone"]);
      }
      const isAdministration = /^\/collections\/\{collection\}$/.test(path) && method !== "GET";
      if (isAdministration) expect(role, shown).to.equal("admin");
      if (/\/vectors\/(add|batch|delete)$/.test(path) || method === "PATCH") {
        expect(role, shown).to.equal("writer");
      }
      if (/\/vectors\/\{id\}$/.test(path) && method !== "GET") {
        expect(role, shown).to.equal("writer");
      }
    }
  });

  for (const caller of CALLERS) {
    it(`let ${caller.name} do exactly what is allowed`, async () => {
      const door = await openFilled();
      for (const call of calls) {
        await fill(door.database);
        const path = call.path.replace("{collection}", "books").replaceAll(/\{\w+\}/g, "a");
        const body = ["GET", "DELETE"].includes(call.method) ? undefined : "{}";
        const connection = door.connect(from(caller.key));
        const answer = await connection.send(call.method, path, body);
        connection.close();
        const { status, body: problem } = answer;
        const isHidden = status === 404 && problem?.code === "COLLECTION_NOT_FOUND";
        const got = status === 401 || status === 403 ? status : isHidden ? 404 : "pass";
        expect(got, `${call.method} ${path}: ${answer.text}`).to.equal(caller.expects(call));
      }
    });
  }

  it("hold for HEAD as for GET", async () => {
    const door = await openFilled();
    expect((await door.connect(from()).send("HEAD", "/stats")).status).to.equal(401);
    expect((await door.connect(from(keys.other)).send("HEAD", "/stats")).status).to.equal(404);
    expect((await door.connect(from(keys.reader)).send("HEAD", "/stats")).status).to.equal(200);
  });

  it("show in lists and metrics only what one may see", async () => {
    const door = await openFilled();
    const seenBy = async (key: string) => {
      const client = door.connect(from(key));
      const { body } = await client.get("/collections");
      const metrics = (await client.get("/metrics")).text;
      const named = metrics.matchAll(/omendb_rows\{collection="([^"]+)",state="indexed"/g);
      const names = body.collections.map(({ name }: { name: string }) => name).sort();
      expect([...named].map(([, name]) => name).sort()).to.deep.equal(names);
      return names;
    };
    expect(await seenBy(keys.reader!)).to.deep.equal(["books", "default", "films", "songs-1"]);
    expect(await seenBy(keys.other!)).to.deep.equal(["films", "songs-1"]);
  });

  it("hide a collection as if it were not there", async () => {
    const door = await openFilled();
    const other = door.connect(from(keys.other));
    const hidden = await other.get("/collections/books");
    const missing = await other.get("/collections/nobooks");
    const shape = ({ body }: typeof hidden) => [body.status, body.code, body.title];
    expect(shape(hidden)).to.deep.equal(shape(missing));
    expect(hidden.body.detail.replaceAll("books", "nobooks")).to.equal(missing.body.detail);
    const made = await other.send("PUT", "/collections/books", { dimensions: 9 });
    expect([made.status, made.body.code]).to.deep.equal([404, "COLLECTION_NOT_FOUND"]);
    const own = await other.send("PUT", "/collections/songs-2", { dimensions: 9 });
    expect(own.status).to.equal(201);
    for (const path of ["songs-%2f..%2fbooks", "songs-..", "songs-%00", "..%2fbooks", "SONGS-1"]) {
      const { status, body } = await other.get(`/collections/${path}`);
      expect([status, body.code], path).to.deep.equal([404, "COLLECTION_NOT_FOUND"]);
    }
  });

  it("change at once for every listener that takes the new file up", async () => {
    const door = await openFilled();
    const reader = door.connect(from(keys.reader));
    expect((await reader.get("/stats")).status).to.equal(200);
    const without = JSON.parse(text);
    without.keys = without.keys.filter(({ name }: { name: string }) => name !== "reader");
    door.access.take({ keys: JSON.stringify(without) });
    expect((await reader.get("/stats")).status).to.equal(401);
    expect((await door.connect(from(keys.admin)).get("/stats")).status).to.equal(200);
    expect(() => door.access.take({ keys: "{}" })).to.throw("version");
    expect((await door.connect(from(keys.admin)).get("/stats")).status).to.equal(200);
  });

  it("end in the audit log where something is destroyed or administered", async () => {
    const door = await openFilled();
    const admin = door.connect({ ...from(keys.admin), "x-request-id": "r-1" });
    await admin.post("/collections/books/vectors/delete", { ids: ["a"] });
    await admin.send("DELETE", "/collections/films");
    await admin.get("/collections");
    await admin.post("/search", { vector: [1, 2] });
    await door.connect(from(keys.reader)).send("DELETE", "/vectors/a");
    await door.connect(from("nobody's")).send("PUT", "/collections/new", { dimensions: 2 });
    const lines = door.lines.filter(({ audit }) => audit !== undefined);
    expect(
      lines.map(({ audit, who, result, status }) => [audit, who, result, status]),
    ).to.deep.equal([
      ["deleteRows", "admin", "done", 200],
      ["dropCollection", "admin", "done", 200],
      ["deleteRow", "reader", "refused", 403],
      ["createCollection", null, "refused", 401],
    ]);
    expect(lines[0]).to.include({ role: "admin", collection: "books", request_id: "r-1" });
    expect(lines[0].from).to.match(/^10\.1\./);
    expect(lines[3].code).to.equal("UNAUTHENTICATED");
    expect(lines.map(({ path, collection }) => [path, collection])).to.deep.equal([
      ["/collections/books/vectors/delete", "books"],
      ["/collections/films", "films"],
      ["/vectors/a", "default"],
      ["/collections/new", "new"],
    ]);
    for (const key of Object.values(keys)) expect(JSON.stringify(door.lines)).to.not.contain(key);
  });
});
