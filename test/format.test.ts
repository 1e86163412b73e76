/**
 * Kept files. Those of version 1, a log, a plain image and the image of a collection, open in
 * today's code and hold what they held; those of version 0, which was never frozen, and of a
 * version that does not exist yet are refused by number. With KEEP_FIXTURES=1 today's version is
 * written anew, which a change of the format needs once, under its new number, beside the old ones.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { seededRandom } from "../perf/random.ts";
import type { Curves } from "../src/collections/calibration.ts";
import type { Collection } from "../src/collections/collection.ts";
import { compileFilter } from "../src/collections/filter.ts";
import { type Loaded, loadImage } from "../src/collections/loading.ts";
import { OmenError } from "../src/errors.ts";
import { Gate } from "../src/imaging/gate.ts";
import { takeImage } from "../src/imaging/imager.ts";
import { Sitting } from "../src/imaging/sitting.ts";
import { NodeFiles } from "../src/storage/files.ts";
import {
  encodePut,
  encodeRemove,
  encodeSettings,
  forEachRecord,
  seal,
} from "../src/storage/frame.ts";
import { IMAGE_VERSION, imageCrc } from "../src/storage/head.ts";
import { readImage } from "../src/storage/image.ts";
import { writeImage } from "../src/storage/imaging.ts";
import { onceOf } from "../src/storage/once.ts";
import { SEGMENT_VERSION, segmentName } from "../src/storage/segment.ts";
import { Wal } from "../src/storage/wal.ts";
import { linkRound } from "../src/threads/linking.ts";
import { Alone, NAME, textOf } from "./collections/alone.ts";
import { crc32c } from "./crc32c.ts";

const FIXTURES = fileURLToPath(new URL("./fixtures", import.meta.url));
const NEXT = IMAGE_VERSION + 1;
const SEGMENT = segmentName(1);
const ONCE = { key: "00112233445566778899aabbccddeeff", request: "f".repeat(32), atMs: 2 ** 40 };
const SECTION = Uint8Array.from({ length: 5000 }, (_, index) => index % 251);
const DIMENSIONS = 16;
const ROWS = 90;
/** Of the rows, these are written last and wait for the graph. */
const WAITING = 10;
const CURVES: Curves = {
  ...{ samples: 200, rows: ROWS, changes: ROWS, measuredAtMs: 1.6e12, tookMs: 900 },
  points: [14, 14, 14].map((count) =>
    Array.from({ length: count }, (_, at) =>
      at < 12 ? { recall: 0.88 + at / 100, error: 0.001, distances: 100 * at } : undefined,
    ),
  ),
};
const CODED = 1100;
const OUTLIER = { id: "outlier", vector: new Float32Array(DIMENSIONS).fill(1000.5) };
const files = new NodeFiles();

/** A log is opened for writing, so the kept one is copied. */
function copyOf(version: number): string {
  const folder = mkdtempSync(join(tmpdir(), "omendb-format-"));
  writeFileSync(join(folder, SEGMENT), readFileSync(join(FIXTURES, `format${version}`, SEGMENT)));
  return folder;
}

const kept = (version: number, name: string) => join(FIXTURES, `format${version}`, name);

async function keepFixtures(): Promise<void> {
  const folder = join(FIXTURES, `format${IMAGE_VERSION}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const wal = await Wal.open({ files, folder, crc32c, after: 0, visit: () => undefined });
  const metadata = [new TextEncoder().encode('{"n":1}'), undefined];
  const vectors = Float32Array.of(1, 2, 3, 4.5, -5, 6);
  const frames = [
    encodeSettings({ dimensions: 3, metric: "l2" }),
    encodePut({ ids: ["a", "日本"], metadata, vectors, dimensions: 3 }),
    encodeRemove(["a"]),
    encodeRemove(["日本"], ONCE),
  ];
  for (const [index, frame] of frames.entries()) seal(frame, index + 1, crc32c);
  await wal.commit(frames.slice(0, 2));
  await wal.commit(frames.slice(2));
  await wal.close();
  const sections = [{ name: "rows", ranges: [SECTION] }];
  const content = { sequence: 3, settings: { dimensions: 3 }, sections };
  await writeImage(files, join(folder, "image"), content, crc32c);
  await keepCollection(join(folder, "collection.img"));
  await keepCodes(join(folder, "codes.img"));
  const next = join(FIXTURES, `format${NEXT}`);
  mkdirSync(next, { recursive: true });
  for (const name of [SEGMENT, "image"]) {
    const bytes = readFileSync(join(folder, name));
    bytes.writeUInt32LE(NEXT, 8);
    const headBytes = name === SEGMENT ? 64 : bytes.readUInt32LE(32);
    bytes.writeUInt32LE(imageCrc(bytes.subarray(0, headBytes), crc32c), 12);
    writeFileSync(join(next, name), bytes);
  }
}

/** Row for row what the kept collection holds. */
function keptRows() {
  const random = seededRandom(11);
  return Array.from({ length: ROWS }, (_, row) => ({
    id: `row-${row}`,
    vector: Float32Array.from({ length: DIMENSIONS }, () => Math.fround(random.next())),
    metadata: row % 3 === 0 ? undefined : JSON.stringify({ kind: `k${row % 4}`, row }),
  }));
}

/** In the graph, in the tail, replaced and gone; keys and curves beside. */
async function keepCollection(path: string): Promise<void> {
  const alone = await Alone.open(1000, { dimensions: DIMENSIONS, schema: { kind: "keyword" } });
  const rows = keptRows();
  const others = rows.map((row) => ({ ...row, metadata: '{"kind":"other"}' }));
  await alone.put(others.slice(0, 20));
  await alone.put(rows.slice(0, ROWS - WAITING));
  while (linkRound(alone.catalog, 64) === "busy");
  await alone.put(rows.slice(ROWS - WAITING));
  await alone.remove(["row-1", "row-88"]);
  const { collection } = alone;
  collection.ledger.add(ONCE, 2, 20);
  collection.calibration.publish(CURVES);
  await keepImage(collection, path);
}

/** Codes alone of rows enough to learn a range from, and one that no code holds. */
function codedRows() {
  const random = seededRandom(12);
  return Array.from({ length: CODED }, (_, row) => ({
    id: `row-${row}`,
    vector: Float32Array.from({ length: DIMENSIONS }, () => Math.fround(random.next())),
  }));
}

async function keepCodes(path: string): Promise<void> {
  const alone = await Alone.open(2000, { dimensions: DIMENSIONS, m: 4, vectors: "none" });
  await alone.put(codedRows());
  while (linkRound(alone.catalog, 64) === "busy");
  await alone.put([OUTLIER]);
  await keepImage(alone.collection, path);
}

async function keepImage(collection: Collection, path: string): Promise<void> {
  await takeImage(files, path, new Sitting(collection, new Gate(), () => undefined), crc32c);
  // Without the room that an imager leaves for what may come, it is a third as long.
  const image = await readImage(files, path, crc32c);
  const sections = await Promise.all(
    image.sections.map(async ({ name, length }) => {
      const bytes = new Uint8Array(length);
      await image.load(name, bytes);
      return { name, ranges: [bytes] };
    }),
  );
  await image.close();
  const { sequence, settings } = image;
  await writeImage(files, path, { sequence, settings, sections }, crc32c);
}

async function openKept(name: string) {
  const image = await readImage(files, kept(1, name), crc32c);
  const alone = new Alone(5000);
  const { variant, pause } = alone.catalog.thread;
  let loaded: Loaded;
  try {
    loaded = await loadImage(image, { variant, workers: 1, shardRows: 5000, pause });
  } finally {
    await image.close();
  }
  return { alone, loaded, collection: alone.catalog.attach({ ...loaded.parts, name: NAME }) };
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "nothing was refused";
  } catch (error) {
    return error instanceof OmenError ? `${error.code} ${error.message}` : String(error);
  }
}

describe("kept files", () => {
  before(async () => {
    if (process.env.KEEP_FIXTURES === "1") await keepFixtures();
  });

  it("of format 1: the log opens and holds what it held", async () => {
    const folder = copyOf(1);
    const ids: string[] = [];
    const onces: unknown[] = [];
    const visit = (frame: Uint8Array, { kind, sequence }: { kind: number; sequence: number }) => {
      if (kind === 3) return;
      onces.push(onceOf(frame));
      forEachRecord(frame, (_row, _record, id, idBytes) => {
        ids.push(`${sequence} ${new TextDecoder().decode(frame.subarray(id, id + idBytes))}`);
      });
    };
    const wal = await Wal.open({ files, folder, crc32c, after: 0, visit });
    expect(wal.report).to.deep.include({ frames: 4, lastSequence: 4, cut: [], ignored: [] });
    expect(ids).to.deep.equal(["2 a", "2 日本", "3 a", "4 日本"]);
    expect(onces).to.deep.equal([undefined, undefined, ONCE]);
    await wal.close();
    rmSync(folder, { recursive: true });
  });

  it("of format 1: the image opens and its section verifies", async () => {
    const image = await readImage(files, kept(1, "image"), crc32c);
    const target = new Uint8Array(SECTION.length);
    await image.load("rows", target);
    await image.close();
    expect(image).to.deep.include({ sequence: 3, settings: { dimensions: 3 } });
    expect(target).to.deep.equal(SECTION);
  });

  it("of format 1: the image of a collection is used as it lies, for reading and writing", async () => {
    const { alone, loaded, collection } = await openKept("collection.img");
    collection.ledger.restore(loaded.ledger, "the kept ledger");
    const [{ shard, columns }] = collection.parts as [(typeof collection.parts)[0]];
    expect([collection.sequence, collection.live]).to.deep.equal([4, ROWS - 2]);
    expect([shard.tail, columns.logged]).to.deep.equal([WAITING, 0]);
    expect(shard.check()).to.equal(undefined);
    expect(collection.ledger.find(ONCE.key, ONCE.atMs)).to.deep.include({
      sequence: 2,
      changed: 20,
    });
    expect(collection.calibration.curves).to.deep.equal(CURVES);
    for (const row of keptRows()) {
      const found = collection.get(row.id);
      if (["row-1", "row-88"].includes(row.id)) {
        expect(found).to.equal(undefined);
        continue;
      }
      expect([...found!.vector]).to.deep.equal([...row.vector]);
      expect(textOf(found!.metadata)).to.equal(row.metadata);
      const { hits } = await alone.search(row.vector, { k: 1, exact: false });
      expect(hits[0]).to.include({ id: row.id, distance: 0 });
    }
    const filter = compileFilter({ kind: "k2" }, "");
    const wanted = keptRows().filter(({ metadata }) => metadata?.includes('"k2"'));
    expect(await collection.count(filter)).to.equal(wanted.length);
    await alone.put([{ ...keptRows()[1]!, metadata: '{"kind":"k2"}' }]);
    while (linkRound(alone.catalog, 64) === "busy");
    expect(await collection.count(filter)).to.equal(wanted.length + 1);
    expect(shard.check()).to.equal(undefined);
  });

  it("of format 1: an image of codes alone is used as it lies too", async () => {
    const { alone, collection } = await openKept("codes.img");
    const { shard } = collection.parts[0]!;
    expect([collection.settings.vectors, collection.live]).to.deep.equal(["none", CODED + 1]);
    expect([shard.isShedding, shard.tail, shard.check()]).to.deep.equal([true, 1, undefined]);
    expect(collection.memory().vectors).to.be.below(CODED * 10);
    expect([...collection.get(OUTLIER.id)!.vector]).to.deep.equal([...OUTLIER.vector]);
    for (const { id, vector } of codedRows().filter((_, row) => row % 20 === 0)) {
      collection.get(id)!.vector.forEach((x, i) => {
        expect(x).to.be.closeTo(vector[i]!, 0.01);
      });
      const { hits } = await alone.search(vector, { k: 1, exact: false });
      expect(hits[0]!.id).to.equal(id);
    }
    await alone.put(codedRows().map(({ id, vector }) => ({ id: `more-${id}`, vector })));
    while (linkRound(alone.catalog, 64) === "busy");
    expect([collection.live, shard.check()]).to.deep.equal([2 * CODED + 1, undefined]);
  });

  for (const version of [0, NEXT]) {
    it(`of format ${version} are refused by number`, async () => {
      const folder = copyOf(version);
      const opens = `version ${version}, this build opens ${SEGMENT_VERSION}$`;
      const log = Wal.open({ files, folder, crc32c, after: 0, visit: () => undefined });
      expect(await refusal(log)).to.match(new RegExp(`^UNSUPPORTED_FORMAT .*wal-.* ${opens}`));
      const image = readImage(files, kept(version, "image"), crc32c);
      expect(await refusal(image)).to.match(new RegExp(`^UNSUPPORTED_FORMAT .*image .*${opens}`));
      rmSync(folder, { recursive: true });
    });
  }
});
