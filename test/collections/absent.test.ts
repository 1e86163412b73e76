/**
 * Float32 rows left where the image is: whatever is asked, the answer is that of the whole image,
 * and only what was measured has come.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { seededRandom } from "../../perf/random.ts";
import { Absent } from "../../src/collections/absent.ts";
import type { CollectionSettings, SearchQuery } from "../../src/collections/database.ts";
import { compileFilter } from "../../src/collections/filter.ts";
import { loadImage } from "../../src/collections/loading.ts";
import { Searchable } from "../../src/collections/searchable.ts";
import { Gate } from "../../src/imaging/gate.ts";
import { takeImage } from "../../src/imaging/imager.ts";
import { Sitting } from "../../src/imaging/sitting.ts";
import { NodeFiles } from "../../src/storage/files.ts";
import { CHUNK_BYTES } from "../../src/storage/head.ts";
import { Image } from "../../src/storage/image.ts";
import { linkRound } from "../../src/threads/linking.ts";
import { crc32c } from "../crc32c.ts";
import { reseal, sectionsOf } from "../resealed.ts";
import { Alone } from "./alone.ts";

const DIMENSIONS = 96;
const ROWS = 9000;
/** Three shards, none of them scanned as a whole. */
const SHARD_ROWS = 4096;
const WAITING = 100;
const CASES: readonly [name: string, settings: Partial<CollectionSettings>][] = [
  ["l2", { metric: "l2" }],
  ["cosine", { metric: "cosine" }],
  ["dot", { metric: "dot" }],
  ["float32 walks", { metric: "l2", quantization: "none" }],
];

describe("vectors left where the image is", function () {
  this.timeout(60_000);
  for (const [name, settings] of CASES) {
    describe(name, () => {
      const folder = mkdtempSync(join(tmpdir(), "omendb-absent-"));
      const path = join(folder, "image");
      const random = seededRandom(31);
      const component = () => Math.fround(random.next() - 0.5);
      const vectorOf = () => Float32Array.from({ length: DIMENSIONS }, component);
      let bytes: Buffer;
      let variant: Alone["catalog"]["thread"]["variant"];

      before(async () => {
        const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS, ...settings });
        const rows = Array.from({ length: ROWS }, (_, row) => ({
          id: `row-${row}`,
          vector: vectorOf(),
          metadata: JSON.stringify({ half: row % 2, few: row % 1500, row }),
        }));
        for (let from = 0; from < ROWS; from += 1000) {
          await alone.put(rows.slice(from, Math.min(from + 1000, ROWS - WAITING)));
        }
        while (linkRound(alone.catalog, 64) === "busy");
        await alone.put(rows.slice(ROWS - WAITING));
        const sitting = new Sitting(alone.collection, new Gate(), () => {});
        await takeImage(new NodeFiles(), path, sitting, crc32c);
        bytes = readFileSync(path);
        variant = alone.catalog.thread.variant;
      });

      after(() => rmSync(folder, { recursive: true, force: true }));

      /** The image as it is read, by how many bytes. */
      async function open(leavesVectors: boolean, image = bytes) {
        const read = { bytes: 0 };
        const source = {
          name: "image",
          size: image.length,
          async read(offset: number, target: Uint8Array) {
            const part = image.subarray(offset, offset + target.length);
            target.set(part);
            read.bytes += part.length;
            return part.length;
          },
        };
        const opened = await Image.open(source, crc32c);
        const around = { variant, workers: 1, shardRows: SHARD_ROWS, pause: async () => {} };
        const { parts } = await loadImage(opened, { ...around, leavesVectors });
        const held = new Searchable({ variant, worker: 0, pause: async () => {} }, parts);
        if (leavesVectors) held.absent = new Absent(opened, held.parts);
        return { held, read };
      }

      function queries(): Partial<SearchQuery>[] {
        const filter = (from: object) => compileFilter(from, "/filter");
        return [
          ...Array.from({ length: 12 }, (_, at) => ({ k: 1 + at * 3 })),
          { k: 10, filter: filter({ half: 1 }) },
          { k: 10, filter: filter({ few: { $lt: 20 } }) },
          { k: 10, filter: filter({ few: 7 }) },
          { k: 5, ef: 300, includeVector: true },
          { k: 10, exact: true },
        ];
      }

      const asked = (query: Partial<SearchQuery>) =>
        ({ vector: vectorOf(), includeMetadata: true, ...query }) as SearchQuery;

      it("gives the answers of the whole, explanations and all", async () => {
        const whole = await open(false);
        const left = await open(true);
        expect(left.held.parts.length).to.equal(3);
        for (const query of queries().map(asked)) {
          expect(await left.held.search(query)).to.deep.equal(await whole.held.search(query));
        }
      });

      it("brings the rows of ids, of filters, and all of them", async () => {
        const { held } = await open(true);
        const { held: whole } = await open(false);
        const ids = ["row-3", "row-5000", `row-${ROWS - 1}`, "nobody"];
        await held.absent!.bringRows(ids);
        for (const id of ids) expect(held.get(id)).to.deep.equal(whole.get(id));
        await held.absent!.bringAll();
        for (let row = 0; row < ROWS; row += 7) {
          expect(held.get(`row-${row}`)).to.deep.equal(whole.get(`row-${row}`));
        }
      });

      if (settings.quantization === "none") return;

      it("reads what it measures and little more, once, whoever asks", async () => {
        const { held, read } = await open(true);
        const query = asked({ k: 10 });
        const before = read.bytes;
        const found = await Promise.all([1, 2, 3].map(() => held.search(query)));
        const needed = read.bytes - before;
        // Three shards, each of which measures some twenty rows, each in a chunk of its own or two.
        expect(needed).to.be.within(1, 3 * 40 * CHUNK_BYTES);
        expect(found[1]).to.deep.equal(found[0]);
        expect(found[2]).to.deep.equal(found[0]);
        await held.search(query);
        expect(read.bytes - before).to.equal(needed);
        await held.absent!.bringAll();
        const vectors = sectionsOf(bytes).filter((section) => /vectors/.test(section.name));
        const total = vectors.reduce((sum, { length }) => sum + length, 0);
        expect(read.bytes - before).to.equal(total);
      });

      it("says when a chunk is damaged, or holds what is no number, and asks again", async () => {
        const { offset, length } = sectionsOf(bytes).find(({ name }) => name === "s0.vectors")!;
        const flipped = Buffer.from(bytes);
        flipped.fill(0xff, offset, offset + length);
        const damaged = await open(true, flipped);
        const query = asked({ k: 10 });
        const failing = async () =>
          damaged.held.search(query).then(
            () => "",
            (error: { code: string; message: string }) => `${error.code} ${error.message}`,
          );
        expect(await failing()).to.match(/^CORRUPT_FILE .*s0\.vectors.*crc/);
        expect(await failing()).to.match(/^CORRUPT_FILE .*s0\.vectors.*crc/);
        bytes.copy(flipped, offset, offset, offset + length);
        const { held } = await open(false);
        expect(await damaged.held.search(query)).to.deep.equal(await held.search(query));
        const hostile = Buffer.from(bytes);
        hostile.fill(0xff, offset, offset + length);
        reseal(hostile);
        const poisoned = await open(true, hostile);
        const message = await poisoned.held.search(query).catch(String);
        expect(message).to.match(/s0\.vectors: .*\(slot \d+\)/);
      });
    });
  }
});
