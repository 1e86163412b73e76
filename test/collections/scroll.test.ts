/**
 * Scrolling while everything moves: small shards that fill up, so that updates move rows from shard
 * to shard in both directions, indexes that grow under a page, ids that share a hash. What is there
 * from the first page to the last comes exactly once.
 */
import { expect } from "chai";
import { type Random, seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { placeOf, readCursor, writeCursor } from "../../src/collections/cursor.ts";
import type { Row } from "../../src/collections/database.ts";
import { compileFilter } from "../../src/collections/filter.ts";
import { hashBytes } from "../../src/collections/hash.ts";
import { OmenError } from "../../src/errors.ts";
import { Alone, type PlainRow } from "./alone.ts";

const SEED = seedFromEnvironment() | 0;
const DIMENSIONS = 2;

const rowOf = (id: string, n = 0, metadata?: object): PlainRow => ({
  id,
  vector: Float32Array.of(n, 1),
  metadata: metadata && JSON.stringify(metadata),
});

/** `between` runs after each page. */
async function scrollAll(
  alone: Alone,
  limit: number | (() => number),
  between: () => Promise<unknown> = async () => {},
): Promise<Row[]> {
  const found: Row[] = [];
  let cursor: string | undefined;
  do {
    const most = typeof limit === "number" ? limit : limit();
    let count = 0;
    cursor = await alone.collection.scroll({ limit: most, cursor }, (row) => {
      found.push(row);
      count++;
    });
    expect(count).to.be.at.most(most);
    if (cursor !== undefined) expect(count).to.equal(most);
    await between();
  } while (cursor !== undefined);
  return found;
}

/** Which shard each id is in. */
function homes(alone: Alone, ids: Iterable<string>): Map<string, number> {
  const bytes = new TextEncoder();
  return new Map(
    [...ids].map((id) => {
      const text = bytes.encode(id);
      const find = ({ rows }: (typeof alone.collection.parts)[number]) =>
        rows.find(text, 0, text.length, rows.hash(text)) >= 0;
      return [id, alone.collection.parts.findIndex(find)];
    }),
  );
}

function drawUpdates(random: Random, ids: readonly string[]): PlainRow[] {
  const drawn = Array.from({ length: 1 + random.integer(12) }, () => random.integer(ids.length));
  return [...new Set(drawn)].map((index) => rowOf(ids[index]!, random.integer(1000)));
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof OmenError) return error.code;
    throw error;
  }
}

describe(`scroll, seed ${SEED}`, () => {
  it("gives every row once, whatever the limit, with its vector, metadata and version", async () => {
    const alone = await Alone.open(64, { dimensions: DIMENSIONS });
    const rows = Array.from({ length: 300 }, (_, n) => rowOf(`é-${n}`, n, { n }));
    await alone.put(rows);
    for (const limit of [1, 7, 100, 299, 300, 301]) {
      const found = await scrollAll(alone, limit);
      expect(found.map(({ id }) => id).sort()).to.deep.equal(rows.map(({ id }) => id).sort());
      for (const { id, vector, metadata, version } of found) {
        const n = Number(id.slice(2));
        expect([...vector]).to.deep.equal([n, 1]);
        expect(JSON.parse(new TextDecoder().decode(metadata))).to.deep.equal({ n });
        expect(version).to.equal(1);
      }
    }
    expect(alone.collection.parts.length).to.be.at.least(5);
  });

  it("gives rows that are there throughout once, while others come, go and move", async () => {
    const random = seededRandom(SEED);
    const alone = await Alone.open(40, { dimensions: DIMENSIONS });
    const steady = Array.from({ length: 200 }, (_, n) => `steady-${n}`);
    await alone.put(steady.map((id) => rowOf(id)));
    let moves = 0;
    for (let round = 0; round < 12; round++) {
      let before = homes(alone, steady);
      const found = await scrollAll(
        alone,
        () => 1 + random.integer(9),
        async () => {
          const passing = Array.from({ length: random.integer(8) }, () =>
            rowOf(`passing-${random.integer(60)}`, 1),
          );
          const writes: Promise<unknown>[] = [alone.put(drawUpdates(random, steady))];
          const unique = new Map(passing.map((row) => [row.id, row]));
          if (unique.size > 0) writes.push(alone.put([...unique.values()]));
          if (random.next() < 0.5) writes.push(alone.remove([`passing-${random.integer(60)}`]));
          await Promise.all(writes);
          const after = homes(alone, steady);
          for (const id of steady) if (before.get(id) !== after.get(id)) moves++;
          before = after;
        },
      );
      const ids = found.map(({ id }) => id);
      expect(ids.filter((id) => id.startsWith("steady")).sort()).to.deep.equal([...steady].sort());
      expect(new Set(ids).size).to.equal(ids.length);
    }
    expect(moves, "updates that changed the shard").to.be.greaterThan(100);
  }).timeout(60_000);

  it("goes on through an index that has grown since the page before", async () => {
    const alone = await Alone.open(100_000, { dimensions: DIMENSIONS });
    const steady = Array.from({ length: 500 }, (_, n) => `steady-${n}`);
    await alone.put(steady.map((id) => rowOf(id)));
    const [{ rows }] = alone.collection.parts as [(typeof alone.collection.parts)[number]];
    const bits = rows.indexBits;
    let added = 0;
    const found = await scrollAll(alone, 100, async () => {
      if (added >= 6000) return;
      await alone.put(Array.from({ length: 1500 }, () => rowOf(`more-${added++}`)));
    });
    expect(rows.indexBits).to.be.at.least(bits + 2);
    const ids = found.map(({ id }) => id);
    expect(ids.filter((id) => id.startsWith("steady")).sort()).to.deep.equal([...steady].sort());
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it("splits ids of one hash over two pages", async () => {
    const alone = await Alone.open(100, { dimensions: DIMENSIONS });
    const { seed } = alone.collection.parts[0]!.rows;
    const twins = idsOfOneHash(seed);
    await alone.put([...twins, "other", "another"].map((id) => rowOf(id)));
    const found = await scrollAll(alone, 1);
    expect(found.map(({ id }) => id).sort()).to.deep.equal([...twins, "other", "another"].sort());
  }).timeout(30_000);

  it("fills each page with rows that pass the filter", async () => {
    const alone = await Alone.open(50, { dimensions: DIMENSIONS });
    await alone.put(Array.from({ length: 200 }, (_, n) => rowOf(`${n}`, n, { n })));
    const filter = compileFilter({ n: { $gte: 150 } }, "/filter");
    const counts: number[] = [];
    const found = new Set<string>();
    let cursor: string | undefined;
    do {
      let count = 0;
      cursor = await alone.collection.scroll({ limit: 20, cursor, filter }, ({ id }) => {
        found.add(id);
        count++;
      });
      counts.push(count);
    } while (cursor !== undefined);
    expect(counts).to.deep.equal([20, 20, 10]);
    expect([...found].every((id) => Number(id) >= 150)).to.equal(true);
    expect(found.size).to.equal(50);
  });

  it("stops when nobody waits for the page", async () => {
    const alone = await Alone.open(5000, { dimensions: DIMENSIONS });
    await alone.put(Array.from({ length: 4000 }, (_, n) => rowOf(`${n}`)));
    let paused = 0;
    alone.onPause = async () => void paused++;
    const dawdle = () => {
      const end = performance.now() + 0.1;
      while (performance.now() < end);
    };
    await alone.collection.scroll({ limit: 4000, isAbandoned: () => paused > 2 }, dawdle);
    expect(paused).to.equal(3);
  });

  it("refuses cursors that are broken, of another version or of another collection", () => {
    const cursor = writeCursor({ place: 12345, after: "é" }, 7);
    expect(readCursor(cursor, 7)).to.deep.equal({ place: 12345, after: "é" });
    const others = [
      ...["", "a", "????", "é", `${cursor}=`, `${cursor}A`, cursor.slice(1), cursor.slice(0, -1)],
      ...["x".repeat(100_000), `${cursor} `],
    ];
    for (const other of others) {
      expect(
        codeOf(() => readCursor(other, 7)),
        other,
      ).to.equal("INVALID_CURSOR");
    }
    for (let place = 0; place < cursor.length; place++) {
      const other = cursor[place] === "B" ? "C" : "B";
      const broken = cursor.slice(0, place) + other + cursor.slice(place + 1);
      // The last character's spare bits carry nothing.
      if (place < cursor.length - 1) {
        expect(
          codeOf(() => readCursor(broken, 7)),
          broken,
        ).to.equal("INVALID_CURSOR");
      }
    }
    expect(codeOf(() => readCursor(cursor, 8))).to.equal("INVALID_CURSOR");
  });
});

/** Of 300,000 ids some ten pairs share their 32 bits. */
function idsOfOneHash(seed: number): [string, string] {
  const encoder = new TextEncoder();
  const seen = new Map<number, string>();
  for (let n = 0; ; n++) {
    const id = `id-${n}`;
    const bytes = encoder.encode(id);
    const place = placeOf(hashBytes(bytes, 0, bytes.length, seed));
    const twin = seen.get(place);
    if (twin !== undefined) return [twin, id];
    seen.set(place, id);
  }
}
