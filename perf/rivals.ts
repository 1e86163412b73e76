/**
 * The yardstick: what other libraries and, without an index, sqlite-vec give on this machine,
 * one thread, CPU time, M 16 and efConstruction 128, at recall@10 0.95 and 0.99. `npm ci` in perf/
 * first, then `npm run rivals` there; names of peers as arguments limit the run. hnswlib-node compiles for any x64 by default:
 * `CXXFLAGS=-march=native npm ci` gives it the machine's own instructions, which is its best.
 */
import { cpus } from "node:os";
import { readArguments } from "./arguments.ts";
import { loadSift } from "./data.ts";
import { type Measurement, measure } from "./measure.ts";
import { RIVALS } from "./peers/rivals.ts";

const RECALL_TARGETS = [0.95, 0.99];
const BUILD = { m: 16, efConstruction: 128 };

export function lineOf({ name, rowsPerSecond, bytesPerRow, points }: Measurement): string {
  const searches = points.map(({ recallTarget, ef, recall, ...speed }) =>
    ef === undefined
      ? `never ${recallTarget} (${recall.toFixed(3)} at most)`
      : `${Math.round(speed.searchesPerSecond)}/s, ${speed.cpuMicroseconds.toFixed(1)} us ` +
        `at ${recall.toFixed(3)} (ef ${ef})`,
  );
  const bytes = bytesPerRow === undefined ? "" : `, ${Math.round(bytesPerRow)} bytes a row`;
  return `${name}: build ${Math.round(rowsPerSecond)} rows/s${bytes}; ${searches.join("; ")}`;
}

if (import.meta.main) {
  const { positionals } = readArguments(import.meta.url, {}, ["NAME ..."]);
  const dataset = loadSift("sift100k");
  console.log(`${dataset.name}, ${cpus()[0]?.model}, Node ${process.versions.node}, one thread`);
  const names = positionals.length > 0 ? positionals : Object.keys(RIVALS);
  for (const name of names) {
    const peer = RIVALS[name]?.();
    if (peer === undefined) {
      console.log(`${name}: not installed; run npm ci in perf/`);
      continue;
    }
    const options = { ...BUILD, metric: dataset.metric };
    console.log(lineOf(measure(peer, dataset, options, RECALL_TARGETS)));
    peer.close?.();
  }
}
