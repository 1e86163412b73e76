/**
 * Files of format version 0 that were kept, and files of a version that does not exist yet. Today's code opens the
 * first and refuses the second by number. With KEEP_FIXTURES=1 they are written anew, which a change of the format
 * needs once: under the new version's number, beside the old ones.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { OmenError } from "../src/errors.ts";
import { NodeFiles } from "../src/storage/files.ts";
import {
  encodePut,
  encodeRemove,
  encodeSettings,
  forEachRecord,
  seal,
} from "../src/storage/frame.ts";
import { imageCrc } from "../src/storage/head.ts";
import { readImage } from "../src/storage/image.ts";
import { writeImage } from "../src/storage/imaging.ts";
import { onceOf } from "../src/storage/once.ts";
import { segmentName } from "../src/storage/segment.ts";
import { Wal } from "../src/storage/wal.ts";
import { crc32c } from "./crc32c.ts";

const FIXTURES = fileURLToPath(new URL("./fixtures", import.meta.url));
const SEGMENT = segmentName(1);
const ONCE = { key: "00112233445566778899aabbccddeeff", request: "f".repeat(32), atMs: 2 ** 40 };
const SECTION = Uint8Array.from({ length: 5000 }, (_, index) => index % 251);
const files = new NodeFiles();

/** A log is opened for writing, so the kept one is copied. */
function copyOf(version: number): string {
  const folder = mkdtempSync(join(tmpdir(), "omendb-format-"));
  writeFileSync(join(folder, SEGMENT), readFileSync(join(FIXTURES, `format${version}`, SEGMENT)));
  return folder;
}

async function keepFixtures(): Promise<void> {
  const folder = join(FIXTURES, "format0");
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
  const next = join(FIXTURES, "format1");
  mkdirSync(next, { recursive: true });
  for (const name of [SEGMENT, "image"]) {
    const bytes = readFileSync(join(folder, name));
    bytes.writeUInt32LE(1, 8);
    const headBytes = name === SEGMENT ? 64 : bytes.readUInt32LE(32);
    bytes.writeUInt32LE(imageCrc(bytes.subarray(0, headBytes), crc32c), 12);
    writeFileSync(join(next, name), bytes);
  }
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

  it("of format 0: the log opens and holds what it held", async () => {
    const folder = copyOf(0);
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

  it("of format 0: the image opens and its section verifies", async () => {
    const image = await readImage(files, join(FIXTURES, "format0", "image"), crc32c);
    const target = new Uint8Array(SECTION.length);
    await image.load("rows", target);
    await image.close();
    expect(image).to.deep.include({ sequence: 3, settings: { dimensions: 3 } });
    expect(target).to.deep.equal(SECTION);
  });

  it("of format 1 are refused by number", async () => {
    const folder = copyOf(1);
    const log = Wal.open({ files, folder, crc32c, after: 0, visit: () => undefined });
    expect(await refusal(log)).to.match(/^UNSUPPORTED_FORMAT .*wal-.* version 1,/);
    const image = readImage(files, join(FIXTURES, "format1", "image"), crc32c);
    expect(await refusal(image)).to.match(/^UNSUPPORTED_FORMAT .*image .*version 1,/);
    rmSync(folder, { recursive: true });
  });
});
