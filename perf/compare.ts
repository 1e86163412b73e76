/**
 * `npm run compare -- A B [--rounds N]`: whether commit B is faster than commit A.
 * Each is checked out and built in a folder of its own; then their servers do the same work in turn,
 * A B, B A, A B, ..., driven from here over HTTP, so the two need to have nothing but the API in
 * common. What is compared is the server's CPU time, which other programs on the machine disturb
 * least. Prints for each benchmark both medians, and the ratio B/A pair by pair: median, least, most.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Connection, ok, pause, type Server, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { type Dataset, loadSift } from "./data.ts";
import { type Rows, rowAt } from "./exact.ts";
import { median } from "./measure.ts";
import { batchBody } from "./prepared.ts";
import { cpuSecondsOf } from "./process.ts";
import { BATCH_ROWS, K, SHELVES } from "./scenarios.ts";

/** Smaller is better, in all of them. */
type Figures = Record<string, number>;

const ROWS = 20_000;
const SEARCH_ROUNDS = 3;
const POLL_MS = 20;
const ROOT = fileURLToPath(new URL("../", import.meta.url));

function checkOut(commit: string, folder: string): string {
  const name = execFileSync("git", ["rev-parse", "--short", commit], { cwd: ROOT })
    .toString()
    .trim();
  const tree = join(folder, name);
  execFileSync("git", ["worktree", "add", "--detach", tree, commit], { cwd: ROOT, stdio: "pipe" });
  console.error(`building ${name} ...`);
  execFileSync("npm", ["run", "--silent", "prestart"], { cwd: tree, stdio: ["ignore", 2, 2] });
  return tree;
}

/** One server from nothing: rows in, searches, filtered searches; CPU microseconds of each. */
async function measure(tree: string, { base, ...dataset }: Dataset): Promise<Figures> {
  process.env.SERVER_ENTRY = join(tree, "src", "main.ts");
  const server = await startServer({ LOG_LEVEL: "warn" });
  try {
    const connection = server.connect();
    const rows = { ...base, count: Math.min(base.count, ROWS) };
    const ingest = await cpuOf(server, () => load(connection, rows));
    const bodies = bodiesOf(dataset.queries, false);
    const filtered = bodiesOf(dataset.queries, true);
    await searchAll(connection, bodies);
    const search = await cpuOf(server, () => repeat(() => searchAll(connection, bodies)));
    const narrow = await cpuOf(server, () => repeat(() => searchAll(connection, filtered)));
    connection.close();
    const searches = bodies.length * SEARCH_ROUNDS;
    return {
      "ingest, us a row": (ingest * 1e6) / rows.count,
      "search, us": (search * 1e6) / searches,
      "filtered search, us": (narrow * 1e6) / searches,
    };
  } finally {
    await server.stop();
  }
}

async function cpuOf(server: Server, work: () => Promise<void>): Promise<number> {
  const before = cpuSecondsOf(server.pid);
  await work();
  const after = cpuSecondsOf(server.pid);
  if (before === undefined || after === undefined) throw new Error("/proc is needed for CPU time");
  return after - before;
}

async function repeat(work: () => Promise<void>): Promise<void> {
  for (let round = 0; round < SEARCH_ROUNDS; round++) await work();
}

async function load(connection: Connection, rows: Rows): Promise<void> {
  for (let start = 0; start < rows.count; start += BATCH_ROWS) {
    await ok(connection.post("/vectors/batch", batchBody(rows, start, BATCH_ROWS, "json")));
  }
  while ((await connection.get("/stats")).body.unindexed > 0) await pause(POLL_MS);
}

function bodiesOf(queries: Rows, isFiltered: boolean): Buffer[] {
  return Array.from({ length: queries.count }, (_, query) => {
    const vector = Array.from(rowAt(queries, query));
    const filter = isFiltered ? { shelf: query % SHELVES } : undefined;
    return Buffer.from(JSON.stringify({ vector, k: K, filter }));
  });
}

async function searchAll(connection: Connection, bodies: readonly Buffer[]): Promise<void> {
  for (const body of bodies) await ok(connection.post("/search", body));
}

function report(names: readonly string[], runs: readonly (readonly [Figures, Figures])[]): void {
  const [a, b] = names;
  console.log(
    `| benchmark (server CPU) | ${a} | ${b} | ${b}/${a} | spread |\n|---|---|---|---|---|`,
  );
  for (const name of Object.keys(runs[0]![0])) {
    const ofA = runs.map(([figures]) => figures[name]!);
    const ofB = runs.map(([, figures]) => figures[name]!);
    const ratios = runs.map(([first, second]) => second[name]! / first[name]!);
    const spread = `${Math.min(...ratios).toFixed(3)} .. ${Math.max(...ratios).toFixed(3)}`;
    const cells = [name, median(ofA).toFixed(1), median(ofB).toFixed(1)];
    console.log(`| ${[...cells, median(ratios).toFixed(3), spread].join(" | ")} |`);
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments(
    import.meta.url,
    { rounds: { type: "string", default: "5" } },
    ["A", "B"],
  );
  if (positionals.length !== 2) {
    console.error("which two commits? npm run compare -- A B [--rounds N]");
    process.exitCode = 2;
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "omendb-compare-"));
  const trees: string[] = [];
  try {
    for (const [index, commit] of positionals.entries()) {
      trees.push(checkOut(commit, join(folder, String(index))));
    }
    const dataset = loadSift("sift100k");
    const runs: [Figures, Figures][] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const figures: Figures[] = [];
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      for (const index of order) figures[index] = await measure(trees[index]!, dataset);
      runs.push([figures[0]!, figures[1]!]);
      console.error(`round ${round + 1} of ${values.rounds}: ${JSON.stringify(figures)}`);
    }
    const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
    const data = `${ROWS} rows of ${dataset.name}`;
    console.log(`${machine}\n${data}, medians of ${values.rounds}, interleaved\n`);
    report(positionals, runs);
  } finally {
    for (const tree of trees) {
      execFileSync("git", ["worktree", "remove", "--force", tree], { cwd: ROOT });
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
