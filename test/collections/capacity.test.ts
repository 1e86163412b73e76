/** What is planned for a collection, against what it says it takes once its rows are there. */
import { expect } from "chai";
import { seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { planCapacity } from "../../src/collections/capacity.ts";
import type { CollectionSettings } from "../../src/collections/database.ts";
import { isSettled, tend } from "../../src/engine/linking.ts";
import { Alone } from "./alone.ts";

const SEED = seedFromEnvironment() | 0;
/** Levels are drawn; all else is counted. */
const TOLERANCE = 0.03;

interface Case {
  readonly settings: Partial<CollectionSettings>;
  readonly rows: number;
  readonly metadataBytes: number;
  readonly shardRows: number;
}

const CASES: readonly Case[] = [
  { settings: { dimensions: 128 }, rows: 3000, metadataBytes: 0, shardRows: 10_000 },
  { settings: { dimensions: 7, metric: "dot" }, rows: 5000, metadataBytes: 40, shardRows: 8000 },
  {
    settings: { dimensions: 96, metric: "dot", m: 8 },
    rows: 2500,
    metadataBytes: 0,
    shardRows: 4000,
  },
  {
    settings: { dimensions: 100, quantization: "none" },
    rows: 2000,
    metadataBytes: 9,
    shardRows: 3000,
  },
  { settings: { dimensions: 16, m: 40 }, rows: 4000, metadataBytes: 0, shardRows: 1500 },
  { settings: { dimensions: 8192 }, rows: 100, metadataBytes: 0, shardRows: 500 },
];

describe(`capacity, seed ${SEED}`, () => {
  for (const { settings, rows, metadataBytes, shardRows } of CASES) {
    const title = `${rows} rows of ${JSON.stringify(settings)}, ${metadataBytes} bytes of metadata`;
    it(`is planned as it turns out: ${title}`, async () => {
      const random = seededRandom(SEED);
      const alone = await Alone.open(shardRows, settings);
      const { collection } = alone;
      const { dimensions } = collection.settings;
      // An array of arrays is no column.
      const text = `{"a":[[${"1".repeat(metadataBytes - 10 > 0 ? metadataBytes - 10 : 0)}]]}`;
      const metadata = metadataBytes === 0 ? undefined : text.padEnd(metadataBytes, " ");
      for (let row = 0; row < rows; row += 500) {
        const count = Math.min(500, rows - row);
        const batch = Array.from({ length: count }, (_, at) => ({
          id: String(row + at).padStart(12, "0"),
          vector: Float32Array.from({ length: dimensions }, () => random.normal()),
          metadata,
        }));
        await alone.put(batch);
      }
      for (const { shard } of collection.parts) {
        for (let clock = 0; !isSettled(shard); clock += 10_000) {
          tend(shard, 500, 32, collection.sequence, clock);
        }
      }
      const planned = planCapacity(alone.catalog.thread.variant, {
        ...{ settings: collection.settings, rows, threads: 1, shardRows, idBytes: 12 },
        metadataBytes: metadata?.length ?? 0,
      });
      const { capacity, memory, memoryBytes } = collection.stats();
      expect(capacity.shards).to.equal(planned.shards);
      expect(capacity.rowsPerShard).to.equal(planned.rowsPerShard);
      expect(memory.vectors).to.equal(planned.memory.vectors);
      expect(memory.codes).to.equal(planned.memory.codes);
      expect(memory.metadata).to.equal(planned.memory.metadata);
      expect(memory.graph / planned.memory.graph).to.be.within(1 - TOLERANCE, 1 + TOLERANCE);
      const ratio = (memoryBytes - memory.columns) / planned.memoryBytes;
      expect(ratio).to.be.within(1 - TOLERANCE, 1 + TOLERANCE);
    }).timeout(30_000);
  }
});
