/** The kernels against plain arithmetic, and the variants against each other. */
import { expect } from "chai";
import fc from "fast-check";
import { distance, type Metric } from "../../perf/exact.ts";
import { seededRandom } from "../../perf/random.ts";
import type { EngineExports } from "../../src/engine/exports.ts";
import { reserveMemory } from "../../src/engine/memory.ts";
import { instantiate, VARIANTS, type VariantName } from "../../src/engine/variant.ts";
import { engineDistance } from "./distances.ts";
import { METRICS, overVariants, SEED, variantOf } from "./trial.ts";

const PAGES = 256;
const A = 65536;
const B = A + 65536;
const ROWS = B + 65536;
const DIMENSIONS_MAX = 8192;
const LANE_BYTES = 16;
const TOLERANCE = 1e-6;

/** An engine over a bare memory: kernels need no shard. */
class Bench {
  readonly engine: EngineExports;
  readonly #bytes: Uint8Array;
  readonly #f32: Float32Array;

  constructor(name: VariantName) {
    const variant = variantOf(name);
    const memory = reserveMemory(PAGES, variant.shared);
    this.engine = instantiate(variant, memory);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#f32 = new Float32Array(memory.buffer);
  }

  putCodes(at: number, code: ArrayLike<number>): void {
    this.#bytes.set(code, at);
  }

  /** The engine's kernel over both vectors, zero padded to whole lanes. */
  measure(metric: Metric, a: Float32Array, b: Float32Array): number {
    const bytes = Math.ceil((a.length * 4) / LANE_BYTES) * LANE_BYTES;
    for (const [at, vector] of [[A, a] as const, [B, b] as const]) {
      this.#f32.fill(0, at / 4, (at + bytes) / 4);
      this.#f32.set(vector, at / 4);
    }
    if (metric === "l2") return this.engine.squaredL2(A, B, bytes);
    if (metric === "dot") return -this.engine.dotFloats(A, B, bytes);
    return this.engine.cosineFloats(A, B, bytes);
  }
}

const plainDot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);
const plainSquared = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0);

const component = fc.oneof(
  fc.constantFrom(0, 1, 63, 64, 126, 127),
  fc.integer({ max: 127, min: 0 }),
);
const codesOf = (count: number) =>
  fc
    .integer({ min: 1, max: 40 })
    .chain((lanes) =>
      fc.tuple(
        ...Array.from({ length: count }, () =>
          fc.array(component, { minLength: lanes * 16, maxLength: lanes * 16 }),
        ),
      ),
    );
const magnitude = fc.constantFrom(1e-15, 1e-3, 1, 255, 1e15);
const vectorPair = fc
  .tuple(fc.integer({ min: 1, max: 300 }), magnitude, fc.integer())
  .map(([length, scale, seed]) => {
    const random = seededRandom(seed);
    const draw = () => Float32Array.from({ length }, () => scale * random.normal());
    return [draw(), draw()] as const;
  });

/**
 * How far float32 may drift from float64 is judged by the size of what was summed, not of what is
 * left of it.
 */
function sizeOf(metric: Metric, a: Float32Array, b: Float32Array): number {
  if (metric === "cosine") return 1;
  if (metric === "l2") return distance("l2", a, b);
  return Array.from(a).reduce((sum, x, i) => sum + Math.abs(x * b[i]!), 0);
}

overVariants("kernels", (name) => {
  const bench = new Bench(name);
  const { engine } = bench;
  const check = <T>(property: fc.IProperty<T>, numRuns = 200) =>
    fc.assert(property, { seed: SEED, numRuns });

  it("measures codes of any length exactly", () => {
    check(
      fc.property(codesOf(2), ([a, b]) => {
        bench.putCodes(A, a!);
        bench.putCodes(B, b!);
        expect(engine.dotCodes(A, B, a!.length)).to.equal(plainDot(a!, b!));
        expect(engine.squaredCodes(A, B, a!.length)).to.equal(plainSquared(a!, b!));
      }),
    );
  });

  it("measures a code against coarse halves exactly, one or four, also when rows lie apart", () => {
    check(
      fc.property(codesOf(6), fc.constantFrom(0, 16, 48), ([query, levels, ...rows], gap) => {
        // As many components as fill whole halves; a row's bytes are two cells each.
        const half = (query!.length >> 5) << 4;
        if (half === 0) return;
        bench.putCodes(A, query!);
        bench.putCodes(
          B,
          Array.from({ length: 16 }, (_, cell) => levels![cell]!),
        );
        bench.putCodes(B + 16, new Uint8Array(16).fill(15));
        const packed = rows.map((row) => row.map((x, i) => (x ^ (i << 4)) & 255).slice(0, half));
        packed.forEach((row, i) => {
          bench.putCodes(ROWS + i * (half + gap), row);
        });
        const seen = packed.map((row) =>
          Array.from({ length: 2 * half }, (_, i) => {
            const pair = row[(i >> 5) * 16 + (i & 15)]!;
            return levels![(i & 16) === 0 ? pair & 15 : pair >> 4]!;
          }),
        );
        const sum = (plain: typeof plainDot) =>
          seen.reduce((total, row) => total + plain(query!.slice(0, 2 * half), row), 0);
        const sweep = (product: number) =>
          engine.sweepCodes(A, ROWS, half + gap, 4, half, B, product);
        expect(sweep(1)).to.equal(sum(plainDot));
        expect(sweep(0)).to.equal(sum(plainSquared));
        const one = query!.slice(0, 2 * half);
        expect(engine.squaredCoarse(A, ROWS, half, B)).to.equal(plainSquared(one, seen[0]!));
      }),
      100,
    );
  });

  it("does not overflow or saturate at the longest extreme codes", () => {
    const full = new Uint8Array(DIMENSIONS_MAX).fill(127);
    const empty = new Uint8Array(DIMENSIONS_MAX);
    for (const [a, b] of [[full, full] as const, [full, empty] as const, [empty, full] as const]) {
      bench.putCodes(A, a);
      bench.putCodes(B, b);
      expect(engine.dotCodes(A, B, DIMENSIONS_MAX)).to.equal(plainDot(a, b));
      expect(engine.squaredCodes(A, B, DIMENSIONS_MAX)).to.equal(plainSquared(a, b));
    }
  });

  for (const metric of METRICS) {
    it(`measures ${metric} within ${TOLERANCE} of float64, at 1e-15 and 1e15 too`, () => {
      check(
        fc.property(vectorPair, ([a, b]) => {
          const size = sizeOf(metric, a, b);
          const error = Math.abs(bench.measure(metric, a, b) - distance(metric, a, b));
          expect(error).to.be.at.most(TOLERANCE * size);
        }),
      );
    });

    it(`rounds ${metric} in the same places as plain arithmetic does, to the bit`, () => {
      check(
        fc.property(vectorPair, ([a, b]) => {
          expect(Object.is(bench.measure(metric, a, b), engineDistance(metric, a, b))).to.equal(
            true,
          );
        }),
      );
    });
  }
});

describe(`all variants, seed ${SEED}`, () => {
  it("give the same bits for the same vectors", () => {
    const benches = VARIANTS.map((name) => new Bench(name));
    fc.assert(
      fc.property(vectorPair, fc.constantFrom(...METRICS), ([a, b], metric) => {
        const distances = benches.map((bench) => bench.measure(metric, a, b));
        expect(distances.every((found) => Object.is(found, distances[0]))).to.equal(true);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});
