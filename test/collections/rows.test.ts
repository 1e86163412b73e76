/** Ids, records and size classes of one shard, against a Map. */
import { expect } from "chai";
import fc from "fast-check";
import { NO_SLOT } from "../../assembly/layout.ts";
import { seededRandom, seedFromEnvironment } from "../../perf/random.ts";
import { classBytes, classOf } from "../../src/collections/classes.ts";
import { insertId, removeId, turnId } from "../../src/collections/indexing.ts";
import { Rows } from "../../src/collections/rows.ts";
import { reserveMemory } from "../../src/engine/memory.ts";
import { encodePut, forEachRecord } from "../../src/storage/frame.ts";

const SEED = seedFromEnvironment() | 0;
const PAGES = 512;
const HASH_SEED = 7;
const encoder = new TextEncoder();

/** A row store with the writer's steps: store a record, then insert, turn or remove its id. */
class Store {
  readonly rows: Rows;
  readonly model = new Map<string, { slot: number; metadata: string | undefined }>();
  #slots = 0;

  constructor(capacity: number) {
    const memory = reserveMemory(PAGES);
    Rows.format(memory, capacity, HASH_SEED);
    this.rows = new Rows(memory);
  }

  put(id: string, metadata?: string): void {
    const slot = this.#slots++;
    const bytes = metadata === undefined ? undefined : encoder.encode(metadata);
    const frame = encodePut({
      ids: [id],
      metadata: [bytes],
      vectors: new Float32Array(1),
      dimensions: 1,
    });
    forEachRecord(frame, (_row, record, _id, idBytes, _metadata, metadataBytes) => {
      this.rows.store(slot, frame, record, idBytes, metadataBytes);
    });
    const position = this.position(id);
    if (position < 0) insertId(this.rows, this.rows.hash(encoder.encode(id)), slot);
    else turnId(this.rows, position, slot);
    this.model.set(id, { slot, metadata });
  }

  remove(id: string): void {
    const position = this.position(id);
    expect(position >= 0, id).to.equal(this.model.delete(id));
    if (position >= 0) removeId(this.rows, position);
  }

  position(id: string): number {
    const bytes = encoder.encode(id);
    return this.rows.find(bytes, 0, bytes.length, this.rows.hash(bytes));
  }

  expectSame(id: string): void {
    const position = this.position(id);
    const expected = this.model.get(id);
    expect(position >= 0, JSON.stringify(id)).to.equal(expected !== undefined);
    if (expected === undefined) return;
    const slot = this.rows.slotAt(position);
    expect(slot).to.equal(expected.slot);
    expect(this.rows.id(slot)).to.equal(id);
    expect(this.rows.idBytes(slot)).to.deep.equal(encoder.encode(id));
    const metadata = this.rows.metadata(slot);
    expect(metadata && new TextDecoder().decode(metadata)).to.equal(expected.metadata);
  }

  /** A scroll walks the positions: each id once. */
  expectScroll(): void {
    const met: string[] = [];
    for (let position = 0; position < this.rows.positionsUsed; position++) {
      const slot = this.rows.slotAt(position);
      if (slot !== NO_SLOT) met.push(this.rows.id(slot));
    }
    expect(met.sort()).to.deep.equal([...this.model.keys()].sort());
  }
}

/** Ids of all sorts: control characters, four-byte letters, up to 512 bytes. */
const anyId = fc
  .oneof(
    fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 80 }),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
    fc.integer({ min: 1, max: 512 }).map((length) => "x".repeat(length)),
    fc.constantFrom("\ufeffbom", "\0", "a", "a\0", "é".repeat(256), "💠".repeat(128), "../..", " "),
  )
  .filter((id) => encoder.encode(id).length <= 512);
const anyStep = fc.tuple(anyId, fc.constantFrom("put", "put", "remove"), fc.boolean());

describe(`rows, seed ${SEED}`, () => {
  it("find, turn and remove ids of any bytes as a Map does", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 120 }), (steps) => {
        const store = new Store(200);
        for (const [id, action, hasMetadata] of steps) {
          if (action === "remove") store.remove(id);
          else store.put(id, hasMetadata ? JSON.stringify({ of: id }) : undefined);
          store.expectSame(id);
        }
        for (const [id] of steps) store.expectSame(id);
        store.expectScroll();
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  it("keep every id while the index grows and fills with removed places", () => {
    const random = seededRandom(SEED);
    const store = new Store(20_000);
    for (let step = 0; step < 15_000; step++) {
      const id = `id-${random.integer(6000)}`;
      if (random.next() < 0.35) store.remove(id);
      else store.put(id);
      if (step % 2500 === 0) store.expectScroll();
    }
    for (let id = 0; id < 6000; id++) store.expectSame(`id-${id}`);
    store.expectScroll();
  });

  it("keep an id's position while its row moves, and give it away once the id is gone", () => {
    const store = new Store(100);
    store.put("a");
    store.put("b");
    const position = store.position("a");
    store.put("a");
    expect(store.position("a")).to.equal(position);
    store.remove("a");
    expect(store.position("a")).to.equal(-1);
    store.put("c");
    expect(store.position("c")).to.equal(position);
    expect(store.rows.positionsUsed).to.equal(2);
  });

  it("tell ids apart that are prefixes of each other or differ in their last byte", () => {
    const store = new Store(600);
    const ids = Array.from({ length: 512 }, (_, length) => "p".repeat(length + 1));
    for (const id of ids) store.put(id);
    for (const id of ids) store.expectSame(id);
    store.expectSame(`${"p".repeat(511)}q`);
  });

  it("return metadata of 64 KiB to the byte", () => {
    const store = new Store(10);
    store.put("large", JSON.stringify({ text: "é".repeat(32_000) }));
    store.expectSame("large");
  });

  it("take from the heap what heapBytes says, and count it by part", () => {
    const store = new Store(100);
    const before = store.rows.heapLeft;
    store.put("twelve bytes", `{"n":1}`);
    expect(before - store.rows.heapLeft).to.equal(Rows.heapBytes(12, 7));
    expect(store.rows.memoryBytes().metadata).to.equal(7);
  });

  it("refuse a memory that cannot hold so many ids", () => {
    expect(() => Rows.format(reserveMemory(256), 10_000_000, 1)).to.throw(/do not fit/);
  });
});

describe("size classes", () => {
  it("hold what they are asked for, in whole words, and waste a quarter at most", () => {
    for (let length = 1; length <= 70_000; length++) {
      const bytes = classBytes(classOf(length));
      if (bytes < length || bytes % 8 > 0) throw new Error(`${length} bytes in ${bytes}`);
      if (bytes > Math.max(length + 7, length * 1.25)) throw new Error(`${length} in ${bytes}`);
    }
  });

  it("grow with their number", () => {
    const sizes = Array.from({ length: 96 }, (_, size) => classBytes(size));
    expect(sizes).to.deep.equal([...new Set(sizes)].sort((a, b) => a - b));
    expect(sizes.map(classOf)).to.deep.equal(sizes.map((_, size) => size));
  });
});
