/**
 * The columns against the predicate: whatever the rows' metadata are and however they came, a filter
 * run over the columns passes exactly the rows that filter.ts passes.
 */
import { expect } from "chai";
import fc from "fast-check";
import { COLUMNS_AUTO_MAX } from "../assembly/columns.ts";
import { seededRandom, seedFromEnvironment } from "../perf/random.ts";
import { compileFilter } from "../src/collections/filter.ts";
import { compileProgram } from "../src/collections/program.ts";
import { Alone } from "./collections/alone.ts";
import { condition, document, type Json, object } from "./documents.ts";

const SEED = seedFromEnvironment() | 0;
const DIMENSIONS = 2;

/** A collection, and beside it the text of each row's metadata by its id. */
class Pair {
  readonly alone: Alone;
  readonly texts = new Map<string, string | undefined>();

  constructor(alone: Alone) {
    this.alone = alone;
  }

  static async open(rows: number, schema?: Record<string, "keyword" | "number" | "none">) {
    return new Pair(await Alone.open(rows, { dimensions: DIMENSIONS, schema }));
  }

  async put(rows: readonly (readonly [string, string | undefined])[]): Promise<void> {
    await this.alone.put(
      rows.map(([id, metadata]) => ({ id, vector: new Float32Array(DIMENSIONS), metadata })),
    );
    for (const [id, text] of rows) this.texts.set(id, text);
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.alone.remove(ids);
    for (const id of ids) this.texts.delete(id);
  }

  /** Compares; returns how many rows match. */
  async expectSame(json: unknown): Promise<number> {
    const filter = compileFilter(json, "");
    const { collection } = this.alone;
    const { bitmaps, count } = await collection.matcher.match(filter);
    const found: string[] = [];
    for (const [index, { shard, rows }] of collection.parts.entries()) {
      const { bytes } = bitmaps[index]!;
      for (let slot = 0; slot < bytes.length * 8; slot++) {
        if (((bytes[slot >> 3]! >> (slot & 7)) & 1) === 0) continue;
        expect(slot, "a slot no row has had").to.be.below(shard.slotsUsed);
        if (shard.isStillVisible(slot, shard.stamp(slot), collection.sequence)) {
          found.push(rows.id(slot));
        }
      }
    }
    const expected = [...this.texts].filter(([, text]) =>
      filter.matches(text === undefined ? undefined : JSON.parse(text)),
    );
    const context = `${JSON.stringify(json)} of seed ${SEED}`;
    expect(found.sort(), context).to.deep.equal(expected.map(([id]) => id).sort());
    expect(count, context).to.equal(expected.length);
    return count;
  }
}

const anyRow = fc.tuple(
  fc.integer({ min: 0, max: 99 }).map(String),
  fc.option(document, { nil: undefined, freq: 8 }),
);
describe(`columns, seed ${SEED}`, () => {
  it("pass the rows that the predicate passes, through updates and deletes", async () => {
    let matched = 0;
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyRow, { minLength: 1, maxLength: 40 }), { maxLength: 4 }),
        fc.array(fc.integer({ min: 0, max: 99 }).map(String), { maxLength: 10 }),
        fc.array(condition, { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        async (batches, removed, filters, isPinned) => {
          const schema = { a: "keyword", "b.c": "number", "c.b": "none" } as const;
          const pair = await Pair.open(1000, isPinned ? schema : undefined);
          for (const batch of batches) {
            const rows = [...new Map(batch)].map(
              ([id, json]) => [id, json && JSON.stringify(json)] as const,
            );
            await pair.put(rows);
            // The same filters again: their bits are remembered, and brought up to date.
            for (const filter of filters) {
              matched += await pair.expectSame(filter);
              asked += pair.texts.size;
            }
          }
          if (removed.length > 0) await pair.remove([...new Set(removed)]);
          for (const filter of filters) await pair.expectSame(filter);
        },
      ),
      { seed: SEED, numRuns: 150 },
    );
    expect(matched).to.be.within(asked / 20, asked - asked / 20);
  });

  it("read JSON however it is spelled", async () => {
    const pair = await Pair.open(100);
    const json = { 'a"\\': "é\n😀", b: { c: [1, "x", null, { d: 2 }] }, "": -0.5, n: [], o: {} };
    const escaped = String.raw`{"\u0061\"\\":"\u00e9\u000A\ud83D\uDe00","\u0062":{"c":["\u0078",null]}}`;
    await pair.put([
      ["plain", JSON.stringify(json)],
      ["spaced", JSON.stringify(json, undefined, "\t\r\n ")],
      ["escaped", escaped],
      ["empty", "{}"],
      ["blank", " \n\t{ \r } "],
      ["none", undefined],
    ]);
    expect(await pair.expectSame({ 'a"\\': "é\n😀", "b.c": "x" })).to.equal(3);
    for (const filter of [
      { 'a"\\': "é\n😀" },
      { 'a"\\': { $contains: "\n" } },
      { "b.c": "x" },
      { "b.c": null },
      { "b.c.d": 2 },
      { "": { $lt: 0 } },
      { n: { $exists: true } },
      { o: { $exists: true } },
      { "o.x": { $exists: false } },
    ]) {
      expect(await pair.expectSame(filter), JSON.stringify(filter)).to.be.above(0);
    }
  });

  it("hold the float64 that JSON.parse reads, of any spelling of a number", async () => {
    const random = seededRandom(SEED);
    const pair = await Pair.open(5000);
    const spellings = Array.from({ length: 4000 }, (_, index) => {
      if (index % 4 === 0) return String(random.next());
      if (index % 4 === 1) return String((random.next() - 0.5) * 10 ** random.integer(300));
      const digits = Array.from({ length: 1 + random.integer(22) }, () => random.integer(10));
      const text = `${1 + random.integer(9)}${digits.join("")}`;
      if (index % 4 === 2) return `-${text.slice(0, 3)}.${text.slice(3)}0`;
      return `0.${"0".repeat(random.integer(9))}${text}e${random.integer(60) - 30}`;
    });
    await pair.put(spellings.map((text, index) => [String(index), `{"n":${text}}`]));
    for (const text of spellings.slice(0, 40)) {
      const value = JSON.parse(text) as number;
      await pair.expectSame({ n: value });
      await pair.expectSame({ n: { $gt: value } });
    }
  });

  it("tell strings and numbers of one field apart in every row", async () => {
    const pair = await Pair.open(1000);
    const values = [1, "1", true, null, [1, "1"], [], {}, ["1"], undefined, [[1]], [{ x: 1 }]];
    await pair.put(
      Array.from({ length: 500 }, (_, row) => {
        const v = values[row % values.length];
        return [String(row), JSON.stringify({ v })] as const;
      }),
    );
    for (const operand of [1, "1", true, null, { $gt: 0 }, { $gt: "0" }, { $exists: true }]) {
      await pair.expectSame({ v: operand });
      await pair.expectSame({
        v: { $not: typeof operand === "object" && operand ? operand : { $eq: operand } },
      });
    }
    await pair.expectSame({ "v.x": 1 });
  });

  it("leave fields beyond their limit to the JSON, and say so", async () => {
    const pair = await Pair.open(1000);
    const wide = object(Array.from({ length: COLUMNS_AUTO_MAX + 9 }, (_, i) => [`f${i}`, i]));
    await pair.put([
      ["wide", JSON.stringify(wide)],
      ["narrow", `{"f1":1}`],
    ]);
    expect(await pair.expectSame({ [`f${COLUMNS_AUTO_MAX + 5}`]: COLUMNS_AUTO_MAX + 5 })).to.equal(
      1,
    );
    expect(await pair.expectSame({ f1: 1 })).to.equal(2);
    const answer = await pair.alone.search(new Float32Array(DIMENSIONS), {
      filter: compileFilter({ [`f${COLUMNS_AUTO_MAX}`]: { $gte: 0 } }, ""),
    });
    expect(answer.explanation).to.deep.include({ unsure: 1, unread: [`f${COLUMNS_AUTO_MAX}`] });
    // A pinned path has its column, however many came before.
    const pinned = await Pair.open(1000, { "deep.down": "number", note: "none" });
    await pinned.put([["wide", JSON.stringify({ ...wide, deep: { down: 7 }, note: "x" })]]);
    const found = await pinned.alone.search(new Float32Array(DIMENSIONS), {
      filter: compileFilter({ "deep.down": 7 }, ""),
    });
    expect(found.hits).to.have.length(1);
    expect(found.explanation.unsure).to.equal(undefined);
    expect(await pinned.expectSame({ note: "x" })).to.equal(1);
  });

  it("take 4,096 values in a list, and more in all than a program holds", async () => {
    const pair = await Pair.open(3000);
    await pair.put(
      Array.from({ length: 2000 }, (_, row) => [String(row), `{"n":${row},"s":"s${row}"}`]),
    );
    const list = (from: number) => Array.from({ length: 4096 }, (_, i) => from + i);
    expect(await pair.expectSame({ n: { $in: list(500) } })).to.equal(1500);
    expect(await pair.expectSame({ s: { $nin: list(0).map((i) => `s${i * 2}`) } })).to.equal(1000);
    const many = Array.from({ length: 20 }, (_, i) => ({ n: { $in: list(i * 100) } }));
    const filter = { $and: many };
    const { columns } = pair.alone.collection.parts[0]!;
    expect(compileProgram(compileFilter(filter, "").root, columns)).to.equal(undefined);
    expect(await pair.expectSame(filter)).to.equal(100);
  });

  it("follow rows that are replaced while a filter is remembered", async () => {
    const random = seededRandom(SEED + 1);
    const pair = await Pair.open(6000);
    const filters: Json[] = [{ tag: "t1" }, { tag: { $ne: "t1" } }, { n: { $lt: 50 } }, {}];
    for (let round = 0; round < 30; round++) {
      const ids = new Set(
        Array.from({ length: 1 + random.integer(200) }, () => random.integer(2000)),
      );
      await pair.put(
        [...ids].map((id) => [
          `r${id}`,
          `{"tag":"t${random.integer(3 + round)}","n":${random.integer(100)}}`,
        ]),
      );
      if (round % 3 === 2) await pair.remove([`r${random.integer(2000)}`]);
      for (const filter of filters) await pair.expectSame(filter);
    }
  });
});
