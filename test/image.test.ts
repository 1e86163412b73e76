/** An image keeps its sections bit by bit, and a damaged one is refused by file, section and offset. */
import { expect } from "chai";
import { OmenError } from "../src/errors.ts";
import {
  CHUNK_BYTES,
  IMAGE_HEADER_BYTES,
  imageCrc,
  PAGE_BYTES,
  SECTION_ROW_BYTES,
} from "../src/storage/head.ts";
import { type ByteSource, Image, readImage } from "../src/storage/image.ts";
import { replaceImage, writeImage } from "../src/storage/imaging.ts";
import { verifyImage } from "../src/storage/inspect.ts";
import { crc32c } from "./crc32c.ts";
import { FaultyFiles, Random, takeSeed } from "./faultyFiles.ts";

const seed = takeSeed();
const FUZZ_ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 3000);
const FOLDER = "data/c";
const PATH = `${FOLDER}/image-1`;

async function newFiles(random = new Random(seed)): Promise<FaultyFiles> {
  const files = new FaultyFiles(random);
  await files.makeFolder(FOLDER);
  return files;
}

function shared(length: number): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  for (let index = 0; index < length; index++) bytes[index] = (index * 31) >> 3;
  return bytes;
}

async function refusal(promise: Promise<unknown>): Promise<OmenError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OmenError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const SMALL = {
  sequence: 42,
  settings: { dimensions: 3, metric: "l2" },
  sections: [
    { name: "header", ranges: [shared(200)] },
    { name: "vectors", ranges: [shared(5000).subarray(8, 3000), shared(4000)] },
    { name: "empty", ranges: [] },
    { name: "rows.0", ranges: [shared(77)] },
  ],
};

const joined = (ranges: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(ranges));

describe("images", () => {
  it("keep sections, settings and sequence, and load them into shared memory", async () => {
    const files = await newFiles();
    const memory = shared(2 * CHUNK_BYTES + 12345);
    const ranges = [memory.subarray(0, 700_001), memory.subarray(700_001)];
    const content = { ...SMALL, sections: [...SMALL.sections, { name: "big", ranges }] };
    await writeImage(files, PATH, content, crc32c);
    const image = await readImage(files, PATH, crc32c);
    expect(image.sequence).to.equal(42);
    expect(image.settings).to.deep.equal(SMALL.settings);
    expect(image.sections.map(({ name }) => name)).to.deep.equal(
      content.sections.map(({ name }) => name),
    );
    for (const { name, ranges: written } of content.sections) {
      const { length, offset } = image.section(name)!;
      const target = new Uint8Array(new SharedArrayBuffer(length + 10));
      let heard = 0;
      image.onBytes = (bytes) => {
        heard += bytes;
      };
      await image.load(name, target);
      expect(heard).to.equal(length);
      expect(Buffer.compare(target.subarray(0, length), joined(written))).to.equal(0);
      expect(offset % (length >= PAGE_BYTES ? PAGE_BYTES : 64)).to.equal(0);
    }
    expect(await verifyImage(files, PATH, crc32c)).to.deep.include({ sound: true, sequence: 42 });
  });

  it("open from anything that can be read by range", async () => {
    const files = await newFiles();
    await writeImage(files, PATH, SMALL, crc32c);
    const blob = new Blob([new Uint8Array(files.bytesOf(PATH))]);
    const source: ByteSource = {
      name: "blob",
      size: blob.size,
      async read(offset, target) {
        const bytes = await blob.slice(offset, offset + target.length).arrayBuffer();
        target.set(new Uint8Array(bytes));
        return bytes.byteLength;
      },
    };
    const image = await Image.open(source, crc32c);
    const target = new Uint8Array(77);
    await image.load("rows.0", target);
    expect(target).to.deep.equal(joined(SMALL.sections[3]!.ranges));
  });

  it("hold a chunk as it was written last, and sections shorter than planned", async () => {
    const files = await newFiles();
    const memory = shared(CHUNK_BYTES + 500);
    const room = { settingsBytes: 2, sections: 5, chunks: 60 };
    await replaceImage(files, PATH, room, crc32c, async (draft) => {
      draft.add("rows", 3 * CHUNK_BYTES);
      draft.add("unused", 9000);
      await draft.write("rows", CHUNK_BYTES, memory.subarray(CHUNK_BYTES, CHUNK_BYTES + 100));
      await draft.write("rows", 0, memory.subarray(0, CHUNK_BYTES));
      memory[3] = 99;
      memory[CHUNK_BYTES] = 98;
      await draft.write("rows", 2, memory.subarray(2, 9));
      await draft.write("rows", CHUNK_BYTES, memory.subarray(CHUNK_BYTES));
      draft.add("tail", 100);
      await draft.write("tail", 0, memory.subarray(0, 50));
      draft.setLength("tail", 10);
      draft.add("hole", 3 * CHUNK_BYTES);
      await draft.write("hole", CHUNK_BYTES + 7, memory.subarray(0, 5));
      draft.setLength("hole", 2 * CHUNK_BYTES);
      return { sequence: 7, settings: {} };
    });
    const image = await readImage(files, PATH, crc32c);
    const target = new Uint8Array(memory.length);
    await image.load("rows", target);
    expect(Buffer.compare(target, memory)).to.equal(0);
    expect(image.section("unused")!.length).to.equal(0);
    expect(image.section("tail")!.length).to.equal(10);
    const hole = new Uint8Array(2 * CHUNK_BYTES);
    await image.load("hole", hole);
    expect(hole.subarray(CHUNK_BYTES + 7, CHUNK_BYTES + 12)).to.deep.equal(memory.slice(0, 5));
    expect(hole.filter((byte) => byte !== 0).length).to.be.at.most(5);
    expect(await verifyImage(files, PATH, crc32c)).to.deep.include({ sound: true, sequence: 7 });
  });

  it("leave the old one in place when writing fails at any operation, or the power goes", async () => {
    const operations = await countOperations();
    for (let dies = 1; dies <= operations; dies++) {
      for (const isPowerLoss of [false, true]) {
        const files = await newFiles(new Random(seed + dies));
        await writeImage(files, PATH, SMALL, crc32c);
        const start = files.operations;
        if (isPowerLoss) files.dieAt = start + dies;
        else files.fault = () => (files.operations - start === dies ? "EIO" : undefined);
        const error = await refusal(writeImage(files, PATH, { ...SMALL, sequence: 43 }, crc32c));
        expect(error.code).to.equal("READ_ONLY");
        if (isPowerLoss) files.crash();
        files.fault = () => undefined;
        const { sound, sequence } = await verifyImage(files, PATH, crc32c);
        expect(sound, `died at ${dies}`).to.equal(true);
        expect(sequence).to.be.oneOf(dies < operations - 1 ? [42] : [42, 43]);
      }
    }
  });
});

async function countOperations(): Promise<number> {
  const files = await newFiles();
  await writeImage(files, PATH, SMALL, crc32c);
  return files.operations;
}

describe(`damaged images (SEED=${seed})`, () => {
  it("are refused by file, section and offset", async () => {
    const files = await newFiles();
    await writeImage(files, PATH, SMALL, crc32c);
    const { offset } = (await readImage(files, PATH, crc32c)).section("vectors")!;
    files.bytesOf(PATH)[offset + 100]! ^= 4;
    const image = await readImage(files, PATH, crc32c);
    const error = await refusal(image.load("vectors", new Uint8Array(7000)));
    expect(error.code).to.equal("CORRUPT_FILE");
    expect(error.message).to.contain(`${PATH}, offset ${offset}: section vectors`);
    const report = await verifyImage(files, PATH, crc32c);
    expect(report.sound).to.equal(false);
    expect(report.sections.map(({ sound }) => sound)).to.deep.equal([true, false, true, true]);
  });

  it("are refused when the version is another, by its number", async () => {
    const files = await newFiles();
    await writeImage(files, PATH, SMALL, crc32c);
    files.bytesOf(PATH)[8] = 3;
    const error = await refusal(readImage(files, PATH, crc32c));
    expect(error.code).to.equal("UNSUPPORTED_FORMAT");
    expect(error.message).to.contain("version 3");
  });

  it("are refused when cut at any byte", async () => {
    const files = await newFiles();
    await writeImage(files, PATH, SMALL, crc32c);
    const whole = files.bytesOf(PATH).slice();
    for (let bytes = 0; bytes < whole.length; bytes += 7) {
      files.put(PATH, whole.subarray(0, bytes));
      const error = await refusal(readImage(files, PATH, crc32c));
      expect(error.code).to.equal("CORRUPT_FILE");
      expect(error.message).to.match(/data\/c\/image-1, offset \d+/);
    }
  });

  it(`${FUZZ_ROUNDS} times: are refused by file, or hold sections that verify`, async () => {
    const files = await newFiles();
    await writeImage(files, PATH, SMALL, crc32c);
    const original = files.bytesOf(PATH).slice();
    const outcomes = { refused: 0, opened: 0 };
    for (let round = 0; round < FUZZ_ROUNDS; round++) {
      const random = new Random(seed + round);
      const isResealed = random.chance(0.1);
      const damaged = isResealed ? reseal(original, random) : damage(original, random);
      const copy = await newFiles(random);
      copy.put(PATH, damaged);
      const title = `SEED=${seed + round}`;
      const outcome = await judge(copy, isResealed, title);
      outcomes[outcome]++;
      expect(copy.readBytesMax, title).to.be.at.most(damaged.length + IMAGE_HEADER_BYTES);
    }
    expect(outcomes.refused).to.be.greaterThan(FUZZ_ROUNDS / 3);
    expect(outcomes.opened).to.be.greaterThan(0);
  });
});

async function judge(
  files: FaultyFiles,
  isResealed: boolean,
  title: string,
): Promise<"refused" | "opened"> {
  try {
    const image = await readImage(files, PATH, crc32c);
    for (const { name, length } of image.sections) {
      const target = new Uint8Array(length);
      await image.load(name, target);
      const section = SMALL.sections.find((written) => written.name === name);
      if (!isResealed) expect(target, title).to.deep.equal(joined(section!.ranges));
    }
    return "opened";
  } catch (error) {
    if (!(error instanceof OmenError)) throw error;
    expect(error.code, title).to.be.oneOf(["CORRUPT_FILE", "UNSUPPORTED_FORMAT"]);
    expect(error.message, title).to.contain(PATH);
    if (error.code === "CORRUPT_FILE") expect(error.message, title).to.match(/offset \d+/);
    return "refused";
  }
}

function damage(original: Uint8Array, random: Random): Uint8Array {
  const bytes = original.slice();
  const limit = random.chance(0.5) ? 512 : bytes.length;
  const place = random.below(limit);
  switch (random.below(4)) {
    case 0:
      bytes[place]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      return bytes.slice(0, place);
    case 2: {
      const from = random.below(bytes.length);
      bytes.copyWithin(place, from, from + random.below(400));
      return bytes;
    }
    default: {
      const insert = random.bytes(random.below(200));
      return Buffer.concat([bytes.subarray(0, place), insert, bytes.subarray(place)]);
    }
  }
}

/** Changes numbers of the head that steer a reader and makes its checksum good again. */
function reseal(original: Uint8Array, random: Random): Uint8Array {
  const bytes = original.slice();
  const view = new DataView(bytes.buffer);
  const tableStart = 64 + Math.ceil(view.getUint32(36, true) / 8) * 8;
  const row = tableStart + SECTION_ROW_BYTES * random.below(4);
  const fields = [32, 36, 40, 44, 16, 24, row, row + 40, row + 44, row + 48, row + 52];
  const field = fields[random.below(fields.length)]!;
  const value = random.chance(0.5) ? 64 * random.below(200) : Math.floor(random.next() * 2 ** 32);
  view.setUint32(field, value, true);
  const headBytes = Math.min(Math.max(64, view.getUint32(32, true)), bytes.length);
  view.setUint32(12, imageCrc(bytes.subarray(0, headBytes), crc32c), true);
  return bytes;
}
