/** HTTPS from files: who is let in, and certificates replaced under a running server. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { connect, freePort, pause, runToEnd, startServer, type Trust } from "./server.ts";

const FIXTURES = fileURLToPath(new URL("fixtures/tls/", import.meta.url));
const fixture = (name: string) => readFile(join(FIXTURES, name));
const TAKEN_UP_MS = 10_000;

let folder: string;
let trust: Trust;

async function install(name: string): Promise<void> {
  await copyFile(join(FIXTURES, `${name}.pem`), join(folder, "cert.pem"));
  await copyFile(join(FIXTURES, `${name}.key.pem`), join(folder, "key.pem"));
}

const settings = () => ({
  TLS_CERT: join(folder, "cert.pem"),
  TLS_KEY: join(folder, "key.pem"),
  THREADS: 2,
});

/** Whose certificate a new connection is shown. */
function shownAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", ca: trust.ca }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

describe("tls", () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-tls-"));
    trust = { ca: await fixture("ca.pem") };
    await install("server");
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("serves over HTTPS only, and renews its certificate on every listener", async () => {
    const server = await startServer(settings(), trust);
    const open = server.connect();
    const first = await open.get("/livez");
    expect(first.headers["strict-transport-security"]).to.match(/max-age=\d{7}/);
    while (!server.output().includes("listens on https:")) await pause(20);
    await connect(server.port)
      .get("/livez")
      .then(
        () => expect.fail("answered without TLS"),
        (error) => expect(error.code).to.be.oneOf(["ECONNRESET", "EPIPE", "HPE_INVALID_CONSTANT"]),
      );
    const stranger = connect(server.port, {}, { ca: await fixture("stranger.pem") });
    await stranger.get("/livez").then(
      () => expect.fail("trusted a stranger"),
      (error) => expect(error.code).to.match(/CERT|SIGNATURE|ISSUER/),
    );
    expect(await shownAt(server.port)).to.equal("server");
    await install("renewed");
    const end = performance.now() + TAKEN_UP_MS;
    for (let seen = 0; seen < 12 && performance.now() < end; ) {
      seen = (await shownAt(server.port)) === "renewed" ? seen + 1 : 0;
      if (seen === 0) await pause(50);
    }
    expect(await shownAt(server.port)).to.equal("renewed");
    expect((await open.get("/livez")).status).to.equal(200);
    await writeFile(join(folder, "cert.pem"), "nothing of the kind");
    process.kill(server.pid, "SIGHUP");
    while (!server.output().includes("what was read before holds")) await pause(20);
    expect(await shownAt(server.port)).to.equal("renewed");
    open.close();
    expect(await server.stop()).to.equal(0);
    expect(server.output()).to.not.contain("PRIVATE KEY");
  });

  it("asks each client for a certificate when authorities are named", async () => {
    const signed = async (name: string) => ({
      ca: trust.ca,
      cert: await fixture(`${name}.pem`),
      key: await fixture(`${name}.key.pem`),
    });
    const client = await signed("client");
    const server = await startServer({ ...settings(), TLS_CA: join(FIXTURES, "ca.pem") }, client);
    expect((await server.connect().get("/stats")).status).to.equal(200);
    for (const each of [trust, await signed("strangerClient")]) {
      const refused = connect(server.port, {}, each);
      await refused.get("/livez").then(
        () => expect.fail("let a stranger in"),
        (error) => expect(error.code).to.match(/ECONNRESET|EPIPE|ERR_SSL/),
      );
      refused.close();
    }
    expect(await server.stop()).to.equal(0);
  });

  it("lets go of who connects and says nothing", async () => {
    const server = await startServer({ ...settings(), HEADERS_TIMEOUT_MS: 500 }, trust);
    const silent = connectSocket(server.port, "127.0.0.1");
    const shaken = connectTls({ port: server.port, host: "127.0.0.1", ca: trust.ca });
    await Promise.all(
      [silent, shaken].map((socket) => {
        socket.on("error", () => undefined).resume();
        return new Promise((resolve) => socket.once("close", resolve));
      }),
    );
    expect(await server.stop()).to.equal(0);
  });

  it("refuses to start on files that do not go together", async () => {
    const refusal = async (more: Record<string, string>) => {
      const { code, output } = await runToEnd({ ...settings(), ...more, PORT: await freePort() });
      expect(code).to.not.equal(0);
      expect(output).to.not.match(/^\s+at /m);
      return output;
    };
    const otherKey = join(FIXTURES, "renewed.key.pem");
    expect(await refusal({ TLS_KEY: otherKey })).to.match(/TLS_CERT: .*key and certificate differ/);
    expect(await refusal({ TLS_KEY: join(folder, "none.pem") })).to.match(/cannot be read/);
    expect(await refusal({ TLS_CERT: join(FIXTURES, "ca.pem") })).to.match(/OMENDB_TLS_CERT: /);
  });
});
