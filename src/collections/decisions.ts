/**
 * What the writer decides before a write is given its sequence: whether its dimensions are the
 * collection's, its ids there or not as its mode asks, and its rows of the versions that were
 * expected. It decides a whole group before any of it is applied, so beside the state it looks at
 * what the earlier writes of the group will make of the ids that later ones ask for.
 */
import { OmenError } from "../errors.ts";
import { FRAME_PUT, forEachRecord, readHeader } from "../storage/frame.ts";
import { versionOf } from "./changes.ts";
import type { Collection } from "./collection.ts";
import type { Expected, RowsToWrite, Terms, WriteMode } from "./database.ts";
import { Allowance } from "./quota.ts";

/** Ids named in the sentence of an error; the rest are counted. */
const NAMED_MAX = 5;
/** Ids listed beside the sentence. */
export const OFFENDERS_MAX = 10_000;

/** A write as it reaches the writer. */
export interface Proposal extends Terms {
  readonly frame: Uint8Array;
  readonly mode: WriteMode;
}

interface Offender {
  readonly id: string;
  readonly why: string;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** The version of an id that no row has. */
const ABSENT = 0;

/** The decisions over one group, in order. */
export class Decisions {
  readonly #collection: Collection;
  /** Ids that proposals of this group have conditions on. */
  readonly #watched = new Set<string>();
  readonly #foreseen = new Map<string, number>();
  readonly #allowance: Allowance | undefined;

  constructor(collection: Collection, group: readonly Proposal[]) {
    this.#collection = collection;
    const { quota } = collection.settings;
    this.#allowance = quota && new Allowance(collection, quota);
    // The first of a group meets the state as it is.
    for (const { frame, mode, expected } of group.slice(1)) {
      if (mode === "upsert" && expected === undefined) continue;
      forEachId(frame, (_row, id) => this.#watched.add(id));
    }
  }

  /**
   * Throws DIMENSION_MISMATCH, PRECONDITION_FAILED, ROW_EXISTS, ROW_NOT_FOUND; the last three name
   * every id at fault.
   */
  decide({ frame, mode, expected }: Proposal): void {
    const { kind, dimensions } = readHeader(frame);
    if (kind === FRAME_PUT && dimensions !== this.#collection.settings.dimensions) {
      const wanted = this.#collection.settings.dimensions;
      const message = `expected ${wanted} dimensions, got ${dimensions}`;
      throw new OmenError("DIMENSION_MISMATCH", message);
    }
    if (expected !== undefined) this.#refuseOthers(frame, expected);
    if (mode !== "upsert") this.#refuseByMode(frame, mode);
  }

  /** Throws QUOTA_EXCEEDED. What is allowed counts against the rest of the group. */
  allow(frame: Uint8Array): void {
    if (this.#allowance === undefined) return;
    let present = 0;
    forEachId(frame, (_row, id, bytes) => {
      if (this.#versionOf(id, bytes) !== ABSENT) present++;
    });
    this.#allowance.spend(frame, present);
  }

  /** Later decisions see the write as done. */
  accept(frame: Uint8Array, sequence: number): void {
    const isEveryWatched = this.#allowance !== undefined;
    if (this.#watched.size === 0 && !isEveryWatched) return;
    const { kind } = readHeader(frame);
    const version = kind === FRAME_PUT ? sequence : ABSENT;
    forEachId(frame, (_row, id) => {
      if (isEveryWatched || this.#watched.has(id)) this.#foreseen.set(id, version);
    });
  }

  #refuseOthers(frame: Uint8Array, expected: readonly Expected[]): void {
    const offenders: Offender[] = [];
    forEachId(frame, (row, id, bytes) => {
      const version = this.#versionOf(id, bytes);
      const wanted = expected[row]!;
      if (!isAs(wanted, version)) offenders.push({ id, why: ` ${explain(wanted, version)}` });
    });
    refuse("PRECONDITION_FAILED", "nothing was written:", offenders);
  }

  #refuseByMode(frame: Uint8Array, mode: "insert" | "update"): void {
    const offenders: Offender[] = [];
    forEachId(frame, (_row, id, bytes) => {
      const exists = this.#versionOf(id, bytes) !== ABSENT;
      if (exists === (mode === "insert")) offenders.push({ id, why: "" });
    });
    if (mode === "insert") refuse("ROW_EXISTS", "exists already:", offenders);
    else refuse("ROW_NOT_FOUND", "not there to update:", offenders);
  }

  #versionOf(id: string, bytes: Uint8Array): number {
    return this.#foreseen.get(id) ?? versionOf(this.#collection, bytes);
  }
}

/** What a collection without rows would refuse, for a write that would make it. */
export function refuseOnEmpty({ ids, mode, expected }: RowsToWrite): void {
  const others = ids.flatMap((id, row): Offender[] => {
    const wanted = expected?.[row];
    if (wanted === undefined || isAs(wanted, ABSENT)) return [];
    return [{ id, why: ` ${explain(wanted, ABSENT)}` }];
  });
  refuse("PRECONDITION_FAILED", "nothing was written:", others);
  if (mode !== "update") return;
  const missing = ids.map((id) => ({ id, why: "" }));
  refuse("ROW_NOT_FOUND", "not there to update:", missing);
}

/** Whether a row of that version, 0 for none, is what was expected. */
export function isAs(expected: Expected, version: number): boolean {
  if (expected === "present") return version !== ABSENT;
  if (expected === "absent") return version === ABSENT;
  return version !== ABSENT && expected.includes(version);
}

function explain(expected: Expected, version: number): string {
  const is = version === ABSENT ? "is not there" : `has version ${version}`;
  if (expected === "absent") return `${is}, expected none`;
  if (expected === "present") return is;
  return `${is}, expected ${expected.length === 0 ? "another" : expected.join(" or ")}`;
}

function refuse(
  code: "PRECONDITION_FAILED" | "ROW_EXISTS" | "ROW_NOT_FOUND",
  begin: string,
  offenders: readonly Offender[],
): void {
  if (offenders.length === 0) return;
  const named = offenders.slice(0, NAMED_MAX).map(({ id, why }) => JSON.stringify(id) + why);
  const more = offenders.length > NAMED_MAX ? ` and ${offenders.length - NAMED_MAX} more` : "";
  const ids = offenders.slice(0, OFFENDERS_MAX).map(({ id }) => id);
  throw new OmenError(code, `${begin} ${named}${more}`, { ids });
}

function forEachId(
  frame: Uint8Array,
  visit: (row: number, id: string, bytes: Uint8Array) => void,
): void {
  forEachRecord(frame, (row, _record, at, idBytes) => {
    const bytes = frame.subarray(at, at + idBytes);
    visit(row, decoder.decode(bytes), bytes);
  });
}
