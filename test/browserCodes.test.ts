/**
 * A snapshot of codes alone in a real page: the same answers as the server's, to the bit, by what
 * only searches and by the whole engine, which goes on writing to it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Browser } from "playwright-core";
import { BUNDLE_FOLDER, bundleBrowser } from "../perf/browser/bundle.ts";
import { type Answering, type Pages, sendFile, servePages } from "../perf/browser/pages.ts";
import { loadSift } from "../perf/data.ts";
import { rowAt } from "../perf/exact.ts";
import { cpuSecondsOf, untilAtRest } from "../perf/process.ts";
import { downloadSnapshot } from "../perf/snapshot.ts";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";
import { startServer } from "./server.ts";

const ROWS = 3000;
const QUERIES = 200;
const K = 10;
/** So wide that links which the server betters after the snapshot change no answer. */
const EF = 1000;
const FAR = { id: "far", vector: new Array(128).fill(100_000.5) };
const pageOf = (module: string): Answering => {
  const text = `<!doctype html><script type="module">import * as omendb from "./${module}.js"; globalThis.omendb = omendb;</script>`;
  return (_, response) => void response.end(text);
};
const WAYS = [
  { module: "search", isolated: false, options: { variant: "relaxed-search" } },
  { module: "search", isolated: false, options: { variant: "plain-search" } },
  { module: "search", isolated: false, options: { vectors: "ranges" } },
  { module: "browser", isolated: false, options: { variant: "relaxed" } },
  { module: "browser", isolated: false, options: { variant: "plain" } },
  { module: "browser", isolated: true, options: {} },
] as const;

const program = findChromium();

describe(`codes alone in a page${program === undefined ? ` (not run: ${NO_CHROMIUM})` : ""}`, function () {
  this.timeout(60_000);
  if (program === undefined) return;
  let folder: string;
  let browser: Browser;
  const pages: Record<"isolated" | "open", Pages | undefined> = {
    isolated: undefined,
    open: undefined,
  };
  const { base, queries: asked } = loadSift("sift10k");
  const queries = Array.from({ length: QUERIES }, (_, at) => Array.from(rowAt(asked, at)));
  let expected: { found: [string, number][][]; exact: unknown; row: number[] };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "omendb-codes-"));
    const file = join(folder, "snapshot");
    const server = await startServer({
      ...{ PATH: join(folder, "data"), LOG_LEVEL: "warn", EXPERIMENTAL_CODES: "true" },
    });
    const connection = server.connect();
    try {
      const settings = { dimensions: 128, vectors: "none" };
      await connection.send("PUT", "/collections/default", settings);
      const vectors = Array.from({ length: ROWS }, (_, row) => {
        return { id: String(row), vector: Array.from(rowAt(base, row)), metadata: { row } };
      });
      await connection.post("/vectors/batch", { vectors });
      // No row waits by then, and nobody betters a link any more.
      await untilAtRest(() => cpuSecondsOf(server.pid), 30);
      // A row that no code holds keeps its float32.
      const { status, text } = await connection.post("/vectors/batch", { vectors: [FAR] });
      if (status !== 200) throw new Error(text);
      await untilAtRest(() => cpuSecondsOf(server.pid), 30);
      await downloadSnapshot(connection, server.port, file);
      const search = async (query: object) => {
        const { body } = await connection.post("/search", { k: K, ...query });
        return body.results.map((hit: { id: string; distance: number }) => [hit.id, hit.distance]);
      };
      const found: [string, number][][] = [];
      for (const vector of queries) found.push(await search({ vector, ef: EF }));
      const { body } = await connection.get("/vectors/17");
      const exact = await search({ vector: queries[0], exact: true });
      expected = { found, exact, row: body.vector };
    } finally {
      connection.close();
      await server.stop();
    }
    await bundleBrowser();
    const answers = {
      "/browser.html": pageOf("browser"),
      "/search.html": pageOf("search"),
      "/snapshot": ((request, response) => void sendFile(file, request, response)) as Answering,
    };
    pages.isolated = await servePages(BUNDLE_FOLDER, answers);
    pages.open = await servePages(BUNDLE_FOLDER, answers, { isolated: false });
    browser = await launchChromium(program);
  });

  after(async () => {
    await browser?.close();
    await pages.isolated?.close();
    await pages.open?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function visit(module: string, isolated: boolean) {
    const page = await browser.newPage();
    await page.goto(`${pages[isolated ? "isolated" : "open"]!.url}${module}.html`);
    await page.waitForFunction(() => "omendb" in globalThis);
    return page;
  }

  for (const { module, isolated, options } of WAYS) {
    const way = `${module}${isolated ? ", isolated" : ""}, ${JSON.stringify(options)}`;
    it(`answers ${QUERIES} queries as the server does, to the bit: ${way}`, async () => {
      const page = await visit(module, isolated);
      const story = await page.evaluate(
        async ([asked, given, k, ef]) => {
          // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
          const omendb = (globalThis as any).omendb;
          const rows = await omendb.open({ url: "snapshot", ...given });
          const search = async (query: object) => {
            const { results } = await rows.search({ k, ...query });
            return results.map((hit: { id: string; distance: number }) => [hit.id, hit.distance]);
          };
          const found: [string, number][][] = [];
          for (const vector of asked) found.push(await search({ vector, ef }));
          const exact = await search({ vector: asked[0], exact: true });
          const explained = await rows.search({ vector: asked[0], k: 1, explain: true });
          return {
            ...{ found, exact, row: Array.from((await rows.get("17")).vector as number[]) },
            far: Array.from((await rows.get("far")).vector as number[]),
            approximate: explained.explain.approximate,
          };
        },
        [queries, options, K, EF] as const,
      );
      const { far, approximate, ...others } = story;
      expect(others).to.deep.equal(expected);
      expect([far, approximate]).to.deep.equal([FAR.vector, true]);
      await page.close();
    });
  }

  for (const isolated of [false, true]) {
    it(`goes on by writing, and opens what it exports${isolated ? ", isolated" : ""}`, async () => {
      const page = await visit(isolated ? "browser" : "search", isolated);
      const story = await page.evaluate(
        async ([asked, isWhole]) => {
          // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
          const omendb = (globalThis as any).omendb;
          const opened = await omendb.open({ url: "snapshot" });
          const rows = isWhole ? opened : await opened.writable();
          // Far outside of the range, and more of them than have room beside the codes.
          for (let start = 0; start < 9000; start += 1000) {
            const batch = Array.from({ length: 1000 }, (_, at) => ({
              id: `new-${start + at}`,
              vector: asked[(start + at) % asked.length]!.map((x) => 3000 + 20 * x + start + at),
            }));
            await rows.batch(batch);
          }
          const wanted = asked[123 % asked.length]!.map((x) => 3000 + 20 * x + 8123);
          const nearest = (from: typeof rows) => from.search({ vector: wanted, k: 1 });
          const whole = "./browser.js";
          const { open } = isWhole ? omendb : await import(whole);
          const copy = await open({ bytes: await rows.export() });
          return {
            first: (await nearest(rows)).results[0].id,
            again: (await nearest(copy)).results[0].id,
            vectors: (await copy.stats()).vectors,
          };
        },
        [queries, isolated] as const,
      );
      expect(story).to.deep.equal({
        ...{ first: "new-8123", again: "new-8123", vectors: ROWS + 1 + 9000 },
      });
      await page.close();
    });
  }
});
