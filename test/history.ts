/**
 * The writes of a run in the order of their sequences, and the states that a read may have seen. All
 * that is known of a write is its sequence and when it was asked for and answered. A read is
 * explained when one state of that order gives its very answer, a state between
 *   - the last write that was answered before the read was asked for (it must be seen), and
 *   - the first write that was asked for after the read was answered (it cannot be seen).
 * A batch is one step of the order, so a read that saw half of it is explained by no state.
 */

/** One write of one row; the nonce in its metadata tells it from all others. */
export interface RowVersion {
  readonly id: string;
  readonly nonce: number;
  readonly vector: Float32Array;
}

export interface Timed {
  /** Milliseconds on one clock: before the request was sent, after its answer had arrived. */
  readonly start: number;
  readonly end: number;
}

/** Puts the rows and takes the ids away; of a removal the server says how many there were. */
export interface Write extends Timed {
  readonly sequence: number;
  readonly rows: readonly RowVersion[];
  readonly removed: readonly string[];
  readonly deleted: number;
}

export type State = Map<string, RowVersion>;
/** Undefined when the state explains the answer, else why not. */
export type Explain = (state: State) => string | undefined;

export interface Read extends Timed {
  readonly what: string;
  readonly explain: Explain;
  /** Called with every state that explains the answer. */
  readonly accept?: (states: readonly State[]) => void;
}

/** The writes that changed something, in the order of their sequences. */
export class WriteOrder {
  readonly #writes: readonly Write[];
  /** Ends in rising order, each with the highest position that was answered by then. */
  readonly #answered: readonly { time: number; position: number }[];
  /** Starts in falling order, each with the lowest position that was asked for from then on. */
  readonly #asked: readonly { time: number; position: number }[];

  constructor(writes: readonly Write[]) {
    this.#writes = writes
      .filter(({ rows, deleted }) => rows.length + deleted > 0)
      .sort((a, b) => a.sequence - b.sequence);
    refuseGaps(this.#writes, writes);
    const at = (pick: (write: Write) => number) =>
      this.#writes.map((write, position) => ({ time: pick(write), position }));
    const ends = at(({ end }) => end).sort((a, b) => a.time - b.time);
    const starts = at(({ start }) => start).sort((a, b) => b.time - a.time);
    this.#answered = running(ends, Math.max);
    this.#asked = running(starts, Math.min);
    for (const [position, { start, sequence }] of this.#writes.entries()) {
      if (this.#lowest(start) <= position) continue;
      throw new Error(`write ${sequence} began after a later sequence had been answered`);
    }
  }

  /** Replays the writes once, and stops at each read to look at the states it may have seen. */
  explainAll(reads: readonly Read[]): void {
    const state: State = new Map();
    let applied = 0;
    const placed = reads.map((read) => ({ read, low: this.#lowest(read.start) }));
    for (const { read, low } of placed.sort((a, b) => a.low - b.low)) {
      while (applied < low) apply(state, this.#writes[applied++]!);
      this.#explain(read, state, low);
    }
    while (applied < this.#writes.length) apply(state, this.#writes[applied++]!);
  }

  #explain(read: Read, lowest: State, low: number): void {
    const high = this.#highest(read.end);
    const state = new Map(lowest);
    const explaining: State[] = [];
    const reasons: string[] = [];
    for (let count = low; ; count++) {
      const reason = read.explain(state);
      if (reason === undefined) explaining.push(new Map(state));
      else reasons.push(`after write ${this.#writes[count - 1]?.sequence ?? 0}: ${reason}`);
      if (count >= high) break;
      applyUnchecked(state, this.#writes[count]!);
    }
    if (explaining.length === 0) {
      throw new Error(`no state explains ${read.what}\n  ${reasons.join("\n  ")}`);
    }
    read.accept?.(explaining);
  }

  /** How many writes a read that starts then must see. */
  #lowest(start: number): number {
    const index = countBefore(this.#answered, ({ time }) => time < start);
    return index === 0 ? 0 : this.#answered[index - 1]!.position + 1;
  }

  /** How many writes a read that ended then may have seen. */
  #highest(end: number): number {
    const index = countBefore(this.#asked, ({ time }) => time > end);
    return index === 0 ? this.#writes.length : this.#asked[index - 1]!.position;
  }
}

function running(
  sorted: readonly { time: number; position: number }[],
  pick: (a: number, b: number) => number,
) {
  let best = sorted[0]?.position ?? 0;
  return sorted.map(({ time, position }) => ({ time, position: (best = pick(best, position)) }));
}

/** The length of the front part for which `holds`. */
function countBefore<T>(sorted: readonly T[], holds: (item: T) => boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(sorted[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A removal that found nothing may take a sequence or leave it; a write that changed rows takes one. */
function refuseGaps(effective: readonly Write[], all: readonly Write[]): void {
  const taken = new Set(all.map(({ sequence }) => sequence));
  for (const [index, { sequence }] of effective.entries()) {
    if (!Number.isInteger(sequence)) throw new Error(`a write was answered "${sequence}"`);
    const before = effective[index - 1]?.sequence ?? sequence - 1;
    if (before === sequence) throw new Error(`two writes were answered sequence ${sequence}`);
    for (let missing = before + 1; missing < sequence; missing++) {
      if (!taken.has(missing)) throw new Error(`no write was answered sequence ${missing}`);
    }
  }
}

function apply(state: State, write: Write): void {
  const deleted = write.removed.filter((id) => state.has(id)).length;
  if (deleted !== write.deleted) {
    const said = `answered ${write.deleted} deleted, ${deleted} were there`;
    throw new Error(`write ${write.sequence} of ${write.removed.join()} ${said}`);
  }
  applyUnchecked(state, write);
}

function applyUnchecked(state: State, { rows, removed }: Write): void {
  for (const id of removed) state.delete(id);
  for (const row of rows) state.set(row.id, row);
}
