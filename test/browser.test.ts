/**
 * The engine and a server's snapshot in a real page: the same answers as the server, to the bit, by
 * every build; kept on the device through tabs that close in mid-save; and bad files refused in words
 * while the page lives on.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Browser, Page } from "playwright-core";
import { BUNDLE_FOLDER, bundleBrowser, shapeBytes } from "../perf/browser/bundle.ts";
import { type Pages, sendFile, servePages } from "../perf/browser/pages.ts";
import { loadSift } from "../perf/data.ts";
import { rowAt } from "../perf/exact.ts";
import { cpuSecondsOf, untilAtRest } from "../perf/process.ts";
import { downloadSnapshot, takeSnapshot } from "../perf/snapshot.ts";
import { findChromium, launchChromium, NO_CHROMIUM } from "./chromium.ts";
import { type Server, startServer } from "./server.ts";

const ROWS = 10_000;
const QUERIES = 1000;
const K = 10;
/** So wide that links which the server betters after the snapshot change no answer. */
const EF = 2000;
const SEARCH_BYTES_MAX = 40 * 1024;
const WHOLE_BYTES_MAX = 76 * 1024;
const ISOLATED_BYTES_MAX = 79 * 1024;
/** The long form closes 50: CLOSED_TABS=50. */
const CLOSED_TABS = Number(process.env.CLOSED_TABS ?? 8);
const pageOf = (module: string) =>
  `<!doctype html><title>test</title><script type="module">import * as omendb from "./${module}.js"; globalThis.omendb = omendb;</script>`;
const PAGE = pageOf("browser");

const program = findChromium();

describe(`in a page${program === undefined ? ` (not run: ${NO_CHROMIUM})` : ""}`, () => {
  if (program === undefined) return;
  let folder: string;
  let file: string;
  let server: Server;
  let isolated: Pages;
  let open: Pages;
  let browser: Browser;
  /** What the server finds for each query: ids and distances. */
  let expected: [string, number][][];
  const dataset = loadSift("sift10k");
  const queries = Array.from({ length: QUERIES }, (_, at) =>
    Array.from(rowAt(dataset.queries, at)),
  );

  before(async function () {
    this.timeout(180_000);
    folder = mkdtempSync(join(tmpdir(), "omendb-browser-"));
    file = join(folder, "snapshot");
    server = await startServer({ PATH: join(folder, "data"), LOG_LEVEL: "warn" });
    const connection = server.connect();
    for (let start = 0; start < ROWS; start += 1000) {
      const vectors = Array.from({ length: 1000 }, (_, index) => {
        const row = start + index;
        // More strings than a page's memory for columns is first made for.
        const metadata = { row, parity: row % 2 === 0 ? "even" : "odd", title: `title ${row}` };
        return { id: String(row), vector: Array.from(rowAt(dataset.base, row)), metadata };
      });
      const { status, text } = await connection.post("/vectors/batch", { vectors });
      if (status !== 200) throw new Error(text);
    }
    // No row waits by then, and nobody betters a link any more.
    await untilAtRest(() => cpuSecondsOf(server.pid), 30);
    await downloadSnapshot(connection, server.port, file);
    expected = [];
    for (const vector of queries) {
      const { body } = await connection.post("/search", { vector, k: K, ef: EF });
      expected.push(
        body.results.map((hit: { id: string; distance: number }) => [hit.id, hit.distance]),
      );
    }
    connection.close();
    await bundleBrowser();
    const answers = {
      "/test.html": (_: unknown, response: { end(text: string): void }) => response.end(PAGE),
      "/search.html": (_: unknown, response: { end(text: string): void }) =>
        response.end(pageOf("search")),
    };
    const withFile = {
      ...answers,
      "/snapshot": (request: never, response: never) => void sendFile(file, request, response),
    };
    isolated = await servePages(BUNDLE_FOLDER, withFile as never);
    open = await servePages(BUNDLE_FOLDER, withFile as never, { isolated: false });
    browser = await launchChromium(program);
  });

  after(async () => {
    await browser?.close();
    await isolated?.close();
    await open?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function visit(
    pages: Pages,
    context?: { newPage(): Promise<Page> },
    name = "test",
  ): Promise<Page> {
    const page = await (context ?? browser).newPage();
    await page.goto(`${pages.url}${name}.html`);
    await page.waitForFunction(() => "omendb" in globalThis);
    return page;
  }

  /** In the page: opens the snapshot as told and answers every query. */
  async function searchAll(page: Page, how: "open" | "openInWorker", variant?: string) {
    return await page.evaluate(
      async ([asked, way, build, k, ef]) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const omendb = (globalThis as any).omendb;
        const collection = await omendb[way]({ url: "snapshot", variant: build });
        const found: [string, number][][] = [];
        for (const vector of asked) {
          const { results } = await collection.search({ vector, k, ef, include_metadata: false });
          found.push(
            results.map((hit: { id: string; distance: number }) => [hit.id, hit.distance]),
          );
        }
        const { wasm_variant } = await collection.stats();
        return { found, wasm_variant };
      },
      [queries, how, variant, K, EF] as const,
    );
  }

  for (const variant of ["relaxed", "plain"]) {
    it(`answers ${QUERIES} queries as the server does, to the bit: ${variant}, unshared`, async () => {
      const page = await visit(open);
      const { found, wasm_variant } = await searchAll(page, "open", variant);
      expect(wasm_variant).to.equal(variant);
      expect(found).to.deep.equal(expected);
      await page.close();
    });
  }

  it("does so over shared memory where the page is isolated, and in a worker", async () => {
    const page = await visit(isolated);
    const { found, wasm_variant } = await searchAll(page, "openInWorker");
    expect(wasm_variant).to.match(/-shared$/);
    expect(found).to.deep.equal(expected);
    await page.close();
  });

  for (const variant of ["relaxed-search", "plain-search"]) {
    it(`does so with what only searches: ${variant}`, async () => {
      const page = await visit(open, undefined, "search");
      const { found, wasm_variant } = await searchAll(page, "open", variant);
      expect(wasm_variant).to.equal(variant);
      expect(found).to.deep.equal(expected);
      await page.close();
    });
  }

  it("leaves the vectors on the server and fetches by range what a search measures", async () => {
    const page = await visit(open, undefined, "search");
    const ranges: string[] = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/snapshot")) ranges.push(request.headers().range ?? "whole");
    });
    const story = await page.evaluate(
      async ([asked, k, ef]) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const omendb = (globalThis as any).omendb;
        const phases = new Map<string, number>();
        const onProgress = ({ phase, loadedBytes }: { phase: string; loadedBytes: number }) =>
          void phases.set(phase, loadedBytes);
        const rows = await omendb.open({ url: "snapshot", vectors: "ranges", onProgress });
        const opened = Object.fromEntries(phases);
        const answer = async (vector: number[]) => {
          const { results } = await rows.search({ vector, k, ef, include_metadata: false });
          return results.map((hit: { id: string; distance: number }) => [hit.id, hit.distance]);
        };
        const found = [await answer(asked[0]!)];
        const first = phases.get("vectors");
        const row = await rows.get("4711");
        found.push(...(await Promise.all(asked.slice(1).map(answer))));
        const more = await rows.writable();
        await more.add({ id: "mine", vector: asked[0] });
        const refused = await omendb
          .open({ bytes: new Uint8Array(9), vectors: "ranges" })
          .catch((error: { code: string }) => error.code);
        return {
          found,
          opened,
          first,
          vector: row.vector,
          refused,
          mine: (await more.search({ vector: asked[0], k: 1 })).results[0].id,
        };
      },
      [queries, K, EF] as const,
    );
    expect(story.found).to.deep.equal(expected);
    const vectorBytes = ROWS * 128 * 4;
    expect(story.opened).to.have.keys("loading");
    expect(story.first).to.be.within(1, 40 * 2 * 65536);
    expect(story.first).to.be.lessThan(vectorBytes);
    expect(Object.values(story.vector)).to.deep.equal(Array.from(rowAt(dataset.base, 4711)));
    expect(story).to.include({ refused: "INVALID_REQUEST", mine: "mine" });
    expect(ranges).to.not.include("whole");
    await page.close();
  });

  it("makes room for all strings of the metadata, and finds each by its column", async () => {
    const request = { vector: queries[0], k: 3, filter: { title: "title 4711" }, explain: true };
    const connection = server.connect();
    const there = await connection.post("/search", request);
    connection.close();
    for (const module of ["test", "search"]) {
      const page = await visit(open, undefined, module);
      const here = await page.evaluate(async (asked) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const rows = await (globalThis as any).omendb.open({ url: "snapshot" });
        return await rows.search(asked);
      }, request);
      expect(here.explain).to.deep.equal(there.body.explain);
      expect(here.explain.matching).to.equal(1);
      expect(JSON.parse(JSON.stringify(here.results))).to.deep.equal(there.body.results);
      await page.close();
    }
  });

  it("fetches the whole engine when rows are to be added, and keeps the memories", async () => {
    const page = await visit(open, undefined, "search");
    const fetched: string[] = [];
    page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
    const story = await page.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const rows = await (globalThis as any).omendb.open({ url: "snapshot" });
      const vector = new Array(128).fill(7);
      const idsOf = async (from: typeof rows, filter?: object) =>
        (await from.search({ vector, k: 3, filter })).results.map((hit: { id: string }) => hit.id);
      const before = await idsOf(rows, { parity: "even" });
      const { kind } = { kind: typeof rows.add };
      const more = await rows.writable();
      await more.add({ id: "mine", vector, metadata: { parity: "neither" } });
      return {
        ...{ before, kind, even: await idsOf(more, { parity: "even" }) },
        first: (await idsOf(more))[0],
        // The one that searches holds the same rows.
        seen: (await idsOf(rows))[0],
        vectors: (await more.stats()).vectors,
      };
    });
    expect(story.even).to.deep.equal(story.before);
    const { kind, first, seen, vectors } = story;
    expect({ kind, first, seen, vectors }).to.deep.equal({
      ...{ kind: "undefined", first: "mine", seen: "mine", vectors: ROWS + 1 },
    });
    const late = fetched.slice(fetched.lastIndexOf("/snapshot") + 1);
    expect(late).to.have.members(["/browser.js", "/relaxed.wasm"]);
    await page.close();
  });

  it("adds, filters, deletes, and opens again what it exports", async () => {
    const page = await visit(open);
    const story = await page.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const omendb = (globalThis as any).omendb;
      const rows = await omendb.open({ url: "snapshot" });
      const vector = new Array(128).fill(7);
      await rows.add({ id: "mine", vector, metadata: { parity: "neither" } });
      const mine = await rows.search({ vector, k: 1 });
      const filtered = await rows.search({ vector, k: 5, filter: { parity: "even" } });
      await rows.delete("0");
      const copy = await omendb.open({ bytes: await rows.export() });
      const again = await copy.search({ vector, k: 1 });
      return {
        first: mine.results[0].id,
        parities: filtered.results.map(
          (hit: { metadata: { parity: string } }) => hit.metadata.parity,
        ),
        gone: (await copy.get("0")) === undefined,
        again: again.results[0].id,
        vectors: (await copy.stats()).vectors,
      };
    });
    expect(story).to.deep.equal({
      first: "mine",
      parities: ["even", "even", "even", "even", "even"],
      gone: true,
      again: "mine",
      vectors: ROWS,
    });
    await page.close();
  });

  it(`keeps the old state or the new one when the tab closes in mid-save, ${CLOSED_TABS} times`, async function () {
    this.timeout(180_000);
    const context = await browser.newContext();
    const first = await visit(open, context);
    await first.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const omendb = (globalThis as any).omendb;
      await (await omendb.open({ url: "snapshot" })).save("kept");
    });
    await first.close();
    let known = ROWS;
    for (let round = 0; round < CLOSED_TABS; round++) {
      const page = await visit(open, context);
      const saving = page.evaluate(async (row) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const omendb = (globalThis as any).omendb;
        const rows = await omendb.open({ opfs: "kept" });
        const { vectors } = await rows.stats();
        (globalThis as unknown as { before: number }).before = vectors;
        await rows.add({ id: `extra-${row}`, vector: new Array(128).fill(row) });
        await rows.save("kept");
      }, round);
      saving.catch(() => undefined);
      await page.waitForFunction(() => "before" in globalThis);
      const before = await page.evaluate(
        () => (globalThis as unknown as { before: number }).before,
      );
      expect(before).to.be.oneOf([known, known + 1]);
      known = before;
      await new Promise((resolve) => setTimeout(resolve, (round * 7) % 120));
      await page.close();
    }
    await context.close();
  });

  it("keeps a store whole while two pages write it and a third one reads", async function () {
    this.timeout(120_000);
    const context = await browser.newContext();
    const pages = [await visit(open, context), await visit(open, context)];
    const reader = await visit(open, context, "search");
    await pages[0]!.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      await (await (globalThis as any).omendb.open({ url: "snapshot" })).save("both");
    });
    const writing = pages.map((page, writer) =>
      page.evaluate(
        async ([own, rounds]) => {
          // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
          const omendb = (globalThis as any).omendb;
          for (let round = 0; round < rounds!; round++) {
            const rows = await omendb.open({ opfs: "both" });
            await rows.add({ id: `of-${own}-${round}`, vector: new Array(128).fill(own! + 1) });
            await rows.save("both");
          }
        },
        [writer, 4] as const,
      ),
    );
    const reading = reader.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const omendb = (globalThis as any).omendb;
      const counts: number[] = [];
      for (let round = 0; round < 8; round++) {
        counts.push((await (await omendb.open({ opfs: "both" })).stats()).vectors);
      }
      return counts;
    });
    await Promise.all(writing);
    const counts = await reading;
    for (const count of counts) expect(count).to.be.within(ROWS, ROWS + 8);
    const last = await reader.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const rows = await (globalThis as any).omendb.open({ opfs: "both" });
      const { vectors } = await rows.stats();
      const ids = [0, 1].flatMap((own) => [0, 1, 2, 3].map((round) => `of-${own}-${round}`));
      return { vectors, mine: (await rows.getMany(ids)).filter(Boolean).length };
    });
    // Who saves last says what is kept: at least its own last row.
    expect(last.mine).to.be.at.least(1);
    expect(last.vectors).to.equal(ROWS + last.mine);
    await context.close();
  });

  it("opens a server's snapshot from another origin, by a key that the server asks for", async () => {
    const site = new URL(open.url).origin;
    const own = await startServer({
      ...{ PATH: join(folder, "keyed"), API_KEY: "secret", CORS_ORIGINS: site, LOG_LEVEL: "warn" },
    });
    const connection = own.connect({ "x-api-key": "secret" });
    const vectors = Array.from({ length: 600 }, (_, row) => {
      return { id: String(row), vector: Array.from(rowAt(dataset.base, row)) };
    });
    expect((await connection.post("/vectors/batch", { vectors })).status).to.equal(200);
    const url = `http://127.0.0.1:${own.port}${await takeSnapshot(connection)}/download`;
    connection.close();
    const page = await visit(open, undefined, "search");
    const answers = await page.evaluate(
      async ([address, vector]) => {
        // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
        const omendb = (globalThis as any).omendb;
        const headers = { authorization: "Bearer secret" };
        const rows = await omendb.open({ url: address, headers });
        const { results } = await rows.search({ vector, k: 1 });
        const refused = await omendb
          .open({ url: address })
          .catch((error: { code: string }) => error);
        return { nearest: results[0], code: refused.code };
      },
      [url, vectors[17]!.vector] as const,
    );
    expect(answers.nearest).to.include({ id: "17", distance: 0 });
    expect(answers.code).to.equal("UNAUTHENTICATED");
    await page.close();
    await own.stop();
  });

  it("refuses what is no snapshot, says which it is, and lives on", async () => {
    const whole = readFileSync(file);
    const flipped = Buffer.from(whole);
    flipped[Math.floor(flipped.length / 2)]! ^= 1;
    const newer = Buffer.from(whole);
    newer.writeUInt32LE(99, 8);
    const files = {
      "cut.bin": whole.subarray(0, whole.length - 1000),
      "flipped.bin": flipped,
      "newer.bin": newer,
      "page.html": Buffer.from("<!doctype html><p>not found"),
      "short.bin": Buffer.from("OMEN"),
    };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    const bad = await servePages(
      folder,
      {
        "/test.html": (_, response) => void response.end(PAGE),
        "/browser.js": (request, response) =>
          void sendFile(join(BUNDLE_FOLDER, "browser.js"), request, response),
        "/relaxed.wasm": (request, response) =>
          void sendFile(join(BUNDLE_FOLDER, "relaxed.wasm"), request, response),
        "/plain.wasm": (request, response) =>
          void sendFile(join(BUNDLE_FOLDER, "plain.wasm"), request, response),
      },
      { isolated: false },
    );
    const page = await visit(bad);
    const refusals = await page.evaluate(async (names) => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const omendb = (globalThis as any).omendb;
      const codes: [string, string, string][] = [];
      for (const url of [...names, "nothing.bin"]) {
        const opening = omendb.open({ url });
        codes.push(
          await opening.then(
            () => [url, "opened", ""],
            (error: { code: string; message: string }) => [url, error.code, error.message],
          ),
        );
      }
      return codes;
    }, Object.keys(files));
    await page.close();
    await bad.close();
    expect(refusals.map(([name, code]) => [name, code])).to.deep.equal([
      ["cut.bin", "CORRUPT_FILE"],
      ["flipped.bin", "CORRUPT_FILE"],
      ["newer.bin", "UNSUPPORTED_FORMAT"],
      ["page.html", "CORRUPT_FILE"],
      ["short.bin", "CORRUPT_FILE"],
      ["nothing.bin", "NOT_FOUND"],
    ]);
    for (const [name, , message] of refusals) expect(message, name).to.contain(name);
  });

  it("says that a snapshot was replaced, and takes all of it where there are no ranges", async () => {
    let version = 1;
    const html = (_: unknown, response: { end(text: string): void }) =>
      response.end(pageOf("search"));
    const pages = await servePages(
      BUNDLE_FOLDER,
      {
        "/search.html": html,
        "/snapshot": (request, response) => {
          response.setHeader("etag", `"${version}"`);
          sendFile(file, request, response);
        },
        "/whole": (request, response) => {
          delete request.headers.range;
          sendFile(file, request, response);
        },
      },
      { isolated: false },
    );
    const page = await visit(pages, undefined, "search");
    const search = (url: string, vectors: string) =>
      page.evaluate(
        async ([address, how, vector, k, ef]) => {
          // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
          const own = globalThis as any;
          try {
            own[address] ??= await own.omendb.open({ url: address, vectors: how });
            const { results } = await own[address].search({ vector, k, ef });
            return results.map((hit: { id: string; distance: number }) => [hit.id, hit.distance]);
          } catch (error) {
            const { code, message } = error as { code: string; message: string };
            return `${code} ${message}`;
          }
        },
        [url, vectors, queries[0]!, K, EF] as const,
      );
    expect(await search("whole", "ranges")).to.deep.equal(expected[0]);
    await page.evaluate(async () => {
      // biome-ignore lint/suspicious/noExplicitAny: what the page has loaded
      const own = globalThis as any;
      own.snapshot = await own.omendb.open({ url: "snapshot", vectors: "ranges" });
    });
    version++;
    expect(await search("snapshot", "ranges")).to.match(/^CORRUPT_FILE .*snapshot was replaced/);
    expect(await search("snapshot?anew", "ranges")).to.deep.equal(expected[0]);
    expect(await search("other", "range")).to.match(/^INVALID_REQUEST .*vectors.*got range/);
    await page.close();
    await pages.close();
  });

  it("takes under 40 KiB off the network for opening and searching", () => {
    expect(shapeBytes("to search")).to.be.below(SEARCH_BYTES_MAX);
    expect(shapeBytes("to search and write")).to.be.below(WHOLE_BYTES_MAX);
    expect(shapeBytes("to write in an isolated page")).to.be.below(ISOLATED_BYTES_MAX);
  });
});
