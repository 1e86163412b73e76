/** Frames keep what went into them, and no bytes from a file get past the judge that apply could not take. */
import { expect } from "chai";
import type { OmenError } from "../src/errors.ts";
import { checkFrame } from "../src/storage/check.ts";
import {
  encodePut,
  encodeRemove,
  encodeSettings,
  FRAME_ALIGNMENT,
  FRAME_HEADER_BYTES,
  forEachRecord,
  readHeader,
  seal,
  settingsText,
  vectorsOffset,
} from "../src/storage/frame.ts";
import { onceOf } from "../src/storage/once.ts";
import { crc32c } from "./crc32c.ts";
import { Random, takeSeed } from "./faultyFiles.ts";

const seed = takeSeed();
const text = (value: string) => new TextEncoder().encode(value);
const ONCE = { key: "0123456789abcdef".repeat(2), request: "fe".repeat(16), atMs: 1e12 };
const IDS = ["a", "document-17", "é", "😀-😀", "\ud800 lone", "x".repeat(512), "日本語"];

function sealed(frame: Uint8Array, sequence = 1): Uint8Array {
  seal(frame, sequence, crc32c);
  return frame;
}

/** Reads a frame back the slow and obvious way. */
function decode(frame: Uint8Array) {
  const rows: { id: string; metadata: string | undefined }[] = [];
  forEachRecord(frame, (row, recordOffset, idOffset, idBytes, metadataOffset, metadataBytes) => {
    expect(row).to.equal(rows.length);
    expect(recordOffset % 8).to.equal(0);
    const part = (start: number, length: number) =>
      new TextDecoder().decode(frame.subarray(start, start + length));
    const metadata = metadataBytes > 0 ? part(metadataOffset, metadataBytes) : undefined;
    rows.push({ id: part(idOffset, idBytes), metadata });
  });
  const header = readHeader(frame);
  const start = vectorsOffset(header);
  expect(start % FRAME_ALIGNMENT).to.equal(0);
  const vectors = new Float32Array(frame.buffer, start, header.count * header.dimensions);
  return { header, rows, vectors: [...vectors] };
}

function makePut(random: Random): Uint8Array {
  const ids = IDS.filter(() => random.chance(0.5));
  if (ids.length === 0) ids.push("only");
  const dimensions = 1 + random.below(9);
  const vectors = Float32Array.from({ length: ids.length * dimensions }, () => random.next());
  const metadata = ids.map((id) => (random.chance(0.5) ? text(JSON.stringify({ id })) : undefined));
  const once = random.chance(0.5) ? ONCE : undefined;
  return sealed(encodePut({ ids, metadata, vectors, dimensions, once }), 1 + random.below(1000));
}

describe(`frames (SEED=${seed})`, () => {
  it("keep ids, metadata and vectors bit by bit, whatever the script of the id", () => {
    const metadata = IDS.map((_, row) => (row % 2 ? text(`{"row":${row},"é":"😀"}`) : undefined));
    const vectors = Float32Array.from({ length: IDS.length * 3 }, (_, index) => index / 7);
    const frame = sealed(encodePut({ ids: IDS, metadata, vectors, dimensions: 3 }), 2 ** 53 - 1);
    const { header, rows, vectors: read } = decode(frame);
    expect(checkFrame(frame, 0, crc32c)).to.equal(undefined);
    expect(header).to.include({ kind: 1, count: IDS.length, dimensions: 3, sequence: 2 ** 53 - 1 });
    expect(header.length).to.equal(frame.length);
    expect(frame.buffer.byteLength).to.equal(frame.length);
    expect(rows.map(({ id }) => id)).to.deep.equal(IDS.map((id) => id.toWellFormed()));
    expect(rows[1]!.metadata).to.equal('{"row":1,"é":"😀"}');
    expect(rows[0]!.metadata).to.equal(undefined);
    expect(read).to.deep.equal([...vectors]);
  });

  it("take vectors out of the middle of shared memory", () => {
    const memory = new Float32Array(new SharedArrayBuffer(64));
    memory.set([9, 1, 2, 9]);
    const frame = encodePut({ ids: ["a"], vectors: memory.subarray(1, 3), dimensions: 2 });
    expect(decode(frame).vectors).to.deep.equal([1, 2]);
  });

  it("of removals hold ids, of settings the JSON", () => {
    const removal = sealed(encodeRemove(IDS));
    const settings = sealed(encodeSettings({ dimensions: 3, name: "ü" }));
    expect(checkFrame(removal, 0, crc32c)).to.equal(undefined);
    expect(decode(removal).rows.map(({ id }) => id)).to.include("日本語");
    expect(checkFrame(settings, 0, crc32c)).to.equal(undefined);
    expect(JSON.parse(settingsText(settings))).to.deep.equal({ dimensions: 3, name: "ü" });
  });

  it("end with the once of their request, where it had a key", () => {
    const put = { ids: ["a"], vectors: Float32Array.of(1), dimensions: 1 };
    expect(onceOf(sealed(encodePut(put)))).to.equal(undefined);
    for (const frame of [encodePut({ ...put, once: ONCE }), encodeRemove(["a", "b"], ONCE)]) {
      expect(checkFrame(sealed(frame), 0, crc32c)).to.equal(undefined);
      expect(onceOf(frame)).to.deep.equal(ONCE);
      const { rows } = decode(frame);
      expect(rows[0]!.id).to.equal("a");
    }
    const settings = encodeSettings({});
    new DataView(settings.buffer).setUint16(18, 1, true);
    expect(checkFrame(sealed(settings), 0, crc32c)).to.deep.include({ code: "FIELD", offset: 18 });
  });

  it("are not made of empty or long ids, no rows, or vectors that do not fit", () => {
    const code = (make: () => unknown) => {
      try {
        make();
        return undefined;
      } catch (error) {
        return (error as OmenError).code;
      }
    };
    expect(code(() => encodeRemove([""]))).to.equal("INVALID_ID");
    expect(code(() => encodeRemove(["é".repeat(257)]))).to.equal("INVALID_ID");
    expect(code(() => encodeRemove([]))).to.equal("BATCH_EMPTY");
    const vectors = new Float32Array(3);
    expect(code(() => encodePut({ ids: ["a"], vectors, dimensions: 2 }))).to.equal(
      "DIMENSION_MISMATCH",
    );
    expect(code(() => encodeSettings({ text: "x".repeat(70_000) }))).to.equal("BODY_TOO_LARGE");
  });

  it("are refused by number when the kind is unknown", () => {
    for (const kind of [0, 4, 5, 65535]) {
      const frame = encodeRemove(["a"]);
      new DataView(frame.buffer).setUint16(16, kind, true);
      expect(checkFrame(sealed(frame), 0, crc32c)).to.deep.include({ code: "KIND", offset: 16 });
    }
  });

  it("are refused when any single bit is another", () => {
    const frame = makePut(new Random(seed));
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const byte = frame[bit >> 3]!;
      frame[bit >> 3] = byte ^ (1 << (bit & 7));
      expect(checkFrame(frame, 0, crc32c), `bit ${bit}`).to.not.equal(undefined);
      frame[bit >> 3] = byte;
    }
  });

  it("are refused when cut at any byte", () => {
    const frame = makePut(new Random(seed));
    for (let length = 0; length < frame.length; length++) {
      const found = checkFrame(frame.subarray(0, length), 0, crc32c);
      expect(found!.code).to.equal("SHORT");
    }
  });

  it("that pass with bytes changed and the crc made good again hold only records that lie inside", () => {
    const random = new Random(seed);
    let passed = 0;
    for (let round = 0; round < 20_000; round++) {
      const frame = makePut(random);
      const view = new DataView(frame.buffer);
      for (let change = 0; change <= random.below(3); change++) damage(view, random);
      view.setUint32(0, frame.length, true);
      seal(frame, readHeader(frame).sequence, crc32c);
      if (checkFrame(frame, 0, crc32c) !== undefined) continue;
      passed++;
      const { header, rows, vectors } = decode(frame);
      expect(rows.length).to.equal(header.count);
      expect(vectors.length).to.equal(header.count * header.dimensions);
    }
    expect(passed).to.be.greaterThan(0);
  });
});

/** Most changes go where numbers steer a reader: the header and the first record. */
function damage(view: DataView, random: Random): void {
  const limit = random.chance(0.7) ? FRAME_HEADER_BYTES + 8 : view.byteLength;
  const offset = 4 * random.below(limit / 4);
  const kinds = [
    () => view.setUint8(offset + random.below(4), random.below(256)),
    () => view.setUint16(offset, random.below(700), true),
    () => view.setUint32(offset, random.below(100), true),
    () => view.setUint32(offset, 0xffffffff - random.below(20), true),
  ];
  kinds[random.below(kinds.length)]!();
}
