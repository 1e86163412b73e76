/** The log's promises, one at a time. What a faulty disk does to all of them together is in faults.test.ts. */
import { expect } from "chai";
import { OmenError } from "../src/errors.ts";
import {
  encodePut,
  encodeSettings,
  forEachRecord,
  readHeader,
  seal,
} from "../src/storage/frame.ts";
import { inspectWal } from "../src/storage/inspect.ts";
import {
  encodeMark,
  encodeSegmentHeader,
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentName,
} from "../src/storage/segment.ts";
import { Wal, type WalOptions } from "../src/storage/wal.ts";
import { crc32c } from "./crc32c.ts";
import { FaultyFiles, Random, takeSeed } from "./faultyFiles.ts";

const seed = takeSeed();
const FUZZ_ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 3000);
const FOLDER = "data/c";
const FIRST = `${FOLDER}/${segmentName(1)}`;

async function newFiles(): Promise<FaultyFiles> {
  const files = new FaultyFiles(new Random(seed));
  await files.makeFolder(FOLDER);
  return files;
}

function frameOf(sequence: number, rows = 1): Uint8Array<ArrayBuffer> {
  const ids = Array.from({ length: rows }, (_, row) => `row-${sequence}-${row}`);
  const vectors = Float32Array.from({ length: rows * 3 }, (_, index) => sequence + index);
  const metadata = [new TextEncoder().encode(`{"sequence":${sequence}}`)];
  const frame = encodePut({ ids, metadata, vectors, dimensions: 3 });
  seal(frame, sequence, crc32c);
  return frame;
}

async function openLog(files: FaultyFiles, options: Partial<WalOptions> = {}) {
  const found: Uint8Array[] = [];
  const wal = await Wal.open({
    files,
    folder: FOLDER,
    crc32c,
    after: 0,
    visit: (frame) => void found.push(frame.slice()),
    ...options,
  });
  return { wal, found, sequences: found.map((frame) => readHeader(frame).sequence) };
}

/** `groups` groups of `frames` frames; answers the frames. */
async function fill(wal: Wal, groups: number, frames = 1): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (let group = 0; group < groups; group++) {
    const list = Array.from({ length: frames }, (_, index) => frameOf(wal.nextSequence + index));
    await wal.commit(list);
    all.push(...list);
  }
  return all;
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

const upTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("the log", () => {
  it("hands back every frame in order, bit by bit, over many segments", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files, { segmentBytesMax: 2000 });
    const written = await fill(wal, 40, 3);
    expect(wal.segments).to.be.greaterThan(3);
    await wal.close();
    const { found, wal: again } = await openLog(files);
    expect(found).to.deep.equal(written);
    expect(again.nextSequence).to.equal(121);
    expect(again.report).to.deep.include({ frames: 120, lastSequence: 120, cut: [], ignored: [] });
  });

  it("hands over only what follows the image, and does not read older segments", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files, { segmentBytesMax: 2000 });
    await fill(wal, 60);
    await wal.close();
    files.bytesOf(FIRST).fill(0xff);
    const { sequences, wal: again } = await openLog(files, { after: 50 });
    expect(sequences).to.deep.equal(upTo(60, 51));
    expect(again.report.segmentsPassed).to.be.greaterThan(0);
  });

  it("goes on after the image where the image is ahead of it", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    await fill(wal, 5);
    await wal.close();
    const { wal: ahead, sequences } = await openLog(files, { after: 100 });
    expect(sequences).to.deep.equal([]);
    expect(ahead.nextSequence).to.equal(101);
    await fill(ahead, 2);
    await ahead.close();
    expect((await openLog(files, { after: 100 })).sequences).to.deep.equal([101, 102]);
    const error = await refusal(openLog(files, { after: 3 }));
    expect(error.code).to.equal("CORRUPT_FILE");
    expect(error.message).to.contain(FIRST).and.to.contain("the last write is 5");
  });

  it("drops whole segments before a sequence, and says so when one is missing later", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files, { segmentBytesMax: 2000 });
    await fill(wal, 60);
    expect(await wal.dropBefore(31)).to.be.greaterThan(0);
    expect(wal.oldestSequence).to.be.within(2, 31);
    await wal.roll();
    await wal.dropBefore(61);
    expect(wal.segments).to.equal(1);
    await wal.close();
    expect((await openLog(files, { after: 60 })).wal.nextSequence).to.equal(61);
    const error = await refusal(openLog(files, { after: 10 }));
    expect(error.message).to.contain(segmentName(61)).and.to.contain("writes 11 to 60");
  });

  it("holds all complete frames when it is cut at any byte", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    const written = await fill(wal, 4, 2);
    const whole = files.bytesOf(FIRST).slice();
    const ends: number[] = [];
    for (const { end } of framesIn(whole)) ends.push(end);
    expect(ends.length).to.equal(written.length);
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      files.put(FIRST, whole.subarray(0, bytes));
      const { found, wal: cut } = await openLog(files);
      const complete = ends.filter((end) => end <= bytes).length;
      expect(found, `cut at ${bytes}`).to.deep.equal(written.slice(0, complete));
      const left = cut.report.cut.reduce((sum, part) => sum + part.bytes, 0);
      expect(left).to.be.lessThan(300);
      await fill(cut, 1);
      await cut.close();
      expect((await openLog(files)).sequences).to.deep.equal(upTo(complete + 1));
    }
  });

  it("cuts a hole of zeros or garbage that runs to the end", async () => {
    for (const tail of [new Uint8Array(5000), new Random(seed).bytes(5000)]) {
      const files = await newFiles();
      const { wal } = await openLog(files);
      await fill(wal, 3);
      const whole = files.bytesOf(FIRST);
      files.put(FIRST, Buffer.concat([whole, tail]));
      const { wal: again, sequences } = await openLog(files);
      expect(sequences).to.deep.equal([1, 2, 3]);
      expect(again.report.cut).to.have.length(1);
      expect(again.report.cut[0]).to.deep.include({
        file: FIRST,
        offset: whole.length,
        bytes: 5000,
      });
    }
  });

  it("cuts a group of which a later frame came to the disk and an earlier one did not", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    await fill(wal, 2);
    await fill(wal, 1, 3);
    const bytes = files.bytesOf(FIRST);
    const torn = [...framesIn(bytes)][2]!;
    bytes.fill(0, torn.start, torn.end);
    expect((await openLog(files)).sequences).to.deep.equal([1, 2]);
  });

  it("refuses damage to what was durable, by file and offset", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    await fill(wal, 6);
    await wal.close();
    const whole = files.bytesOf(FIRST).slice();
    for (const { start, end } of framesIn(whole)) {
      const bytes = whole.slice();
      bytes[start + 40]! ^= 1;
      files.put(FIRST, bytes);
      const error = await refusal(openLog(files));
      expect(error.code, `frame at ${start} to ${end}`).to.equal("CORRUPT_FILE");
      expect(error.message).to.contain(`${FIRST}, offset ${start + 4}`);
    }
  });

  it("refuses a file of another version by its number", async () => {
    const files = await newFiles();
    await (await openLog(files)).wal.close();
    const bytes = files.bytesOf(FIRST);
    new DataView(bytes.buffer).setUint32(8, 7, true);
    const error = await refusal(openLog(files));
    expect(error.code).to.equal("UNSUPPORTED_FORMAT");
    expect(error.message).to.contain("version 7").and.to.contain(FIRST);
  });

  it("refuses a kind it does not know, even at the very end", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    const frame = encodeSettings({ a: 1 });
    new DataView(frame.buffer).setUint16(16, 9, true);
    seal(frame, 1, crc32c);
    await wal.commit([frame]);
    expect((await refusal(openLog(files))).message).to.contain("unknown kind 9");
  });

  it("is not fooled by a mark inside a vector", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    const { salt } = readSegmentHeader(files.bytesOf(FIRST), segmentName(1), FIRST, crc32c);
    const forged = encodeMark(2, 64, salt ^ 1, crc32c);
    const vectors = new Float32Array(forged.buffer);
    const frame = encodePut({ ids: ["forger"], vectors, dimensions: 8 });
    seal(frame, 1, crc32c);
    await wal.commit([frame]);
    files.bytesOf(FIRST)[SEGMENT_HEADER_BYTES + 40]! ^= 1;
    const { sequences, wal: again } = await openLog(files);
    expect(sequences).to.deep.equal([]);
    expect(again.report.cut[0]!.offset).to.equal(SEGMENT_HEADER_BYTES + 32);
  });

  it("removes what a crash left aside and passes over files that are not its own", async () => {
    const files = await newFiles();
    files.put(`${FOLDER}/image.aside`, new Uint8Array(10));
    files.put(`${FOLDER}/notes.txt`, new Uint8Array(10));
    const { wal } = await openLog(files);
    expect(wal.report.strays).to.deep.equal(["image.aside"]);
    expect(await files.list(FOLDER)).to.have.members(["notes.txt", segmentName(1)]);
  });
});

describe("the log on a failing disk", () => {
  it("refuses with 507 when the disk is full, keeps the rest, and goes on when there is room", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    files.spaceBytes = 3000;
    const error = await refusal(fill(wal, 100));
    const kept = wal.nextSequence - 1;
    expect(error.code).to.equal("STORAGE_FULL");
    expect(wal.fault!.settled).to.equal(true);
    expect((await refusal(fill(wal, 1))).code).to.equal("STORAGE_FULL");
    expect(await wal.tryResume()).to.equal(false);
    files.spaceBytes = Number.POSITIVE_INFINITY;
    expect(await wal.tryResume()).to.equal(true);
    expect(wal.nextSequence).to.equal(kept + 1);
    await fill(wal, 2);
    files.crash();
    expect((await openLog(files)).sequences).to.deep.equal(upTo(kept + 2));
  });

  it("does not sync a second time after a sync failed, and ignores what the next segment refuses", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files);
    await fill(wal, 3);
    files.fault = (operation) =>
      operation === "sync" || operation === "truncate" ? "EIO" : undefined;
    const refused = frameOf(4, 5);
    expect((await refusal(wal.commit([refused]))).code).to.equal("READ_ONLY");
    expect(wal.fault!.settled).to.equal(false);
    files.fault = () => undefined;
    expect(await wal.tryResume()).to.equal(true);
    const [next] = await fill(wal, 1);
    files.kill();
    const { found, wal: again } = await openLog(files);
    expect(found.length).to.equal(4);
    expect(found[3]).to.deep.equal(next);
    expect(again.report.ignored).to.have.length(1);
    expect(again.report.ignored[0]).to.deep.include({ file: FIRST, bytes: refused.length + 32 });
  });

  it("normal: syncs within a second, and reports a sync that failed with nobody waiting", async () => {
    const files = await newFiles();
    const reported: OmenError[] = [];
    const onFault = (error: OmenError) => void reported.push(error);
    const { wal } = await openLog(files, { safety: "normal", onFault });
    await fill(wal, 3);
    expect(wal.durableSequence).to.equal(0);
    await new Promise((resolve) => setTimeout(resolve, 1050));
    expect(wal.durableSequence).to.equal(3);
    files.fault = (operation) => (operation === "sync" ? "EIO" : undefined);
    await fill(wal, 2);
    await new Promise((resolve) => setTimeout(resolve, 1050));
    expect(reported.map(({ code }) => code)).to.deep.equal(["READ_ONLY"]);
    files.fault = () => undefined;
    expect(await wal.tryResume()).to.equal(true);
    files.crash();
    expect((await openLog(files)).sequences).to.deep.equal(upTo(5));
  });
});

describe("a log that cannot be closed", () => {
  it("is taken up again when the disk syncs again", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files, { safety: "normal" });
    await fill(wal, 3);
    files.fault = (operation) => (operation === "sync" ? "EIO" : undefined);
    const refused = await wal.close().catch((error: unknown) => error);
    expect(refused).to.have.property("code", "READ_ONLY");
    files.fault = () => undefined;
    expect(await wal.tryResume()).to.equal(true);
    await fill(wal, 2);
    await wal.close();
    files.crash();
    expect((await openLog(files)).sequences).to.deep.equal(upTo(5));
  });
});

describe(`damaged logs (SEED=${seed})`, () => {
  it(`${FUZZ_ROUNDS} times: are refused by file, or yield frames that verify`, async () => {
    const files = await newFiles();
    const { wal } = await openLog(files, { segmentBytesMax: 3000 });
    const written = await fill(wal, 12, 3);
    await wal.close();
    const originals = new Map<string, Uint8Array>();
    for (const name of await files.list(FOLDER)) {
      originals.set(name, files.bytesOf(`${FOLDER}/${name}`).slice());
    }
    const outcomes = { refused: 0, opened: 0, cut: 0 };
    for (let round = 0; round < FUZZ_ROUNDS; round++) {
      const random = new Random(seed + round);
      const folder = new FaultyFiles(random);
      await folder.makeFolder(FOLDER);
      const isResealed = random.chance(0.1);
      for (const [name, bytes] of originals) folder.put(`${FOLDER}/${name}`, bytes);
      const names = [...originals.keys()];
      const name = names[random.below(names.length)]!;
      const damaged = damage(originals.get(name)!, name, random, isResealed);
      folder.put(`${FOLDER}/${name}`, damaged);
      const isShorter = damaged.length < originals.get(name)!.length;
      const expected = isResealed ? undefined : written;
      const outcome = await judge(folder, expected, isShorter, `SEED=${seed + round}`);
      outcomes[outcome]++;
      expect(folder.readBytesMax).to.be.at.most(folder.usedBytes() + 64);
    }
    expect(outcomes.refused).to.be.greaterThan(FUZZ_ROUNDS / 3);
    expect(outcomes.cut).to.be.greaterThan(0);
  });

  it("are shown by inspectWal, damage and all", async () => {
    const files = await newFiles();
    const { wal } = await openLog(files, { segmentBytesMax: 2000 });
    await fill(wal, 30, 2);
    await wal.close();
    const names = (await files.list(FOLDER)).sort();
    files.bytesOf(`${FOLDER}/${names[1]}`)[900]! ^= 1;
    files.bytesOf(`${FOLDER}/${names[2]}`)[30]! ^= 1;
    const reports = await inspectWal(files, FOLDER, crc32c);
    expect(reports.map(({ file }) => file)).to.deep.equal(names.map((name) => `${FOLDER}/${name}`));
    expect(reports[0]).to.deep.include({ version: 1, firstSequence: 1, abandoned: false });
    expect(reports[0]!.statedBytes).to.equal(reports[0]!.bytes);
    expect(reports[0]!.fault).to.equal(undefined);
    expect(reports[1]!.fault).to.include({ code: "CRC" });
    expect(reports[2]!.fault).to.include({ code: "CORRUPT_FILE" });
  });
});

/** Where the frames (not the marks) of a sound segment lie. */
function* framesIn(bytes: Uint8Array): Generator<{ start: number; end: number }> {
  for (let start = SEGMENT_HEADER_BYTES; start < bytes.length; ) {
    const { length, kind } = readHeader(bytes, start);
    if (kind !== 4) yield { start, end: start + length };
    start += length;
  }
}

async function judge(
  files: FaultyFiles,
  written: readonly Uint8Array[] | undefined,
  isShorter: boolean,
  title: string,
): Promise<"refused" | "opened" | "cut"> {
  try {
    const { found, wal } = await openLog(files);
    found.forEach((frame, index) => {
      expect(readHeader(frame).sequence, title).to.equal(index + 1);
      forEachRecord(frame, (_row, record, id, idBytes, metadata, metadataBytes) => {
        expect(id + idBytes, title).to.equal(metadata);
        expect(metadata + metadataBytes, title).to.be.at.most(frame.length);
        expect(record).to.be.lessThan(id);
      });
    });
    if (written !== undefined) expect(found, title).to.deep.equal(written.slice(0, found.length));
    const isCut = wal.report.cut.length + wal.report.ignored.length > 0;
    if (written !== undefined && found.length < written.length) {
      // A file cut exactly between two frames has nothing left to cut.
      expect(isCut || isShorter, title).to.equal(true);
    }
    return isCut ? "cut" : "opened";
  } catch (error) {
    if (!(error instanceof OmenError)) throw error;
    expect(error.code, title).to.be.oneOf(["CORRUPT_FILE", "UNSUPPORTED_FORMAT"]);
    expect(error.message, title).to.contain(`${FOLDER}/wal-`);
    if (error.code === "CORRUPT_FILE") expect(error.message, title).to.match(/offset \d+/);
    return "refused";
  }
}

function damage(
  original: Uint8Array,
  name: string,
  random: Random,
  isResealed: boolean,
): Uint8Array {
  const bytes = original.slice();
  if (isResealed) return reseal(bytes, name, random);
  const place = random.below(bytes.length);
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
      const insert = random.bytes(16 * random.below(20));
      return Buffer.concat([bytes.subarray(0, place), insert, bytes.subarray(place)]);
    }
  }
}

/** Changes a field of the header or of one frame and makes the checksum good again. */
function reseal(bytes: Uint8Array, name: string, random: Random): Uint8Array {
  const view = new DataView(bytes.buffer);
  const value = () =>
    random.chance(0.5) ? random.below(200) : Math.floor(random.next() * 2 ** 32);
  const path = `${FOLDER}/${name}`;
  if (random.chance(0.3)) {
    const header = readSegmentHeader(bytes, name, path, crc32c);
    const fields = ["firstSequence", "previousFirst", "previousBytes", "salt"] as const;
    const field = fields[random.below(fields.length)]!;
    bytes.set(encodeSegmentHeader({ ...header, [field]: value() }, crc32c));
    return bytes;
  }
  const frames = [...framesIn(bytes)];
  const { start, end } = frames[random.below(frames.length)]!;
  view.setUint32(start + 8 + 4 * random.below(10), value(), true);
  const frame = bytes.subarray(start, end);
  seal(frame, readHeader(frame).sequence, crc32c);
  return bytes;
}
