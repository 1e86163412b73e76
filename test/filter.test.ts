import { expect } from "chai";
import fc from "fast-check";
import {
  compileFilter,
  FILTER_DEPTH_MAX,
  FILTER_LIST_MAX,
  FILTER_NODES_MAX,
  FILTER_TEXT_MAX,
} from "../src/collections/filter.ts";
import { OmenError } from "../src/errors.ts";
import { condition, document, type Json, object } from "./documents.ts";

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);

const matches = (filter: unknown, metadata: unknown) =>
  compileFilter(filter, "/filter").matches(metadata);

function refusal(filter: unknown): { pointer: string; message: string } {
  try {
    compileFilter(filter, "/filter");
  } catch (error) {
    expect(error).to.be.instanceOf(OmenError);
    expect((error as OmenError).code).to.equal("INVALID_FILTER");
    return (error as OmenError).errors![0]!;
  }
  throw new Error("the filter was accepted");
}

/**
 * The same language read straight from the JSON, with no tree between: all values of a path are
 * gathered first, as texts of JSON, and every operator is a question to that list.
 */
function plain(filter: Json, metadata: unknown): boolean {
  return Object.entries(filter).every(([name, operand]) => {
    if (name === "$and") return (operand as Json[]).every((each) => plain(each, metadata));
    if (name === "$or") return !(operand as Json[]).every((each) => !plain(each, metadata));
    if (name === "$not") return !plain(operand as Json, metadata);
    return plainField(gather([metadata], name.split(".")), operand);
  });
}

function gather(places: unknown[], steps: string[]): unknown[] {
  let now = places;
  steps.forEach((name, index) => {
    const opened = index === 0 ? now : now.flatMap((each) => (Array.isArray(each) ? each : [each]));
    now = opened.flatMap((each) => {
      if (each === null || typeof each !== "object" || Array.isArray(each)) return [];
      const found = Object.getOwnPropertyDescriptor(each, name);
      return found ? [found.value as unknown] : [];
    });
  });
  return now;
}

function plainField(found: unknown[], operand: unknown): boolean {
  if (typeof operand !== "object" || operand === null) return plainField(found, { $eq: operand });
  const same = (a: unknown, b: unknown) =>
    typeof b !== "object" || b === null ? JSON.stringify(a) === JSON.stringify(b) : false;
  const any = (test: (value: unknown) => boolean) =>
    found.some((each) => (Array.isArray(each) ? each.filter(test).length > 0 : test(each)));
  const ordered = (value: unknown, test: (a: never, b: never) => boolean) =>
    any((each) => typeof each === typeof value && test(each as never, value as never));
  return Object.entries(operand).every(([operator, value]) => {
    switch (operator) {
      case "$eq":
        return any((each) => same(each, value));
      case "$ne":
        return !any((each) => same(each, value));
      case "$gt":
        return ordered(value, (a, b) => a > b);
      case "$gte":
        return ordered(value, (a, b) => a >= b);
      case "$lt":
        return ordered(value, (a, b) => a < b);
      case "$lte":
        return ordered(value, (a, b) => a <= b);
      case "$in":
        return (value as unknown[]).some((one) => any((each) => same(each, one)));
      case "$nin":
        return !(value as unknown[]).some((one) => any((each) => same(each, one)));
      case "$exists":
        return found.length > 0 === value;
      case "$contains":
        return found.some((each) => {
          if (Array.isArray(each)) return each.some((one) => same(one, value));
          return typeof each === "string" && typeof value === "string" && each.includes(value);
        });
      default:
        return !plainField(found, value);
    }
  });
}

describe("filter", () => {
  it("agrees with a plain reading of the JSON on random filters and rows", () => {
    let matched = 0;
    const runs = 20_000;
    fc.assert(
      fc.property(condition, document, (filter, metadata) => {
        const expected = plain(filter as Json, metadata);
        matched += Number(expected);
        expect(matches(filter, metadata), `seed ${seed}`).to.equal(expected);
      }),
      { seed, numRuns: runs },
    );
    expect(matched).to.be.within(runs / 10, runs - runs / 10);
  });

  it("matches everything with an empty filter, also a row without metadata", () => {
    expect(matches({}, undefined)).to.equal(true);
    expect(matches({}, { a: 1 })).to.equal(true);
    expect(matches({ a: 1 }, undefined)).to.equal(false);
  });

  it("compares numbers as numbers and strings as strings, never across", () => {
    expect(matches({ n: { $gt: 9 } }, { n: 10 })).to.equal(true);
    expect(matches({ n: { $gt: "9" } }, { n: "10" })).to.equal(false);
    expect(matches({ n: { $gt: "9" } }, { n: 10 })).to.equal(false);
    expect(matches({ n: 1 }, { n: true })).to.equal(false);
    expect(matches({ n: 1 }, { n: "1" })).to.equal(false);
    expect(matches({ day: { $gte: "2025-01-01" } }, { day: "2025-01-01T10:00" })).to.equal(true);
  });

  it("tells null from missing", () => {
    expect(matches({ a: null }, { a: null })).to.equal(true);
    expect(matches({ a: null }, {})).to.equal(false);
    expect(matches({ a: { $exists: true } }, { a: null })).to.equal(true);
    expect(matches({ a: { $exists: false } }, {})).to.equal(true);
  });

  it("lets $ne, $nin and $not meet rows that lack the field", () => {
    for (const filter of [
      { a: { $ne: 1 } },
      { a: { $nin: [1, 2] } },
      { a: { $not: { $gt: 0 } } },
      { $not: { a: 1 } },
    ]) {
      expect(matches(filter, {})).to.equal(true);
      expect(matches(filter, undefined)).to.equal(true);
      expect(matches(filter, { a: [5, 1] })).to.equal(false);
    }
  });

  it("steps through objects and arrays along a path", () => {
    const row = { a: { b: [{ c: 1 }, { c: [2, 3] }] }, tags: ["red", "green"] };
    expect(matches({ "a.b.c": 3 }, row)).to.equal(true);
    expect(matches({ "a.b.c": { $gt: 3 } }, row)).to.equal(false);
    expect(matches({ tags: "red" }, row)).to.equal(true);
    expect(matches({ tags: { $contains: "re" } }, row)).to.equal(false);
    expect(matches({ tags: { $contains: "red" } }, row)).to.equal(true);
    expect(matches({ word: { $contains: "re" } }, { word: "green" })).to.equal(true);
    expect(matches({ "tags.length": 2 }, row)).to.equal(false);
  });

  it("treats the names of prototypes as data", () => {
    for (const field of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(matches(object([[field, { $exists: true }]]), {})).to.equal(false);
      expect(matches(object([[field, 7]]), object([[field, 7]]))).to.equal(true);
      expect(matches({ [`${field}.name`]: { $exists: true } }, {})).to.equal(false);
    }
  });

  it("refuses what is not a filter, with a pointer to the place", () => {
    const cases: [unknown, string][] = [
      [null, "/filter"],
      [[], "/filter"],
      ["a", "/filter"],
      [{ a: [1] }, "/filter/a"],
      [{ a: {} }, "/filter/a"],
      [{ a: { b: 1 } }, "/filter/a/b"],
      [{ a: { $gt: 1, b: 1 } }, "/filter/a/b"],
      [{ a: { $regex: "x" } }, "/filter/a/$regex"],
      [{ $nor: [] }, "/filter/$nor"],
      [{ $gt: 1 }, "/filter/$gt"],
      [{ $and: [] }, "/filter/$and"],
      [{ $or: [{ a: 1 }, 5] }, "/filter/$or/1"],
      [{ $not: 5 }, "/filter/$not"],
      [{ a: { $not: 5 } }, "/filter/a/$not"],
      [{ a: { $gt: true } }, "/filter/a/$gt"],
      [{ a: { $lt: null } }, "/filter/a/$lt"],
      [{ a: { $in: 5 } }, "/filter/a/$in"],
      [{ a: { $in: [1, {}] } }, "/filter/a/$in/1"],
      [{ a: { $exists: 1 } }, "/filter/a/$exists"],
      [{ a: { $eq: {} } }, "/filter/a/$eq"],
      [{ "x/y~z": [] }, "/filter/x~1y~0z"],
    ];
    for (const [filter, pointer] of cases) expect(refusal(filter).pointer).to.equal(pointer);
  });

  it("keeps its limits", () => {
    const nest = (levels: number) => {
      let filter: Json = { a: 1 };
      for (let level = 1; level < levels; level++) filter = { $not: filter };
      return filter;
    };
    compileFilter(nest(FILTER_DEPTH_MAX), "/filter");
    expect(refusal(nest(FILTER_DEPTH_MAX + 1)).message).to.contain("levels deep");
    expect(refusal(nest(5000)).message).to.contain("levels deep");

    const wide = (width: number) => object(Array.from({ length: width }, (_, i) => [`f${i}`, 1]));
    compileFilter(wide(FILTER_NODES_MAX), "/filter");
    expect(refusal(wide(FILTER_NODES_MAX + 1)).message).to.contain("conditions");

    const list = (length: number) => ({ a: { $in: Array.from({ length }, (_, i) => i) } });
    compileFilter(list(FILTER_LIST_MAX), "/filter");
    expect(refusal(list(FILTER_LIST_MAX + 1)).message).to.contain("elements");

    compileFilter({ a: "x".repeat(FILTER_TEXT_MAX) }, "/filter");
    expect(refusal({ a: "x".repeat(FILTER_TEXT_MAX + 1) }).message).to.contain("characters");
    expect(refusal({ [".".repeat(100)]: 1 }).message).to.contain("steps");
  });

  it("shows its tree", () => {
    expect(compileFilter({ a: 1, "b.c": { $ne: "x" } }, "").root).to.deep.equal({
      kind: "and",
      nodes: [
        { kind: "eq", path: ["a"], value: 1 },
        { kind: "not", node: { kind: "eq", path: ["b", "c"], value: "x" } },
      ],
    });
  });
});
