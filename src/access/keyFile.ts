/**
 * The file of keys: who may call, with what role. It holds no key, only the SHA-256 of each: keys
 * are 32 random bytes, which no dictionary reaches, so a slow hash would add nothing but time to
 * every request.
 *
 *   {"version": 1, "keys": [
 *     {"name": "shop", "hash": "sha256:<64 hex>", "role": "reader", "created": "<ISO time>",
 *      "collections": ["books", "songs-*"], "expires": "<ISO time>",
 *      "rate_limit": 100, "vector_rate_limit": 5000}]}
 *
 * collections, expires and the two limits may be left out. Functions here are pure: text in, text
 * or grants out. A file that is wrong anywhere is refused whole, by the place of the fault.
 */
import { hash, randomBytes } from "node:crypto";
import { OmenError } from "../errors.ts";
import { COLLECTION_PATTERN, type Grant, ROLES, type Role } from "./grant.ts";

export const KEYS_MAX = 10_000;
export const KEY_FILE_BYTES_MAX = 8 * 1024 * 1024;
const COLLECTIONS_MAX = 1000;
const RATE_MAX = 10_000_000;
/** Tells people and scanners of leaked secrets what it is. */
const KEY_PREFIX = "omendb_";
const KEY_BYTES = 32;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const HASH = /^sha256:[0-9a-f]{64}$/;
const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

/** One key as it stands in the file. */
export interface KeyEntry {
  readonly name: string;
  readonly hash: string;
  readonly role: Role;
  readonly collections?: readonly string[];
  readonly created: string;
  readonly expires?: string;
  readonly rate_limit?: number;
  readonly vector_rate_limit?: number;
}

/** What a new key is to be; its name must be free. */
export type KeyWish = Omit<KeyEntry, "hash" | "created">;

export interface KeyGrant extends Grant {
  /** SHA-256 of the key. */
  readonly digest: Buffer;
}

/** Throws OmenError INVALID_SETTING, naming the entry and the member at fault. */
export function parseKeyFile(text: string): KeyEntry[] {
  const file = parseJson(text);
  if (!isObject(file)) refuse("expected an object");
  refuseStrangers(file, ["version", "keys"], "");
  if (file.version !== 1) refuse(`version: expected 1, got ${shown(file.version)}`);
  if (!Array.isArray(file.keys)) refuse("keys: expected an array");
  if (file.keys.length > KEYS_MAX) refuse(`keys: expected at most ${KEYS_MAX}`);
  const entries = file.keys.map((entry, index) => checkEntry(entry, `keys[${index}]`));
  const seen = new Set<string>();
  for (const [index, { name, hash }] of entries.entries()) {
    if (seen.has(name)) refuse(`keys[${index}].name: ${name} stands twice`);
    if (seen.has(hash)) refuse(`keys[${index}].hash: another key has the same`);
    seen.add(name).add(hash);
  }
  return entries;
}

export function grantsOf(entries: readonly KeyEntry[]): KeyGrant[] {
  return entries.map((entry) => ({
    name: entry.name,
    role: entry.role,
    collections: entry.collections,
    expiresAtMs: entry.expires === undefined ? undefined : Date.parse(entry.expires),
    rateLimit: entry.rate_limit,
    vectorRateLimit: entry.vector_rate_limit,
    digest: Buffer.from(entry.hash.slice("sha256:".length), "hex"),
  }));
}

/** The file's new text, and the key, which nobody can ever show again. */
export function createKey(text: string | undefined, wish: KeyWish): { text: string; key: string } {
  const entries = text === undefined ? [] : parseKeyFile(text);
  if (entries.some(({ name }) => name === wish.name)) refuse(`a key named ${wish.name} is there`);
  const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString("base64url");
  const { name, role, ...rest } = wish;
  const entry = {
    ...{ name, hash: `sha256:${hash("sha256", key)}`, role },
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    created: new Date().toISOString(),
  };
  checkEntry(entry, wish.name);
  return { text: write([...entries, entry as KeyEntry]), key };
}

/** The file's new text; refuses a name that no key has. */
export function revokeKey(text: string, name: string): string {
  const entries = parseKeyFile(text);
  const kept = entries.filter((entry) => entry.name !== name);
  if (kept.length === entries.length) refuse(`no key is named ${shown(name)}`);
  return write(kept);
}

function write(keys: readonly KeyEntry[]): string {
  return `${JSON.stringify({ version: 1, keys }, null, 2)}\n`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's message may quote the text, and with it a hash.
    return refuse("expected JSON");
  }
}

const MEMBERS = [
  ...["name", "hash", "role", "collections", "created", "expires"],
  ...["rate_limit", "vector_rate_limit"],
];

function checkEntry(entry: unknown, at: string): KeyEntry {
  if (!isObject(entry)) refuse(`${at}: expected an object`);
  refuseStrangers(entry, MEMBERS, `${at}.`);
  const { name, hash, role, collections, created, expires } = entry;
  if (typeof name !== "string" || !NAME.test(name)) {
    refuse(`${at}.name: expected 1 to 64 of A-Z a-z 0-9 . _ -, got ${shown(name)}`);
  }
  if (typeof hash !== "string" || !HASH.test(hash)) {
    refuse(`${at}.hash: expected sha256: and 64 hexadecimal digits in lower case`);
  }
  if (!ROLES.includes(role as Role)) {
    refuse(`${at}.role: expected one of ${ROLES.join(", ")}, got ${shown(role)}`);
  }
  if (collections !== undefined) checkCollections(collections, `${at}.collections`);
  checkTime(created, `${at}.created`);
  if (expires !== undefined) checkTime(expires, `${at}.expires`);
  for (const member of ["rate_limit", "vector_rate_limit"]) {
    checkRate(entry[member], `${at}.${member}`);
  }
  return entry as unknown as KeyEntry;
}

function checkCollections(value: unknown, at: string): void {
  if (!Array.isArray(value) || value.length === 0 || value.length > COLLECTIONS_MAX) {
    refuse(`${at}: expected 1 to ${COLLECTIONS_MAX} names; leave it out for every collection`);
  }
  for (const pattern of value) {
    if (typeof pattern === "string" && COLLECTION_PATTERN.test(pattern)) continue;
    refuse(`${at}: expected names, or beginnings that end in *, got ${shown(pattern)}`);
  }
}

function checkTime(value: unknown, at: string): void {
  const isTime = typeof value === "string" && ISO_TIME.test(value);
  if (isTime && !Number.isNaN(Date.parse(value))) return;
  refuse(`${at}: expected a time such as 2030-12-31T00:00:00Z, got ${shown(value)}`);
}

function checkRate(value: unknown, at: string): void {
  if (value === undefined) return;
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= RATE_MAX) return;
  refuse(`${at}: expected a whole number from 0 to ${RATE_MAX}, got ${shown(value)}`);
}

function refuseStrangers(value: object, known: readonly string[], at: string): void {
  const stranger = Object.keys(value).find((member) => !known.includes(member));
  if (stranger !== undefined) refuse(`${at}${stranger.slice(0, 64)}: there is no such member`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Of a value that should have been short. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "none").slice(0, 80);
}

function refuse(sentence: string): never {
  throw new OmenError("INVALID_SETTING", sentence);
}
