/** Writes through the writer, against a plain model: after each of them both say the same. */
import { expect } from "chai";
import { type Random, seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import type { WriteMode } from "../../src/collections/database.ts";
import { isSettled, tend } from "../../src/engine/linking.ts";
import { OmenError } from "../../src/errors.ts";
import { engineDistance } from "../engine/distances.ts";
import { Alone, NAME, type PlainRow, textOf } from "./alone.ts";

const SEED = seedFromEnvironment() | 0;
const DIMENSIONS = 8;
const SHARD_ROWS = 50;
/** So few that the rows that are there at the end fill two shards for every seed. */
const MANY_SHARDS_ROWS = 40;
const STEPS = 70;
const IDS = 250;
const MODES: readonly WriteMode[] = ["upsert", "upsert", "insert", "update"];

type Model = Map<string, PlainRow & { readonly version: number }>;

const drawVector = (random: Random) =>
  // Few values, so that rows tie and ids decide.
  Float32Array.from({ length: DIMENSIONS }, () => random.integer(3));

function drawIds(random: Random): string[] {
  const count = 1 + random.integer(random.next() < 0.1 ? 120 : 15);
  const ids = Array.from({ length: count }, () => `é-${random.integer(IDS)}`);
  return [...new Set(ids)];
}

function drawRows(random: Random): PlainRow[] {
  return drawIds(random).map((id) => {
    const metadata = random.next() < 0.5 ? JSON.stringify({ id, n: random.next() }) : undefined;
    return { id, vector: drawVector(random), metadata };
  });
}

async function codeOf(answer: Promise<unknown>): Promise<OmenError | undefined> {
  try {
    await answer;
    return undefined;
  } catch (error) {
    if (error instanceof OmenError) return error;
    throw error;
  }
}

/** What the mode does not allow. */
function offendersOf(model: Model, rows: readonly PlainRow[], mode: WriteMode): string[] {
  if (mode === "upsert") return [];
  return rows.map(({ id }) => id).filter((id) => model.has(id) === (mode === "insert"));
}

function expectGet(alone: Alone, model: Model, ids: Iterable<string>): void {
  for (const id of ids) {
    const found = alone.collection.get(id);
    const expected = model.get(id);
    expect(found?.version, id).to.equal(expected?.version);
    expect(found?.vector).to.deep.equal(expected?.vector);
    expect(textOf(found?.metadata)).to.equal(expected?.metadata);
  }
}

async function expectSearch(alone: Alone, model: Model, random: Random): Promise<void> {
  const query = drawVector(random);
  const k = 1 + random.integer(30);
  const expected = [...model.values()]
    .map((row) => ({ ...row, distance: Math.sqrt(engineDistance("l2", query, row.vector)) }))
    .sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1))
    .slice(0, k);
  for (const exact of [true, false]) {
    const { hits } = await alone.search(query, { k, exact });
    expect(hits.map(({ id }) => id)).to.deep.equal(expected.map(({ id }) => id));
    for (const [place, hit] of hits.entries()) {
      expect(hit.distance).to.equal(expected[place]!.distance);
      expect(hit.vector).to.deep.equal(expected[place]!.vector);
      expect(textOf(hit.metadata)).to.equal(expected[place]!.metadata);
    }
  }
}

describe(`changes, seed ${SEED}`, () => {
  it("leave get, search and stats as a plain model has them, over many shards", async () => {
    const random = seededRandom(SEED);
    const alone = await Alone.open(MANY_SHARDS_ROWS, { dimensions: DIMENSIONS });
    const model: Model = new Map();
    let sequence = 0;
    let clock = 0;
    for (let step = 0; step < STEPS; step++) {
      if (random.next() < 0.25) {
        const ids = drawIds(random);
        const there = ids.filter((id) => model.delete(id)).length;
        expect(await alone.remove(ids)).to.include({ sequence: ++sequence, changed: there });
        expectGet(alone, model, ids);
      } else sequence = await stepPut(alone, model, random, sequence);
      const { vectors, sequence: last } = alone.collection.stats();
      expect({ vectors, last }).to.deep.equal({ vectors: model.size, last: sequence });
      if (step % 3 === 0) await expectSearch(alone, model, random);
      if (step % 7 === 0) {
        for (const { shard } of alone.collection.parts) {
          for (; !isSettled(shard); clock += 10_000) tend(shard, 100, 64, sequence, clock);
        }
      }
    }
    expectGet(
      alone,
      model,
      Array.from({ length: IDS }, (_, id) => `é-${id}`),
    );
    expect(alone.collection.parts.length).to.be.at.least(3);
    for (const { shard } of alone.collection.parts) expect(shard.check()).to.equal(undefined);
  });

  it("spread a batch larger than a shard over several, and it is there whole", async () => {
    const random = seededRandom(SEED);
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    const rows = Array.from({ length: 230 }, (_, row) => ({
      id: `row-${row}`,
      vector: drawVector(random),
    }));
    await alone.put(rows);
    expect(alone.collection.parts.length).to.be.at.least(5);
    const model: Model = new Map(rows.map((row) => [row.id, { ...row, version: 1 }]));
    expectGet(alone, model, model.keys());
    await expectSearch(alone, model, random);
    await alone.put(rows, "update");
    for (const id of model.keys()) expect(alone.collection.get(id)?.version).to.equal(2);
    expect(alone.collection.stats().vectors).to.equal(230);
  });

  it("are refused whole by their mode, naming the first ids and counting the rest", async () => {
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    const rowOf = (id: string) => ({ id, vector: new Float32Array(DIMENSIONS) });
    const old = Array.from({ length: 8 }, (_, id) => rowOf(`old-${id}`));
    await alone.put(old);
    const insert = await codeOf(alone.put([rowOf("new"), ...old], "insert"));
    expect(insert?.code).to.equal("ROW_EXISTS");
    expect(insert?.message).to.include(`"old-0","old-1"`).and.to.include("and 3 more");
    const update = await codeOf(alone.put([...old, rowOf("new")], "update"));
    expect(update?.code).to.equal("ROW_NOT_FOUND");
    expect(update?.message).to.include(`"new"`);
    expect(alone.collection.get("new")).to.equal(undefined);
    expect(alone.collection.sequence).to.equal(1);
  });

  it("of other dimensions are refused, with expected and got", async () => {
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    const error = await codeOf(alone.put([{ id: "a", vector: new Float32Array(3) }]));
    expect(error?.code).to.equal("DIMENSION_MISMATCH");
    expect(error?.message).to.include("expected 8").and.to.include("got 3");
  });

  it("asked for together are carried out in order, one sequence each", async () => {
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    const write = (n: number, mode: WriteMode) =>
      alone.put([{ id: "one", vector: new Float32Array(DIMENSIONS).fill(n) }], mode);
    const answers = await Promise.all([
      write(1, "insert"),
      write(2, "upsert"),
      codeOf(write(3, "insert")),
      write(4, "update"),
      alone.remove(["one"]),
      codeOf(write(5, "update")),
      write(6, "insert"),
    ]);
    const told = answers.map((answer) =>
      answer instanceof OmenError ? answer.code : answer?.sequence,
    );
    expect(told).to.deep.equal([1, 2, "ROW_EXISTS", 3, 4, "ROW_NOT_FOUND", 5]);
    expect(alone.collection.get("one")).to.deep.include({ version: 5 });
    expect(alone.collection.get("one")?.vector[0]).to.equal(6);
  });

  it("are decided in one group as if each had been applied before the next", async () => {
    const alone = await Alone.open(SHARD_ROWS, { dimensions: DIMENSIONS });
    const row = (id: string, n: number) => ({ id, vector: new Float32Array(DIMENSIONS).fill(n) });
    await alone.put([row("one", 0)]);
    // All of them wait by the time the first is looked at, so they make one group.
    const [, ...answers] = await Promise.all([
      alone.put([row("other", 0)]),
      codeOf(alone.put([row("one", 1)], "upsert", [[1]])),
      codeOf(alone.put([row("one", 2)], "upsert", [[1]])),
      codeOf(alone.put([row("one", 3)], "upsert", [[3]])),
      codeOf(alone.remove(["one"], ["present"])),
      codeOf(alone.put([row("one", 4)], "upsert", ["present"])),
      codeOf(alone.put([row("two", 5), row("one", 5)], "upsert", ["absent", "absent"])),
      codeOf(alone.put([row("two", 6), row("other", 6)], "upsert", [[6], [3]])),
    ]);
    const told = answers.map((error) => error && `${error.code} ${error.ids}`);
    expect(told).to.deep.equal([
      ...[undefined, "PRECONDITION_FAILED one", undefined, undefined, "PRECONDITION_FAILED one"],
      ...[undefined, "PRECONDITION_FAILED other"],
    ]);
    const values = ["one", "two", "other"].map((id) => alone.collection.get(id)?.vector[0]);
    expect(values).to.deep.equal([5, 5, 0]);
    expect(alone.collection.sequence).to.equal(6);
  });

  it("under cosine are never nearer than the query itself, however sums are rounded", async () => {
    const random = seededRandom(SEED);
    const alone = await Alone.open(1000, { dimensions: DIMENSIONS, metric: "cosine" });
    const vectors = Array.from({ length: 500 }, () =>
      Float32Array.from({ length: DIMENSIONS }, () => random.next() - 0.5),
    );
    await alone.put(vectors.map((vector, n) => ({ id: `${n}`, vector })));
    for (const vector of vectors) {
      const { hits } = await alone.search(vector, { k: 1 });
      expect(hits[0]!.distance).to.be.within(0, 1e-6);
      expect(hits[0]!.score).to.equal(1 - hits[0]!.distance);
    }
  });

  it("find their collection, or say that there is none", async () => {
    const alone = new Alone(SHARD_ROWS);
    const row = { id: "a", vector: new Float32Array(DIMENSIONS) };
    expect((await codeOf(alone.put([row])))?.code).to.equal("COLLECTION_NOT_FOUND");
    expect((await alone.create({})).changed).to.equal(1);
    expect((await alone.create({})).changed).to.equal(0);
    const error = await codeOf(alone.create({ m: 8 }));
    expect(error?.code).to.equal("COLLECTION_EXISTS");
    expect(error?.message).to.include("m 16, not 8");
    await alone.put([row]);
    expect((await alone.writer.handle({ kind: "drop", name: NAME })).changed).to.equal(1);
    expect((await codeOf(alone.put([row])))?.code).to.equal("COLLECTION_NOT_FOUND");
  });
});

async function stepPut(
  alone: Alone,
  model: Model,
  random: Random,
  sequence: number,
): Promise<number> {
  const rows = drawRows(random);
  const mode = MODES[random.integer(MODES.length)]!;
  const offenders = offendersOf(model, rows, mode);
  const answer = alone.put(rows, mode);
  if (offenders.length > 0) {
    const error = await codeOf(answer);
    expect(error?.code).to.equal(mode === "insert" ? "ROW_EXISTS" : "ROW_NOT_FOUND");
    expect(error?.message).to.include(JSON.stringify(offenders[0]));
  } else {
    const replaced = rows.filter(({ id }) => model.has(id)).length;
    expect(await answer).to.include({ sequence: sequence + 1, changed: replaced });
    for (const row of rows) model.set(row.id, { ...row, version: sequence + 1 });
  }
  expectGet(
    alone,
    model,
    rows.map(({ id }) => id),
  );
  return offenders.length > 0 ? sequence : sequence + 1;
}
