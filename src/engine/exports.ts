/**
 * Every export of the engine's wasm, in one interface; a test compares it with each variant's own
 * list. Addresses are signed when they come out of wasm: only this folder touches them, through
 * `address()`.
 */
import type { DeskExports } from "./sheet.ts";

export interface EngineExports extends DeskExports {
  format(
    dimensions: number,
    metric: number,
    m: number,
    quantization: number,
    keep: number,
    workers: number,
    capacityMax: number,
    memoryBytes: number,
  ): number;
  workerBase(worker: number): number;
  vectorAddress(worker: number, slot: number): number;
  stagedVector(slot: number): number;
  baysLeft(): number;
  emptyBays(worker: number): void;
  headAddress(slot: number): number;
  slotsLeft(): number;
  takeSlot(): number;
  publishRow(slot: number, previous: number, sequence: number): void;
  retireRow(slot: number, sequence: number): void;
  takeFreed(): number;
  pin(worker: number, snapshot: number): number;
  forget(published: number): void;
  unrepaired(): number;
  repair(worker: number, budget: number, now: number): number;
  tailLength(): number;
  linkTail(worker: number, count: number, ef: number, slack: number, hasty: number): number;
  refine(worker: number, count: number, ef: number): number;
  needsLearning(): number;
  tryMaintenance(): number;
  awaitMaintenance(): void;
  endMaintenance(): void;
  learn(worker: number): void;
  isReencoding(): number;
  reencode(count: number): number;
  search(worker: number, ef: number, candidates: number, snapshot: number, k: number): number;
  searchWithout(
    worker: number,
    ef: number,
    candidates: number,
    snapshot: number,
    k: number,
    without: number,
  ): number;
  scan(
    worker: number,
    from: number,
    to: number,
    k: number,
    filtered: number,
    snapshot: number,
  ): number;
  scanTies(
    worker: number,
    from: number,
    to: number,
    boundary: number,
    filtered: number,
    snapshot: number,
  ): number;
  searchFiltered(
    worker: number,
    ef: number,
    candidates: number,
    snapshot: number,
    k: number,
    wanted: number,
    budget: number,
  ): number;
  scanPassing(
    worker: number,
    from: number,
    to: number,
    candidates: number,
    snapshot: number,
    k: number,
  ): number;
  countVisible(
    worker: number,
    from: number,
    to: number,
    filtered: number,
    snapshot: number,
  ): number;
  countPassing(worker: number, end: number): number;
  isVisible(slot: number, snapshot: number): number;
  isStillVisible(slot: number, stamp: number, snapshot: number): number;
  check(worker: number): number;
  formatColumns(capacity: number, workers: number, seed: number, memoryBytes: number): number;
  tryRecords(trial: number, from: number, to: number): number;
  tryFree(trial: number, first: number, units: number): number;
  tryIndex(trial: number, from: number, to: number): number;
  tryIds(trial: number, from: number, to: number): number;
  beginEntries(): void;
  adoptEntries(from: number, to: number): number;
  adoptTables(pinned: number): number;
  checkChunk(column: number, chunk: number, rows: number): number;
  putColumns(slot: number, bytes: number): void;
  freeColumns(slot: number): void;
  pinColumn(parent: number, bytes: number, kind: number): number;
  findText(text: number, bytes: number): number;
  runColumns(worker: number, from: number, to: number): number;
  checkBays(worker: number): number;
  checkRows(worker: number, from: number, to: number, sequence: number): number;
  checkState(worker: number, free: number): number;
  soundBytes(pointer: number, bytes: number): number;
  squaredCodes(a: number, b: number, bytes: number): number;
  dotCodes(a: number, b: number, bytes: number): number;
  squaredCoarse(query: number, row: number, half: number, table: number): number;
  squaredL2(a: number, b: number, bytes: number): number;
  dotFloats(a: number, b: number, bytes: number): number;
  cosineFloats(a: number, b: number, bytes: number): number;
  sweepCodes(
    query: number,
    base: number,
    stride: number,
    count: number,
    half: number,
    table: number,
    product: number,
  ): number;
}

/** A wasm pointer as an unsigned number: above 2 GiB it reaches JavaScript negative. */
export function address(pointer: number): number {
  return pointer >>> 0;
}
