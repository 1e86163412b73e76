/** Where things lie in a shard's memory, for settings and memories of all sizes. */
import { expect } from "chai";
import fc from "fast-check";
import * as L from "../../assembly/layout.ts";
import { address } from "../../src/engine/exports.ts";
import { PAGE_BYTES, reserveMemory } from "../../src/engine/memory.ts";
import { formatShard, Shard, type ShardSettings } from "../../src/engine/shard.ts";
import type { VariantName } from "../../src/engine/variant.ts";
import { OmenError } from "../../src/errors.ts";
import { METRICS, overVariants, SEED, variantOf, words } from "./trial.ts";

interface Region {
  readonly name: string;
  readonly base: number;
  readonly end: number;
}

const settings = fc.record({
  dimensions: fc.oneof(fc.constantFrom(1, 15, 16, 17, 8192), fc.integer({ min: 1, max: 2000 })),
  metric: fc.constantFrom(...METRICS),
  quantization: fc.constantFrom("none" as const, "sq8" as const),
  vectors: fc.constantFrom("memory" as const, "none" as const),
  m: fc.integer({ min: L.M_MIN, max: L.M_MAX }),
  workers: fc.integer({ min: 1, max: 9 }),
  capacityMax: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 100_000 })),
});

/** The regions as the header tells them, in the order of layout.ts. */
function regionsOf(shard: Shard): Region[] {
  const at = (offset: number) => words(shard)[offset >>> 2]!;
  const capacity = at(L.HEADER_CAPACITY);
  const workers = at(L.HEADER_WORKERS);
  const bitmapStride = at(L.HEADER_BITMAP_STRIDE);
  const upperBytes = at(L.HEADER_UPPER_CAPACITY) * at(L.HEADER_UPPER_STRIDE);
  const isShedding = at(L.HEADER_KEEP) !== L.KEEP_ALL;
  const vectors = isShedding ? at(L.HEADER_BAYS) : capacity;
  const sizes: (readonly [string, number, number])[] = [
    ["header", 0, L.HEADER_BYTES],
    ["workers", at(L.HEADER_WORKERS_BASE), workers * at(L.HEADER_WORKER_STRIDE)],
    ["upper", at(L.HEADER_UPPER_BASE), upperBytes],
    ["tail", at(L.HEADER_TAIL_BASE), at(L.HEADER_TAIL_CAPACITY) * 4],
    ["scratch", at(L.HEADER_SCRATCH_BASE), capacity * 4],
    ["bitmaps", at(L.HEADER_BITMAP_BASE), workers * bitmapStride],
    ["dead", at(L.HEADER_DEAD_BASE), bitmapStride],
    ["doomed", at(L.HEADER_DOOMED_BASE), bitmapStride],
    ["reach", at(L.HEADER_REACH_BASE), 3 * bitmapStride],
    ["codes", at(L.HEADER_CODES_BASE), capacity * at(L.HEADER_CODE_STRIDE)],
    ["fines", at(L.HEADER_FINES_BASE), (capacity * at(L.HEADER_CODE_BYTES)) / 2],
    ["rows", at(L.HEADER_ROWS_BASE), capacity * at(L.HEADER_ROW_STRIDE)],
    ...(isShedding ? ([["bays of rows", at(L.HEADER_BAYS_BASE), capacity * 4]] as const) : []),
    ["vectors", at(L.HEADER_VECTORS_BASE), vectors * at(L.HEADER_VECTOR_STRIDE)],
  ];
  return sizes.map(([name, base, bytes]) => ({ name, base, end: base + bytes }));
}

function expectApart(regions: readonly Region[], end: number): void {
  regions.forEach(({ name, base }, index) => {
    const before = regions[index - 1];
    if (before) expect(base, `${name} after ${before.name}`).to.be.at.least(before.end);
  });
  expect(regions.at(-1)!.end).to.be.at.most(end);
}

overVariants("regions", (name) => {
  const variant = variantOf(name);

  const capacityIn = (pages: number, wanted: ShardSettings) => {
    const memory = reserveMemory(pages, variant.shared);
    return { memory, capacity: formatShard(variant, memory, wanted) };
  };

  it("lie apart, in order and within the memory, whatever the settings", () => {
    fc.assert(
      fc.property(settings, fc.integer({ min: 512, max: 2048 }), (wanted, pages) => {
        let made: ReturnType<typeof capacityIn>;
        try {
          made = capacityIn(pages, wanted);
        } catch (error) {
          expect((error as OmenError).code).to.equal("MEMORY_LIMIT");
          return;
        }
        const shard = new Shard(variant, made.memory, wanted.workers - 1);
        expect(made.capacity).to.be.within(1, wanted.capacityMax);
        expectApart(regionsOf(shard), pages * PAGE_BYTES);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it("have room for everything that a worker needs, and no worker in another's way", () => {
    const workers = 3;
    const wanted = { dimensions: 100, metric: "dot", quantization: "sq8", m: 8 } as const;
    const { memory } = capacityIn(512, { ...wanted, workers, capacityMax: 5000 });
    const shard = new Shard(variant, memory, 0);
    const stride = words(shard)[L.HEADER_WORKER_STRIDE >>> 2]!;
    for (let worker = 0; worker < workers; worker++) {
      const area = address(shard.engine.workerBase(worker));
      const at = (offset: number) => words(shard)[(area + offset) >>> 2]!;
      const resultsEnd = at(L.WORKER_RESULTS) + L.POOL_MAX * L.RESULT_BYTES;
      expect(at(L.WORKER_QUERY)).to.be.at.least(area + L.WORKER_FIXED);
      expect(resultsEnd + shard.capacity).to.be.at.most(area + stride);
    }
  });

  it("hold fewer rows the more dimensions a row has", () => {
    const capacities = [1, 15, 16, 128, 768, 1536, 8192].map((dimensions) => {
      const wanted = { dimensions, metric: "l2", quantization: "sq8", m: 16, workers: 2 } as const;
      return capacityIn(1024, { ...wanted, capacityMax: 2 ** 30 }).capacity;
    });
    expect(capacities).to.deep.equal([...capacities].sort((a, b) => b - a));
    expect(new Set(capacities).size).to.be.above(5);
    expect(capacities.at(-1)).to.be.above(0);
  });

  it("reach up to 4 GiB, and addresses beyond 2 GiB work", () => {
    if (!variant.shared) return expectUnsharedToFit(name);
    const memory = reserveMemory();
    const wanted = { dimensions: 8192, metric: "l2", quantization: "sq8", m: 16 } as const;
    formatShard(variant, memory, { ...wanted, workers: 1, capacityMax: 2 ** 30 });
    const shard = new Shard(variant, memory, 0);
    expect(shard.capacity).to.be.within(90_000, 105_000);
    expectApart(regionsOf(shard), memory.buffer.byteLength);
    const last = shard.capacity - 1;
    expect(address(shard.engine.vectorAddress(0, last))).to.be.above(2 ** 31);
    shard.vector(last)[8191] = 7;
    expect(new Float32Array(memory.buffer)[memory.buffer.byteLength / 4 - 1]).to.not.equal(7);
    expect(shard.vector(last)[8191]).to.equal(7);
  });

  it("are refused by name when not one row fits", () => {
    const wanted = { dimensions: 8192, metric: "l2", quantization: "sq8", m: 16 } as const;
    const attempt = () => capacityIn(16, { ...wanted, workers: 1, capacityMax: 10 });
    expect(attempt).to.throw(OmenError, /8192 dimensions/);
  });
});

/** An unshared memory of 4 GiB would be committed on some platforms; a small one shows as much. */
function expectUnsharedToFit(name: VariantName): void {
  const variant = variantOf(name);
  const memory = reserveMemory(2048, false);
  const wanted = { dimensions: 8192, metric: "l2", quantization: "sq8", m: 16 } as const;
  formatShard(variant, memory, { ...wanted, workers: 1, capacityMax: 2 ** 30 });
  const shard = new Shard(variant, memory, 0);
  expectApart(regionsOf(shard), memory.buffer.byteLength);
}
