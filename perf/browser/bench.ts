/**
 * `npm run bench:browser [-- --rows N --rounds N --json FILE]`: the engine in Chromium beside the same
 * code in Node, and beside hnswlib-wasm and edgevec in the same page (`npm ci` in perf/ installs
 * them), on the first rows of sift100k, one thread each, by the wall clock: let nothing else run.
 * Turns that are compared follow one another. Then rows written in an isolated page, with a linker
 * beside it and without; and what it takes to open 100,000 rows: from the network and from this
 * device, with the whole engine, the one that only searches, and in a worker.
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { chooseVariant, UNSHARED_VARIANTS } from "../../src/engine/variant.ts";
import { readVariant } from "../../src/threads/engineFiles.ts";
import { findChromium, launchChromium, launchKeeping, NO_CHROMIUM } from "../../test/chromium.ts";
import { numberOf, readArguments } from "../arguments.ts";
import { loadSift } from "../data.ts";
import { makeSnapshot } from "../demoBrowser.ts";
import { distance, exactNeighbours, rowAt } from "../exact.ts";
import { median } from "../measure.ts";
import { BUNDLE_FOLDER, bundleBrowser, SHAPES, shapeBytes } from "./bundle.ts";
import { EngineTrial } from "./engineTrial.ts";
import { type Pages, sendFile, servePages } from "./pages.ts";
import { rangeCost } from "./ranges.ts";
import { K, leastEf, M, type Reached, searchRate, secondsOf, type Trial } from "./timing.ts";
import { type Writing, writeOnce } from "./writing.ts";

const TARGET = 0.95;
const BUILD = { m: M, metric: "l2" } as const;
const EF_CONSTRUCTION = 64;
const EF_CONSTRUCTION_RIVALS = 128;
const TURN_SECONDS = 0.7;
/** Widths that edgevec, which fixes its own, is tried with. */
const EDGEVEC_EFS = [64, 128];
const OPEN_ROWS = 100_000;
const RIVALS = {
  "hnswlib-wasm": 'export { loadHnswlib } from "hnswlib-wasm";',
  edgevec: 'export { default, EdgeVec, EdgeVecConfig } from "edgevec/edgevec.js";',
} as const;

const { values: options } = readArguments(import.meta.url, {
  rows: { type: "string", default: "20000" },
  rounds: { type: "string", default: "3" },
  json: { type: "string" },
  only: { type: "string", default: "speed,rivals,write,open" },
});
const rowsMax = numberOf("rows", options.rows, 1);
const rounds = numberOf("rounds", options.rounds, 1);
const only = new Set(options.only.split(","));
const results: Record<string, unknown> = {};

const whole = (value: number) => Math.round(value).toLocaleString("en");

function say(name: string, line: string, figures: unknown): void {
  results[name] = figures;
  console.log(`${name}: ${line}`);
}

function readTrial(): Trial {
  const dataset = loadSift("sift100k");
  const { dimensions } = dataset.base;
  const count = Math.min(dataset.base.count, rowsMax);
  const base = { values: dataset.base.values.subarray(0, count * dimensions), count, dimensions };
  const { queries } = dataset;
  const truth = exactNeighbours(base, queries, K, "l2");
  const bounds = Float64Array.from({ length: queries.count }, (_, index) =>
    distance("l2", rowAt(queries, index), rowAt(base, truth[index * K + K - 1]!)),
  );
  return { base, queries, bounds };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Float64Array) =>
  Buffer.from(buffer, byteOffset, byteLength);

/** A rival's module for the page; false where perf/ has not installed it. */
async function bundleRival(name: keyof typeof RIVALS, folder: string): Promise<boolean> {
  try {
    await build({
      stdin: { contents: RIVALS[name], resolveDir: join(import.meta.dirname, "..") },
      outfile: join(folder, `${name}.js`),
      ...{ bundle: true, format: "esm", platform: "browser", target: "esnext" },
      ...{ external: ["fs", "path", "crypto", "url", "worker_threads"], logLevel: "silent" },
    });
    return true;
  } catch (error) {
    console.log(`${name} was not run: ${(error as Error).message.split("\n")[1] ?? error}`);
    return false;
  }
}

type Contest = {
  load(dimensions: number): Promise<string>;
  invite(name: string, ef: number): Promise<void>;
  build(name: string, how: object): number;
  leastEf(name: string, target: number): Reached;
  recallAt(name: string, ef: number): number;
  searchRate(name: string, ef: number, seconds: number): number;
};

/** Calls a function of contest.ts in the page. */
function ask<Name extends keyof Contest>(
  page: Page,
  name: Name,
  ...args: Parameters<Contest[Name]>
): Promise<Awaited<ReturnType<Contest[Name]>>> {
  return page.evaluate(
    // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
    ([call, given]) => (globalThis as any).contest[call](...(given as unknown[])),
    [name, args] as const,
  );
}

/** Rows a second and searches a second, turn by turn: Node, page, Node, page. */
async function compareWithNode(page: Page, trial: Trial): Promise<number> {
  const variant = chooseVariant(UNSHARED_VARIANTS, readVariant);
  const here = new EngineTrial(variant);
  const how = { ...BUILD, efConstruction: EF_CONSTRUCTION };
  const { count } = trial.base;
  const builds: { node: number; page: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const node = count / secondsOf(() => here.build(trial.base, how));
    builds.push({ node, page: count / (await ask(page, "build", "omendb", how)) });
  }
  const { ef, recall } = leastEf(here, trial, TARGET);
  if (ef === undefined) throw new Error(`recall ${recall} is all that the engine reaches`);
  const there = await ask(page, "recallAt", "omendb", ef);
  const searches: { node: number; page: number }[] = [];
  for (let round = 0; round < 2 * rounds; round++) {
    const node = searchRate(here, trial, ef, TURN_SECONDS);
    searches.push({ node, page: await ask(page, "searchRate", "omendb", ef, TURN_SECONDS) });
  }
  for (const [name, turns] of [
    ["build", builds],
    [`search at ef ${ef}`, searches],
  ] as const) {
    const [node, inPage] = [
      median(turns.map((turn) => turn.node)),
      median(turns.map((turn) => turn.page)),
    ];
    const ratio = median(turns.map((turn) => turn.page / turn.node));
    const line = `Chromium ${whole(inPage)}/s, Node ${whole(node)}/s, ratio ${ratio.toFixed(2)}`;
    say(name, line, turns);
  }
  console.log(`recall@${K} ${recall.toFixed(3)} in Node, ${there.toFixed(3)} in the page`);
  return ef;
}

async function compareWithRivals(page: Page, trial: Trial, ef: number, folder: string) {
  const { count } = trial.base;
  const careful = { ...BUILD, efConstruction: EF_CONSTRUCTION_RIVALS };
  for (const name of Object.keys(RIVALS) as (keyof typeof RIVALS)[]) {
    if (!(await bundleRival(name, folder))) continue;
    let reached: Reached = { ef: undefined, recall: 0 };
    let rate = 0;
    for (const tried of name === "edgevec" ? EDGEVEC_EFS : [0]) {
      await ask(page, "invite", name, tried);
      rate = count / (await ask(page, "build", name, careful));
      reached =
        tried === 0
          ? await ask(page, "leastEf", name, TARGET)
          : { ef: tried, recall: await ask(page, "recallAt", name, tried) };
      if (reached.recall >= TARGET) break;
    }
    const own = count / (await ask(page, "build", "omendb", { ...BUILD, efConstruction: 64 }));
    const turns: { rival: number; own: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const rival = await ask(page, "searchRate", name, reached.ef ?? 512, TURN_SECONDS);
      turns.push({ rival, own: await ask(page, "searchRate", "omendb", ef, TURN_SECONDS) });
    }
    const ratio = median(turns.map((turn) => turn.own / turn.rival));
    const line =
      `build ${whole(rate)} rows/s (omendb ${(own / rate).toFixed(1)}x), search ` +
      `${whole(median(turns.map((turn) => turn.rival)))}/s at recall ` +
      `${reached.recall.toFixed(3)}, ef ${reached.ef} (omendb ${ratio.toFixed(1)}x)`;
    say(name, line, { rate, own, turns, ...reached });
  }
}

/** From the call of `open` to the first answer, in a page that has just been loaded. */
async function openOnce(
  pages: Pages,
  newPage: () => Promise<Page>,
  [script, way]: readonly [string, string],
  source: object,
): Promise<number> {
  const page = await newPage();
  await page.goto(`${pages.url}${script}.html`);
  await page.waitForFunction(() => "omendb" in globalThis);
  const taken = await page.evaluate(
    async ([call, from]) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const omendb = (globalThis as any).omendb;
      const vector = Array.from({ length: 128 }, (_, index) => index);
      const start = performance.now();
      const rows = await omendb[call as string](from);
      const { results: found } = await rows.search({ vector, k: 10 });
      if (found.length !== 10) throw new Error(`${found.length} rows came back`);
      return performance.now() - start;
    },
    [way, source] as const,
  );
  await page.close();
  return taken;
}

async function measureOpening(newPage: () => Promise<Page>, folder: string): Promise<void> {
  const { base, queries } = loadSift("sift100k");
  const file = join(folder, "snapshot");
  const things = Array.from({ length: OPEN_ROWS }, (_, row) => ({
    ...{ id: String(row), vector: rowAt(base, row), metadata: { kind: `kind ${row % 10}` } },
  }));
  await makeSnapshot(things as never, file);
  const html = (script: string) => (_: unknown, response: { end(text: string): void }) =>
    response.end(
      `<!doctype html><script type="module">import * as omendb from "./${script}.js"; globalThis.omendb = omendb;</script>`,
    );
  const answers = {
    "/browser.html": html("browser"),
    "/search.html": html("search"),
    "/snapshot": (request: never, response: never) => void sendFile(file, request, response),
  };
  for (const isolated of [false, true]) {
    const pages = await servePages(BUNDLE_FOLDER, answers as never, { isolated });
    const saving = await newPage();
    await saving.goto(`${pages.url}browser.html`);
    await saving.waitForFunction(() => "omendb" in globalThis);
    await saving.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const rows = await (globalThis as any).omendb.open({ url: "snapshot" });
      await rows.save("bench");
    });
    await saving.close();
    const ways = [
      ["browser", "open"],
      ["browser", "openInWorker"],
      ["search", "open"],
    ] as const;
    for (const way of ways) {
      for (const source of [{ opfs: "bench" }, { url: "snapshot" }]) {
        const taken: number[] = [];
        for (let round = 0; round < rounds + 2; round++) {
          taken.push(await openOnce(pages, newPage, way, source));
        }
        const name = `${way[0]}.js ${way[1]} from ${"opfs" in source ? "OPFS" : "loopback"}${isolated ? ", isolated" : ""}`;
        say(name, `${median(taken).toFixed(0)} ms to the first answer`, taken);
      }
    }
    await pages.close();
  }
  const mib = (bytes: number) => (bytes / 1048576).toFixed(1);
  const asked = Array.from({ length: queries.count }, (_, at) => Array.from(rowAt(queries, at)));
  for (const vectors of ["whole", "ranges"] as const) {
    const cost = await rangeCost(newPage, file, vectors, asked);
    const first = `${mib(cost.firstBytes)} MiB and ${cost.firstMs.toFixed(0)} ms to the first answer`;
    const line = `${first}, then ${mib(cost.bytes)} MiB and ${cost.ms.toFixed(1)} ms a search`;
    say(`search.js, vectors: ${vectors}`, line, cost);
  }
  const { size } = statSync(file);
  for (const [shape, files] of Object.entries(SHAPES)) {
    const bytes = shapeBytes(shape as keyof typeof SHAPES);
    const line = `${files.join(" + ")}, ${(bytes / 1024).toFixed(1)} KiB (brotli)`;
    say(`off the network ${shape}`, line, bytes);
  }
  say("off the network for the rows", `${mib(size)} MiB`, size);
}

/** The page's own thread alone, and with a linker beside it, in turns. */
async function measureWriting(newPage: () => Promise<Page>): Promise<void> {
  const { base } = loadSift("sift100k");
  const rows = Math.min(base.count, rowsMax);
  const seen = { "one thread": [] as Writing[], "a linker beside it": [] as Writing[] };
  for (let round = 0; round < rounds; round++) {
    seen["one thread"].push(await writeOnce(newPage, base, rows, 1));
    seen["a linker beside it"].push(await writeOnce(newPage, base, rows));
  }
  for (const [name, writings] of Object.entries(seen)) {
    const rate = (of: (writing: Writing) => number) =>
      whole((rows / median(writings.map(of))) * 1000);
    const line =
      `${rate(({ acknowledgedMs }) => acknowledgedMs)} rows/s acknowledged, ` +
      `${rate(({ indexedMs }) => indexedMs)} in the graph, an event waited ` +
      `${median(writings.map(({ awayMs }) => awayMs)).toFixed(0)} ms at most`;
    say(`writing, ${name}`, line, writings);
  }
}

async function main(): Promise<void> {
  const program = findChromium();
  if (program === undefined) throw new Error(NO_CHROMIUM);
  const folder = mkdtempSync(join(tmpdir(), "omendb-bench-"));
  await bundleBrowser();
  const browser = await launchChromium(program);
  try {
    const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
    console.log(`${machine}, Chromium ${browser.version()}`);
    if (only.has("speed") || only.has("rivals")) {
      const trial = readTrial();
      await build({
        entryPoints: { contest: fileURLToPath(new URL("./contest.ts", import.meta.url)) },
        ...{ outdir: folder, bundle: true, format: "esm", platform: "browser" },
      });
      const send = (bytes: Buffer) => (_: unknown, response: { end(bytes: Buffer): void }) =>
        response.end(bytes);
      const wasm = Object.fromEntries(
        UNSHARED_VARIANTS.map((name) => [`/${name}.wasm`, send(Buffer.from(readVariant(name)))]),
      );
      const edgevec = join(import.meta.dirname, "../node_modules/edgevec/edgevec_bg.wasm");
      const pages = await servePages(
        folder,
        {
          "/": (_, response) =>
            void response.end('<!doctype html><script type="module" src="contest.js"></script>'),
          "/base": send(bytesOf(trial.base.values)),
          "/queries": send(bytesOf(trial.queries.values)),
          "/bounds": send(bytesOf(trial.bounds)),
          "/edgevec_bg.wasm": (request, response) => void sendFile(edgevec, request, response),
          ...(wasm as object),
        },
        { isolated: false },
      );
      const page = await browser.newPage();
      await page.goto(pages.url);
      await page.waitForFunction(() => "contest" in globalThis);
      const variant = await ask(page, "load", trial.base.dimensions);
      const { count, dimensions } = trial.base;
      console.log(`sift100k, the first ${whole(count)} x ${dimensions}, ${variant}, unshared`);
      const ef = await compareWithNode(page, trial);
      if (only.has("rivals")) await compareWithRivals(page, trial, ef, folder);
      await page.close();
      await pages.close();
    }
    if (only.has("write")) await measureWriting(() => browser.newPage());
    if (only.has("open")) {
      const context = await launchKeeping(program, join(folder, "profile"));
      await measureOpening(() => context.newPage(), folder);
      await context.close();
    }
    if (options.json) writeFileSync(options.json, `${JSON.stringify(results, undefined, 2)}\n`);
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
