/**
 * `npm run demo:browser [-- --rows N --port N]`: a server takes 20,000 rows and a snapshot of them, is
 * stopped, and a page opens the snapshot and searches it by itself. Prints the page's address; Ctrl-C
 * ends it. With --snapshot FILE the page opens that file.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ok, startServer } from "../test/server.ts";
import { readArguments } from "./arguments.ts";
import { BUNDLE_FOLDER, bundleBrowser } from "./browser/bundle.ts";
import { sendFile, servePages } from "./browser/pages.ts";
import { catalogue, type Thing } from "./catalogue.ts";
import { startProgress } from "./progress.ts";
import { downloadSnapshot } from "./snapshot.ts";

const BATCH_ROWS = 1000;

/** A snapshot of the rows as a server writes it, its tail settled. */
export async function makeSnapshot(things: readonly Thing[], file: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "omendb-demo-"));
  const server = await startServer({ PATH: folder, LOG_LEVEL: "warn" });
  try {
    const connection = server.connect();
    const progress = startProgress("loading", things.length);
    for (let start = 0; start < things.length; start += BATCH_ROWS) {
      const vectors = things.slice(start, start + BATCH_ROWS).map(({ vector, ...rest }) => {
        const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
        return { ...rest, vector: bytes.toString("base64") };
      });
      await ok(connection.post("/vectors/batch", { vectors }));
      progress.update(start + vectors.length);
    }
    progress.end();
    await downloadSnapshot(connection, server.port, file);
    connection.close();
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    rows: { type: "string", default: "20000" },
    port: { type: "string", default: "8080" },
    snapshot: { type: "string" },
  });
  const folder = mkdtempSync(join(tmpdir(), "omendb-page-"));
  const file = values.snapshot ?? join(folder, "demo.omendb");
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  await bundleBrowser();
  if (values.snapshot === undefined) await makeSnapshot(catalogue(Number(values.rows)), file);
  const pages = await servePages(
    BUNDLE_FOLDER,
    { "/snapshot": (request, response) => sendFile(file, request, response) },
    { port: Number(values.port) },
  );
  console.log(`open ${pages.url} in a browser; Ctrl-C ends`);
  process.once("SIGINT", () => process.exit(0));
}

if (import.meta.main) await main();
