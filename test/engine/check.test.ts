/** The checker: it finds each fault that is planted, and survives whatever bytes it is given. */
import { expect } from "chai";
import * as L from "../../assembly/layout.ts";
import { seededRandom } from "../../perf/random.ts";
import { address } from "../../src/engine/exports.ts";
import type { Shard } from "../../src/engine/shard.ts";
import type { VariantName } from "../../src/engine/variant.ts";
import { append, clustered, newShard, overVariants, SEED, settle, words } from "./trial.ts";

const DIMENSIONS = 32;
const ROWS = 400;
const M = 4;
const CORRUPTIONS = 400;

/** A linked shard whose bytes can be spoiled and put back. */
class Patient {
  readonly shard: Shard;
  readonly words: Uint32Array;
  readonly #healthy: Uint32Array;

  constructor(name: VariantName) {
    this.shard = newShard(name, { dimensions: DIMENSIONS, m: M, capacity: 500 });
    append(this.shard, clustered(ROWS, DIMENSIONS, "l2").base.values);
    settle(this.shard);
    this.words = words(this.shard);
    this.#healthy = this.words.slice();
  }

  heal(): void {
    this.words.set(this.#healthy);
  }

  /** Index of a word of a row's head. */
  head(slot: number, offset: number): number {
    return (address(this.shard.engine.headAddress(slot)) + offset) >>> 2;
  }

  level(slot: number): number {
    return (this.words[this.head(slot, L.ROW_FLAGS)]! >>> 16) & 255;
  }

  setLevel(slot: number, level: number): void {
    const at = this.head(slot, L.ROW_FLAGS);
    this.words[at] = (this.words[at]! & 0xff00ffff) | (level << 16);
  }

  /** Index of the count of a list; its links follow. */
  list(slot: number, level: number): number {
    if (level === 0) return this.head(slot, L.ROW_COUNT);
    const unit = this.words[this.head(slot, L.ROW_UPPER)]! + level - 1;
    const stride = this.words[L.HEADER_UPPER_STRIDE >>> 2]!;
    return (this.words[L.HEADER_UPPER_BASE >>> 2]! + unit * stride) >>> 2;
  }

  links(slot: number, level = 0): number[] {
    const list = this.list(slot, level);
    return Array.from(this.words.subarray(list + 1, list + 1 + this.words[list]!));
  }

  get entry(): number {
    return this.words[L.HEADER_ENTRY >>> 2]! & L.NO_SLOT;
  }

  /** A row that is not the entry point, of at least that level, with a link there. */
  rowOn(level: number): number {
    for (let slot = 0; slot < ROWS; slot++) {
      const isOther = slot !== this.entry && this.level(slot) >= level;
      if (isOther && this.links(slot, level).length > 1) return slot;
    }
    throw new Error(`the trial's graph has no row on level ${level}`);
  }

  /** Takes a row out of every list of level 0. */
  isolate(slot: number): void {
    for (let other = 0; other < ROWS; other++) {
      const kept = this.links(other).filter((link) => link !== slot);
      const list = this.list(other, 0);
      this.words[list] = kept.length;
      this.words.set(kept, list + 1);
    }
  }
}

/** What is planted, by the fault that the checker must name. */
const PLANTS: Record<string, [fault: number, plant: (patient: Patient) => void]> = {
  "a list longer than its level allows": [
    L.FAULT_DEGREE,
    (p) => {
      p.words[p.list(7, 0)] = 2 * M + 1;
    },
  ],
  "an upper list longer than its level allows": [
    L.FAULT_DEGREE,
    (p) => {
      p.words[p.list(p.rowOn(1), 1)] = M + 1;
    },
  ],
  "a link past the rows": [
    L.FAULT_LINK_BOUNDS,
    (p) => {
      p.words[p.list(7, 0) + 1] = ROWS;
    },
  ],
  "a row that links to itself": [
    L.FAULT_SELF_LINK,
    (p) => {
      p.words[p.list(7, 0) + 1] = 7;
    },
  ],
  "a list that names a row twice": [
    L.FAULT_DUPLICATE_LINK,
    (p) => {
      p.words[p.list(7, 0) + 1] = p.words[p.list(7, 0) + 2]!;
    },
  ],
  "a link to a row that is not in the graph": [
    L.FAULT_LINK_UNLINKED,
    (p) => {
      const target = p.links(7).find((slot) => slot !== p.entry)!;
      p.words[p.head(target, L.ROW_FLAGS)]! &= ~L.FLAG_LINKED;
    },
  ],
  "a level that cannot be": [L.FAULT_LEVEL, (p) => p.setLevel(p.rowOn(0), L.LEVELS_MAX)],
  "upper lists outside their region": [
    L.FAULT_UPPER_BOUNDS,
    (p) => {
      p.words[p.head(p.rowOn(1), L.ROW_UPPER)] = p.words[L.HEADER_UPPER_USED >>> 2]!;
    },
  ],
  "an entry point past the rows": [
    L.FAULT_ENTRY,
    (p) => {
      p.words[L.HEADER_ENTRY >>> 2] = ROWS;
    },
  ],
  "an entry point of another level": [
    L.FAULT_ENTRY,
    (p) => {
      p.words[(L.HEADER_ENTRY >>> 2) + 1]! += 1;
    },
  ],
  "a live row that nothing links to": [L.FAULT_UNREACHABLE, (p) => p.isolate(p.rowOn(0))],
  "a row still marked as being written": [
    L.FAULT_STAMP,
    (p) => {
      p.words[p.head(7, L.ROW_STAMP)]! += 1;
    },
  ],
  "more rows than there is room for": [
    L.FAULT_TAIL,
    (p) => {
      p.words[L.HEADER_SLOTS_USED >>> 2] = p.shard.capacity + 1;
    },
  ],
  "a tail longer than its ring": [
    L.FAULT_TAIL,
    (p) => {
      p.words[L.HEADER_TAIL_END >>> 2]! += p.words[L.HEADER_TAIL_CAPACITY >>> 2]! + 1;
    },
  ],
  "an upper link to a row that is not on that level": [
    L.FAULT_LINK_LEVEL,
    (p) => {
      const low = Array.from({ length: ROWS }, (_, slot) => slot).find((s) => p.level(s) === 0);
      p.words[p.list(p.rowOn(1), 1) + 1] = low!;
    },
  ],
};

overVariants("the checker", (name) => {
  const patient = new Patient(name);

  it("finds nothing wrong with a linked shard", () => {
    expect(patient.shard.check()).to.equal(undefined);
  });

  for (const [title, [fault, plant]] of Object.entries(PLANTS)) {
    it(`finds ${title}`, () => {
      patient.heal();
      plant(patient);
      expect(patient.shard.engine.check(0)).to.equal(fault);
      const found = patient.shard.check();
      expect(found?.fault).to.be.a("string");
      expect(found?.slot).to.be.a("number");
      patient.heal();
      expect(patient.shard.check()).to.equal(undefined);
    });
  }

  it(`comes to an end on rows and lists of any bytes, ${CORRUPTIONS} times`, () => {
    const random = seededRandom(SEED);
    const { words } = patient;
    const header = [L.HEADER_ENTRY, L.HEADER_ENTRY + 4, L.HEADER_SLOTS_USED, L.HEADER_TAIL_END];
    const rows = patient.head(0, 0);
    const rowsWords = patient.head(ROWS, 0) - rows;
    const upper = words[L.HEADER_UPPER_BASE >>> 2]! >>> 2;
    for (let round = 0; round < CORRUPTIONS; round++) {
      patient.heal();
      for (let change = random.integer(20); change >= 0; change--) {
        const places = [
          header[random.integer(header.length)]! >>> 2,
          rows + random.integer(rowsWords),
          upper + random.integer(2000),
        ];
        const values = [random.integer(2 ** 32), random.integer(ROWS + 2), 2 ** 32 - 1];
        words[places[random.integer(3)]!] = values[random.integer(3)]!;
      }
      expect(patient.shard.engine.check(0)).to.be.within(L.FAULT_NONE, L.FAULT_LINK_LEVEL);
    }
    patient.heal();
  });
});
