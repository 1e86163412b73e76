/**
 * How a collection changes: on the writer's thread, by frames, in order. What cannot be has been
 * refused before (decisions.ts), so `apply` cannot fail.
 *
 * An update takes a new slot and leaves the old one to readers of older snapshots. Nothing that a
 * frame brings is seen until its sequence is published, so a batch appears at once; ids that a
 * frame removes keep their positions until then.
 *
 * Slots and records of rows that the linkers have taken out of the graph are taken back here, some
 * with every frame.
 */
import { NO_SLOT } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import {
  FRAME_PUT,
  FRAME_REMOVE,
  type FrameHeader,
  forEachRecord,
  readHeader,
  vectorsOffset,
} from "../storage/frame.ts";
import { onceOf } from "../storage/once.ts";
import {
  type Collection,
  type Part,
  publish,
  retire,
  stagedVector,
  takeFreed,
  takeSlot,
} from "./collection.ts";
import { insertId, removeId, turnId } from "./indexing.ts";
import { Rows } from "./rows.ts";

/**
 * Slots that only updates may take, so that a full shard can still change its rows: one in this
 * many.
 */
const RESERVE_SHARE = 64;
/**
 * No record is larger: 64 KiB of metadata, the longest id, and what their size class rounds up to.
 */
const RECORD_BYTES_MAX = 128 * 1024;
/** Rows, and components, applied before others get the thread. */
const SLICE_ROWS = 2000;
const SLICE_COMPONENTS = 500_000;
/** Slots taken back with a frame: so many, and so many more for each of its rows. */
const RECLAIM_MIN = 256;
const RECLAIM_FACTOR = 4;

interface Place {
  readonly part: Part;
  readonly position: number;
  readonly slot: number;
}

/** Where an id lives now, for the writer: the newest row, published or not. */
function locate(
  collection: Collection,
  id: Uint8Array,
  start: number,
  length: number,
): Place | undefined {
  for (const part of collection.parts) {
    const hash = part.rows.hash(id, start, length);
    const position = part.rows.find(id, start, length, hash);
    if (position < 0) continue;
    const slot = part.rows.slotAt(position);
    if (slot !== NO_SLOT && part.shard.death(slot) === 0) return { part, position, slot };
  }
  return undefined;
}

/** The version of the newest row of an id, published or not; 0 when there is none. */
export function versionOf(collection: Collection, id: Uint8Array): number {
  const place = locate(collection, id, 0, id.length);
  return place === undefined ? 0 : place.part.shard.birth(place.slot);
}

/** Whether the shards take all these frames; if not, another one must be opened first. */
export function hasRoom(collection: Collection, frames: readonly Uint8Array[]): boolean {
  let rows = 0;
  let heapBytes = 0;
  let recordBytesMax = 1;
  for (const frame of frames) {
    const { kind, count } = readHeader(frame);
    if (kind !== FRAME_PUT) continue;
    rows += count;
    forEachRecord(frame, (_row, _record, _id, idBytes, _metadata, metadataBytes) => {
      const bytes = Rows.heapBytes(idBytes, metadataBytes);
      heapBytes += bytes;
      recordBytesMax = Math.max(recordBytesMax, bytes);
    });
  }
  const fits = () => isRoomFor(collection, rows, heapBytes, recordBytesMax);
  return fits() || (reclaim(collection, Number.POSITIVE_INFINITY) > 0 && fits());
}

function isRoomFor(
  collection: Collection,
  rows: number,
  heapBytes: number,
  recordBytesMax: number,
): boolean {
  let rowsLeft = rows;
  for (const part of collection.parts) {
    if (!isOpen(part)) continue;
    const slots = part.shard.slotsLeft - reserveOf(part);
    const heapLeft = part.rows.heapLeft - RECORD_BYTES_MAX;
    // Where the heap may run out first, its slots count only as far as the largest records fit.
    rowsLeft -= heapLeft >= heapBytes ? slots : Math.min(slots, heapLeft / recordBytesMax);
  }
  return rowsLeft <= 0;
}

/** Takes back up to `most` slots a shard; returns how many. */
function reclaim(collection: Collection, most: number): number {
  let taken = 0;
  for (const { shard, rows, columns } of collection.parts) {
    for (let left = most; left > 0; left--) {
      const slot = takeFreed(shard);
      if (slot === NO_SLOT) break;
      rows.free(slot);
      columns.free(slot);
      taken++;
    }
  }
  return taken;
}

/** An open shard takes new ids. */
function isOpen(part: Part): boolean {
  return part.shard.slotsLeft > reserveOf(part) && part.rows.heapLeft > RECORD_BYTES_MAX;
}

function reserveOf({ shard }: Part): number {
  return Math.ceil(shard.capacity / RESERVE_SHARE);
}

/**
 * Changes the collection by one sealed frame and publishes it. Returns how many rows it removed or
 * replaced.
 */
export async function apply(collection: Collection, frame: Uint8Array): Promise<number> {
  const header = readHeader(frame);
  reclaim(collection, RECLAIM_MIN + RECLAIM_FACTOR * header.count);
  const changed = await change(collection, frame, header);
  const once = onceOf(frame);
  if (once !== undefined) collection.ledger.add(once, header.sequence, changed);
  return changed;
}

async function change(
  collection: Collection,
  frame: Uint8Array,
  { kind, sequence }: FrameHeader,
): Promise<number> {
  if (kind === FRAME_PUT) return put(collection, frame);
  if (kind === FRAME_REMOVE) return remove(collection, frame, sequence);
  collection.publish(sequence);
  return 0;
}

async function put(collection: Collection, frame: Uint8Array): Promise<number> {
  const { sequence, count, dimensions } = readHeader(frame);
  const start = vectorsOffset(readHeader(frame));
  const vectors = new Float32Array(frame.buffer, frame.byteOffset + start, count * dimensions);
  const gone: Place[] = [];
  let replaced = 0;
  const records = recordsOf(frame, count);
  const step = Math.max(1, Math.min(SLICE_ROWS, Math.floor(SLICE_COMPONENTS / dimensions)));
  for (let row = 0; row < count; row++) {
    if (row > 0 && row % step === 0) await collection.thread.pause();
    const record = records[row * 3]!;
    const idBytes = records[row * 3 + 1]!;
    const metadataBytes = records[row * 3 + 2]!;
    const before = locate(collection, frame, record + 8, idBytes);
    const part = partFor(collection, before, Rows.heapBytes(idBytes, metadataBytes));
    const slot = takeSlot(part.shard);
    stagedVector(part.shard, slot).set(vectors.subarray(row * dimensions, (row + 1) * dimensions));
    part.rows.store(slot, frame, record, idBytes, metadataBytes);
    part.columns.put(slot, frame, record + 8 + idBytes, metadataBytes);
    const isSamePart = before?.part === part;
    publish(part.shard, slot, isSamePart ? before.slot : NO_SLOT, sequence);
    part.columns.log(slot);
    if (isSamePart) turnId(part.rows, before.position, slot);
    else insertId(part.rows, part.rows.hash(frame, record + 8, idBytes), slot);
    if (before) {
      retire(before.part.shard, before.slot, sequence);
      replaced++;
      if (!isSamePart) gone.push(before);
    }
  }
  collection.publish(sequence);
  for (const { part, position } of gone) removeId(part.rows, position);
  return replaced;
}

/** Offsets and lengths of a frame's records, three numbers a row. */
function recordsOf(frame: Uint8Array, count: number): Uint32Array {
  const records = new Uint32Array(count * 3);
  forEachRecord(frame, (row, record, _id, idBytes, _metadata, metadataBytes) => {
    records[row * 3] = record;
    records[row * 3 + 1] = idBytes;
    records[row * 3 + 2] = metadataBytes;
  });
  return records;
}

/**
 * An update stays in its row's shard while that has room; everything else goes to the first open
 * one.
 */
function partFor(collection: Collection, before: Place | undefined, heapBytes: number): Part {
  const home = before?.part;
  if (home && home.shard.slotsLeft > 0 && home.rows.heapLeft >= heapBytes) return home;
  const open = collection.parts.find(isOpen);
  if (!open) throw new OmenError("ENGINE_FAULT", "a frame was applied without room for its rows");
  return open;
}

async function remove(
  collection: Collection,
  frame: Uint8Array,
  sequence: number,
): Promise<number> {
  const gone: Place[] = [];
  const { count } = readHeader(frame);
  const records = recordsOf(frame, count);
  for (let row = 0; row < count; row++) {
    if (row > 0 && row % SLICE_ROWS === 0) await collection.thread.pause();
    const place = locate(collection, frame, records[row * 3]! + 8, records[row * 3 + 1]!);
    if (!place) continue;
    retire(place.part.shard, place.slot, sequence);
    gone.push(place);
  }
  collection.publish(sequence);
  for (const { part, position } of gone) removeId(part.rows, position);
  return gone.length;
}
