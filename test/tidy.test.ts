/**
 * The house rules that a machine can judge: which room may import which, what a file may be called,
 * how long it may be and what must not stand in it. Each rule lists every breach as
 * `file:line what is wrong`. The rules read the tree as text, so they also hold where no compiler
 * looks, and cost a fraction of a second.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { type Link, readTree, root, type SourceFile } from "./tree.ts";

const SELF = "test/tidy.test.ts";
const FILE_LINES_MAX = 300;
const LINE_COLUMNS_MAX = 100;

/** The programs; nobody imports them. They need not all exist yet. */
const ENTRIES = [
  ...["src/main.ts", "src/cli.ts", "src/index.ts", "src/browser.ts", "src/browserSearch.ts"],
];

/** Tests, and what a thread is started with: its name is made from the role of the thread. */
const PROGRAM =
  /\.test\.ts$|^src\/threads\/\w+Worker\.ts$|^src\/browser\/(worker|linker)\.ts$|^src\/demo\/page\.ts$/;

/** Importable from everywhere, and importing nothing themselves; asc and Node share the numbers. */
const LEAVES = [
  "src/errors.ts",
  "src/tracing.ts",
  "assembly/layout.ts",
  "assembly/desk.ts",
  "assembly/columns.ts",
];

/** Room -> the rooms it may import besides itself and the leaves. */
const ROOMS: Record<string, readonly string[]> = {
  assembly: [],
  "src/engine": [],
  "src/storage": [],
  "src/collections": ["src/engine", "src/storage"],
  "src/imaging": ["src/collections", "src/engine", "src/storage"],
  "src/access": ["src/guarding.ts"],
  "src/http": ["src/access", "src/collections", "src/config.ts"],
  "src/threads": [
    ...["src/http", "src/access", "src/imaging", "src/collections", "src/engine", "src/storage"],
    "src/config.ts",
  ],
  "src/client": [],
  "src/browser": [
    ...["src/embedded", "src/collections", "src/engine", "src/storage", "src/client"],
    "src/imaging",
  ],
  "src/demo": ["src/browser", "src/client"],
  "src/embedded": ["src/threads", "src/collections", "src/client", "src/config.ts"],
  "src/cli": [
    ...["src/threads", "src/collections", "src/engine", "src/storage", "src/client"],
    ...["src/access", "src/config.ts", "src/embedded"],
  ],
  "src/config.ts": ["src/collections", "src/guarding.ts", "src/kinds.ts"],
  "src/guarding.ts": ["src/kinds.ts"],
  "src/kinds.ts": [],
};

/** The one place under collections/ where the engine and the storage meet. */
const MEETING_PLACE = "src/collections/collection.ts";

/** A browser runs these as they are; only the named files are swapped for others there. */
const BROWSER_ROOMS = [
  "src/engine",
  "src/collections",
  "src/storage",
  "src/client",
  "src/browser.ts",
  "src/browserSearch.ts",
  "src/browser",
  "src/demo",
  "src/imaging",
];
const NODE_ONLY_FILES = new Set(["src/storage/files.ts", "src/storage/lock.ts"]);

const BANNED_WORDS = ["utils", "util", "helpers", "helper", "common", "manager", "service"];

const texts = readTree();
const sources = texts.filter(({ path }) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
const byPath = new Map(sources.map((file) => [file.path, file]));

const isWithin = (path: string, room: string) => path === room || path.startsWith(`${room}/`);
const roomOf = (path: string) => Object.keys(ROOMS).find((room) => isWithin(path, room));
const isComment = (line: string) => /^\s*(\/\/|\/?\*)/.test(line);

function importBreach({ path }: SourceFile, target: string): string | undefined {
  if (ENTRIES.includes(target) || PROGRAM.test(target)) return "imports an entry, which nobody may";
  if (LEAVES.includes(path)) return "is imported by all and so must import nothing";
  if (LEAVES.includes(target)) return undefined;
  if (ENTRIES.includes(path)) {
    return isWithin(target, "src") ? undefined : "is an entry and imports from outside src/";
  }
  const room = roomOf(path);
  if (room === undefined) return undefined;
  const allowed = [room, ...(ROOMS[room] ?? [])];
  return allowed.some((other) => isWithin(target, other)) ? undefined : `may not import ${target}`;
}

function engineMeetsStorage(file: SourceFile): string[] {
  if (!isWithin(file.path, "src/collections") || file.path === MEETING_PLACE) return [];
  const meets = (room: string) => file.links.find(({ target }) => target && isWithin(target, room));
  const engine = meets("src/engine");
  const storage = meets("src/storage");
  if (engine === undefined || storage === undefined) return [];
  const line = Math.max(engine.line, storage.line);
  return [`${file.path}:${line} engine and storage meet only in ${MEETING_PLACE}`];
}

/** Every file that can be reached from `starts` by import or by `new URL(...)`. */
function reach(starts: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const waiting = [...starts];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { target } of byPath.get(path)?.links ?? []) if (target) waiting.push(target);
  }
  return seen;
}

/** What is started by name: entries, workers, tests, and what a package.json or asconfig.json says. */
function programs(): string[] {
  const starters = [
    ...["package.json", "asconfig.json", "assembly/asconfig.search.json", "perf/package.json"],
  ];
  const named = starters.flatMap((starter) => {
    const text = texts.find(({ path }) => path === starter)?.lines.join("\n") ?? "";
    return [...text.matchAll(/[\w./-]+\.ts\b/g)].map(([name]) => join(dirname(starter), name));
  });
  const paths = sources.map(({ path }) => path);
  return [...ENTRIES, ...paths.filter((path) => PROGRAM.test(path)), ...named];
}

/** `path:line breach` for each line that the rule has something to say about. */
function linesThat(
  files: readonly SourceFile[],
  rule: (line: string, file: SourceFile) => string | undefined | false,
): string[] {
  return files.flatMap((file) =>
    file.lines.flatMap((line, index) => {
      const breach = rule(line, file);
      return breach ? [`${file.path}:${index + 1} ${breach}`] : [];
    }),
  );
}

function expectNone(breaches: readonly string[]): void {
  expect(breaches, `\n${breaches.join("\n")}\n`).to.have.length(0);
}

const within = (...rooms: string[]) =>
  sources.filter(({ path }) => rooms.some((room) => isWithin(path, room)));
const othersThanThis = (files: readonly SourceFile[]) => files.filter(({ path }) => path !== SELF);

describe("tidy", () => {
  it("imports only down the tree, and no entry", () => {
    expectNone(
      sources.flatMap((file) =>
        file.links.flatMap(({ line, target, isImport }) => {
          const breach = target !== undefined && isImport && importBreach(file, target);
          return breach ? [`${file.path}:${line} ${breach}`] : [];
        }),
      ),
    );
  });

  it("lets engine and storage meet in one file", () => {
    expectNone(sources.flatMap(engineMeetsStorage));
  });

  it("names only files that exist", () => {
    const isMissing = ({ target }: Link) =>
      target?.endsWith(".ts") === true && !existsSync(join(root, target));
    expectNone(
      sources.flatMap(({ path, links }) =>
        links
          .filter(isMissing)
          .map(({ line, specifier }) => `${path}:${line} no file ${specifier}`),
      ),
    );
  });

  it("keeps Node out of the files a browser runs", () => {
    const files = within(...BROWSER_ROOMS).filter(({ path }) => !NODE_ONLY_FILES.has(path));
    expectNone(
      linesThat(files, (line) => {
        if (/["']node:/.test(line)) return "imports from Node";
        return (
          !isComment(line) && /(?<![.\w])(Buffer|process)\./.test(line) && "uses a global of Node"
        );
      }),
    );
  });

  it("has no dead file", () => {
    const alive = reach(programs());
    const dead = within("src", "assembly", "test", "perf").filter(({ path }) => !alive.has(path));
    expectNone(dead.map(({ path }) => `${path}:1 nothing reaches this file`));
  });

  it(`keeps files under ${FILE_LINES_MAX} lines and ${LINE_COLUMNS_MAX} columns`, () => {
    const files = within("src", "assembly");
    const long = files.filter(({ lines }) => lines.length - 1 > FILE_LINES_MAX);
    expectNone([
      ...long.map(({ path, lines }) => `${path}:${FILE_LINES_MAX} has ${lines.length - 1} lines`),
      ...linesThat(files, ({ length }) => length > LINE_COLUMNS_MAX && `has ${length} columns`),
    ]);
  });

  it("gives nothing a name that says nothing", () => {
    const declared = new RegExp(
      `\\b(?:class|interface|type|function|const|let)\\s+\\w*(?:${BANNED_WORDS.join("|")})\\b`,
      "i",
    );
    const files = othersThanThis(within("src", "assembly", "test", "perf"));
    const named = files.filter(({ path }) =>
      path.split(/[/.]|(?=[A-Z])/).some((word) => BANNED_WORDS.includes(word.toLowerCase())),
    );
    expectNone([
      ...named.map(({ path }) => `${path}:1 is a name for anything`),
      ...linesThat(
        files,
        (line) => !isComment(line) && declared.test(line) && "is a name for anything",
      ),
    ]);
  });

  it("leaves nothing for later and skips no test", () => {
    expectNone(
      linesThat(othersThanThis(sources), (line) => {
        if (/\b(TODO|FIXME|XXX|HACK)\b/.test(line)) return "leaves something for later";
        const skips =
          /\b(?:it|describe|context|specify)\.(?:skip|only)\b|\bx(?:it|describe)\(|this\.skip\(/;
        return skips.test(line) && "skips tests";
      }),
    );
  });

  it("keeps relaxed SIMD in one file", () => {
    const uses = linesThat(
      within("assembly"),
      (line) => !isComment(line) && /relaxed_/.test(line) && "relaxed",
    );
    const files = new Set(uses.map((use) => use.slice(0, use.indexOf(":"))));
    expectNone(files.size > 1 ? uses : []);
  });

  it("names no developer's machine and no registry", () => {
    expectNone(
      linesThat(othersThanThis(texts), (line) => {
        if (/(?:^|[^\w.)-])\/(?:work|root|tmp|home|Users)\/\w/.test(line))
          return "names a machine's path";
        const isRegistry = /\bregistry\.[\w-]+\.\w{2,}|"resolved":\s*"https?:|\bnpmmirror\b/.test(
          line,
        );
        return isRegistry && "names a registry";
      }),
    );
  });

  it("covers this very tree", () => {
    expect(byPath.has(SELF)).to.equal(true);
  });
});
