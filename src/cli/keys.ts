/**
 * `omendb keys`: makes, lists and revokes the keys of a key file. A running server takes the change
 * up by itself. The file holds no key: the one that is made is shown once, here.
 */
import { chmod, chown, open, readFile, stat, unlink } from "node:fs/promises";
import { type Command, Option } from "commander";
import { ROLES } from "../access/grant.ts";
import {
  createKey,
  type KeyEntry,
  type KeyWish,
  parseKeyFile,
  revokeKey,
} from "../access/keyFile.ts";
import { OmenError } from "../errors.ts";
import { NodeFiles } from "../storage/files.ts";
import { replaceFile } from "../storage/replace.ts";
import { UsageError } from "./exit.ts";
import { printAnswer, printNote, table } from "./output.ts";

const OWNER_ONLY = 0o600;

const EXAMPLES = `
Examples:
  $ export OMENDB_KEYS_FILE=keys.json
  $ omendb keys create shop --role reader --collections books,songs-*
  $ omendb keys create loader --role writer --expires 2030-12-31 --vector-rate-limit 5000
  $ omendb keys list
  $ omendb keys revoke shop`;

interface Flags {
  readonly file?: string;
  readonly json?: boolean;
}

interface Wishes extends Flags {
  readonly role: KeyWish["role"];
  readonly collections?: string;
  readonly expires?: string;
  readonly rateLimit?: string;
  readonly vectorRateLimit?: string;
}

export function addKeys(program: Command): void {
  const keys = program
    .command("keys")
    .description("make, list and revoke the keys of a key file")
    .addHelpText("after", EXAMPLES);
  const command = (name: string, description: string) =>
    keys
      .command(name)
      .description(description)
      .addOption(new Option("--file <path>", "the key file").env("OMENDB_KEYS_FILE"))
      .option("--json", "print one JSON document");
  command("create", "make a key and show it, once")
    .argument("<name>", "what logs and budgets call it")
    .addOption(new Option("--role <role>", "what it may do").choices(ROLES).makeOptionMandatory())
    .option("--collections <names>", "only these: names or beginnings as a*, with commas between")
    .option("--expires <time>", "such as 2030-12-31 or 2030-12-31T12:00:00Z")
    .option("--rate-limit <count>", "requests a second, in place of OMENDB_RATE_LIMIT")
    .option("--vector-rate-limit <count>", "vectors a second, in place of OMENDB_VECTOR_RATE_LIMIT")
    .action(create);
  command("list", "show the keys by name").action(list);
  command("revoke", "take a key out").argument("<name>", "the key's name").action(revoke);
}

async function create(name: string, wishes: Wishes): Promise<void> {
  const { role, collections, expires, rateLimit, vectorRateLimit } = wishes;
  const count = (text: string | undefined) =>
    text === undefined ? undefined : Number(text.trim() || Number.NaN);
  const wish: KeyWish = {
    ...{ name, role, expires },
    collections: collections?.split(",").map((each) => each.trim()),
    rate_limit: count(rateLimit),
    vector_rate_limit: count(vectorRateLimit),
  };
  const key = await edit(pathOf(wishes), (text) => createKey(text, wish));
  printAnswer(wishes.json === true, { ...wish, key: key.key }, () => key.key);
  if (!wishes.json) printNote(`This is the key of ${name}. It is not kept anywhere: note it now.`);
}

async function list(flags: Flags): Promise<void> {
  const path = pathOf(flags);
  const text = await textOf(path);
  if (text === undefined) throw new UsageError(`there is no key file at ${path}`);
  const entries = usable(() => parseKeyFile(text)).map(({ hash: _, ...entry }) => entry);
  const head = ["name", "role", "collections", "expires", "requests/s", "vectors/s", "created"];
  printAnswer(flags.json === true, { keys: entries }, () => table(head, entries.map(rowOf)));
}

function rowOf(entry: Omit<KeyEntry, "hash">) {
  const { name, role, collections, expires, created } = entry;
  const state = expires !== undefined && Date.parse(expires) <= Date.now() ? " (over)" : "";
  return [
    ...[name, role, collections?.join(",") ?? "all", `${expires ?? "never"}${state}`],
    ...[entry.rate_limit, entry.vector_rate_limit, created],
  ];
}

async function revoke(name: string, flags: Flags): Promise<void> {
  await edit(pathOf(flags), (text) => {
    if (text === undefined) throw new UsageError(`there is no key file at ${pathOf(flags)}`);
    return { text: revokeKey(text, name) };
  });
  printAnswer(flags.json === true, { revoked: name }, () => `${name} is revoked`);
}

function pathOf({ file }: Flags): string {
  if (file !== undefined) return file;
  throw new UsageError("name the key file by --file or OMENDB_KEYS_FILE");
}

/** One edit of the file at a time, and whole: two commands at once must not lose a key. */
async function edit<Edited extends { readonly text: string }>(
  path: string,
  change: (text: string | undefined) => Edited,
): Promise<Edited> {
  const lock = `${path}.lock`;
  const held = await open(lock, "wx").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
    throw new UsageError(`another command edits the keys; if none does, remove ${lock}`);
  });
  try {
    const before = await stat(path).catch(() => undefined);
    const text = await textOf(path);
    const edited = usable(() => change(text));
    await replaceFile(new NodeFiles(), path, (file) => file.write(0, [Buffer.from(edited.text)]));
    // A server of another user must still be able to read it.
    await chmod(path, before === undefined ? OWNER_ONLY : before.mode & 0o777);
    if (before !== undefined) await chown(path, before.uid, before.gid).catch(() => undefined);
    return edited;
  } finally {
    await held.close();
    await unlink(lock);
  }
}

/** What is wrong with a file or a wish is what whoever typed the command has to change. */
function usable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof OmenError ? new UsageError(error.message) : error;
  }
}

async function textOf(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}
