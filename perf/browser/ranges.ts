/**
 * What leaving the vectors on the server spares and costs: bytes off the network until the first
 * answer and for each search after it, and how long they take, beside the whole snapshot.
 */
import type { Page } from "playwright-core";
import { median } from "../measure.ts";
import { BUNDLE_FOLDER } from "./bundle.ts";
import { sendFile, servePages } from "./pages.ts";

const SEARCHES = 100;

export interface Cost {
  /** Bytes of the snapshot, and milliseconds, from `open` to the first answer. */
  readonly firstBytes: number;
  readonly firstMs: number;
  /** Medians of searches that nobody has asked before. */
  readonly bytes: number;
  readonly ms: number;
}

/** Opens the file in a page of its own, and asks `queries` of it. */
export async function rangeCost(
  newPage: () => Promise<Page>,
  file: string,
  vectors: "whole" | "ranges",
  queries: readonly number[][],
): Promise<Cost> {
  let sent = 0;
  const html = `<!doctype html><script type="module">import * as omendb from "./search.js"; globalThis.omendb = omendb;</script>`;
  const pages = await servePages(
    BUNDLE_FOLDER,
    {
      "/page.html": (_, response) => void response.end(html),
      "/snapshot": (request, response) => {
        sent += sendFile(file, request, response);
      },
    },
    { isolated: false },
  );
  const page = await newPage();
  await page.goto(`${pages.url}page.html`);
  await page.waitForFunction(() => "omendb" in globalThis);
  const search = async (vector: readonly number[]) => {
    const before = sent;
    const ms = await page.evaluate(async (asked) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has opened
      const rows = (globalThis as any).rows;
      const start = performance.now();
      await rows.search({ vector: asked, k: 10 });
      return performance.now() - start;
    }, vector);
    return { ms, bytes: sent - before };
  };
  const openMs = await page.evaluate(async (how) => {
    // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
    const page = globalThis as any;
    const start = performance.now();
    page.rows = await page.omendb.open({ url: "snapshot", vectors: how });
    return performance.now() - start;
  }, vectors);
  const first = await search(queries[0]!);
  const firstBytes = sent;
  const others: { ms: number; bytes: number }[] = [];
  for (const vector of queries.slice(1, SEARCHES + 1)) others.push(await search(vector));
  await page.close();
  await pages.close();
  return {
    ...{ firstBytes, firstMs: openMs + first.ms },
    bytes: median(others.map(({ bytes }) => bytes)),
    ms: median(others.map(({ ms }) => ms)),
  };
}
