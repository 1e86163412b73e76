/**
 * Settings: one table, read once at start, from flags or from the environment. A wrong or unknown
 * setting stops the start with one sentence, so that a typo never runs a server in a way nobody
 * chose. The result is plain data, because it is cloned into every worker thread.
 */
import { availableParallelism } from "node:os";
import type { Metric } from "./collections/database.ts";
import { OmenError } from "./errors.ts";
import {
  findHalf,
  GUARD_SETTINGS,
  type GuardConfig,
  isGuarded,
  SECRET_SETTINGS,
} from "./guarding.ts";
import { type Kind, oneOf, originList, proxies, text, truth, wholeNumber } from "./kinds.ts";

const MIB = 1024 * 1024;
const THREADS_MAX = 31;
const PREFIX = "OMENDB_";
/** What the other commands of the command line read; a server passes it by. */
const OTHERS = new Set(["OMENDB_URL", "OMENDB_KEY"]);
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** SETTINGS says what each means; a setting without a default is undefined. */
export interface Config extends GuardConfig {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
  readonly metric: Metric;
  readonly safety: "strict" | "normal";
  readonly threads: number;
  readonly linkers: number;
  readonly tailRows: number;
  readonly writeWaitMs: number;
  readonly shardRows?: number;
  readonly corsOrigins: readonly string[];
  readonly bodyBytesMax: number;
  readonly snapshotBytesMax: number;
  readonly memoryBytesMax?: number;
  readonly checkpointBytes: number;
  readonly checkpointMinutes: number;
  readonly experimentalCodes: boolean;
  readonly trustProxy?: number | readonly string[];
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly metricsPublic: boolean;
  readonly docsPublic: boolean;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly connectionsMax: number;
  readonly shutdownMs: number;
}

interface Setting {
  readonly key: keyof Config;
  /** As it would stand in the environment. */
  readonly byDefault?: string;
  /** What help and reference show instead of the default. */
  readonly shown?: string;
  readonly kind: Kind;
  readonly help: string;
}

const cores = { byDefault: `${Math.min(availableParallelism(), THREADS_MAX)}`, shown: "cores" };
const none = { shown: "none" };

export interface SettingDescription {
  readonly name: string;
  readonly flag: string;
  readonly shown: string;
  readonly help: string;
  /** Its flag may stand without a value. */
  readonly isSwitch: boolean;
}

/** By name without the prefix; the flag is the same in lower case with dashes. */
const SETTINGS: Record<string, Setting> = {
  HOST: {
    ...{ key: "host", byDefault: "127.0.0.1", kind: text(1, 255) },
    help: "address to listen on; anything but loopback needs a credential configured",
  },
  PORT: {
    ...{ key: "port", byDefault: "8000", kind: wholeNumber(0, 65_535) },
    help: "port to listen on; 0 takes a free one",
  },
  PATH: {
    ...{ key: "path", shown: "none (in memory)", kind: text(1, 4096) },
    help: "folder that holds the data, one server at a time",
  },
  ...GUARD_SETTINGS,
  METRIC: {
    ...{ key: "metric", byDefault: "l2", kind: oneOf(["l2", "cosine", "dot"]) },
    help: "metric of a collection made by its first write: l2, cosine or dot",
  },
  SAFETY: {
    ...{ key: "safety", byDefault: "strict", kind: oneOf(["strict", "normal"]) },
    help: "how soon a write is on disk: strict before its answer; normal needs OMENDB_PATH",
  },
  THREADS: {
    ...{ key: "threads", ...cores, kind: wholeNumber(1, THREADS_MAX) },
    help: "threads that listen and search; 1 runs everything in one",
  },
  LINKERS: {
    ...{ key: "linkers", ...cores, kind: wholeNumber(1, THREADS_MAX) },
    help: "threads that build the graph in the background",
  },
  TAIL_ROWS: {
    ...{ key: "tailRows", byDefault: "65536", kind: wholeNumber(1, 10_000_000) },
    help: "rows of a collection that may wait for the graph before writes wait",
  },
  WRITE_WAIT_MS: {
    ...{ key: "writeWaitMs", byDefault: "10000", kind: wholeNumber(0, 600_000) },
    help: "how long a write waits for the graph before 503",
  },
  SHARD_ROWS: {
    ...{ key: "shardRows", shown: "what fits", kind: wholeNumber(16, 0xffff_fffe) },
    help: "rows a shard may hold",
  },
  CORS_ORIGINS: {
    ...{ key: "corsOrigins", byDefault: "", ...none, kind: originList() },
    help: "origins whose pages may call, with commas between, or *",
  },
  MAX_BODY_MB: {
    ...{ key: "bodyBytesMax", byDefault: "64", kind: wholeNumber(1, 1024, MIB) },
    help: "largest request body, in MiB",
  },
  MAX_SNAPSHOT_MB: {
    ...{ key: "snapshotBytesMax", byDefault: "65536", kind: wholeNumber(1, 1 << 26, MIB) },
    help: "largest snapshot that may be uploaded, in MiB",
  },
  MEMORY_LIMIT_MB: {
    ...{ key: "memoryBytesMax", ...none, kind: wholeNumber(16, 1 << 26, MIB) },
    help: "memory for all collections, in MiB; a write past it is refused",
  },
  CHECKPOINT_MB: {
    ...{ key: "checkpointBytes", byDefault: "64", kind: wholeNumber(1, 1 << 20, MIB) },
    help: "log of a collection, in MiB, after which an image is written; more for large ones",
  },
  CHECKPOINT_MINUTES: {
    ...{ key: "checkpointMinutes", byDefault: "15", kind: wholeNumber(0, 100_000) },
    help: "age of an image after which writes bring a new one; 0 is off",
  },
  EXPERIMENTAL_CODES: {
    ...{ key: "experimentalCodes", byDefault: "false", kind: truth() },
    help: "whether collections may keep codes alone (vectors: none), which is being tried out",
  },
  TRUST_PROXY: {
    ...{ key: "trustProxy", ...none, kind: proxies() },
    help: "proxies in front: how many, or their networks with commas between",
  },
  LOG_LEVEL: {
    ...{ key: "logLevel", byDefault: "info", kind: oneOf(LOG_LEVELS) },
    help: "debug logs every request, info those that fail, silent nothing",
  },
  METRICS_PUBLIC: {
    ...{ key: "metricsPublic", byDefault: "false", kind: truth() },
    help: "true serves /metrics without a key",
  },
  DOCS_PUBLIC: {
    ...{ key: "docsPublic", byDefault: "false", kind: truth() },
    help: "true serves /docs and /openapi.json without a key",
  },
  HEADERS_TIMEOUT_MS: {
    ...{ key: "headersTimeoutMs", byDefault: "15000", kind: wholeNumber(100, 600_000) },
    help: "how long a request's headers may take to arrive",
  },
  REQUEST_TIMEOUT_MS: {
    ...{ key: "requestTimeoutMs", byDefault: "120000", kind: wholeNumber(100, 3_600_000) },
    help: "how long a whole request may take to arrive",
  },
  KEEP_ALIVE_TIMEOUT_MS: {
    ...{ key: "keepAliveTimeoutMs", byDefault: "65000", kind: wholeNumber(100, 3_600_000) },
    help: "how long an idle connection stays open",
  },
  CONNECTIONS_MAX: {
    ...{ key: "connectionsMax", byDefault: "10000", kind: wholeNumber(1, 1_000_000) },
    help: "open connections of one listener thread",
  },
  SHUTDOWN_MS: {
    ...{ key: "shutdownMs", byDefault: "10000", kind: wholeNumber(0, 600_000) },
    help: "how long requests in flight may take to finish after SIGTERM",
  },
};

/**
 * `flags` are keyed as `--max-body-mb` or `maxBodyMb` would be, and win over the environment. An
 * empty text is the same as none. Throws OmenError INVALID_SETTING.
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string | undefined>> = {},
): Config {
  const given = new Map<string, { shown: string; text: string }>();
  const take = (name: string, spell: (name: string) => string, value: string | undefined) => {
    const shown = spell(name);
    if (!Object.hasOwn(SETTINGS, name)) refuseUnknown(shown, Object.keys(SETTINGS).map(spell));
    if (value) given.set(name, { shown, text: value });
  };
  for (const [variable, value] of Object.entries(environment)) {
    if (OTHERS.has(variable)) continue;
    if (variable.startsWith(PREFIX)) take(variable.slice(PREFIX.length), variableOf, value);
  }
  for (const [flag, value] of Object.entries(flags)) take(nameOfFlag(flag), flagOf, value);
  const config: Record<string, unknown> = {};
  for (const [name, { key, byDefault, kind }] of Object.entries(SETTINGS)) {
    const { shown, text } = given.get(name) ?? { shown: variableOf(name), text: byDefault };
    if (text === undefined) continue;
    const value = kind.read(text);
    if (value === undefined) refuse(`${shown}: expected ${kind.expected}, got ${quote(key, text)}`);
    config[key] = value;
  }
  const half = findHalf(config as unknown as Config, new Set(given.keys()));
  if (half !== undefined) refuse(half);
  return Object.freeze(refuseOpenBind(config as unknown as Config));
}

/** What the reference's table and the help of the command line are made from. */
export function describeSettings(): SettingDescription[] {
  return Object.entries(SETTINGS).map(([name, { byDefault, shown, kind, help }]) => ({
    name: variableOf(name),
    flag: flagOf(name),
    shown: shown ?? byDefault ?? "none",
    help,
    isSwitch: kind.read("true") === true,
  }));
}

export function settingsTable(): string {
  const rows = describeSettings().map(
    ({ name, shown, help }) => `| \`${name}\` | ${shown} | ${help} |`,
  );
  return ["| setting | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function refuseOpenBind(config: Config): Config {
  if (isGuarded(config) || isLoopback(config.host)) return config;
  return refuse(
    `OMENDB_HOST: ${config.host} can be reached from other machines, so OMENDB_API_KEY, ` +
      "OMENDB_KEYS_FILE or a source of token keys must be set",
  );
}

function refuseUnknown(name: string, known: readonly string[]): never {
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const hint = near && near.distance <= 4 ? `; did you mean ${near.candidate}?` : "";
  refuse(`${name} is not a setting${hint}`);
}

function refuse(sentence: string): never {
  throw new OmenError("INVALID_SETTING", sentence);
}

/** A key never reaches a log, not even a wrong one, nor does the password of an address. */
function quote(key: keyof Config, text: string): string {
  if (SECRET_SETTINGS.has(key)) return `${text.length} characters`;
  return JSON.stringify(text.replace(/\/\/[^/]*@/, "//...@"));
}

const variableOf = (name: string) => PREFIX + name;
const flagOf = (name: string) => `--${name.toLowerCase().replaceAll("_", "-")}`;
const nameOfFlag = (flag: string) =>
  flag
    .replace(/^--/, "")
    .replace(/[A-Z]/g, (letter) => `_${letter}`)
    .replaceAll("-", "_")
    .toUpperCase();

// Levenshtein, one row at a time.
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
