/**
 * Whom a credential belongs to: the one shared key, a key of the key file, or a token. Each
 * listener thread has one, and is handed the files' new texts when they change.
 *
 * A key is looked up by its SHA-256 and the digests are compared in constant time, so that neither
 * a key's length nor its beginning can be measured.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { OmenError } from "../errors.ts";
import { type GuardConfig, isGuarded } from "../guarding.ts";
import type { Grant } from "./grant.ts";
import { grantsOf, type KeyGrant, parseKeyFile } from "./keyFile.ts";
import { isTokenShaped, Tokens } from "./tokens.ts";

/** The texts of the files that say who may call. */
export interface AccessTexts {
  readonly keys?: string;
  readonly keySet?: string;
}

/** Who calls with OMENDB_API_KEY. Its name is one that no key of a file can have. */
const SHARED: Grant = { name: "OMENDB_API_KEY:", role: "admin" };

export class Access {
  readonly #tokens: Tokens;
  readonly #shared: KeyGrant | undefined;
  #keys = new Map<string, KeyGrant>();
  readonly #isOpen: boolean;

  /** Throws INVALID_SETTING when a text is wrong. */
  constructor(settings: GuardConfig, texts: AccessTexts = {}) {
    const { apiKey } = settings;
    this.#tokens = new Tokens(settings);
    if (apiKey !== undefined) this.#shared = { ...SHARED, digest: digestOf(apiKey) };
    this.#isOpen = !isGuarded(settings);
    this.#put([]);
    this.take(texts);
  }

  /** Nothing is configured, so everybody may do everything. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Takes new texts up, all or none. Throws INVALID_SETTING and changes nothing. */
  take({ keys, keySet }: AccessTexts): void {
    const grants = keys === undefined ? undefined : grantsOf(parseKeyFile(keys));
    if (grants !== undefined) this.#refuseShared(grants);
    if (keySet !== undefined) this.#tokens.takeKeySet(keySet);
    if (grants !== undefined) this.#put(grants);
  }

  /** Taken out of the file, the key would go on as the one that may do everything. */
  #refuseShared(grants: readonly KeyGrant[]): void {
    const same = grants.find(({ digest }) => this.#shared?.digest.equals(digest));
    if (same === undefined) return;
    const message = `the key ${same.name} of the key file is OMENDB_API_KEY too: make another`;
    throw new OmenError("INVALID_SETTING", message);
  }

  #put(grants: readonly KeyGrant[]): void {
    const all = this.#shared === undefined ? grants : [this.#shared, ...grants];
    this.#keys = new Map(all.map((grant) => [grant.digest.toString("latin1"), grant]));
  }

  /** At once where it can be told at once. Throws, or rejects with, UNAUTHENTICATED. */
  identify(credential: string): Grant | Promise<Grant> {
    const digest = digestOf(credential);
    const known = this.#keys.get(digest.toString("latin1"));
    if (known !== undefined && timingSafeEqual(digest, known.digest)) return stillValid(known);
    if (!this.#tokens.isConfigured || !isTokenShaped(credential)) {
      throw new OmenError("UNAUTHENTICATED", "the key is not valid");
    }
    return this.#tokens.recall(credential, Date.now()) ?? this.#tokens.check(credential);
  }
}

function stillValid(grant: Grant): Grant {
  if (grant.expiresAtMs === undefined || Date.now() < grant.expiresAtMs) return grant;
  throw new OmenError("UNAUTHENTICATED", "the key has expired");
}

function digestOf(key: string): Buffer {
  return hash("sha256", key, "buffer");
}
