/**
 * What most would write: express.json(), the same engine in the same process, res.json. It is what
 * bench:http compares the server's way with. Started with the number of rows to load; says its port
 * on a line of its own once they are in the graph.
 */
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
  while (linkRound(alone.catalog, BATCH_ROWS));
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
const server = app.listen(0, "127.0.0.1", () => {
  console.log((server.address() as AddressInfo).port);
});
