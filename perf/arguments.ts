/**
 * How the programs of perf/ read their command line. `--help` prints the comment at the head of the
 * program's file, which says what it does, and its options with what they are when not given; a word
 * that is not known is answered by that too, and the program ends with 2.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

const WRONG_USE = 2;

type Read<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options; allowPositionals: true; strict: true }>
>;

/** `file` is the program's import.meta.url; `words` names what may stand without a flag. */
export function readArguments<const Options extends ParseArgsOptionsConfig>(
  file: string,
  options: Options,
  words: readonly string[] = [],
): Read<Options> {
  const help = { help: { type: "boolean" } } as const;
  try {
    const allowPositionals = words.length > 0;
    const read = parseArgs({ options: { ...options, ...help }, allowPositionals, strict: true });
    if ((read.values as { help?: boolean }).help !== true) return read as Read<Options>;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usageOf(file, options, words)}`);
    process.exit(WRONG_USE);
  }
  console.log(usageOf(file, options, words));
  process.exit(0);
}

/** A number that an option must be. */
export function numberOf(name: string, text: string, least = 0): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
  console.error(`--${name} must be a number of at least ${least}, got "${text}"`);
  process.exit(WRONG_USE);
}

function usageOf(file: string, options: ParseArgsOptionsConfig, words: readonly string[]): string {
  const path = fileURLToPath(file);
  const [, comment = ""] = /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(path, "utf8")) ?? [];
  const about = comment.replaceAll(/^ ?\* ?/gm, "").trim();
  const flags = Object.entries(options).map(([name, { type, default: value }]) => {
    const flag = type === "boolean" ? `--${name}` : `--${name} VALUE`;
    return value === undefined || value === false
      ? `  ${flag}`
      : `  ${flag}, ${value} if not given`;
  });
  const named = words.map((word) => `  [${word}]`);
  return [about, "", ...named, ...flags, "  --help"].join("\n");
}
