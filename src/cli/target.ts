/**
 * What a command works on: a running server, by its address and a key, or a data path that no
 * server holds. Both are asked by the same calls.
 */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import type { Collection as ServedCollection } from "../client/collection.ts";
import { type CollectionSettings, connect } from "../client/index.ts";
import type { Collection as HeldCollection } from "../embedded/collection.ts";
import { UsageError } from "./exit.ts";

export interface TargetFlags {
  readonly url?: string;
  readonly apiKey?: string;
  readonly token?: string;
  readonly path?: string;
}

export interface Target {
  /** As messages and state files name it. */
  readonly name: string;
  collection(name: string): ServedCollection | HeldCollection;
  createCollection(name: string, settings: CollectionSettings): Promise<unknown>;
  describeCollection(name: string): Promise<{ readonly dimensions: number } | undefined>;
  close(): Promise<void>;
}

const URL_DEFAULT = "http://127.0.0.1:8000";

export function addTargetFlags(command: Command): Command {
  return command
    .option("--url <url>", `the server (default: OMENDB_URL, or ${URL_DEFAULT})`)
    .option("--api-key <key>", "its key (default: OMENDB_KEY, else OMENDB_API_KEY)")
    .option("--token <token>", "a token in place of a key")
    .option("--path <folder>", "a data path that no server holds, in place of a server");
}

/** `isMade` lets a data path that is not there be made. */
export async function openTarget(flags: TargetFlags, isMade = false): Promise<Target> {
  const { url, path } = flags;
  if (path === undefined) return serverOf(flags);
  if (url !== undefined) throw new UsageError("--url and --path exclude each other");
  if (!isMade && !(await isFolder(path))) throw new UsageError(`there is no data path ${path}`);
  // Only here, because the engine and the disk take their time to load.
  const { open } = await import("../embedded/open.ts");
  const held = await open(path, { linkers: 1 });
  return {
    name: path,
    collection: (name) => held.collection(name),
    createCollection: (name, settings) => held.createCollection(name, settings),
    describeCollection: (name) => held.describeCollection(name),
    close: () => held.close(),
  };
}

function serverOf({ url, apiKey, token }: TargetFlags): Target {
  const address = url ?? (process.env.OMENDB_URL || URL_DEFAULT);
  if (!/^https?:$/.test(URL.parse(address)?.protocol ?? "")) {
    throw new UsageError(`--url: expected http:// or https://, got ${JSON.stringify(address)}`);
  }
  const key = token === undefined ? (apiKey ?? keyOfEnvironment()) : apiKey;
  const client = connect(address, { apiKey: key, token });
  return {
    name: address,
    collection: (name) => client.collection(name),
    createCollection: (name, settings) => client.createCollection(name, settings),
    describeCollection: (name) => client.describeCollection(name),
    close: async () => undefined,
  };
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** A name of its own, for in the environment of `serve` the other one gives a key all rights. */
function keyOfEnvironment(): string | undefined {
  return process.env.OMENDB_KEY || process.env.OMENDB_API_KEY || undefined;
}
