/**
 * What most would write: express.json(), the same engine in the same process, res.json. It is what
 * bench:http compares the server's way with. Started with the number of rows to load. Once they are
 * in the graph it says, on one line, its port and that of a node:http server beside it that has
 * nothing to do: what that takes is the machine's of this hour, and nobody's code.
 */
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { linkRound } from "../src/threads/linking.ts";
import { Alone } from "../test/collections/alone.ts";
import { loadSift } from "./data.ts";
import { rowAt } from "./exact.ts";

const BATCH_ROWS = 1000;
const decoder = new TextDecoder();

const { base } = loadSift("sift100k");
const rows = Math.min(base.count, Number(process.argv[2]));
const alone = await Alone.open(rows * 2, { dimensions: base.dimensions });
for (let start = 0; start < rows; start += BATCH_ROWS) {
  await alone.put(
    Array.from({ length: Math.min(BATCH_ROWS, rows - start) }, (_, index) => ({
      id: String(start + index),
      vector: rowAt(base, start + index),
    })),
  );
  while (linkRound(alone.catalog, BATCH_ROWS) === "busy");
}

const app = express();
app.post("/search", express.json({ limit: "1mb" }), async (request, response) => {
  const { vector, k, ef } = request.body;
  if (!Array.isArray(vector) || !vector.every((component) => Number.isFinite(component))) {
    response.status(400).json({ error: "vector is an array of numbers" });
    return;
  }
  const query = { k, ef, exact: false, includeVector: false };
  const { hits } = await alone.search(Float32Array.from(vector), query);
  response.json({
    results: hits.map(({ id, distance, score, metadata }) => ({
      ...{ id, distance, score },
      metadata: metadata && JSON.parse(decoder.decode(metadata)),
    })),
  });
});

const nothing: RequestListener = (_request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", 2);
  response.end("{}");
};

async function listen(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
console.log(await listen(app), await listen(nothing));
