/**
 * The vectors that tests and benchmarks run on. Real SIFT descriptors are read from the data folder
 * beside the checkout when it is there; where it is not, seeded vectors of the same shape stand in.
 * What is generated lies in clusters on a surface of few dimensions, as embeddings do: uniform noise
 * would have no neighbours worth finding.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { distance, exactNeighbours, type Metric, type Rows, rowAt } from "./exact.ts";
import { type Random, seededRandom } from "./random.ts";

export interface Dataset {
  /** Says what the vectors are and, if they were generated, from which seed. */
  readonly name: string;
  readonly metric: Metric;
  readonly base: Rows;
  readonly queries: Rows;
  /** The exact nearest rows of each query, nearest first: queries x truthWidth. */
  readonly truth: Int32Array;
  readonly truthWidth: number;
}

export type SiftName = "sift10k" | "sift100k";

export interface Recipe {
  readonly rows: number;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly queries?: number;
  readonly truthWidth?: number;
  readonly seed?: number;
}

const DATA_FOLDER = fileURLToPath(new URL("../../shared/data/", import.meta.url));
const SIFT_DIMENSIONS = 128;
const SIFT_QUERIES = 1000;
const SIFT_TRUTH_WIDTH = 100;
const SEED = 20_260_101;
const LATENT_DIMENSIONS = 12;
const NOISE = 0.02;

/** The real descriptors, or generated ones of the same shape, range and exactness. */
export function loadSift(name: SiftName): Dataset {
  const path = (part: string) => join(DATA_FOLDER, `${name}.${part}.npy`);
  if (!existsSync(path("base"))) return generateSift(name);
  const truth = readNpy(path("truth"));
  return {
    name,
    metric: "l2",
    base: asRows(readNpy(path("base"))),
    queries: asRows(readNpy(path("query"))),
    truth: Int32Array.from(truth.values),
    truthWidth: truth.columns,
  };
}

/** Clustered vectors of low intrinsic dimension with their exact neighbours. */
export function generate(recipe: Recipe): Dataset {
  const { rows, dimensions, metric, queries = 200, truthWidth = 100, seed = SEED } = recipe;
  const values = clusteredValues(seededRandom(seed), rows + queries, dimensions);
  const name = `generated ${rows} x ${dimensions}, ${metric}, seed ${seed}`;
  return withTruth(name, metric, splitRows(values, rows, queries, dimensions), truthWidth);
}

/** Such vectors without their neighbours, which take long to find among many. */
export function clustered(rows: number, queries: number, dimensions: number, seed = SEED) {
  const values = clusteredValues(seededRandom(seed), rows + queries, dimensions);
  return splitRows(values, rows, queries, dimensions);
}

/**
 * How many of the first `k` hits are no farther than the exact k-th neighbour, over all `k`: a hit
 * that ties with the last true neighbour is as right as that neighbour.
 */
export function recallOf(dataset: Dataset, query: number, hits: ArrayLike<number>, k: number) {
  const { base, queries, truth, truthWidth, metric } = dataset;
  const vector = rowAt(queries, query);
  const distanceTo = (row: number) => distance(metric, vector, rowAt(base, row));
  const bound = distanceTo(truth[query * truthWidth + k - 1]!);
  const tolerance = Math.abs(bound) * 1e-6;
  const right = new Set<number>();
  for (let place = 0; place < Math.min(k, hits.length); place++) {
    if (distanceTo(hits[place]!) <= bound + tolerance) right.add(hits[place]!);
  }
  return right.size / k;
}

function generateSift(name: SiftName): Dataset {
  const rows = name === "sift10k" ? 10_000 : 100_000;
  const values = clusteredValues(seededRandom(SEED), rows + SIFT_QUERIES, SIFT_DIMENSIONS);
  for (let index = 0; index < values.length; index++) {
    values[index] = Math.max(0, Math.min(255, Math.round(40 * values[index]! + 40)));
  }
  const parts = splitRows(values, rows, SIFT_QUERIES, SIFT_DIMENSIONS);
  const title = `generated in place of ${name}, ${rows} x ${SIFT_DIMENSIONS}, seed ${SEED}`;
  return withTruth(title, "l2", parts, SIFT_TRUTH_WIDTH);
}

function splitRows(values: Float32Array, rows: number, queries: number, dimensions: number) {
  const end = rows * dimensions;
  return {
    base: { values: values.subarray(0, end), count: rows, dimensions },
    queries: { values: values.subarray(end), count: queries, dimensions },
  };
}

function withTruth(
  name: string,
  metric: Metric,
  { base, queries }: { base: Rows; queries: Rows },
  width: number,
): Dataset {
  const truthWidth = Math.min(width, base.count);
  const truth = exactNeighbours(base, queries, truthWidth, metric);
  return { name, metric, base, queries, truth, truthWidth };
}

/** Each row is a point near the centre of one of many clusters, spread by a fixed random map. */
function clusteredValues(random: Random, rows: number, dimensions: number): Float32Array {
  const latent = Math.min(LATENT_DIMENSIONS, dimensions);
  const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const clusters = Math.max(1, Math.round(Math.sqrt(rows)));
  const centres = normals(clusters * latent);
  const map = normals(latent * dimensions).map((value) => value / Math.sqrt(latent));
  const values = new Float32Array(rows * dimensions);
  const point = new Float32Array(latent);
  for (let row = 0; row < rows; row++) {
    const centre = random.integer(clusters) * latent;
    for (let axis = 0; axis < latent; axis++) {
      point[axis] = centres[centre + axis]! + 0.5 * random.normal();
    }
    const target = values.subarray(row * dimensions, (row + 1) * dimensions);
    for (let axis = 0; axis < latent; axis++) {
      for (let index = 0; index < dimensions; index++) {
        target[index]! += point[axis]! * map[axis * dimensions + index]!;
      }
    }
    for (let index = 0; index < dimensions; index++) {
      target[index]! += NOISE * (2 * random.next() - 1);
    }
  }
  return values;
}

interface NpyArray {
  readonly values: Uint8Array | Int32Array | Float32Array;
  readonly rows: number;
  readonly columns: number;
}

function asRows({ values, rows, columns }: NpyArray): Rows {
  return { values: Float32Array.from(values), count: rows, dimensions: columns };
}

/**
 * Reads a .npy file of two dimensions, rows first, little-endian.
 *
 * offset | size | name   | meaning
 *      0 |    6 | magic  | 93 "NUMPY"
 *      6 |    2 | format | 1.0
 *      8 |    2 | length | of the header, so that the data begins at 10 + length
 *     10 |    n | header | a Python dictionary: descr, fortran_order, shape
 */
export function readNpy(path: string): NpyArray {
  const bytes = readFileSync(path);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 10, start);
  const shape = /'shape': \((\d+), (\d+)\)/.exec(header);
  const kind = /'descr': '[|<]([a-z]\d)'/.exec(header)?.[1];
  if (bytes.readUInt8(0) !== 0x93 || shape === null || !header.includes("'fortran_order': False")) {
    throw new Error(`${path} is not a .npy file of two dimensions, rows first`);
  }
  const [rows, columns] = [Number(shape[1]), Number(shape[2])];
  const data = Uint8Array.from(bytes.subarray(start)).buffer;
  const count = rows * columns;
  if (kind === "u1") return { values: new Uint8Array(data, 0, count), rows, columns };
  if (kind === "i4") return { values: new Int32Array(data, 0, count), rows, columns };
  if (kind === "f4") return { values: new Float32Array(data, 0, count), rows, columns };
  throw new Error(`${path} holds ${kind}, not uint8, int32 or float32`);
}
