/**
 * Memory in a real page: shards open as rows outgrow the ones there are, and where the tab gives no
 * more, what would need it is refused in words and nothing else changes.
 */
import { expect } from "chai";
import type { Browser, Page } from "playwright-core";
import { BUNDLE_FOLDER, bundleBrowser } from "../perf/browser/bundle.ts";
import { type Pages, servePages } from "../perf/browser/pages.ts";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";

const DIMENSIONS = 16;
const BATCH_ROWS = 1000;
const PAGE =
  '<!doctype html><script type="module">import * as omendb from "./browser.js"; globalThis.omendb = omendb;</script>';

const program = findChromium();

describe(`a page's memory${program === undefined ? ` (not run: ${NO_CHROMIUM})` : ""}`, () => {
  if (program === undefined) return;
  let browser: Browser;
  let pages: Pages;

  before(async function () {
    this.timeout(60_000);
    await bundleBrowser();
    const answers = {
      "/test.html": (_: unknown, response: { end(text: string): void }) => response.end(PAGE),
    };
    pages = await servePages(BUNDLE_FOLDER, answers as never, { isolated: false });
    browser = await launchChromium(program);
  });

  after(async () => {
    await browser?.close();
    await pages?.close();
  });

  async function visit(): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(`${pages.url}test.html`);
    await page.waitForFunction(() => "omendb" in globalThis);
    // Rows that lie apart: each is nearest to itself.
    await page.evaluate((dimensions) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page is given
      (globalThis as any).rowsFrom = (first: number, count: number) =>
        Array.from({ length: count }, (_, index) => {
          const row = first + index;
          const vector = Array.from(
            { length: dimensions },
            (_, at) => ((row * (at + 7)) % 65_521) / 64,
          );
          return { id: `row ${row}`, vector, metadata: { row } };
        });
    }, DIMENSIONS);
    return page;
  }

  it("opens another shard when rows outgrow the ones there are, and finds rows of each", async () => {
    const page = await visit();
    const story = await page.evaluate(
      async ([dimensions, batch]) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const { omendb, rowsFrom } = globalThis as any;
        const rows = await omendb.open({ create: { dimensions } });
        const before = (await rows.stats()).capacity.shards;
        let count = 0;
        for (; (await rows.stats()).capacity.shards < 3; count += batch!) {
          await rows.batch(rowsFrom(count, batch));
        }
        const copy = await omendb.open({ bytes: await rows.export() });
        const sample = [0, Math.floor(count / 2), count - 1].flatMap((row) => rowsFrom(row, 1));
        const found: string[][] = [];
        for (const held of [rows, copy]) {
          const ids: string[] = [];
          for (const { vector, metadata } of sample) {
            const { results } = await held.search({ vector, k: 1, filter: { row: metadata.row } });
            ids.push(results[0].id);
            ids.push((await held.search({ vector, k: 1 })).results[0].id);
          }
          found.push(ids);
        }
        const counts = [(await rows.stats()).vectors, (await copy.stats()).vectors];
        const ids = sample.map(({ id }: { id: string }) => id);
        return { before, count, counts, found, ids };
      },
      [DIMENSIONS, BATCH_ROWS] as const,
    );
    const { before, count, counts, found, ids } = story;
    expect(before).to.equal(1);
    expect(count).to.be.above(2 * 4096);
    expect(counts).to.deep.equal([count, count]);
    const twice = ids.flatMap((id: string) => [id, id]);
    expect(found).to.deep.equal([twice, twice]);
    await page.close();
  });

  it("refuses what the tab gives no memory for, and goes on with what it holds", async () => {
    const page = await visit();
    const story = await page.evaluate(
      async ([dimensions, batch]) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const { omendb, rowsFrom } = globalThis as any;
        const rows = await omendb.open({ create: { dimensions } });
        // A tab near its limit gives small memories, and of a large one says no more than this.
        const Whole = WebAssembly.Memory;
        WebAssembly.Memory = class extends Whole {
          constructor(asked: WebAssembly.MemoryDescriptor) {
            if (asked.initial > 64) throw new RangeError("could not allocate memory");
            super(asked);
          }
        };
        const failureOf = (work: Promise<unknown>) =>
          work.then(
            () => undefined,
            ({ code, message }: { code: string; message: string }) => ({ code, message }),
          );
        let count = 0;
        let refusal: { code: string; message: string } | undefined;
        for (; refusal === undefined && count < 100_000; count += refusal ? 0 : batch!) {
          refusal = await failureOf(rows.batch(rowsFrom(count, batch)));
        }
        const again = await failureOf(rows.batch(rowsFrom(count, batch)));
        const [last] = rowsFrom(count - 1, 1);
        const { vectors, capacity } = await rows.stats();
        const { results } = await rows.search({ vector: last.vector, k: 1 });
        await rows.delete("row 0");
        const after = (await rows.stats()).vectors;
        const opening = await failureOf(omendb.open({ create: { dimensions } }));
        const { shards } = capacity;
        return { refusal, again, count, vectors, shards, found: results[0].id, after, opening };
      },
      [DIMENSIONS, BATCH_ROWS] as const,
    );
    const { refusal, again, count, vectors, shards, found, after, opening } = story;
    for (const failure of [refusal, again, opening]) {
      expect(failure?.code).to.equal("MEMORY_LIMIT");
      expect(failure?.message).to.match(/^this tab gives no memory of \d+ MiB/);
    }
    expect(count).to.be.above(BATCH_ROWS);
    expect({ vectors, shards, found, after }).to.deep.equal({
      ...{ vectors: count, shards: 1, found: `row ${count - 1}`, after: count - 1 },
    });
    await page.close();
  });

  it("says so when the tab has no memory at all", async () => {
    const page = await visit();
    const code = await page.evaluate(async (dimensions) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const { omendb } = globalThis as any;
      WebAssembly.Memory = class {
        constructor() {
          throw new RangeError("could not allocate memory");
        }
      } as never;
      return await omendb
        .open({ create: { dimensions } })
        .catch((error: { code: string }) => error.code);
    }, DIMENSIONS);
    expect(code).to.equal("MEMORY_LIMIT");
    await page.close();
  });
});
