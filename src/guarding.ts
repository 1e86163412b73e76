/**
 * The settings of who may come in and how much each may do. What belongs together is refused when
 * it is configured by half: a server that only looks guarded is worse than one that does not start.
 */
import { type Kind, listOf, oneOf, text, wholeNumber } from "./kinds.ts";

/** GUARD_SETTINGS says what each means; a setting without a default is undefined. */
export interface GuardConfig {
  readonly apiKey?: string;
  readonly keysFile?: string;
  readonly jwtSecret?: string;
  readonly jwtJwksFile?: string;
  readonly jwtJwksUrl?: string;
  readonly jwtAlgorithms?: readonly string[];
  readonly jwtIssuer?: string;
  readonly jwtAudience?: string;
  readonly jwtClockSkewSeconds: number;
  readonly jwtRoleClaim: string;
  readonly jwtCollectionsClaim?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly auditLog?: string;
  readonly rateLimit: number;
  readonly vectorRateLimit: number;
  readonly scanWaitMs: number;
}

interface GuardSetting {
  readonly key: keyof GuardConfig;
  readonly byDefault?: string;
  readonly shown?: string;
  readonly kind: Kind;
  readonly help: string;
}

const none = { shown: "none" };
const path = { ...none, kind: text(1, 4096) };
const claim = text(1, 128);

export const GUARD_SETTINGS: Record<string, GuardSetting> = {
  API_KEY: {
    ...{ key: "apiKey", ...none, kind: text(1, 512, "ASCII characters", /^[!-~]([ -~]*[!-~])?$/) },
    help: "one key that may do everything",
  },
  KEYS_FILE: {
    ...{ key: "keysFile", ...path },
    help: "file of keys with names, roles and collections; read again when it changes",
  },
  JWT_SECRET: {
    ...{ key: "jwtSecret", ...none, kind: text(32, 512) },
    help: "secret that tokens (JWT) are signed with by HS256",
  },
  JWT_JWKS_FILE: {
    ...{ key: "jwtJwksFile", ...path },
    help: "file of the public keys (JWKS) that tokens are signed with; read again when it changes",
  },
  JWT_JWKS_URL: {
    ...{ key: "jwtJwksUrl", ...none, kind: keySetUrl() },
    help: "address of the issuer's public keys (JWKS)",
  },
  JWT_ALGORITHMS: {
    ...{ key: "jwtAlgorithms", shown: "HS256, or RS256, PS256, ES256, EdDSA", kind: algorithms() },
    help: "algorithms that tokens may be signed with, with commas between",
  },
  JWT_ISSUER: {
    ...{ key: "jwtIssuer", ...none, kind: text(1, 512) },
    help: "issuer (iss) that a token must name; needed with a JWKS",
  },
  JWT_AUDIENCE: {
    ...{ key: "jwtAudience", ...none, kind: text(1, 512) },
    help: "audience (aud) that a token must name; needed with a JWKS",
  },
  JWT_CLOCK_SKEW_S: {
    ...{ key: "jwtClockSkewSeconds", byDefault: "30", kind: wholeNumber(0, 600) },
    help: "seconds by which the issuer's clock may differ",
  },
  JWT_ROLE_CLAIM: {
    ...{ key: "jwtRoleClaim", byDefault: "role", kind: claim },
    help: "claim that names the role; dots reach into objects, a list may hold it",
  },
  JWT_COLLECTIONS_CLAIM: {
    ...{ key: "jwtCollectionsClaim", shown: "none (all)", kind: claim },
    help: "claim that lists the collections; a token without it sees none",
  },
  TLS_CERT: {
    ...{ key: "tlsCert", ...path },
    help: "certificate chain (PEM) to serve HTTPS with; read again when it changes",
  },
  TLS_KEY: {
    ...{ key: "tlsKey", ...path },
    help: "private key (PEM) of the certificate",
  },
  TLS_CA: {
    ...{ key: "tlsCa", ...path },
    help: "authorities (PEM) that must have signed each client's certificate; none asks for none",
  },
  AUDIT_LOG: {
    ...{ key: "auditLog", shown: "none (the log)", kind: text(1, 4096) },
    help: "file that calls which destroy or administer are written to",
  },
  RATE_LIMIT: {
    ...{ key: "rateLimit", byDefault: "0", kind: wholeNumber(0, 1_000_000) },
    help: "requests a second for each key or address; 0 is off",
  },
  VECTOR_RATE_LIMIT: {
    ...{ key: "vectorRateLimit", byDefault: "0", kind: wholeNumber(0, 10_000_000) },
    help: "vectors written or searched for a second, for each key or address; 0 is off",
  },
  SCAN_WAIT_MS: {
    ...{ key: "scanWaitMs", byDefault: "30", kind: wholeNumber(1, 600_000) },
    help: "how late reads may get under load; exact and filtered ones also 4 times their own time",
  },
};

/** Never shown, not even when they are wrong. */
export const SECRET_SETTINGS: ReadonlySet<string> = new Set(["apiKey", "jwtSecret"]);

/** Whether any credential is configured. */
export function isGuarded(config: GuardConfig): boolean {
  const { apiKey, keysFile, jwtSecret, jwtJwksFile, jwtJwksUrl } = config;
  return [apiKey, keysFile, jwtSecret, jwtJwksFile, jwtJwksUrl].some((each) => each !== undefined);
}

/** What is wrong with settings that are fine each by itself; undefined when nothing is. */
export function findHalf(config: GuardConfig, given: ReadonlySet<string>): string | undefined {
  return findHalfTls(config) ?? findHalfTokens(config, given);
}

function findHalfTls({ tlsCert, tlsKey, tlsCa }: GuardConfig): string | undefined {
  if (tlsCert !== undefined && tlsKey === undefined) return "OMENDB_TLS_CERT needs OMENDB_TLS_KEY";
  if (tlsCert !== undefined) return undefined;
  const lone = tlsKey !== undefined ? "OMENDB_TLS_KEY" : tlsCa !== undefined && "OMENDB_TLS_CA";
  return lone ? `${lone} needs OMENDB_TLS_CERT` : undefined;
}

function findHalfTokens(config: GuardConfig, given: ReadonlySet<string>): string | undefined {
  const sources = ["JWT_SECRET", "JWT_JWKS_FILE", "JWT_JWKS_URL"].filter((name) => given.has(name));
  const [source] = sources;
  if (sources.length > 1) {
    return `OMENDB_${sources[1]}: tokens have one source of keys, and OMENDB_${source} is set`;
  }
  const lone = [...given].find((name) => name.startsWith("JWT_") && !sources.includes(name));
  if (source === undefined) {
    return lone && `OMENDB_${lone} means nothing without OMENDB_JWT_SECRET or a JWKS`;
  }
  const isSecret = source === "JWT_SECRET";
  const stranger = config.jwtAlgorithms?.find((name) => name.startsWith("HS") !== isSecret);
  if (stranger !== undefined) {
    return `OMENDB_JWT_ALGORITHMS: ${stranger} does not go with OMENDB_${source}`;
  }
  if (isSecret) return undefined;
  // Such keys sign for many; without both, a token meant for somebody else would open this server.
  if (config.jwtIssuer === undefined) return `OMENDB_${source} needs OMENDB_JWT_ISSUER`;
  if (config.jwtAudience === undefined) return `OMENDB_${source} needs OMENDB_JWT_AUDIENCE`;
  return undefined;
}

function algorithms(): Kind {
  const one = oneOf([
    ...["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
  ]);
  return listOf(one);
}

function keySetUrl(): Kind {
  const read = (given: string) => {
    const url = URL.parse(given);
    if (url === null || url.username !== "" || url.password !== "") return undefined;
    const isNear = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
    return url.protocol === "https:" || (url.protocol === "http:" && isNear) ? given : undefined;
  };
  return { expected: "an address that begins with https://", read };
}
