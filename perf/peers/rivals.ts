/** The libraries that the engine is measured beside, which of them are here, and why others are not. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { openEdgevec } from "./edgevec.ts";
import { openHnswlib } from "./hnswlib.ts";
import { openLancedb } from "./lancedb.ts";
import type { Peer, PeerMaker } from "./peer.ts";
import { openSqlite } from "./sqlite.ts";
import { openUsearch } from "./usearch.ts";
import { openZvec } from "./zvec.ts";

/** By the name that an argument gives. */
export const RIVALS: Record<string, PeerMaker> = {
  hnswlib: openHnswlib,
  "usearch-bf16": () => openUsearch("bf16"),
  "usearch-f32": () => openUsearch("f32"),
  "usearch-f16": () => openUsearch("f16"),
  "usearch-i8": () => openUsearch("i8"),
  "usearch-u8": () => openUsearch("u8"),
  "zvec-f32": () => openZvec("f32"),
  "zvec-i8": () => openZvec("i8"),
  lancedb: openLancedb,
  edgevec: openEdgevec,
  sqlite: openSqlite,
};

const PACKAGES = ["hnswlib-node", "usearch", "@zvec/zvec", "@lancedb/lancedb", "edgevec"];

/** Why some are not in a run of bench:engine that does not ask for them. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "zvec-i8":
    "of two zvec collections of different kinds in one process the second finds nothing right " +
    "(0.7.0); alone, by `npm run bench:engine -- --only zvec-i8`, it is measured",
  sqlite: "it has no index but the scan: `npm run rivals -- sqlite` in perf/",
};

/** Opens those that are named; `absent` has a reason for each that is not in the run. */
export function openRivals(names: readonly string[]): {
  readonly peers: readonly Peer[];
  readonly absent: Readonly<Record<string, string>>;
} {
  const peers: Peer[] = [];
  const absent: Record<string, string> = {};
  for (const name of names) {
    const make = RIVALS[name];
    if (make === undefined) {
      throw new Error(`there is no rival called ${name}, only ${Object.keys(RIVALS).join(", ")}`);
    }
    const peer = make();
    if (peer === undefined) absent[name] = "it is not installed: `npm ci` in perf/";
    else peers.push(peer);
  }
  for (const [name, why] of Object.entries(ELSEWHERE)) {
    if (!names.includes(name)) absent[name] = why;
  }
  return { peers, absent };
}

/** The releases that are installed, and what the build of one was told about the processor. */
export function describeRivals(): string {
  const require = createRequire(import.meta.url);
  const parts = PACKAGES.flatMap((name) => {
    const folder = folderOf(require, name);
    if (folder === undefined) return [];
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return name === "hnswlib-node"
      ? `${name} ${version} (${machineOf(folder)})`
      : `${name} ${version}`;
  });
  return parts.join(", ");
}

function folderOf(require: NodeJS.Require, name: string): string | undefined {
  const places = require.resolve.paths(name) ?? [];
  return places.map((place) => join(place, name)).find((folder) => existsSync(folder));
}

/** HNSWLIB_FLAGS tells where the build has left no trace of its flags. */
function machineOf(folder: string): string {
  if (process.env.HNSWLIB_FLAGS) return process.env.HNSWLIB_FLAGS;
  const trace = join(folder, "build/Release/.deps/Release/obj.target/addon/src/addon.o.d");
  if (!existsSync(trace)) return "compiler flags unknown";
  const flags = readFileSync(trace, "utf8").match(/-m(?:arch|avx|tune)[\w.=-]*/g);
  return flags === null ? "built for any x64, without -march=native" : flags.join(" ");
}
