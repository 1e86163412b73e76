/**
 * Which rows a filter lets pass, as one bit a slot of each shard.
 *
 * A thread remembers the bits of the filters it met last. They say what the lanes of a slot are,
 * not who may see its row: that is asked of each row when it is measured. So they hold for every
 * snapshot, and all that can make them stale is a slot that was written since; the columns' log
 * names those, and only their groups of 64 rows are looked at again.
 *
 * Rows that the columns cannot tell are tried on their JSON, in slices.
 */
import { GROUP_ROWS, LOG_SLOTS, RUN_ROWS } from "../engine/columns.ts";
import { Pace } from "../engine/pace.ts";
import { countPassing } from "../engine/passing.ts";
import type { Bitmap } from "../engine/shard.ts";
import type { Filter } from "./filter.ts";
import { type Compiled, compileProgram, isCurrent } from "./program.ts";
import type { Part, Searchable } from "./searchable.ts";

export interface Matched {
  /** One a shard. */
  readonly bitmaps: readonly Bitmap[];
  /** Live rows that match, by shard and in all; while rows come and go, about so many. */
  readonly counts: readonly number[];
  readonly count: number;
  /** Rows that were tried on their JSON when the filter was first met, and for which paths. */
  readonly unsure: number;
  readonly unread: readonly string[];
}

/** Filters that a thread remembers for a collection, and what their bits may take. */
export const FILTERS_KEPT_MAX = 64;
export const FILTERS_KEPT_BYTES_MAX = 16 * 1024 * 1024;

const GROUPS_A_RUN = RUN_ROWS / GROUP_ROWS;
/** Groups times instructions of one run: below a millisecond. */
const RUN_COST = 8192;
/** Rows tried on their JSON between two looks at the clock. */
const LOOK_ROWS = 16;
/** With more than one group in so many to look at again, all are. */
const RENEWAL_SHARE = 4;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a thread remembers of the filters of one collection, the last used at the end. */
export class Matcher {
  readonly #collection: Searchable;
  readonly #kept = new Map<string, Matches[]>();

  constructor(collection: Searchable) {
    this.#collection = collection;
  }

  /** Bits for every row of a snapshot that was taken before the call. */
  async match(filter: Filter): Promise<Matched> {
    const parts = this.#remember(filter);
    for (const [index, part] of this.#collection.parts.entries()) {
      parts[index] ??= new Matches(this.#collection, part, filter);
      if (parts[index].isStale) await parts[index].renew();
    }
    const unread = new Set(parts.flatMap((each) => each.unread));
    const counts = parts.map((each) => each.count());
    return {
      bitmaps: parts.map(({ bitmap }) => bitmap),
      counts,
      count: counts.reduce((sum, count) => sum + count, 0),
      unsure: parts.reduce((sum, each) => sum + each.unsure, 0),
      unread: [...unread],
    };
  }

  #remember({ text }: Filter): Matches[] {
    const parts = this.#kept.get(text) ?? [];
    this.#kept.delete(text);
    this.#kept.set(text, parts);
    let bytes = 0;
    for (const each of this.#kept.values()) for (const { size } of each) bytes += size;
    for (const [oldest, each] of this.#kept) {
      if (this.#kept.size <= FILTERS_KEPT_MAX && bytes <= FILTERS_KEPT_BYTES_MAX) break;
      if (oldest === text) break;
      this.#kept.delete(oldest);
      for (const { size } of each) bytes -= size;
    }
    return parts;
  }
}

/** One filter's bits over one shard. */
class Matches {
  readonly #collection: Searchable;
  readonly #part: Part;
  readonly #filter: Filter;
  #program: Compiled | undefined;
  #bitmap: { bytes: Uint8Array; version: number } = { bytes: new Uint8Array(0), version: 0 };
  /** Slots that the bits speak of, and how far the log was when they were last right. */
  #slots = 0;
  #logged: number | undefined;
  #unsure = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(collection: Searchable, part: Part, filter: Filter) {
    this.#collection = collection;
    this.#part = part;
    this.#filter = filter;
  }

  get bitmap(): Bitmap {
    return this.#bitmap;
  }

  get size(): number {
    return this.#bitmap.bytes.length;
  }

  get unsure(): number {
    return this.#unsure;
  }

  /** Paths that were looked for in the rows' JSON. */
  get unread(): string[] {
    if (this.#unsure === 0) return [];
    if (this.#program === undefined) return ["*"];
    const { columns } = this.#part;
    const partial = [...this.#program.read].filter(([column]) => columns.isPartial(column));
    return [...this.#program.unread, ...partial.map(([, path]) => path)];
  }

  get isStale(): boolean {
    return this.#logged !== this.#part.columns.logged;
  }

  count(): number {
    return countPassing(this.#part.shard, this.#bitmap, this.#slots);
  }

  /** One renewal at a time: a later one must not be overtaken by what an earlier one saw. */
  renew(): Promise<void> {
    const turn = this.#turn.then(() => (this.isStale ? this.#renew() : undefined));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #renew(): Promise<void> {
    const { columns, shard } = this.#part;
    const logged = columns.logged;
    const slots = shard.slotsUsed;
    if (this.#program === undefined || !isCurrent(this.#program, columns)) {
      this.#program = compileProgram(this.#filter.root, columns);
    }
    const groups = this.#groupsSince(logged, slots);
    this.#grow(slots);
    if (groups === undefined) this.#unsure = 0;
    const step = this.#groupsAtOnce();
    const pace = new Pace(this.#collection.thread.pause);
    for (const [first, end] of groups ?? [[0, groupsOf(slots)]]) {
      for (let from = first; from < end; from += step) {
        await this.#look(from, Math.min(from + step, end), slots, pace);
        if (pace.isDue()) await pace.rest();
      }
    }
    this.#slots = Math.max(this.#slots, slots);
    this.#logged = logged;
  }

  #groupsAtOnce(): number {
    const instructions = this.#program?.count ?? 1;
    return Math.max(1, Math.min(GROUPS_A_RUN, Math.floor(RUN_COST / instructions)));
  }

  /** Ranges of groups to look at again; undefined for all. */
  #groupsSince(logged: number, slots: number): [number, number][] | undefined {
    if (this.#logged === undefined) return undefined;
    const { columns } = this.#part;
    const count = (logged - this.#logged) >>> 0;
    if (count > LOG_SLOTS / 2) return undefined;
    const groups = new Set<number>();
    for (let entry = 0; entry < count; entry++) {
      groups.add(Math.floor(columns.loggedSlot(this.#logged + entry) / GROUP_ROWS));
    }
    // The writer may have come round the ring while we read it.
    if ((columns.logged - this.#logged) >>> 0 > LOG_SLOTS) return undefined;
    if (groups.size * RENEWAL_SHARE > groupsOf(slots)) return undefined;
    return rangesOf([...groups].sort((a, b) => a - b));
  }

  #grow(slots: number): void {
    const bytes = groupsOf(slots) * 8;
    if (bytes <= this.#bitmap.bytes.length) return;
    const grown = new Uint8Array(Math.ceil((bytes * 1.25) / 8) * 8);
    grown.set(this.#bitmap.bytes);
    this.#bitmap = { bytes: grown, version: this.#bitmap.version };
  }

  /** The bits of groups from..to, at most a run. */
  async #look(from: number, to: number, slots: number, pace: Pace): Promise<void> {
    const { columns } = this.#part;
    const program = this.#program;
    const unsureRows = program ? columns.run(program, from, to) : (to - from) * GROUP_ROWS;
    let bits: Uint8Array;
    if (unsureRows === 0) bits = columns.matches(to - from);
    else {
      bits = program ? columns.matches(to - from).slice() : new Uint8Array((to - from) * 8);
      const unsure = program ? columns.unsure(to - from).slice() : bits.slice().fill(255);
      await this.#decide(bits, unsure, [from * GROUP_ROWS, slots], pace);
    }
    this.#bitmap.bytes.set(bits, from * 8);
    if (to * GROUP_ROWS > slots) clearFrom(this.#bitmap.bytes, slots);
    this.#bitmap.version++;
  }

  /** Settles unsure bits by the rows' JSON. */
  async #decide(
    bits: Uint8Array,
    unsure: Uint8Array,
    [first, slots]: readonly [number, number],
    pace: Pace,
  ): Promise<void> {
    let tried = 0;
    for (let byte = 0; byte < unsure.length; byte++) {
      for (let rest = unsure[byte]!; rest !== 0; rest &= rest - 1) {
        const bit = 31 - Math.clz32(rest & -rest);
        const slot = first + byte * 8 + bit;
        if (slot >= slots) continue;
        if (this.#matches(slot)) bits[byte]! |= 1 << bit;
        else bits[byte]! &= ~(1 << bit);
        tried++;
        if (tried % LOOK_ROWS === 0 && pace.isDue()) await pace.rest();
      }
    }
    this.#unsure += tried;
  }

  /**
   * A slot that is free, or given to another row meanwhile, has no bit: what is written to it is in
   * the log afterwards.
   */
  #matches(slot: number): boolean {
    const { shard, rows } = this.#part;
    const stamp = shard.stamp(slot);
    if (stamp & 1 || shard.birth(slot) === 0) return false;
    const metadata = rows.metadata(slot);
    if (shard.stamp(slot) !== stamp) return false;
    return this.#filter.matches(metadata && JSON.parse(decoder.decode(metadata)));
  }
}

const groupsOf = (slots: number) => Math.ceil(slots / GROUP_ROWS);

/** Ascending groups as ranges. */
function rangesOf(groups: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const group of groups) {
    const last = ranges.at(-1);
    if (last && last[1] === group) last[1] = group + 1;
    else ranges.push([group, group + 1]);
  }
  return ranges;
}

/** Past the last row a filter such as `$ne` has set bits. */
function clearFrom(bytes: Uint8Array, slot: number): void {
  bytes.fill(0, (slot + 7) >> 3);
  if (slot & 7) bytes[slot >> 3]! &= (1 << (slot & 7)) - 1;
}
