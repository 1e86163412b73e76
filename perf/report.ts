/**
 * `npm run report [-- --only NAME,..] [--saved]`: runs the benchmarks, for an hour, and writes
 * docs/BENCHMARKS.md, its plots, and docs/benchmarks.json, in which every figure of the document
 * stands with its command, machine and date. A part that is not run keeps what the file has of it,
 * and those that take too long for every report run only when they are named; --saved runs none and
 * writes the document again.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments } from "./arguments.ts";
import { drawPlots, PLOTS } from "./plots.ts";

export interface Part {
  /** As a reader would type it. */
  readonly command: string;
  readonly date: string;
  readonly machine: string;
  /** Version and commit of what was measured. */
  readonly omendb: string;
  readonly seconds: number;
  /** What the command printed. */
  readonly text: string;
  /** Its figures, where it writes them. */
  readonly data?: unknown;
}

export type Parts = Readonly<Record<string, Part>>;

interface Recipe {
  readonly title: string;
  readonly about: string;
  readonly command: string;
  /** Whether it writes its figures to the file that --json names. */
  readonly hasFigures?: true;
  /** Takes so long that it runs only when `--only` names it. */
  readonly isLong?: true;
}

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const SAVED = join(ROOT, "docs", "benchmarks.json");
const DOCUMENT = join(ROOT, "docs", "BENCHMARKS.md");
const PLOT_FOLDER = join(ROOT, "docs", "plots");

const RECIPES: Record<string, Recipe> = {
  demo: {
    title: "The main job",
    about:
      "100,000 vectors over HTTP into a server with default settings, and 1,000 queries, the client " +
      "on the same machine.",
    command: "npm run demo --",
  },
  engine: {
    title: "The engine beside native libraries",
    about:
      "One thread, CPU time, searches of all indexes interleaved. For each recall the smallest width " +
      "that reaches it. What was not run has its reason below.",
    command: "npm run bench:engine --",
    hasFigures: true,
  },
  servers: {
    title: "The server beside other servers",
    about:
      "All on one machine, in turns, the client beside them; medians of three rounds. CPU is that of " +
      "the server's processes, from the operating system. A dash and what was not run have their " +
      "reason below.",
    command: "npm run bench:servers --",
    hasFigures: true,
  },
  step: {
    title: "Rising load, JSON",
    about: "An open loop: searches begin on schedule, whatever the answers do. Client included.",
    command: "npm run perf:k6 -- step",
    hasFigures: true,
  },
  "step-octets": {
    title: "Rising load, raw float32",
    about: "The same with queries as `application/octet-stream`.",
    command: "npm run perf:k6 -- step-octets",
    hasFigures: true,
  },
  growth: {
    title: "From ten thousand rows to a million",
    about:
      "One durable server, default settings. Loading pauses at each size until the linkers rest; " +
      "seconds count loading only.",
    command: "npm run bench:growth --",
    hasFigures: true,
  },
  scale: {
    title: "A search as rows grow",
    about:
      "The engine alone, one thread, by CPU time, beside hnswlib. No width below 15 is walked, so the " +
      "smallest size has more recall than is asked for.",
    command: "npm run bench:scale --",
    hasFigures: true,
  },
  beside: {
    title: "Searches while rows come in",
    about: "The engine with its threads, no HTTP: linkers never rest meanwhile.",
    command: "npm run bench:beside --",
  },
  http: {
    title: "What a request costs",
    about: "Server and client in processes of their own.",
    command: "npm run bench:http --",
  },
  filters: {
    title: "Searches under a filter",
    about: "Tags from half of the rows to one in ten thousand, alike spread and in clusters.",
    command: "npm run bench:filters --",
  },
  "filters-1m": {
    title: "The same at a million rows",
    about: "Generated vectors of 128 dimensions.",
    command: "npm run bench:filters -- --rows 1000000",
  },
  recall: {
    title: "Recall that is asked for",
    about: "Searches with `recall_target`, by queries that the calibration never saw.",
    command: "npm run bench:recall --",
  },
  codes: {
    title: "Codes alone",
    about: "What a collection takes and gives that keeps no float32 (`vectors: none`).",
    command: "npm run bench:codes --",
  },
  storage: {
    title: "Durability and starts",
    about: "Strict safety: an answered write is on the disk.",
    command: "npm run bench:storage --",
  },
  churn: {
    title: "Deletes and inserts for many rounds",
    about: "Half of the rows are replaced in each round.",
    command: "npm run bench:churn --",
    hasFigures: true,
  },
  bulk: {
    title: "Rows in bulk",
    about: "The engine with its threads, no HTTP: as fast as rows can be linked.",
    command: "npm run bench:bulk --",
  },
  upload: {
    title: "An upload of 2 GiB",
    about: "NDJSON into a durable server; then another, which is killed on the way.",
    command: "node perf/upload.ts",
  },
  browser: {
    title: "In a web page",
    about: "Chromium, headless, beside the same engine in Node and libraries for pages.",
    command: "npm run bench:browser --",
  },
  overload: {
    title: "More than the machine can do",
    about:
      "The server on one core, the driver on the other, four times what the server keeps up with.",
    command: "npm run overload --",
  },
  soak: {
    title: "Two hours of everything",
    about: "Reads, writes, deletes, snapshots, restarts and key reloads, every answer judged.",
    command: "npm run soak -- --hours 2 --rate 100",
    isLong: true,
  },
  idle: {
    title: "At rest",
    about: "Ten minutes after the linkers are done.",
    command: "npm run bench:idle --",
    isLong: true,
  },
  kernels: {
    title: "Kernels",
    about: "Nanoseconds a distance.",
    command: "npm run bench:kernels --",
  },
};

const EACH_TIME = Object.keys(RECIPES).filter((name) => !RECIPES[name]!.isLong);

async function run(recipe: Recipe): Promise<Part> {
  const folder = mkdtempSync(join(tmpdir(), "omendb-report-"));
  const file = join(folder, "figures.json");
  try {
    const asked = recipe.hasFigures ? ` --json ${file}` : "";
    const start = performance.now();
    const text = await output(recipe.command + asked);
    const seconds = Math.round((performance.now() - start) / 1000);
    const machine = `${cpus().length} x ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
    const command = recipe.command.replace(/ --$/, "");
    const part = { command, machine, omendb: versionOf(), seconds, text };
    const date = new Date().toISOString().slice(0, 10);
    if (!existsSync(file)) return { ...part, date };
    return { ...part, date, data: JSON.parse(readFileSync(file, "utf8")) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function versionOf(): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  try {
    const words = ["rev-parse", "--short", "HEAD"];
    return `${version} (${execFileSync("git", words, { cwd: ROOT }).toString().trim()})`;
  } catch {
    return version;
  }
}

/** What it prints; its progress goes on to this program's stderr. A broken promise is no failure. */
async function output(command: string): Promise<string> {
  const [program, ...args] = command.split(" ");
  const words = args[0] === "run" ? ["run", "--silent", ...args.slice(1)] : args;
  const child = spawn(program!, words, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => (text += piece));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0 && text === "") throw new Error(`${command} ended with ${code}`);
  return text.trim();
}

/** The report's text; a plot is shown when its file is there. */
export function document(parts: Parts): string {
  const missing = Object.keys(RECIPES).filter((name) => parts[name] === undefined);
  const lines = [
    "# Benchmarks",
    "",
    "Written by `npm run report`; the figures stand in [benchmarks.json](benchmarks.json). Absolute",
    "figures hold for the machine that is named; what is compared was run on one machine, in one run.",
    "`npm ci` in `perf/` installs the rivals and what draws the plots.",
    ...(missing.length > 0 ? ["", `Not run for this document: ${missing.join(", ")}.`] : []),
    ...(missing.length > 0 ? ["`npm run report -- --only NAME,..` adds them."] : []),
  ];
  for (const [name, { title, about }] of Object.entries(RECIPES)) {
    const part = parts[name];
    if (part === undefined) continue;
    lines.push(
      "",
      `## ${title}`,
      "",
      about,
      "",
      `\`${part.command}\`, ${part.date}, ${part.machine}, OmenDB ${part.omendb}`,
    );
    for (const plot of PLOTS) {
      if (plot.part !== name || !existsSync(join(PLOT_FOLDER, `${plot.name}.svg`))) continue;
      lines.push("", `![${plot.title}](plots/${plot.name}.svg)`);
    }
    lines.push("", ...blocks(part.text));
  }
  return `${lines.join("\n")}\n`;
}

/** Tables stay tables; everything else is shown as it was printed. */
function blocks(text: string): string[] {
  const lines: string[] = [];
  let isFenced = false;
  const fence = (open: boolean) => {
    if (open !== isFenced) lines.push(...(open ? ["", "```text"] : ["```", ""]));
    isFenced = open;
  };
  for (const line of text.split("\n")) {
    const isTable = line.startsWith("|");
    if (line.trim() !== "" || isFenced) fence(!isTable && line.trim() !== "");
    lines.push(line);
  }
  fence(false);
  return lines
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim()
    .split("\n");
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    only: { type: "string" },
    saved: { type: "boolean", default: false },
  });
  const parts: Record<string, Part> = existsSync(SAVED)
    ? JSON.parse(readFileSync(SAVED, "utf8"))
    : {};
  const names = values.saved ? [] : (values.only?.split(",") ?? EACH_TIME);
  for (const name of names) {
    const recipe = RECIPES[name];
    if (recipe === undefined) throw new Error(`there is no part called ${name}`);
    console.error(`\n${name}: ${recipe.command}`);
    parts[name] = await run(recipe);
    writeFileSync(SAVED, `${JSON.stringify(parts, null, 2)}\n`);
  }
  mkdirSync(PLOT_FOLDER, { recursive: true });
  await drawPlots(parts, PLOT_FOLDER);
  writeFileSync(DOCUMENT, document(parts));
  console.log(
    `${DOCUMENT} has ${Object.keys(parts).length} of ${Object.keys(RECIPES).length} parts`,
  );
}

if (import.meta.main) await main();
