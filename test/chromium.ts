/**
 * A real browser for the tests: Debian's Chromium, driven by playwright-core. Where there is none it
 * is installed when this user may do that; otherwise the tests say in words what they lack.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const INSTALL_MS = 300_000;

/** Why there is no browser, for the title of a test that cannot run. */
export const NO_CHROMIUM =
  "no Chromium is here and this user cannot install one: apt-get install chromium, or set CHROMIUM";

/** The program's path; undefined where there is none and none could be installed. */
export function findChromium(): string | undefined {
  const found = onPath();
  if (found !== undefined || process.getuid?.() !== 0) return found;
  const words = ["install", "-y", "--no-install-recommends", "chromium"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  spawnSync("apt-get", words, { env, stdio: "ignore", timeout: INSTALL_MS });
  return onPath();
}

function onPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const paths = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [process.env.CHROMIUM ?? "", ...paths].find((path) => {
    try {
      if (path === "") return false;
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

// Without a sandbox, because in containers root has none; it loads only our own pages.
const ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"];

export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ARGUMENTS });
}

/**
 * With a profile of its own in a folder, as people have one: in any other context what an origin
 * keeps lies in another process's memory, and is read from there.
 */
export function launchKeeping(executablePath: string, folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { executablePath, args: ARGUMENTS });
}

/** An origin of its own with one empty page that runs the module. */
export async function servePage(module: string, folder: string) {
  const { outputFiles } = await build({
    stdin: { contents: module, resolveDir: folder, loader: "ts" },
    ...{ bundle: true, format: "esm", platform: "browser", write: false, logLevel: "silent" },
  });
  const script = outputFiles[0]!.text;
  const door = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(
      isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>',
    );
  }).listen(0, "127.0.0.1");
  await once(door, "listening");
  const { port } = door.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      door.closeAllConnections();
      door.close();
    },
  };
}

/** Opens the page and waits until its module has run. */
export async function openPage(browser: Browser, origin: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(origin, { waitUntil: "load" });
  return page;
}
