/** Tokens of an issuer: which are believed, and what they allow. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";

const SECRET = "a secret of more than thirty-two bytes";
const ISSUER = "https://issuer.example";
const AUDIENCE = "omendb";
const NAMED = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };
const BY_SECRET = { ...NAMED, JWT_SECRET: SECRET, TRUST_PROXY: "loopback" };

const now = () => Math.floor(Date.now() / 1000);
const good = (): JWTPayload => ({
  ...{ iss: ISSUER, aud: AUDIENCE, sub: "someone", role: "reader", exp: now() + 600 },
});
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function bySecret(payload: JWTPayload, secret = SECRET, alg = "HS256"): Promise<string> {
  return new SignJWT(payload).setProtectedHeader({ alg }).sign(Buffer.from(secret));
}

let addressCount = 0;
/** From an address of its own, so that wrong tokens are not throttled. */
async function ask(door: OpenDoor, token: string, method = "GET", path = "/stats", body?: unknown) {
  const address = `10.2.${addressCount >> 8}.${addressCount++ & 255}`;
  const headers = { authorization: `Bearer ${token}`, "x-forwarded-for": address };
  const connection = door.connect(headers);
  const answer = await connection.send(method, path, body);
  connection.close();
  return answer;
}

async function refusal(door: OpenDoor, token: string): Promise<string> {
  const { status, body, headers } = await ask(door, token);
  expect([status, body.code], body.detail).to.deep.equal([401, "UNAUTHENTICATED"]);
  expect(headers["www-authenticate"]).to.match(/^Bearer/);
  return body.detail;
}

describe("http tokens", () => {
  afterEach(closeDoors);

  it("are believed by their secret, as long as they are good", async () => {
    const door = await openDoor(BY_SECRET);
    expect((await ask(door, await bySecret(good()))).status).to.equal(200);
    const wrong: [JWTPayload, RegExp][] = [
      [{ ...good(), exp: now() - 31 }, /has expired/],
      [{ ...good(), exp: undefined }, /exp is missing/],
      [{ ...good(), nbf: now() + 60 }, /not valid yet/],
      [{ ...good(), aud: "another" }, /aud/],
      [{ ...good(), aud: undefined }, /aud/],
      [{ ...good(), iss: "https://other.example" }, /iss/],
      [{ ...good(), iss: undefined }, /iss/],
    ];
    for (const [payload, sentence] of wrong) {
      expect(await refusal(door, await bySecret(payload))).to.match(sentence);
    }
    // Clocks may differ by OMENDB_JWT_CLOCK_SKEW_S.
    const late = await bySecret({ ...good(), exp: now() - 5, nbf: now() + 5 });
    expect((await ask(door, late)).status).to.equal(200);
    expect(await refusal(door, await bySecret(good(), `${SECRET}!`))).to.match(/signature/);
    expect(await refusal(door, await bySecret(good(), SECRET, "HS512"))).to.match(/algorithm/);
  });

  it("are refused without a signature, in pieces and in bulk", async () => {
    const door = await openDoor(BY_SECRET);
    const token = await bySecret(good());
    const [head, payload, signature] = token.split(".");
    const none = base64url({ alg: "none" });
    const changed = base64url({ ...good(), role: "admin" });
    for (const each of [
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${base64url({ alg: "None" })}.${payload}.`,
      `${head}.${payload}.`,
      `${head}.${payload}`,
      `${head}.`,
      `${head}.${changed}.${signature}`,
      token.slice(0, -1),
      `${token}.${signature}`,
      `${token}=`,
      ` ${token.replace(".", " .")}`,
      `${base64url({ alg: "HS256", crit: ["b64"], b64: false })}.${payload}.${signature}`,
      `eyJ.${"a".repeat(200)}`,
    ]) {
      await refusal(door, each);
    }
    const long = await bySecret({ ...good(), filler: "x".repeat(8000) });
    expect(await refusal(door, long)).to.match(/over 8192 bytes/);
  });

  it("are believed by a key set, and a public key is never taken for a secret", async () => {
    const rs = await generateKeyPair("RS256", { extractable: true });
    const es = await generateKeyPair("ES256", { extractable: true });
    const stranger = await generateKeyPair("RS256", { extractable: true });
    const rsJwk = { ...(await exportJWK(rs.publicKey)), kid: "rs", alg: "RS256", use: "sig" };
    const esJwk = { ...(await exportJWK(es.publicKey)), kid: "es" };
    const keySet = JSON.stringify({ keys: [rsJwk, esJwk] });
    const settings = { ...NAMED, JWT_JWKS_FILE: "keys.json", TRUST_PROXY: "loopback" };
    const door = await openDoor(settings, { texts: { keySet } });
    const signed = (alg: string, kid: string, key: CryptoKey) =>
      new SignJWT(good()).setProtectedHeader({ alg, kid }).sign(key);
    const token = await signed("RS256", "rs", rs.privateKey);
    expect((await ask(door, token)).status).to.equal(200);
    expect((await ask(door, await signed("ES256", "es", es.privateKey))).status).to.equal(200);
    const forged = await signed("RS256", "rs", stranger.privateKey);
    expect(await refusal(door, forged)).to.match(/signature/);
    const unknown = await signed("RS256", "xx", rs.privateKey);
    expect(await refusal(door, unknown)).to.match(/no known key/);
    const secrets = [await exportSPKI(rs.publicKey), JSON.stringify(rsJwk), rsJwk.n!];
    for (const secret of secrets) {
      const input = `${base64url({ alg: "HS256", kid: "rs" })}.${base64url(good())}`;
      const mac = createHmac("sha256", secret).update(input).digest("base64url");
      expect(await refusal(door, `${input}.${mac}`)).to.match(/algorithm/);
    }
    door.access.take({ keySet: JSON.stringify({ keys: [esJwk] }) });
    expect(await refusal(door, token)).to.match(/no known key/);
    const secret = { kty: "oct", k: "AAAA" };
    const bad = JSON.stringify({ keys: [secret] });
    expect(() => door.access.take({ keySet: bad })).to.throw(/public keys/);
    expect(() => door.access.take({ keySet: "{}" })).to.throw(/Key Set/);
  });

  it("are believed by a key set at an address, and wait while it is out of reach", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    const keys = [{ ...(await exportJWK(publicKey)), kid: "a" }];
    let asked = 0;
    let isUp = false;
    const issuer = createServer((_request, response) => {
      asked++;
      response.writeHead(isUp ? 200 : 500, { "content-type": "application/json" });
      response.end(JSON.stringify(isUp ? { keys } : {}));
    }).listen(0, "127.0.0.1");
    await once(issuer, "listening");
    const { port } = issuer.address() as AddressInfo;
    const door = await openDoor({ ...NAMED, JWT_JWKS_URL: `http://127.0.0.1:${port}/jwks` });
    const token = await new SignJWT(good())
      .setProtectedHeader({ alg: "ES256", kid: "a" })
      .sign(privateKey);
    const down = await ask(door, token);
    expect([down.status, down.body.code]).to.deep.equal([503, "ISSUER_UNAVAILABLE"]);
    expect(down.headers["retry-after"]).to.equal("5");
    isUp = true;
    expect((await ask(door, token)).status).to.equal(200);
    const before = asked;
    for (let turn = 0; turn < 5; turn++) expect((await ask(door, token)).status).to.equal(200);
    expect(asked).to.equal(before);
    issuer.close();
    issuer.closeAllConnections();
  });

  it("have no role for a word of a title, and a caller of their own without a subject", async () => {
    const door = await openDoor(BY_SECRET);
    for (const role of ["not an admin", "billing admin", "omendb:reader admin"]) {
      expect((await ask(door, await bySecret({ ...good(), role }))).status, role).to.equal(403);
    }
    const scoped = await bySecret({ ...good(), role: "omendb:reader omendb:writer" });
    expect((await ask(door, scoped)).status).to.equal(200);
    const names = new Set<string>();
    for (const sub of [undefined, `${"x".repeat(200)}a`, `${"x".repeat(200)}b`]) {
      const grant = await door.access.identify(await bySecret({ ...good(), sub }));
      expect(grant.name)
        .to.match(/^token:.+/)
        .and.have.length.below(150);
      names.add(grant.name);
    }
    expect(names).to.have.property("size", 3);
  });

  it("name a role and collections in claims of the operator's choice", async () => {
    const settings = { JWT_ROLE_CLAIM: "realm.roles", JWT_COLLECTIONS_CLAIM: "scope" };
    const door = await openDoor({ ...BY_SECRET, ...settings });
    const statusOf = async (payload: JWTPayload, ...call: [string, string, unknown?]) =>
      (await ask(door, await bySecret({ ...good(), ...payload }), ...call)).status;
    const create = ["PUT", "/collections/songs-1", { dimensions: 2 }] as const;
    const admin = { realm: { roles: ["other", "reader", "omendb:admin"] } };
    expect(await statusOf({ ...admin, scope: "songs-* email" }, ...create)).to.equal(201);
    expect(await statusOf({ ...admin, scope: "*" }, ...create)).to.equal(200);
    expect(await statusOf({ ...admin, scope: ["songs-1"] }, ...create)).to.equal(200);
    expect(await statusOf({ ...admin, scope: ["songs"] }, ...create)).to.equal(404);
    expect(await statusOf({ ...admin }, ...create)).to.equal(404);
    expect(await statusOf({ ...admin, scope: 7 }, ...create)).to.equal(404);
    const reader = { realm: { roles: "reader" }, scope: "*" };
    expect(await statusOf(reader, ...create)).to.equal(403);
    expect(await statusOf(reader, "GET", "/collections/songs-1")).to.equal(200);
    for (const realm of [undefined, {}, { roles: "Reader" }, { roles: [["reader"]] }, "reader"]) {
      expect(await statusOf({ realm, scope: "*" }, "GET", "/stats")).to.equal(403);
    }
  });

  it("stand beside keys, and are logged by subject and never as they are", async () => {
    const door = await openDoor({ ...BY_SECRET, API_KEY: "k", LOG_LEVEL: "debug" });
    const token = await bySecret({ ...good(), role: "admin", sub: "ann" });
    expect((await ask(door, token, "DELETE", "/vectors/a")).status).to.equal(200);
    expect((await ask(door, "k")).status).to.equal(200);
    const { who } = door.lines.find(({ audit }) => audit === "deleteRow");
    expect(who).to.equal("token:ann");
    expect(JSON.stringify(door.lines)).to.not.contain(token.split(".")[2]);
  });
});
