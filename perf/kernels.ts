/**
 * What one distance costs: each kernel of each build of the engine, over rows that stay in the
 * cache and over rows that stream from memory. One thread, medians of rounds in which all builds
 * take turns, so that whatever else the machine does meets them alike.
 *
 * Kernels one to one are called from JavaScript for each row, and the call is part of their time;
 * the first line says what a call alone costs. A sweep measures four rows at a time in one call.
 */
import { cpus } from "node:os";
import type { EngineExports } from "../src/engine/exports.ts";
import { PAGE_BYTES, reserveMemory } from "../src/engine/memory.ts";
import {
  compileVariant,
  instantiate,
  SHARED_VARIANTS,
  UNSHARED_VARIANTS,
  type VariantName,
} from "../src/engine/variant.ts";
import { readVariant } from "../src/threads/engineFiles.ts";
import { readArguments } from "./arguments.ts";
import { seededRandom } from "./random.ts";

const BUILDS: readonly VariantName[] = [...SHARED_VARIANTS, ...UNSHARED_VARIANTS];
const DIMENSIONS = [128, 768];
const CACHED_ROWS = 32;
const STREAMED_ROWS = 100_000;
const ROUNDS = 7;
/** Distances a round. */
const DISTANCES = 100_000;
const QUERY = 65536;
/** Of a page of its own: 16 levels, and the mask behind them. */
const TABLE = 2 * 65536;
const ROWS = 3 * 65536;
const SEED = 1;

interface Kernel {
  readonly name: string;
  /** Bytes of a component. */
  readonly width: number;
  /** Measures so many distances, over the rows again and again. */
  run(engine: EngineExports, distances: number, rows: number, bytes: number): number;
}

function oneToOne(
  name: "squaredL2" | "dotFloats" | "cosineFloats" | "squaredCodes" | "dotCodes",
  width: number,
): Kernel {
  const run: Kernel["run"] = (engine, distances, rows, bytes) => {
    const kernel = engine[name];
    const end = ROWS + rows * bytes;
    let sum = 0;
    for (let done = 0, row = ROWS; done < distances; done++) {
      sum += kernel(QUERY, row, bytes);
      row += bytes;
      if (row === end) row = ROWS;
    }
    return sum;
  };
  return { name, width, run };
}

function oneToFour(name: string, product: number): Kernel {
  const run: Kernel["run"] = (engine, distances, rows, bytes) => {
    let sum = 0;
    for (let done = 0; done < distances; done += rows) {
      sum += engine.sweepCodes(QUERY, ROWS, bytes, rows, bytes, TABLE, product);
    }
    return sum;
  };
  return { name, width: 0.5, run };
}

const CALL: Kernel = {
  name: "a call alone",
  width: 1,
  run: (engine, distances) => {
    const kernel = engine.dotCodes;
    let sum = 0;
    for (let done = 0; done < distances; done++) sum += kernel(QUERY, ROWS, 0);
    return sum;
  },
};

const KERNELS: readonly Kernel[] = [
  oneToOne("squaredL2", 4),
  oneToOne("dotFloats", 4),
  oneToOne("cosineFloats", 4),
  oneToOne("squaredCodes", 1),
  oneToOne("dotCodes", 1),
  oneToFour("squaredCoarse x 4", 0),
  oneToFour("dotCoarse x 4", 1),
];

/**
 * Floats are drawn from what codes are too: bytes up to 63, which as float32 are small and finite.
 */
function openBuild(name: VariantName, bytes: number): EngineExports {
  const variant = compileVariant(name, readVariant(name));
  const memory = reserveMemory(Math.ceil((ROWS + bytes) / PAGE_BYTES) + 1, variant.shared);
  const random = seededRandom(SEED);
  const pattern = Uint8Array.from({ length: PAGE_BYTES }, () => random.integer(64));
  const all = new Uint8Array(memory.buffer);
  for (let at = QUERY; at + PAGE_BYTES <= all.length; at += PAGE_BYTES) all.set(pattern, at);
  all.fill(15, TABLE + 16, TABLE + 32);
  return instantiate(variant, memory);
}

/** Nanoseconds a distance, a figure a build. */
function measure(engines: readonly EngineExports[], kernel: Kernel, rows: number, bytes: number) {
  const rounds = engines.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, engine] of engines.entries()) {
      const start = process.hrtime.bigint();
      kernel.run(engine, DISTANCES, rows, bytes);
      const nanoseconds = Number(process.hrtime.bigint() - start);
      // The first round warms up.
      if (round > 0) rounds[index]!.push(nanoseconds / DISTANCES);
    }
  }
  return rounds.map((times) => times.sort((a, b) => a - b)[times.length >> 1]!);
}

function print(label: string, figures: readonly (string | number)[]): void {
  const cells = figures.map((figure) =>
    (typeof figure === "number" ? figure.toFixed(1) : figure).padStart(15),
  );
  console.log(label.padEnd(36) + cells.join(""));
}

function main(): void {
  readArguments(import.meta.url, {});
  const bytes = STREAMED_ROWS * Math.max(...DIMENSIONS) * 4;
  const engines = BUILDS.map((name) => openBuild(name, bytes));
  const machine = `${cpus()[0]?.model}, Node ${process.versions.node}, one thread`;
  console.log(`ns a distance, median of ${ROUNDS} rounds; ${machine}`);
  print("", BUILDS);
  print(CALL.name, measure(engines, CALL, CACHED_ROWS, 0));
  for (const rows of [CACHED_ROWS, STREAMED_ROWS]) {
    const place = rows === CACHED_ROWS ? "in cache" : `${rows} rows`;
    for (const dimensions of DIMENSIONS) {
      for (const kernel of KERNELS) {
        const label = `${kernel.name}, ${dimensions} d, ${place}`;
        print(label, measure(engines, kernel, rows, dimensions * kernel.width));
      }
    }
  }
}

main();
