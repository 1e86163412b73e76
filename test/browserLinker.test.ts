/**
 * A linker beside an isolated page: rows are linked over shared memory while the page writes and
 * searches, what comes of it is a sound graph, and where no worker runs the page links by itself.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Browser, Page } from "playwright-core";
import { BUNDLE_FOLDER, bundleBrowser } from "../perf/browser/bundle.ts";
import { type Answering, type Pages, servePages } from "../perf/browser/pages.ts";
import { loadImage } from "../src/collections/loading.ts";
import { Searchable } from "../src/collections/searchable.ts";
import { Image } from "../src/storage/image.ts";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";
import { Alone } from "./collections/alone.ts";
import { crc32c } from "./crc32c.ts";

const DIMENSIONS = 24;
const ROWS = 12_000;
const BATCH = 1500;
const PAGE =
  '<!doctype html><script type="module">import * as omendb from "./browser.js"; globalThis.omendb = omendb;</script>';

const program = findChromium();

describe(`a linker beside a page${program === undefined ? ` (not run: ${NO_CHROMIUM})` : ""}`, function () {
  this.timeout(60_000);
  if (program === undefined) return;
  let browser: Browser;
  const served: Pages[] = [];

  before(async () => {
    await bundleBrowser();
    browser = await launchChromium(program);
  });

  after(async () => {
    await browser?.close();
    for (const pages of served) await pages.close();
  });

  async function visit(others: Record<string, Answering> = {}): Promise<Page> {
    const html: Answering = (_, response) => void response.end(PAGE);
    const pages = await servePages(BUNDLE_FOLDER, { "/test.html": html, ...others });
    served.push(pages);
    const page = await browser.newPage();
    await page.goto(`${pages.url}test.html`);
    await page.waitForFunction(() => "omendb" in globalThis);
    return page;
  }

  /**
   * In the page: writes rows, replaces and deletes some, and searches all the while; then the graph
   * comes to rest. The image crosses as text.
   */
  async function story(page: Page, options: object = {}) {
    return await page.evaluate(
      async ([given, dimensions, count, batch]) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const { open } = (globalThis as any).omendb;
        const rows = await open({ ...given, create: { dimensions } });
        let seed = 7;
        const random = () => {
          seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
          return seed / 2 ** 32;
        };
        const vectorOf = () => Array.from({ length: dimensions }, random);
        let isWriting = true;
        let searches = 0;
        const searching = (async () => {
          for (; isWriting; searches++) {
            const { results } = await rows.search({ vector: vectorOf(), k: 5 });
            if (results.length === 0 && searches > 100) throw new Error("nothing was found");
            await new Promise((resolve) => setTimeout(resolve));
          }
        })();
        for (let from = 0; from < count; from += batch) {
          await rows.batch(
            Array.from({ length: batch }, (_, at) => ({ id: from + at, vector: vectorOf() })),
          );
          const [first] = [Math.floor(random() * from)];
          await rows.batch([{ id: first, vector: vectorOf() }]);
          await rows.deleteMany({ ids: [first + 1, first + 2] });
          for (const seen = searches; searches < seen + 3; )
            await new Promise((resolve) => setTimeout(resolve));
        }
        isWriting = false;
        await searching;
        const blob: Blob = await rows.export();
        const { vectors, unindexed, threads, capacity } = await rows.stats();
        const bytes = new Uint8Array(await blob.arrayBuffer());
        let text = "";
        for (let at = 0; at < bytes.length; at += 8192) {
          text += String.fromCharCode(...bytes.subarray(at, at + 8192));
        }
        return { vectors, unindexed, threads, searches, shards: capacity.shards, text: btoa(text) };
      },
      [options, DIMENSIONS, ROWS, BATCH] as const,
    );
  }

  /** Loads the image as a server would, tries its graphs, and looks whether rows find themselves. */
  async function judge(text: string, live: number): Promise<void> {
    const bytes = Buffer.from(text, "base64");
    const source = {
      ...{ name: "exported", size: bytes.length },
      read: async (offset: number, target: Uint8Array) =>
        bytes.copy(target, 0, offset, offset + target.length),
    };
    const { thread } = new Alone(1).catalog;
    const around = { variant: thread.variant, workers: 1, shardRows: ROWS, pause: thread.pause };
    const { parts } = await loadImage(await Image.open(source, crc32c), around);
    const held = new Searchable(thread, parts);
    expect(held.live).to.equal(live);
    for (const { shard } of held.parts) {
      expect(shard.tail).to.equal(0);
      expect(shard.check()).to.equal(undefined);
    }
    let [asked, found] = [0, 0];
    for (let id = 0; id < ROWS; id += 17) {
      const row = held.get(String(id));
      if (row === undefined) continue;
      asked++;
      const query = { vector: row.vector, k: 1, includeMetadata: false, includeVector: false };
      const { hits } = await held.search({ ...query, exact: false });
      if (hits[0]?.id === String(id)) found++;
    }
    expect(found / asked).to.be.at.least(0.995);
  }

  const linkers = (page: Page) =>
    page.workers().filter((worker) => worker.url().endsWith("/linker.js"));

  it("links what the page writes, over all its shards, and is let go when all is done", async () => {
    const page = await visit();
    const started = page.waitForEvent("worker", {
      predicate: (w) => w.url().endsWith("/linker.js"),
    });
    const { text, ...told } = await story(page);
    const worker = await started;
    expect(told).to.include({ threads: 2, unindexed: 0 });
    expect(told.shards).to.be.at.least(2);
    expect(told.searches).to.be.greaterThan(10);
    await judge(text, told.vectors);
    if (linkers(page).length > 0) await worker.waitForEvent("close");
    expect(linkers(page)).to.deep.equal([]);
    await page.close();
  });

  it("is not there when one thread is asked for, and the graph is as sound", async () => {
    const page = await visit();
    let workers = 0;
    page.on("worker", () => workers++);
    const { text, ...told } = await story(page, { threads: 1 });
    expect(told).to.include({ threads: 1, unindexed: 0 });
    expect(workers).to.equal(0);
    await judge(text, told.vectors);
    await page.close();
  });

  it("is replaced by the page where its program cannot be had", async () => {
    const page = await visit({
      "/linker.js": (_, response) => void response.writeHead(404).end(),
    });
    const { text, ...told } = await story(page);
    expect(told).to.include({ threads: 1, unindexed: 0 });
    await judge(text, told.vectors);
    await page.close();
  });

  it("says that rows are linked no more when it has failed, and still searches", async () => {
    const broken = `const { Instance } = WebAssembly;
      WebAssembly.Instance = function (...args) {
        const { exports } = new Instance(...args);
        return { exports: { ...exports, linkTail() { throw new WebAssembly.RuntimeError("a trap"); } } };
      };`;
    const program = readFileSync(join(BUNDLE_FOLDER, "linker.js"), "utf8");
    const page = await visit({
      "/linker.js": (_, response) => {
        response.setHeader("content-type", "text/javascript");
        response.end(`${broken}\n${program}`);
      },
    });
    const told = await page.evaluate(async (dimensions) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const { open } = (globalThis as any).omendb;
      const failureOf = (call: Promise<unknown>) =>
        call.then(
          () => "",
          ({ code, message }) => `${code} ${message}`,
        );
      const rows = await open({ create: { dimensions } });
      const vector = Array.from({ length: dimensions }, (_, at) => at);
      await rows.add({ id: "mine", vector });
      const exporting = await failureOf(rows.export());
      const adding = await failureOf(rows.add({ id: "other", vector }));
      const { results } = await rows.search({ vector, k: 3 });
      const threads = await failureOf(open({ create: { dimensions }, threads: 4 }));
      return { exporting, adding, threads, ids: results.map((hit: { id: string }) => hit.id) };
    }, DIMENSIONS);
    expect(told.exporting).to.match(/^ENGINE_FAULT .*a trap.*open the collection anew/);
    expect(told.adding).to.equal(told.exporting);
    expect(told.ids).to.deep.equal(["mine"]);
    expect(told.threads).to.match(/^INVALID_REQUEST threads .*got 4/);
    await page.close();
  });

  it("starts beside a worker that holds the collection too", async () => {
    const page = await visit();
    const told = await page.evaluate(async (dimensions) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const rows = await (globalThis as any).omendb.openInWorker({ create: { dimensions } });
      const vectorOf = (row: number) =>
        Array.from({ length: dimensions }, (_, at) => Math.sin(row * (at + 1)));
      await rows.batch(
        Array.from({ length: 4000 }, (_, row) => ({ id: row, vector: vectorOf(row) })),
      );
      await rows.export();
      const { results } = await rows.search({ vector: vectorOf(1234), k: 1 });
      const { threads, unindexed } = await rows.stats();
      rows.close();
      return { threads, unindexed, id: results[0].id };
    }, DIMENSIONS);
    expect(told).to.deep.equal({ threads: 2, unindexed: 0, id: "1234" });
    await page.close();
  });
});
