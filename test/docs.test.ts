/** The page at /docs, in a real browser: from this server alone, under a policy that forbids the rest. */
import { expect } from "chai";
import type { Browser } from "playwright-core";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";
import { closeDoors, openDoor } from "./httpDoor.ts";
import { type Server, startServer } from "./server.ts";

const program = findChromium();

describe("the page of the document", () => {
  afterEach(closeDoors);

  it("needs a key unless OMENDB_DOCS_PUBLIC lets everybody in", async () => {
    const paths = ["/docs", "/docs/begin.js", "/docs/swagger-ui.css", "/openapi.json"];
    const open = await openDoor({ API_KEY: "key", DOCS_PUBLIC: "true" });
    const closed = await openDoor({ API_KEY: "key" });
    for (const path of paths) {
      expect((await open.connect().get(path)).status, path).to.equal(200);
      expect((await closed.connect().get(path)).status, path).to.equal(401);
      expect((await closed.connect({ "x-api-key": "key" }).get(path)).status).to.equal(200);
    }
    expect((await open.connect().get("/stats")).status).to.equal(401);
  });

  it("has no script of its own in it, and a policy that would not run one", async () => {
    const client = (await openDoor()).connect();
    const { text, headers } = await client.get("/docs");
    expect(headers["content-type"]).to.equal("text/html; charset=utf-8");
    expect(text).to.not.match(/<script(?![^>]*\bsrc=)|\son\w+=|style=|https?:\/\//);
    const policy = headers["content-security-policy"];
    expect(policy).to.contain("default-src 'none'").and.contain("script-src 'self'");
    expect(policy).to.not.contain("unsafe");
    for (const name of ["nothing.js", "package.json", "..%2Fpackage.json", "__proto__"]) {
      const answer = await client.get(`/docs/${name}`);
      expect([answer.status, answer.body.code], name).to.deep.equal([404, "NOT_FOUND"]);
    }
  });

  describe(program === undefined ? NO_CHROMIUM : "in Chromium", () => {
    let server: Server;
    let browser: Browser;
    before(async function () {
      this.timeout(60_000);
      if (program === undefined) return;
      server = await startServer({ LOG_LEVEL: "warn", THREADS: 1 });
      browser = await launchChromium(program);
    });
    after(async () => {
      await browser?.close();
      await server?.stop();
    });

    it("shows every operation, and asks nobody else for anything", async () => {
      if (program === undefined) return;
      const page = await browser.newPage();
      const complaints: string[] = [];
      const strangers: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("request", (request) => {
        const { hostname, protocol } = new URL(request.url());
        if (hostname !== "127.0.0.1" && protocol !== "data:") strangers.push(request.url());
      });
      await page.goto(`http://127.0.0.1:${server.port}/docs`);
      await page.waitForSelector(".opblock");
      const shown = await page.locator(".opblock").count();
      const { body } = await server.connect().get("/openapi.json");
      const count = Object.values<object>(body.paths).flatMap((path) => Object.keys(path)).length;
      expect(shown).to.equal(count);
      await page.locator(".opblock-summary-path").first().click();
      await page.waitForSelector(".opblock-body");
      expect({ complaints, strangers }).to.deep.equal({ complaints: [], strangers: [] });
    }).timeout(60_000);
  });
});
