/**
 * What a linker beside an isolated page gives: rows written one batch after the other, until all are
 * in the graph, and how long the page's own thread was away from its events meanwhile.
 */
import type { Page } from "playwright-core";
import { type Rows, rowAt } from "../exact.ts";
import { BUNDLE_FOLDER } from "./bundle.ts";
import { servePages } from "./pages.ts";

const BATCH_ROWS = 500;

export interface Writing {
  readonly threads: number;
  /** Until the last batch was acknowledged, and until all rows were in the graph. */
  readonly acknowledgedMs: number;
  readonly indexedMs: number;
  /** The longest that an event of the page had to wait. */
  readonly awayMs: number;
}

export async function writeOnce(
  newPage: () => Promise<Page>,
  base: Rows,
  rows: number,
  threads?: 1,
): Promise<Writing> {
  const html = `<!doctype html><script type="module">import * as omendb from "./browser.js"; globalThis.omendb = omendb;</script>`;
  const vectors = Array.from({ length: rows }, (_, row) => Array.from(rowAt(base, row)));
  const pages = await servePages(BUNDLE_FOLDER, {
    "/page.html": (_, response) => void response.end(html),
    "/rows.json": (_, response) => void response.end(JSON.stringify(vectors)),
  });
  const page = await newPage();
  await page.goto(`${pages.url}page.html`);
  await page.waitForFunction(() => "omendb" in globalThis);
  const writing = await page.evaluate(
    async ([own, batch]) => {
      const vectors: number[][] = await (await fetch("rows.json")).json();
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const { open } = (globalThis as any).omendb;
      const dimensions = vectors[0]!.length;
      const create = { dimensions, rows: vectors.length };
      const held = await open({ create, ...(own ? { threads: own } : {}) });
      const all = vectors.map((values, id) => ({ id, vector: Float32Array.from(values) }));
      const turn = () => new Promise((resolve) => setTimeout(resolve));
      let [isOver, awayMs] = [false, 0];
      const events = (async () => {
        for (let before = performance.now(); !isOver; ) {
          await turn();
          const now = performance.now();
          awayMs = Math.max(awayMs, now - before);
          before = now;
        }
      })();
      const start = performance.now();
      for (let from = 0; from < all.length; from += batch!) {
        await held.batch(all.slice(from, from + batch!));
        await turn();
      }
      const acknowledgedMs = performance.now() - start;
      while ((await held.stats()).unindexed > 0) await turn();
      const indexedMs = performance.now() - start;
      isOver = true;
      await events;
      return { threads: (await held.stats()).threads, acknowledgedMs, indexedMs, awayMs };
    },
    [threads, BATCH_ROWS] as const,
  );
  await page.close();
  await pages.close();
  return writing;
}
