/** The file of keys: what it may hold, and what its commands do to it. */
import { hash } from "node:crypto";
import { expect } from "chai";
import { sees } from "../src/access/grant.ts";
import { createKey, grantsOf, parseKeyFile, revokeKey } from "../src/access/keyFile.ts";
import { OmenError } from "../src/errors.ts";
import { makeKeyring } from "./keyring.ts";

const GOOD = {
  name: "shop",
  hash: `sha256:${"0".repeat(64)}`,
  role: "reader",
  created: "2026-01-01T00:00:00Z",
};
const file = (...keys: unknown[]) => JSON.stringify({ version: 1, keys });

function refusal(text: string): string {
  try {
    parseKeyFile(text);
  } catch (error) {
    expect((error as OmenError).code).to.equal("INVALID_SETTING");
    return (error as OmenError).message;
  }
  throw new Error("the file was accepted");
}

describe("key file", () => {
  it("keeps the digest of a key and never the key", () => {
    const { text, key } = createKey(undefined, { name: "a", role: "writer" });
    expect(key).to.match(/^omendb_[A-Za-z0-9_-]{43}$/);
    expect(text).to.not.contain(key).and.not.contain(key.slice(7));
    const [entry] = parseKeyFile(text);
    expect(entry!.hash).to.equal(`sha256:${hash("sha256", key)}`);
    expect(grantsOf([entry!])[0]).to.include({ name: "a", role: "writer" });
  });

  it("grows and shrinks by one key at a time", () => {
    const { text } = makeKeyring([
      { name: "a", role: "reader", collections: ["x*"] },
      { name: "b", role: "admin", expires: "2030-01-01", rate_limit: 5, vector_rate_limit: 7 },
    ]);
    const names = (each: string) => parseKeyFile(each).map(({ name }) => name);
    expect(names(text)).to.deep.equal(["a", "b"]);
    expect(names(revokeKey(text, "a"))).to.deep.equal(["b"]);
    expect(() => revokeKey(text, "c")).to.throw(OmenError, "no key is named");
    expect(() => createKey(text, { name: "a", role: "reader" })).to.throw("named a is there");
    const [, b] = grantsOf(parseKeyFile(text));
    expect(b).to.include({ rateLimit: 5, vectorRateLimit: 7 });
    expect(b!.expiresAtMs).to.equal(Date.parse("2030-01-01"));
  });

  it("is refused whole, by the place of the fault", () => {
    const wrong: [string, RegExp][] = [
      ["", /^expected JSON$/],
      ["[]", /expected an object/],
      ['{"version":2,"keys":[]}', /^version: expected 1, got 2/],
      ['{"version":1}', /^keys: expected an array/],
      ['{"version":1,"keys":[],"more":1}', /^more: there is no such member/],
      [file(GOOD, 7), /^keys\[1\]: expected an object/],
      [file({ ...GOOD, name: "a b" }), /^keys\[0\]\.name: .*got "a b"/],
      [file({ ...GOOD, name: "token:x" }), /^keys\[0\]\.name/],
      [file({ ...GOOD, hash: "sha256:00" }), /^keys\[0\]\.hash/],
      [file({ ...GOOD, role: "root" }), /^keys\[0\]\.role: .*admin, got "root"/],
      [file({ ...GOOD, collections: [] }), /^keys\[0\]\.collections/],
      [file({ ...GOOD, collections: ["a", "b*c"] }), /^keys\[0\]\.collections.*"b\*c"/],
      [file({ ...GOOD, expires: "soon" }), /^keys\[0\]\.expires.*"soon"/],
      [file({ ...GOOD, expires: "2030-13-01" }), /^keys\[0\]\.expires/],
      [file({ ...GOOD, created: undefined }), /^keys\[0\]\.created.*none/],
      [file({ ...GOOD, rate_limit: -1 }), /^keys\[0\]\.rate_limit/],
      [file({ ...GOOD, expire: "2030-01-01" }), /^keys\[0\]\.expire: there is no such member/],
      [file(GOOD, GOOD), /^keys\[1\]\.name: shop stands twice/],
      [file(GOOD, { ...GOOD, name: "b" }), /^keys\[1\]\.hash: another key/],
    ];
    for (const [text, sentence] of wrong) expect(refusal(text), text).to.match(sentence);
  });

  it("limits a key to names and beginnings of names", () => {
    const grant = { name: "a", role: "reader", collections: ["books", "songs-*"] } as const;
    for (const name of ["books", "songs-", "songs-1"]) expect(sees(grant, name)).to.equal(true);
    for (const name of ["book", "books2", "song", "", "Songs-1"]) {
      expect(sees(grant, name)).to.equal(false);
    }
    expect(sees({ ...grant, collections: ["*"] }, "anything")).to.equal(true);
    expect(sees({ ...grant, collections: [] }, "anything")).to.equal(false);
  });
});
