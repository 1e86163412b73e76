/** Keys as an operator handles them: made and revoked by the command line, on a running server. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Access } from "../src/access/access.ts";
import { readConfig } from "../src/config.ts";
import { runCommand } from "./command.ts";
import { makeKeyring } from "./keyring.ts";
import { freePort, pause, runToEnd, type Server, startServer } from "./server.ts";

const TAKEN_UP_MS = 10_000;
let folder: string;
let file: string;

async function keys(...words: string[]) {
  const { code, stdout, stderr } = await runCommand(["keys", ...words], {
    OMENDB_KEYS_FILE: file,
  });
  expect(code, stderr).to.equal(0);
  return stdout.trim();
}

/** Over connections of their own, so that every listener is asked: the status each gives. */
async function statusesOf(server: Server, key: string): Promise<number[]> {
  const asked = Array.from({ length: 12 }, async () => {
    const connection = server.connect({ "x-api-key": key });
    const { status } = await connection.get("/stats");
    connection.close();
    return status;
  });
  return await Promise.all(asked);
}

async function untilAll(server: Server, key: string, status: number): Promise<void> {
  const end = performance.now() + TAKEN_UP_MS;
  for (;;) {
    const statuses = await statusesOf(server, key);
    if (statuses.every((each) => each === status || each === 429)) return;
    if (performance.now() > end) throw new Error(`still ${statuses}`);
    await pause(100);
  }
}

describe("omendb keys", () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-keys-"));
    file = join(folder, "keys.json");
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("open and close a running server, on every listener", async () => {
    const admin = await keys("create", "boss", "--role", "admin");
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const server = await startServer({ KEYS_FILE: file, THREADS: 3, LOG_LEVEL: "info" });
    await untilAll(server, admin, 200);
    const wish = [
      "--role",
      "reader",
      "--collections",
      "default,songs-*",
      "--expires",
      "2099-01-01",
    ];
    const reader = await keys("create", "shop", ...wish);
    await untilAll(server, reader, 200);
    const listed = JSON.parse(await keys("list", "--json")).keys;
    expect(listed.map(({ name }: { name: string }) => name)).to.deep.equal(["boss", "shop"]);
    expect(listed[1]).to.include({ role: "reader", expires: "2099-01-01" });
    expect(await keys("list")).to.match(/shop +reader +default,songs-\* +2099-01-01/);
    await keys("revoke", "shop");
    await untilAll(server, reader, 401);
    await untilAll(server, admin, 200);
    const whole = await readFile(file, "utf8");
    await writeFile(file, whole.slice(0, -5));
    while (!server.output().includes("what was read before holds")) await pause(50);
    await untilAll(server, admin, 200);
    expect(await server.stop()).to.equal(0);
    for (const key of [admin, reader]) expect(server.output()).to.not.contain(key);
  });

  it("goes on while the audit file cannot be written, and says so in the log", async () => {
    const { text, keys: made } = makeKeyring([{ name: "boss", role: "admin" }]);
    await writeFile(file, text);
    const server = await startServer({ KEYS_FILE: file, AUDIT_LOG: "/dev/full" });
    const connection = server.connect({ "x-api-key": made.boss! });
    for (let call = 0; call < 3; call++) {
      expect((await connection.send("DELETE", "/vectors/a")).status).to.equal(200);
    }
    process.kill(server.pid, "SIGHUP");
    await pause(100);
    expect((await connection.get("/stats")).status).to.equal(200);
    expect(await server.stop()).to.equal(0);
    const output = server.output();
    expect(output)
      .to.match(/the audit log fails/)
      .and.match(/"audit":"deleteRow"/);
  });

  it("refuses a file with the shared key in it, which to revoke would make an admin", async () => {
    const { text, keys: made } = makeKeyring([{ name: "shop", role: "reader" }]);
    const make = () => new Access(readConfig({ OMENDB_API_KEY: made.shop! }), { keys: text });
    expect(make).to.throw(/the key shop .* OMENDB_API_KEY/);
  });

  it("writes audit lines of all listeners to one file, and opens it anew at SIGHUP", async () => {
    const { text, keys: made } = makeKeyring([{ name: "boss", role: "admin" }]);
    await writeFile(file, text);
    const audit = join(folder, "audit.log");
    const server = await startServer({ KEYS_FILE: file, THREADS: 2, AUDIT_LOG: audit });
    const deletions = Array.from({ length: 40 }, async () => {
      const connection = server.connect({ authorization: `Bearer ${made.boss}` });
      await connection.send("DELETE", "/vectors/a");
      connection.close();
    });
    await Promise.all(deletions);
    const lines = async () => (await readFile(audit, "utf8")).trim().split("\n");
    while ((await lines()).length < deletions.length) await pause(20);
    const parsed = (await lines()).map((line) => JSON.parse(line));
    expect(parsed).to.have.length(40);
    for (const line of parsed) {
      expect(line).to.include({ audit: "deleteRow", who: "boss", result: "done", status: 200 });
      expect(line.from).to.contain("127.0.0.1");
    }
    await rm(audit);
    process.kill(server.pid, "SIGHUP");
    const end = performance.now() + TAKEN_UP_MS;
    let line = "";
    while (line === "" && performance.now() < end) {
      const connection = server.connect({ "x-api-key": made.boss! });
      await connection.send("DELETE", "/collections/none");
      connection.close();
      await pause(50);
      [line = ""] = await lines().catch(() => []);
    }
    expect(await server.stop()).to.equal(0);
    expect(JSON.parse(line)).to.include({ audit: "dropCollection", result: "refused" });
  });

  it("refuses to start on a file that is missing or wrong, and says where", async () => {
    const port = await freePort();
    const missing = await runToEnd({ KEYS_FILE: file, PORT: port });
    expect(missing.code).to.not.equal(0);
    expect(missing.output).to.match(/OMENDB_KEYS_FILE: .*keys\.json: it cannot be read \(ENOENT\)/);
    await writeFile(file, '{"version":1,"keys":[{"name":"a"}]}');
    const wrong = await runToEnd({ KEYS_FILE: file, PORT: port });
    expect(wrong.output).to.match(/OMENDB_KEYS_FILE: .*keys\[0\]\.hash: expected/);
  });

  it("says what is wrong with a wish, and changes nothing", async () => {
    await keys("create", "a", "--role", "reader");
    const before = await readFile(file, "utf8");
    const wrong: [string[], RegExp][] = [
      [["create", "a", "--role", "reader"], /a key named a is there/],
      [["create", "b"], /--role/],
      [["create", "b", "--role", "root"], /reader, writer, admin/],
      [["create", "b c", "--role", "reader"], /name: expected/],
      [["create", "b", "--role", "reader", "--expires", "soon"], /expires.*"soon"/],
      [["create", "b", "--role", "reader", "--rate-limit", "many"], /rate_limit/],
      [["create", "b", "--role", "reader", "--collections", "a*b"], /collections/],
      [["revoke", "b"], /no key is named "b"/],
    ];
    for (const [words, sentence] of wrong) {
      const { code, stderr } = await runCommand(["keys", ...words], { OMENDB_KEYS_FILE: file });
      expect(code, words.join(" ")).to.equal(2);
      expect(stderr).to.match(sentence);
    }
    expect(await readFile(file, "utf8")).to.equal(before);
    const nowhere = await runCommand(["keys", "list"]);
    expect(nowhere.stderr).to.match(/--file or OMENDB_KEYS_FILE/);
  });
});
