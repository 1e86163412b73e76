/**
 * Images with every checksum right and one thing wrong, put there by somebody who knows the format:
 * each is refused by file and offset, with a sentence that says what cannot be.
 */
import { expect } from "chai";
import * as C from "../assembly/columns.ts";
import * as L from "../assembly/layout.ts";
import { compileFilter } from "../src/collections/filter.ts";
import { loadImage } from "../src/collections/loading.ts";
import { CLASSES } from "../src/collections/records.ts";
import { OmenError } from "../src/errors.ts";
import { Gate } from "../src/imaging/gate.ts";
import { takeImage } from "../src/imaging/imager.ts";
import { Sitting } from "../src/imaging/sitting.ts";
import { readImage } from "../src/storage/image.ts";
import { writeImage } from "../src/storage/imaging.ts";
import { linkRound } from "../src/threads/linking.ts";
import { Alone } from "./collections/alone.ts";
import { crc32c } from "./crc32c.ts";
import { FaultyFiles, Random } from "./faultyFiles.ts";
import { reseal, sectionsOf } from "./resealed.ts";

const PATH = "data/c/image-1.img";
const DIMENSIONS = 16;
const ROWS = 400;
const ROW_STRIDE = 192;
const SCHEMA = { kind: "keyword", "deep.down": "number" } as const;

class Edited {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(original: Uint8Array) {
    this.bytes = original.slice();
    this.view = new DataView(this.bytes.buffer);
  }

  at(name: string, offset = 0): number {
    const section = sectionsOf(this.bytes).find((each) => each.name === `s0.${name}`)!;
    expect(section, name).to.not.equal(undefined);
    return section.offset + offset;
  }

  u32(name: string, offset: number): number {
    return this.view.getUint32(this.at(name, offset), true);
  }

  set(name: string, offset: number, value: number): void {
    this.view.setUint32(this.at(name, offset), value, true);
  }

  /** The slots in order for which a row's head says so. */
  slots(is: (head: number) => boolean): number[] {
    return Array.from({ length: ROWS }, (_, slot) => slot).filter((slot) => is(slot * ROW_STRIDE));
  }

  /** Where `text` stands in a section. */
  find(name: string, text: string): number {
    const { offset, length } = sectionsOf(this.bytes).find((each) => each.name === `s0.${name}`)!;
    const found = Buffer.from(this.bytes.subarray(offset, offset + length)).indexOf(text);
    expect(found, text).to.be.at.least(0);
    return found;
  }
}

type Change = (image: Edited) => void;

/** What somebody may do, and what they are told. */
const CHANGES: Record<string, [RegExp, Change]> = {
  "two rows with one upper unit": [
    /upper lists belong to two rows/,
    (image) => {
      const raised = image.slots((head) => levelOf(image, head) === 1);
      expect(raised).to.have.length.above(1);
      const [a, b] = raised.map((slot) => slot * ROW_STRIDE + L.ROW_UPPER);
      image.set("rows", b!, image.u32("rows", a!));
    },
  ],
  "an upper unit that is a row's and free": [
    /upper lists belong to two rows|upper lists lie outside/,
    (image) => {
      const [raised] = image.slots((head) => levelOf(image, head) === 1);
      const unit = image.u32("rows", raised! * ROW_STRIDE + L.ROW_UPPER);
      image.set("header", L.HEADER_UPPER_FREE + 4, unit + 1);
    },
  ],
  "links of a row that waits": [
    /a row outside of the graph has links/,
    (image) => {
      const slot = image.u32("tail", 0);
      image.set("rows", slot * ROW_STRIDE + L.ROW_COUNT, 1);
    },
  ],
  "a link to a row that waits": [
    /a link points at a row that is not in the graph/,
    (image) => image.set("rows", L.ROW_COUNT + 4, image.u32("tail", 0)),
  ],
  "flags that are none": [
    /its flags are none/,
    (image) => image.set("rows", L.ROW_FLAGS, image.u32("rows", L.ROW_FLAGS) | 0x8000),
  ],
  "a free slot that is on its way back too": [
    /a row's death and its bit among the dead disagree \(slot 7,/,
    (image) => {
      freeSlot(image, 7);
      const head = 7 * ROW_STRIDE;
      image.set("rows", head + L.ROW_DEATH, 1);
      image.set("rows", head + L.ROW_FLAGS, L.FLAG_CONFIRMED);
      image.bytes[image.at("doomed")]! |= 1 << 7;
    },
  ],
  "a free slot that is in the graph": [
    /a row outside of the graph has links, or its flags are none \(slot 7,/,
    (image) => freeSlot(image, 7),
  ],
  "a slot on its way back that is in the graph": [
    /a row outside of the graph has links, or its flags are none \(slot 7,/,
    (image) => {
      image.set("rows", 7 * ROW_STRIDE + L.ROW_DEATH, 1);
      image.set("rows", 7 * ROW_STRIDE + L.ROW_FLAGS, L.FLAG_LINKED | L.FLAG_CONFIRMED);
      image.bytes[image.at("doomed")]! |= 1 << 7;
      image.bytes[image.at("dead")]! |= 1 << 7;
    },
  ],
  "a living row that is on its way back": [
    /a row outside of the graph has links, or its flags are none \(slot 7,/,
    (image) => image.set("rows", 7 * ROW_STRIDE + L.ROW_FLAGS, L.FLAG_CONFIRMED),
  ],
  "a dead row that is not there": [
    /400 live rows, 0 dead ones and 0 on their way back are not as counted$/,
    (image) => image.set("header", L.HEADER_DEAD, 1),
  ],
  "texts that end in a word": [
    /texts end in a word$/,
    (image) => {
      const used = image.u32("columns", C.COLUMNS_TEXTS_USED);
      image.set("columns", C.COLUMNS_TEXTS_USED, used - 2);
    },
  ],
  "an id under another's hash": [
    /no id that is text has that hash: position \d+$/,
    (image) => {
      const id = image.find("heap", "row-100");
      image.bytes[image.at("heap", id + 6)]! ^= 1;
    },
  ],
  "metadata that is no JSON": [
    /metadata is no JSON object: slot \d+$/,
    (image) => {
      const quote = image.find("heap", '"kind":');
      image.bytes[image.at("heap", quote)] = 0x27;
    },
  ],
  "metadata that is JSON and no object": [
    /metadata is no JSON object: slot \d+$/,
    (image) => {
      const start = image.find("heap", '{"kind":"k1","n":11}');
      image.bytes.set(new TextEncoder().encode('["kind","k1","n",11]'), image.at("heap", start));
    },
  ],
  "a string outside of the texts": [
    /no string or array can be entry 0/,
    (image) => image.set("entries", C.ENTRY_PLACE, 0xfffffff8),
  ],
  "a string that is longer than any": [
    /no string or array can be entry 0/,
    (image) => image.set("entries", C.ENTRY_LENGTH, 0x7fffffff),
  ],
  "one string under two codes": [
    /it is there twice: 1/,
    (image) => {
      for (const at of [C.ENTRY_HASH, C.ENTRY_PLACE, C.ENTRY_LENGTH]) {
        image.set("entries", C.ENTRY_BYTES + at, image.u32("entries", at));
      }
    },
  ],
  "a lane of a string that is not there": [
    /no metadata can have the lane of slot|no palette can be/,
    (image) => {
      const lane = findLane(image, (high) => high === C.TAG_TEXT);
      image.set("lanes", lane, 0x00ffffff);
    },
  ],
  "a palette's lane outside of the dictionary": [
    /no palette can be that of column/,
    (image) => {
      const palette = 1 * C.PALETTE_BYTES + C.PALETTE_LANES + 8;
      image.set("palettes", palette, 0x7fffffff);
      image.set("palettes", palette + 4, C.TAG_TEXT);
    },
  ],
  "a row without a record": [/no record of slot 7$/, (image) => image.set("records", 4 * 7, 0)],
  "a record that begins outside the heap": [
    /a record outside the heap: slot 7$/,
    (image) => image.set("records", 4 * 7, 0x7fffffff),
  ],
  "a record that ends outside the heap": [
    /a record outside the heap: slot \d+$/,
    (image) => {
      const { length } = sectionsOf(image.bytes).find(({ name }) => name === "s0.heap")!;
      const last = Array.from({ length: ROWS }, (_, slot) => image.u32("records", 4 * slot));
      const record = (Math.max(...last) - 1) * 8;
      expect(length - record, "the last record").to.be.below(4096);
      image.set("heap", record + 4, 4096);
    },
  ],
  "a record without an id": [
    /no record has such a header: slot 7$/,
    (image) => {
      const record = (image.u32("records", 4 * 7) - 1) * 8;
      image.set("heap", record, image.u32("heap", record) & 0xffff0000);
    },
  ],
  "two rows with one record": [
    /two records overlap: slot 8$/,
    (image) => image.set("records", 4 * 8, image.u32("records", 4 * 7)),
  ],
  "a free record that is a row's": [
    /no record can be free there: place \d+$/,
    (image) => image.set("store", 4 * CLASSES, image.u32("records", 4 * 7)),
  ],
  "two ids with one row": [
    /no row of its own: position 8$/,
    (image) => image.set("table", 8 * 8, image.u32("table", 8 * 7)),
  ],
  "fewer ids than rows": [
    /399 ids of 400 live rows$/,
    (image) => image.set("table", 8 * 8, L.NO_SLOT),
  ],
  "an index that names no id": [
    /no position is that of the index: place \d+$/,
    (image) => image.set("index", entryAt(image), 5000),
  ],
  "an index that does not lead to an id": [
    /an id is not where its hash leads: position \d+$/,
    (image) => image.set("index", entryAt(image), 1),
  ],
  "an index without an end": [
    /an index without an empty place$/,
    (image) => {
      for (let at = 0; at < 4096; at += 4) {
        if (image.u32("index", at) === 0) image.set("index", at, 1);
      }
    },
  ],
  "more codes than a palette has": [
    /no palette can be that of column 1/,
    (image) => image.set("palettes", C.PALETTE_BYTES, 5000),
  ],
  "a chunk of lanes outside": [
    /has no lanes of its own/,
    (image) => image.set("chunks", 0, 0x00ffffff),
  ],
  "one chunk for two columns": [
    /has no lanes of its own/,
    (image) => {
      const each = image.u32("columns", C.COLUMNS_CHUNKS_EACH) * 4;
      image.set("chunks", each, image.u32("chunks", 0));
    },
  ],
  "a column below itself": [
    /no column can be column/,
    (image) => {
      const last = image.u32("columns", C.COLUMNS_COUNT) - 1;
      image.set("columns", C.COLUMNS_TABLE + last * C.COLUMN_BYTES + C.COLUMN_PARENT, last);
    },
  ],
  "a name outside of the texts": [
    /no column can be column/,
    (image) => {
      const last = image.u32("columns", C.COLUMNS_COUNT) - 1;
      image.set("columns", C.COLUMNS_TABLE + last * C.COLUMN_BYTES + C.COLUMN_NAME, 0xffffff00);
    },
  ],
  "a column of the schema of another kind": [
    /is not the one that the schema makes/,
    (image) => image.set("columns", C.COLUMNS_TABLE + C.COLUMN_BYTES + C.COLUMN_KIND, 4),
  ],
  "more columns than there can be": [
    /columns, of which the schema makes/,
    (image) => image.set("columns", C.COLUMNS_COUNT, 100_000),
  ],
};

/** The row's birth goes, and nothing else. */
function freeSlot(image: Edited, slot: number): void {
  image.set("rows", slot * ROW_STRIDE + L.ROW_BIRTH, 0);
  image.set("rows", slot * ROW_STRIDE + L.ROW_BIRTH + 4, 0);
}

const levelOf = (image: Edited, head: number) => image.bytes[image.at("rows", head + L.ROW_LEVEL)]!;

/** The first place of the index that leads to an id. */
function entryAt(image: Edited): number {
  for (let at = 0; ; at += 4) if (image.u32("index", at) > 1) return at;
}

/** The first lane of column 1's first chunk whose upper half is so. */
function findLane(image: Edited, is: (high: number) => boolean): number {
  const length = sectionsOf(image.bytes).find(({ name }) => name === "s0.lanes")!.length;
  for (let chunk = 0; chunk < length; chunk += C.CHUNK_BYTES) {
    for (let row = 0; row < ROWS; row++) {
      const lane = chunk + row * 8;
      if (is(image.u32("lanes", lane + 4))) return lane;
    }
  }
  throw new Error("there is no such lane");
}

async function newFiles(): Promise<FaultyFiles> {
  const files = new FaultyFiles(new Random(1));
  await files.makeFolder("data/c");
  return files;
}

const filters = [
  { kind: "k1" },
  { "deep.down": { $gte: 20 } },
  { tags: "t2" },
  { n: { $in: [3, 5, 7] } },
  { text: { $contains: "xx" } },
];

describe("an image with every checksum right", () => {
  let alone: Alone;
  let original: Uint8Array;

  before(async () => {
    const random = new Random(1);
    alone = await Alone.open(1000, { dimensions: DIMENSIONS, schema: SCHEMA });
    const rowOf = (row: number) => ({
      id: `row-${row}`,
      vector: Float32Array.from({ length: DIMENSIONS }, () => random.next()),
      metadata: JSON.stringify({
        ...{ kind: `k${row % 5}`, n: row },
        ...(row % 2 === 0 ? { deep: { down: row }, tags: [`t${row % 4}`, row] } : {}),
        ...(row % 3 === 0 ? { text: "x".repeat(row) } : {}),
      }),
    });
    await alone.put(Array.from({ length: ROWS - 20 }, (_, row) => rowOf(row)));
    while (linkRound(alone.catalog, 64) === "busy");
    await alone.put(Array.from({ length: 20 }, (_, row) => rowOf(ROWS - 20 + row)));
    const files = await newFiles();
    await takeImage(
      files,
      PATH,
      new Sitting(alone.collection, new Gate(), () => undefined),
      crc32c,
    );
    original = files.bytesOf(PATH).slice();
  });

  const load = async (files: FaultyFiles, shardRows = 1000) => {
    const other = new Alone(shardRows);
    const { variant, pause } = other.catalog.thread;
    const image = await readImage(files, PATH, crc32c);
    const { parts } = await loadImage(image, { variant, workers: 1, shardRows, pause });
    return other.catalog.attach(parts);
  };

  const idsOf = async (collection: Alone["collection"], filter: object) => {
    const query = { vector: new Float32Array(DIMENSIONS), k: ROWS, exact: true };
    const terms = { ...query, includeMetadata: true, includeVector: false };
    const { hits } = await collection.search({ ...terms, filter: compileFilter(filter, "") });
    return hits.map(({ id }) => id);
  };

  it("brings its columns as they lie, into a shard of any capacity", async () => {
    for (const shardRows of [ROWS, 1000, 200_000]) {
      const files = await newFiles();
      files.put(PATH, original);
      const loaded = await load(files, shardRows);
      const columns = loaded.parts[0]!.columns;
      expect(columns.logged, "no row was put again").to.equal(0);
      expect(columns.memoryBytes()).to.equal(alone.collection.parts[0]!.columns.memoryBytes());
      for (const filter of filters) {
        const found = await idsOf(loaded, filter);
        expect(found).to.have.length.above(0);
        expect(found).to.deep.equal(await idsOf(alone.collection, filter));
      }
    }
  });

  for (const [what, [message, change]] of Object.entries(CHANGES)) {
    it(`and ${what} is refused`, async () => {
      const image = new Edited(original);
      change(image);
      reseal(image.bytes);
      const files = await newFiles();
      files.put(PATH, image.bytes);
      const error = await load(files).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(OmenError);
      expect(error).to.have.property("code", "CORRUPT_FILE");
      expect((error as Error).message).to.match(/^data\/c\/image-1\.img, offset \d+: /);
      expect((error as Error).message).to.match(message);
    });
  }

  it("has its records tried in stretches where there is more metadata than its rows announce", async () => {
    const large = await Alone.open(1000, { dimensions: DIMENSIONS });
    const text = "x".repeat(5000);
    await large.put(
      Array.from({ length: ROWS }, (_, row) => ({
        id: `row-${row}`,
        vector: new Float32Array(DIMENSIONS).fill(row),
        metadata: JSON.stringify({ row, text }),
      })),
    );
    const files = await newFiles();
    const sitting = new Sitting(large.collection, new Gate(), () => undefined);
    await takeImage(files, PATH, sitting, crc32c);
    const image = new Edited(files.bytesOf(PATH));
    const loaded = await load(files);
    expect(loaded.memory()).to.deep.equal(large.collection.memory());
    for (const slot of [1, ROWS / 2, ROWS - 1]) {
      const changed = new Edited(image.bytes);
      changed.set("records", 4 * slot, changed.u32("records", 4 * (slot - 1)));
      reseal(changed.bytes);
      files.put(PATH, changed.bytes);
      const error = await load(files).catch((thrown: unknown) => thrown);
      expect((error as Error).message).to.match(new RegExp(`two records overlap: slot ${slot}$`));
    }
  });

  for (const [what, settings] of Object.entries({
    "a schema that is a number": { schema: 5 },
    "a schema that is null": { schema: null },
    "a schema that is a list": { schema: ["kind"] },
    "a schema of a kind that is none": { schema: { kind: "colour" } },
    "a schema of another collection": { schema: { kind: "number" } },
    "a quota that is null": { quota: null },
    "a quota of something else": { quota: { rows: 5 } },
    "dimensions of text": { dimensions: "16" },
  })) {
    it(`and ${what} in its settings is refused`, async () => {
      const source = await newFiles();
      source.put(PATH, original);
      const image = await readImage(source, PATH, crc32c);
      const sections = await Promise.all(
        image.sections.map(async ({ name, length }) => {
          const bytes = new Uint8Array(length);
          await image.load(name, bytes);
          return { name, ranges: [bytes] };
        }),
      );
      const stated = { ...(image.settings.settings as object), ...settings };
      const title = { ...image.settings, settings: stated };
      const files = await newFiles();
      await writeImage(
        files,
        PATH,
        { sequence: image.sequence, settings: title, sections },
        crc32c,
      );
      const error = await load(files).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(OmenError);
      expect(error).to.have.property("code", "CORRUPT_FILE");
      expect((error as Error).message).to.match(/^data\/c\/image-1\.img, offset \d+: /);
    });
  }
});
