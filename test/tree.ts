/**
 * The checkout as text: every file that is committed or may be, its lines, and what each TypeScript
 * file links to. Read with patterns rather than with a compiler, so that AssemblyScript and
 * half-written files are read as well.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

export interface SourceFile {
  readonly path: string;
  readonly lines: readonly string[];
  readonly links: readonly Link[];
}

export interface Link {
  readonly line: number;
  /** As written, `./rows.ts` or `node:fs`. */
  readonly specifier: string;
  /** The file it names, from the root; undefined for a package. */
  readonly target: string | undefined;
  /** A file named by `new URL(...)` is run in a thread or process of its own, not imported. */
  readonly isImport: boolean;
}

/** Names that are no part of the tree; `.git` is a file in a linked work tree. */
const SKIPPED = new Set([".git", "node_modules", "build", "results", "coverage"]);
const TEXT_ENDINGS = new Set([
  ...[
    ".ts",
    ".mts",
    ".mjs",
    ".js",
    ".json",
    ".md",
    ".yml",
    ".yaml",
    ".sh",
    ".html",
    ".css",
    ".txt",
  ],
  ...["", ".toml", ".svg"],
]);

export function readTree(): SourceFile[] {
  return walk("").map(read);
}

function walk(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (SKIPPED.has(entry.name)) return [];
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() && TEXT_ENDINGS.has(extname(entry.name)) ? [path] : [];
  });
}

function read(path: string): SourceFile {
  const text = readFileSync(join(root, path), "utf8");
  return { path, lines: text.split("\n"), links: path.endsWith(".ts") ? linksOf(path, text) : [] };
}

function linksOf(path: string, text: string): Link[] {
  const pattern =
    /^\s*(?:import|export)\b[^"'`;=()]*?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']|new URL\(\s*["']([^"']+)["']/gm;
  return [...text.matchAll(pattern)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? "";
    const end = (match.index ?? 0) + match[0].length;
    return {
      line: text.slice(0, end).split("\n").length,
      specifier,
      target: isFile(specifier, match[3]) ? resolve(path, specifier) : undefined,
      isImport: match[3] === undefined,
    };
  });
}

/** A URL may also name a folder. */
function isFile(specifier: string, url: string | undefined): boolean {
  return specifier.startsWith(".") && (url === undefined || extname(url).length > 1);
}

/** AssemblyScript's imports leave the ending out. */
function resolve(from: string, specifier: string): string {
  const path = normalize(join(dirname(from), specifier))
    .split(sep)
    .join("/");
  if (extname(path) !== "") return path;
  return existsSync(join(root, `${path}.ts`)) ? `${path}.ts` : `${path}/index.ts`;
}
