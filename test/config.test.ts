import { expect } from "chai";
import { describeSettings, readConfig, settingsTable } from "../src/config.ts";
import { OmenError } from "../src/errors.ts";

type Texts = Record<string, string>;

function refusal(environment: Texts, flags: Texts = {}): string {
  try {
    readConfig(environment, flags);
  } catch (error) {
    expect(error).to.be.instanceOf(OmenError);
    expect((error as OmenError).code).to.equal("INVALID_SETTING");
    return (error as OmenError).message;
  }
  throw new Error("the settings were accepted");
}

describe("config", () => {
  it("has a default for everything, on loopback and in memory", () => {
    const config = readConfig({ HOME: "/somewhere" });
    expect(config).to.include({ host: "127.0.0.1", port: 8000, metric: "l2", rateLimit: 0 });
    expect(config.bodyBytesMax).to.equal(64 * 1024 * 1024);
    expect(config).to.not.have.any.keys("path", "apiKey", "memoryBytesMax", "trustProxy");
    expect(Object.isFrozen(config)).to.equal(true);
    expect(structuredClone(config)).to.deep.equal(config);
  });

  it("lets flags win over the environment, in both spellings", () => {
    const environment = { OMENDB_PORT: "1", OMENDB_MAX_BODY_MB: "2" };
    const config = readConfig(environment, { port: "7", "max-body-mb": "3" });
    expect([config.port, config.bodyBytesMax]).to.deep.equal([7, 3 * 1024 * 1024]);
    expect(readConfig({}, { maxBodyMb: "5" }).bodyBytesMax).to.equal(5 * 1024 * 1024);
  });

  it("takes an empty setting for none", () => {
    expect(readConfig({ OMENDB_PORT: "", OMENDB_PATH: "" }).port).to.equal(8000);
  });

  it("names a wrong setting, what was expected and what came", () => {
    for (const [name, text] of Object.entries({
      PORT: "65536",
      THREADS: "0",
      TAIL_ROWS: "1e3",
      METRIC: "euclid",
      CORS_ORIGINS: "example.org/",
      TRUST_PROXY: "everyone!",
      METRICS_PUBLIC: "yes",
      LOG_LEVEL: "loud",
    })) {
      const sentence = refusal({ [`OMENDB_${name}`]: text });
      expect(sentence).to.match(new RegExp(`^OMENDB_${name}: expected .+, got "${text}"$`));
    }
    expect(refusal({}, { port: "-1" })).to.match(/^--port: expected/);
  });

  it("suggests the nearest name for an unknown setting", () => {
    expect(refusal({ OMENDB_PROT: "1" })).to.equal(
      "OMENDB_PROT is not a setting; did you mean OMENDB_PORT?",
    );
    expect(refusal({ OMENDB_COMPLETELY_ELSE: "1" })).to.equal(
      "OMENDB_COMPLETELY_ELSE is not a setting",
    );
    expect(refusal({ OMENDB___proto__: "1" })).to.contain("is not a setting");
    expect(refusal({}, { hots: "x" })).to.contain("did you mean --host?");
  });

  it("binds to other machines only with a key", () => {
    for (const host of ["0.0.0.0", "::", "192.168.0.7", "example.org", "127.0.0.1.example.org"]) {
      expect(refusal({ OMENDB_HOST: host })).to.match(
        /OMENDB_API_KEY, OMENDB_KEYS_FILE or .* must be set/,
      );
      expect(readConfig({ OMENDB_HOST: host, OMENDB_API_KEY: "a key" }).host).to.equal(host);
    }
    for (const host of ["127.8.0.1", "::1", "localhost"]) readConfig({ OMENDB_HOST: host });
  });

  it("refuses a guard that is configured by half", () => {
    const secret = { OMENDB_JWT_SECRET: "s".repeat(32) };
    const file = { OMENDB_JWT_JWKS_FILE: "jwks.json" };
    const named = { OMENDB_JWT_ISSUER: "i", OMENDB_JWT_AUDIENCE: "a" };
    const wrong: [Texts, RegExp][] = [
      [named, /^OMENDB_JWT_ISSUER means nothing without OMENDB_JWT_SECRET or a JWKS$/],
      [{ OMENDB_JWT_CLOCK_SKEW_S: "3" }, /^OMENDB_JWT_CLOCK_SKEW_S means nothing/],
      [{ ...secret, ...file, ...named }, /one source of keys/],
      [file, /OMENDB_JWT_JWKS_FILE needs OMENDB_JWT_ISSUER/],
      [{ ...file, OMENDB_JWT_ISSUER: "i" }, /OMENDB_JWT_JWKS_FILE needs OMENDB_JWT_AUDIENCE/],
      [{ ...secret, OMENDB_JWT_ALGORITHMS: "HS256,RS256" }, /RS256 does not go with .*SECRET/],
      [{ ...file, ...named, OMENDB_JWT_ALGORITHMS: "HS256" }, /HS256 does not go with .*FILE/],
      [{ ...secret, OMENDB_JWT_ALGORITHMS: "none" }, /OMENDB_JWT_ALGORITHMS: expected/],
      [{ ...named, OMENDB_JWT_JWKS_URL: "http://example.org/jwks" }, /begins with https/],
      [{ ...named, OMENDB_JWT_JWKS_URL: "https://me:secret@example.org/" }, /begins with https/],
    ];
    for (const [settings, sentence] of wrong) expect(refusal(settings)).to.match(sentence);
    const tls = (...names: string[]) =>
      Object.fromEntries(names.map((name) => [`OMENDB_TLS_${name}`, "file.pem"]));
    expect(refusal(tls("CERT"))).to.equal("OMENDB_TLS_CERT needs OMENDB_TLS_KEY");
    expect(refusal(tls("KEY"))).to.equal("OMENDB_TLS_KEY needs OMENDB_TLS_CERT");
    expect(refusal(tls("CA"))).to.equal("OMENDB_TLS_CA needs OMENDB_TLS_CERT");
    readConfig(tls("CERT", "KEY", "CA"));
    const short = refusal({ OMENDB_JWT_SECRET: "too short" });
    expect(short)
      .to.match(/32 to 512/)
      .and.not.contain("too short");
    readConfig({ ...secret, OMENDB_HOST: "0.0.0.0" });
    readConfig({ ...file, ...named, OMENDB_JWT_ALGORITHMS: "RS256, ES256" });
  });

  it("never shows a key", () => {
    const key = "k".repeat(600);
    expect(refusal({ OMENDB_API_KEY: key })).to.equal(
      "OMENDB_API_KEY: expected 1 to 512 ASCII characters, got 600 characters",
    );
    for (const wrong of ["kéy", " key", "key ", "k\ney"]) {
      expect(refusal({ OMENDB_API_KEY: wrong })).to.contain("ASCII");
    }
  });

  it("reads lists", () => {
    const config = readConfig({
      OMENDB_CORS_ORIGINS: "https://a.example, http://localhost:3000",
      OMENDB_TRUST_PROXY: "loopback, 10.0.0.0/8",
    });
    expect(config.corsOrigins).to.deep.equal(["https://a.example", "http://localhost:3000"]);
    expect(config.trustProxy).to.deep.equal(["loopback", "10.0.0.0/8"]);
    expect(readConfig({ OMENDB_TRUST_PROXY: "2" }).trustProxy).to.equal(2);
    for (const text of ["10.0.0.0/33", "::1/129", "10.0.0/8", "10.0.0.0/8/8", "fe80::/x"]) {
      expect(refusal({ OMENDB_TRUST_PROXY: text }), text).to.match(/^OMENDB_TRUST_PROXY: expected/);
    }
  });

  it("shows no password of an address that it refuses", () => {
    const sentence = refusal({ OMENDB_JWT_JWKS_URL: "ftp://me:hunter2@issuer.example/keys" });
    expect(sentence).to.include("issuer.example").and.not.include("hunter2");
  });

  it("describes every setting once, with a row in the table", () => {
    const settings = describeSettings();
    expect(new Set(settings.map(({ flag }) => flag)).size).to.equal(settings.length);
    for (const { name } of settings) expect(settingsTable()).to.contain(`| \`${name}\` |`);
  });
});
