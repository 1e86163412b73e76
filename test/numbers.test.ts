import { expect } from "chai";
import { Desk } from "../src/engine/desk.ts";
import { deskModule, SEED } from "./deskModule.ts";

const noPause = () => Promise.resolve();
const LIMIT = Math.fround(1e16);

/** mulberry32: small, seeded, and good enough to draw digits from. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe(`numbers (SEED=${SEED})`, function () {
  this.timeout(120_000);
  const random = generator(SEED);
  const below = (limit: number) => Math.floor(random() * limit);
  const digits = (count: number) => Array.from({ length: count }, () => below(10)).join("");
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  /** Any float32 between the least denormal and the limit. */
  const anyFloat = () => {
    do word[0] = below(0x5a0e1bca);
    while (!(float[0]! <= LIMIT));
    return float[0]!;
  };
  const next = (value: number) => {
    float[0] = value;
    word[0]! += 1;
    return float[0]!;
  };

  let desk: Desk;
  before(() => {
    desk = new Desk(deskModule());
  });

  /** Every text at once, as components; compared bit for bit. */
  async function expectSame(texts: readonly string[]): Promise<void> {
    const bytes = new TextEncoder().encode(`{"vector":[${texts.join()}]}`);
    const body = await desk.scan([bytes], noPause);
    const { values } = body.vector(0);
    expect(values.length).to.equal(texts.length);
    for (let index = 0; index < texts.length; index++) {
      const expected = Math.fround(JSON.parse(texts[index]!));
      if (!Object.is(values[index], expected)) {
        throw new Error(`${texts[index]} became ${values[index]}, expected ${expected}`);
      }
    }
    body.release();
  }

  /** In bodies of a hundred thousand. */
  async function expectSameOf(count: number, draw: () => string): Promise<void> {
    for (let done = 0; done < count; done += 100_000) {
      await expectSame(Array.from({ length: Math.min(count - done, 100_000) }, draw));
    }
  }

  const signed = (text: string) => (random() < 0.5 ? `-${text}` : text);

  it("agrees with Math.fround(JSON.parse(text)) on a million float64 as JavaScript writes them", () =>
    expectSameOf(1_000_000, () => String((random() - 0.5) * 10 ** (below(60) - 44))));

  it("agrees on a million numbers of 1 to 25 digits, wherever the point and the exponent are", () =>
    expectSameOf(1_000_000, () => {
      const whole = random() < 0.5 ? "0" : `${1 + below(9)}${digits(below(9))}`;
      const fraction = random() < 0.2 ? "" : `.${digits(1 + below(17))}`;
      const exponent = random() < 0.7 ? "" : `${random() < 0.5 ? "e-" : "E-0"}${10 + below(60)}`;
      return signed(whole + fraction + exponent);
    }));

  it("agrees on a million middles between two float32, exact and off by a digit", () =>
    expectSameOf(1_000_000, () => {
      const value = anyFloat();
      const middle = (value + next(value)) / 2;
      const kind = below(4);
      if (kind === 0) return signed(String(middle));
      if (kind === 1) return signed(middle.toPrecision(15 + below(7)));
      if (kind === 2) return signed(middle.toExponential(15 + below(5)));
      return signed(String(middle * (1 + (below(3) - 1) * 2 ** -52)));
    }));

  it("agrees on half a million denormals and their neighbours", () =>
    expectSameOf(500_000, () => {
      word[0] = below(0x00900000);
      const value = float[0]!;
      return signed(random() < 0.5 ? String(value) : String((value + next(value)) / 2));
    }));

  it("agrees on texts of every shape at the edges", () =>
    expectSame([
      ...[
        "0",
        "-0",
        "0.0",
        "-0.0e5",
        "0e400",
        "-0E-400",
        "1e-400",
        "-1e-46",
        "7.006492321624085e-46",
      ],
      ...["7.006492321624086e-46", "1.1754943508222875e-38", "1.1754942807573643e-38", "1e-65"],
      ...[
        "16777217",
        "16777219",
        "-16777217.0",
        "33554434.5",
        "9007199254740993",
        "9999999999999999",
      ],
      ...[
        "10000000000000000",
        "1e16",
        "1.0000000272564224e16",
        "0.1e17",
        "1e+16",
        "9999999999999999e0",
      ],
      ...[
        "0.00000000000000000000000000000000001",
        `0.${"0".repeat(400)}1e401`,
        `1${"0".repeat(30)}e-30`,
      ],
      ...[
        `${"1234567890".repeat(10)}e-99`,
        `0.${"1234567890".repeat(100)}`,
        "1e-5",
        "1E-05",
        "1e00",
      ],
      ...[
        "123456789012345678e-17",
        "1234567890123456789e-18",
        "18446744073709551616e-19",
        "0.5",
        "255",
      ],
      ...["1.00000005960464477539062500000000000000001", "1.0000000596046447753906250", "1e-005"],
    ]));

  it("refuses what is beyond the limit, at the first such component", async () => {
    for (const text of [
      "1.0000001e16",
      "1e17",
      "-1e38",
      "1e39",
      "1e400",
      "-2e22",
      "1e99999999999",
    ]) {
      const bytes = new TextEncoder().encode(`{"vector":[1,${text},2,1e300]}`);
      const body = await desk.scan([bytes], noPause);
      expect(() => body.vector(0), text).to.throw("/vector/1: component 1 ");
      body.release();
    }
  });
});
