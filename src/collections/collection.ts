/**
 * A collection as a thread of a server holds it: what is searched (searchable.ts), and beside it
 * what waits to be linked, what calibrates, what was answered under a key, and the walk through all
 * rows. Reading is there and here; only changes.ts, on the writer's thread, alters anything.
 */
import { unrepaired, written } from "../engine/linking.ts";
import { Calibrator } from "./calibrator.ts";
import type {
  CollectionView,
  RecallQuery,
  RecallReport,
  Row,
  ScrollQuery,
  SearchQuery,
  Work,
} from "./database.ts";
import { Ledger } from "./ledger.ts";
import { measureRecall } from "./recall.ts";
import { scroll } from "./scroll.ts";
import { workOf } from "./search.ts";
import { Searchable } from "./searchable.ts";

export { publish, retire, stagedVector, takeFreed, takeSlot } from "../engine/writing.ts";
export {
  type CollectionParts,
  type Part,
  type ShardMemories,
  shardSettings,
  type Thread,
} from "./searchable.ts";

/** Dead rows in a shard before writes wait: one in so many of its rows, and at least so many. */
const UNREPAIRED_SHARE = 16;
const UNREPAIRED_MIN = 4000;

export class Collection extends Searchable implements CollectionView {
  /** Only the writer's thread has anything in it. */
  readonly ledger = new Ledger();
  readonly calibrator = new Calibrator(this);

  /** Writer only: from here on every reader sees the writes up to `sequence`. */
  publish(sequence: number): void {
    this.state.sequence = sequence;
  }

  /** Rows that are on their way to the writer or wait to be linked. */
  get backlog(): number {
    let rows = this.state.admitted;
    for (const { shard } of this.parts) rows += shard.tail;
    return rows;
  }

  /** Dead rows that the graphs still hold, beyond what may be left for later. */
  get repairBacklog(): number {
    let rows = 0;
    for (const { shard } of this.parts) {
      const allowed = Math.max(UNREPAIRED_MIN, shard.slotsUsed / UNREPAIRED_SHARE);
      rows += Math.max(0, unrepaired(shard) - allowed);
    }
    return rows;
  }

  /** Rows written and rows removed since the beginning. */
  get changes(): number {
    return this.parts.reduce((sum, { shard }) => sum + 2 * written(shard) - shard.live, 0);
  }

  admit(rows: number): void {
    this.state.admit(rows);
  }

  work(query: SearchQuery): Work {
    return workOf(this, query);
  }

  async scroll(query: ScrollQuery, onRow: (row: Row) => void): Promise<string | undefined> {
    return scroll(this, query, onRow);
  }

  async recall(query: RecallQuery): Promise<RecallReport> {
    return measureRecall(this, query);
  }
}
