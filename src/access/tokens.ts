/**
 * JSON Web Tokens that somebody else issued: signed by a secret of the operator's or by a key of
 * the operator's key set, for this audience, by that issuer, and still good.
 *
 * Algorithms are pinned and match the kind of key, so a token can neither choose `none` nor have a
 * public key taken for a secret. A token that was found good is remembered by its digest, for as
 * long as it is good but a minute at most: then a key that has left the set is noticed.
 */
import { hash } from "node:crypto";
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from "jose";
import { OmenError } from "../errors.ts";
import type { GuardConfig } from "../guarding.ts";
import { COLLECTION_PATTERN, type Grant, ROLES, type Role } from "./grant.ts";

export const TOKEN_BYTES_MAX = 8 * 1024;
/** Three parts; libraries forgive padding and spaces, and one token would have many spellings. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const REMEMBERED_MAX = 4096;
const REMEMBERED_MS = 60_000;
const NAME_LENGTH_MAX = 128;
const DIGEST_LENGTH = 16;
const ROLE_PREFIX = "omendb:";
const COLLECTIONS_MAX = 1000;
const JWKS_TIMEOUT_MS = 5000;
const JWKS_COOLDOWN_MS = 30_000;
const JWKS_AGE_MS = 600_000;
const JWKS_RETRY_SECONDS = 5;

const SECRET_ALGORITHMS = ["HS256"];
const KEY_SET_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];

type KeyOfToken = Parameters<typeof jwtVerify>[1] | ReturnType<typeof createLocalJWKSet>;

interface Remembered {
  readonly grant: Grant;
  readonly untilMs: number;
}

export class Tokens {
  readonly #settings: GuardConfig;
  readonly #remembered = new Map<string, Remembered>();
  #key: KeyOfToken | undefined;

  constructor(settings: GuardConfig) {
    this.#settings = settings;
    const { jwtSecret, jwtJwksUrl } = settings;
    if (jwtSecret !== undefined) this.#key = new TextEncoder().encode(jwtSecret);
    if (jwtJwksUrl !== undefined) {
      this.#key = createRemoteJWKSet(new URL(jwtJwksUrl), {
        timeoutDuration: JWKS_TIMEOUT_MS,
        cooldownDuration: JWKS_COOLDOWN_MS,
        cacheMaxAge: JWKS_AGE_MS,
      });
    }
  }

  get isConfigured(): boolean {
    return this.#key !== undefined;
  }

  /** The text of a key set in place of the one before. Throws INVALID_SETTING. */
  takeKeySet(text: string): void {
    this.#key = keySetOf(text);
    this.#remembered.clear();
  }

  /** Without waiting, what was found before; undefined when the token has to be looked at. */
  recall(token: string, nowMs: number): Grant | undefined {
    const found = this.#remembered.get(hash("sha256", token, "base64"));
    return found !== undefined && nowMs < found.untilMs ? found.grant : undefined;
  }

  /** Throws UNAUTHENTICATED with what is wrong with the token. */
  async check(token: string): Promise<Grant> {
    const key = this.#key;
    if (key === undefined) throw new OmenError("UNAUTHENTICATED", "tokens are not accepted here");
    if (token.length > TOKEN_BYTES_MAX) {
      throw new OmenError("UNAUTHENTICATED", `the token is over ${TOKEN_BYTES_MAX} bytes`);
    }
    if (!COMPACT.test(token)) throw new OmenError("UNAUTHENTICATED", "the token is not valid");
    const payload = await this.#verify(token, key);
    const grant = this.#grantOf(payload);
    this.#remember(hash("sha256", token, "base64"), grant);
    return grant;
  }

  async #verify(token: string, key: KeyOfToken): Promise<JWTPayload> {
    const settings = this.#settings;
    const isSecret = settings.jwtSecret !== undefined;
    try {
      const { payload } = await jwtVerify(token, key as Parameters<typeof jwtVerify>[1], {
        algorithms: [
          ...(settings.jwtAlgorithms ?? (isSecret ? SECRET_ALGORITHMS : KEY_SET_ALGORITHMS)),
        ],
        issuer: settings.jwtIssuer,
        audience: settings.jwtAudience,
        clockTolerance: settings.jwtClockSkewSeconds,
        requiredClaims: ["exp"],
      });
      return payload;
    } catch (error) {
      throw refusalOf(error);
    }
  }

  #grantOf(payload: JWTPayload): Grant {
    const { jwtRoleClaim, jwtCollectionsClaim, jwtClockSkewSeconds } = this.#settings;
    const collections =
      jwtCollectionsClaim === undefined
        ? undefined
        : textsOf(claimOf(payload, jwtCollectionsClaim)).filter((text) =>
            COLLECTION_PATTERN.test(text),
          );
    return {
      // The colon keeps it apart from the names of keys.
      name: `token:${callerOf(payload)}`,
      role: highest(rolesIn(claimOf(payload, jwtRoleClaim), jwtRoleClaim)),
      collections: collections?.includes("*") ? undefined : collections?.slice(0, COLLECTIONS_MAX),
      expiresAtMs: (payload.exp! + jwtClockSkewSeconds) * 1000,
    };
  }

  #remember(digest: string, grant: Grant): void {
    const untilMs = Math.min(Date.now() + REMEMBERED_MS, grant.expiresAtMs!);
    if (this.#remembered.size >= REMEMBERED_MAX) {
      this.#remembered.delete(this.#remembered.keys().next().value!);
    }
    this.#remembered.delete(digest);
    this.#remembered.set(digest, { grant, untilMs });
  }
}

/** Its first part begins as `{"` does in base64url. */
export function isTokenShaped(credential: string): boolean {
  return credential.startsWith("eyJ") && credential.includes(".");
}

/** Throws INVALID_SETTING. */
export function checkKeySet(text: string): void {
  keySetOf(text);
}

function keySetOf(text: string): KeyOfToken {
  try {
    const keySet = JSON.parse(text);
    if (keySet.keys.some(({ kty }: { kty: string }) => kty === "oct")) {
      throw new Error("it holds a secret");
    }
    return createLocalJWKSet(keySet);
  } catch (cause) {
    const message = "expected a JSON Web Key Set of public keys";
    throw new OmenError("INVALID_SETTING", message, { cause });
  }
}

/** `a.b` reaches into an object, unless a claim bears the whole name, as URLs in claims do. */
function claimOf(payload: JWTPayload, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path];
  let value: unknown = payload;
  for (const step of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step))
      return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** A claim is an array of texts, or one text with spaces between, as `scope` is. */
function textsOf(claim: unknown): string[] {
  if (typeof claim === "string") return claim.split(" ").filter((text) => text !== "");
  if (!Array.isArray(claim)) return [];
  return claim.filter((text): text is string => typeof text === "string");
}

/**
 * Words of a text are roles one by one in a claim that is a list by its nature, or where each says
 * whose it is; elsewhere "not an admin" is one word, and no role.
 */
function rolesIn(claim: unknown, path: string): string[] {
  const words = textsOf(claim);
  if (typeof claim !== "string" || /(^|\.)(scope|scp)$/.test(path)) return words;
  return words.every((word) => word.startsWith(ROLE_PREFIX)) ? words : [claim];
}

/** Tokens of one subject, or of one client where there is no subject, are one caller. */
function callerOf(payload: JWTPayload): string {
  const named = [payload.sub, payload.client_id, payload.azp];
  const name = named.filter((each) => typeof each === "string").find((each) => each !== "");
  if (name !== undefined && name.length <= NAME_LENGTH_MAX) return name;
  const digest = hash("sha256", JSON.stringify(name ?? payload)).slice(0, DIGEST_LENGTH);
  return `${(name ?? "").slice(0, NAME_LENGTH_MAX - DIGEST_LENGTH - 1)}#${digest}`;
}

/** `writer` and `omendb:writer` are the same; whoever has several roles has the highest. */
function highest(found: readonly string[]): Role | undefined {
  const names = new Set(
    found.map((text) => (text.startsWith(ROLE_PREFIX) ? text.slice(ROLE_PREFIX.length) : text)),
  );
  return ROLES.findLast((role) => names.has(role));
}

function refusalOf(error: unknown): OmenError {
  const isNotToBeHad =
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === errors.JOSEError.code;
  if (isNotToBeHad) {
    const message = "the keys of the token's issuer are not to be had";
    const details = { cause: error, retryAfterSeconds: JWKS_RETRY_SECONDS };
    return new OmenError("ISSUER_UNAVAILABLE", message, details);
  }
  return new OmenError("UNAUTHENTICATED", whyNot(error), { cause: error });
}

function whyNot(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "the token has expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "nbf") return "the token is not valid yet";
    return `the token's ${error.claim} is missing or not what is expected here`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not accepted";
  if (error instanceof errors.JWKSNoMatchingKey) return "no known key has signed the token";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "the signature is not valid";
  return "the token is not valid";
}
