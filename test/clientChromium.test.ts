/** The client's story once more, in a page of another origin than the server's. */
import { expect } from "chai";
import type { Browser, Page } from "playwright-core";
import { findChromium, launchChromium, NO_CHROMIUM, openPage, servePage } from "./chromium.ts";
import { CHAPTERS } from "./clientStory.ts";
import { type Server, startServer } from "./server.ts";

const MODULE = `
  import { connect } from "../src/client/index.ts";
  import { CHAPTERS } from "./clientStory.ts";
  globalThis.play = (title, url, name) => CHAPTERS[title](connect(url, { apiKey: "secret" }), name);`;

type Play = (title: string, url: string, name: string) => Promise<void>;

const program = findChromium();

describe("client in Chromium", () => {
  let server: Server;
  let site: Awaited<ReturnType<typeof servePage>>;
  let browser: Browser;
  let page: Page;

  if (program === undefined) {
    it(NO_CHROMIUM, () => undefined);
    return;
  }

  before(async () => {
    site = await servePage(MODULE, import.meta.dirname);
    server = await startServer({
      ...{ LOG_LEVEL: "silent", API_KEY: "secret", CORS_ORIGINS: site.origin },
    });
    browser = await launchChromium(program);
    page = await openPage(browser, site.origin);
  });
  after(async () => {
    await browser?.close();
    site?.close();
    await server?.stop();
  });

  for (const [index, title] of Object.keys(CHAPTERS).entries()) {
    it(title, async () => {
      const url = `http://127.0.0.1:${server.port}`;
      const failure = await page.evaluate(
        async ([title, url, name]) => {
          const { play } = globalThis as unknown as { play: Play };
          try {
            await play(title, url, name);
            return undefined;
          } catch (error) {
            return String(error);
          }
        },
        [title, url, `chapter-${index}`] as const,
      );
      expect(failure).to.equal(undefined);
    });
  }
});
