/**
 * Damaged images, loaded: each is refused by file, or gives a collection that can be searched,
 * written and linked without a trap. Half have a byte changed as a disk would; the other half are
 * somebody's work, with every checksum made right again, which only bounds can catch.
 */
import { expect } from "chai";
import { loadImage } from "../src/collections/loading.ts";
import { OmenError } from "../src/errors.ts";
import { Gate } from "../src/imaging/gate.ts";
import { takeImage } from "../src/imaging/imager.ts";
import { Sitting } from "../src/imaging/sitting.ts";
import { readImage } from "../src/storage/image.ts";
import { linkRound } from "../src/threads/linking.ts";
import { Alone } from "./collections/alone.ts";
import { crc32c } from "./crc32c.ts";
import { FaultyFiles, Random, takeSeed } from "./faultyFiles.ts";
import { reseal, sectionsOf } from "./resealed.ts";

const seed = takeSeed();
const ROUNDS = Math.ceil(Number(process.env.FUZZ_ROUNDS ?? 600) / 5);
const FOLDER = "data/c";
const PATH = `${FOLDER}/image-1.img`;
const DIMENSIONS = 16;
const ROWS = 300;

describe(`damaged images of a collection (SEED=${seed})`, () => {
  it(`${ROUNDS} times: are refused by file, or can be worked with`, async () => {
    const original = await imageOf();
    const outcomes = { refused: 0, loaded: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const random = new Random(seed + round);
      const files = await newFiles(random);
      const isResealed = round % 2 === 1;
      files.put(PATH, damage(original, random, isResealed));
      const title = `SEED=${seed + round}`;
      outcomes[await judge(files, title)]++;
    }
    expect(outcomes.refused).to.be.greaterThan(ROUNDS / 3);
    console.log(`    refused ${outcomes.refused}, loaded ${outcomes.loaded}`);
  }).timeout(60_000 + ROUNDS * 500);
});

async function newFiles(random: Random): Promise<FaultyFiles> {
  const files = new FaultyFiles(random);
  await files.makeFolder(FOLDER);
  return files;
}

/** Rows in the graph and in the tail, some replaced, some gone, with records of many sizes. */
async function imageOf(): Promise<Uint8Array> {
  const random = new Random(1);
  const alone = await Alone.open(1000, { dimensions: DIMENSIONS });
  const rowOf = (row: number) => ({
    id: `row-${row}`,
    vector: Float32Array.from({ length: DIMENSIONS }, () => random.next()),
    metadata: row % 3 === 0 ? JSON.stringify({ row, text: "x".repeat(row) }) : undefined,
  });
  await alone.put(Array.from({ length: ROWS }, (_, row) => rowOf(row)));
  while (linkRound(alone.catalog, 64) === "busy");
  await alone.put(Array.from({ length: 40 }, (_, row) => rowOf(row * 5)));
  await alone.remove(["row-7", "row-8"]);
  const files = await newFiles(random);
  const sitting = new Sitting(alone.collection, new Gate(), () => undefined);
  await takeImage(files, PATH, sitting, crc32c);
  return files.bytesOf(PATH).slice();
}

function damage(original: Uint8Array, random: Random, isResealed: boolean): Uint8Array {
  const bytes = original.slice();
  const view = new DataView(bytes.buffer);
  const places = sectionsOf(bytes).filter(({ length }) => length > 0);
  const { offset, length } = places[random.below(places.length)]!;
  const wrongs = 1 + random.below(3);
  for (let wrong = 0; wrong < wrongs; wrong++) {
    const at = offset + random.below(length);
    const kind = random.below(3);
    if (kind === 0) bytes[at]! ^= 1 << random.below(8);
    else if (kind === 1) bytes[at] = random.below(256);
    else
      view.setUint32(
        offset + (random.below(length) & ~3) - (length < 4 ? offset : 0),
        random.below(2 ** 32),
        true,
      );
  }
  if (isResealed) reseal(bytes);
  return bytes;
}

async function judge(files: FaultyFiles, title: string): Promise<"refused" | "loaded"> {
  const alone = new Alone(1000);
  const { variant, pause } = alone.catalog.thread;
  const around = { variant, workers: 1, shardRows: 1000, pause };
  try {
    const image = await readImage(files, PATH, crc32c);
    const { parts } = await loadImage(image, around);
    alone.catalog.attach(parts);
  } catch (error) {
    if (!(error instanceof OmenError)) throw new Error(title, { cause: error });
    expect(error.code, `${title}: ${error.message}`).to.equal("CORRUPT_FILE");
    expect(error.message, title).to.match(/^data\/c\/image-1\.img, offset \d+: /);
    return "refused";
  }
  await exercise(alone, title).catch((error) => {
    throw new Error(`${title}: ${error.message}`, { cause: error });
  });
  return "loaded";
}

/** Whatever it holds: searches answer, rows are read, replaced, removed and linked. */
async function exercise(alone: Alone, title: string): Promise<void> {
  const vector = new Float32Array(DIMENSIONS).fill(0.5);
  const query = { vector, k: 20, includeMetadata: true, includeVector: true };
  for (const exact of [false, true]) {
    const { hits } = await alone.collection.search({ ...query, exact });
    for (const { distance } of hits) expect(distance, title).to.be.finite;
  }
  for (let row = 0; row < ROWS; row += 10) alone.collection.get(`row-${row}`);
  const rows = Array.from({ length: 60 }, (_, row) => ({
    id: `row-${row * 4}`,
    vector: vector.map((x) => x + row / 100),
  }));
  await alone.put(rows);
  await alone.remove(["row-10", "row-20"]);
  for (let round = 0; round < 200 && linkRound(alone.catalog, 64) === "busy"; round++);
  await alone.collection.search({ ...query, exact: false });
}
