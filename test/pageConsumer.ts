/** A page's program that uses the published package, and what comes of it in a real browser. */
import type { Browser } from "playwright-core";
import { servePages } from "../perf/browser/pages.ts";

/** With the modules' names, or their addresses, in place of the two words. */
export function pageProgram(whole: string, searching: string): string {
  return `
import { open, openInWorker } from ${JSON.stringify(whole)};
import { open as openToSearch } from ${JSON.stringify(searching)};

globalThis.story = (async () => {
  const rows = await open({ create: { dimensions: 2 } });
  await rows.batch([{ id: "near", vector: [1, 0] }, { id: "far", vector: [9, 9] }]);
  const bytes = await rows.export();
  const first = async (from) => (await from.search({ vector: [1, 1], k: 1 })).results[0].id;
  const found = await openToSearch({ bytes });
  const more = await found.writable();
  await more.add({ id: "nearer", vector: [1, 1] });
  return [await first(await openInWorker({ bytes })), await first(found)];
})();
globalThis.story.catch(() => undefined);
`;
}

/** What the program gives: the ids that were found. */
export const STORY = ["near", "nearer"];

/** The story of a folder's page, whether the page may share memory or not. */
export async function storyOf(browser: Browser, folder: string, isolated = false) {
  const pages = await servePages(folder, {}, { isolated });
  const page = await browser.newPage();
  try {
    await page.goto(pages.url);
    await page.waitForFunction(() => "story" in globalThis);
    return await page.evaluate(() => (globalThis as unknown as { story: Promise<string[]> }).story);
  } finally {
    await page.close();
    await pages.close();
  }
}
