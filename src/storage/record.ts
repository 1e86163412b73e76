/**
 * A record: exactly what the row store keeps of a row beside its vector, as a frame brings it. A
 * frame that removes rows has records without metadata.
 *
 *   offset | size | name          | meaning
 *        0 |    2 | idBytes       | 1 .. 512
 *        2 |    2 | flags         | 1: has metadata; the other bits are reserved, 0
 *        4 |    4 | metadataBytes | 0 without metadata
 *        8 |    i | id            | UTF-8
 *    8 + i |    j | metadata      | a JSON object as UTF-8, as it was sent; then zeros up to 8
 */
import { ID_BYTES_MAX } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { alignUp, textBytes, viewOf, writeText } from "./bytes.ts";

export const RECORD_HEADER_BYTES = 8;
export const RECORD_ALIGNMENT = 8;
export const RECORD_HAS_METADATA = 1;

/** Where a frame's count stands, and where its records begin. */
const COUNT_OFFSET = 20;
const RECORDS_OFFSET = 32;

/**
 * Offsets count from the same place as the frame's own; the metadata is empty where metadataBytes
 * is 0.
 */
export type RecordVisitor = (
  row: number,
  recordOffset: number,
  idOffset: number,
  idBytes: number,
  metadataOffset: number,
  metadataBytes: number,
) => void;

/**
 * Walks the records of a frame of kind PUT or REMOVE that checkFrame passed or encode made.
 * Allocates nothing a row.
 */
export function forEachRecord(bytes: Uint8Array, visit: RecordVisitor, offset = 0): void {
  const view = viewOf(bytes);
  const count = view.getUint32(offset + COUNT_OFFSET, true);
  let record = offset + RECORDS_OFFSET;
  for (let row = 0; row < count; row++) {
    const idBytes = view.getUint16(record, true);
    const metadataBytes = view.getUint32(record + 4, true);
    const id = record + RECORD_HEADER_BYTES;
    visit(row, record, id, idBytes, id + idBytes, metadataBytes);
    record += recordBytes(idBytes, metadataBytes);
  }
}

/** Bytes of a record, padding included: what a row takes in a frame and in the row store. */
export function recordBytes(idBytes: number, metadataBytes: number): number {
  return alignUp(RECORD_HEADER_BYTES + idBytes + metadataBytes, RECORD_ALIGNMENT);
}

export function measureRecords(
  ids: readonly string[],
  metadata: readonly (Uint8Array | undefined)[] | undefined,
): number {
  if (ids.length === 0) throw new OmenError("BATCH_EMPTY", "a write needs at least one row");
  let bytes = 0;
  for (let row = 0; row < ids.length; row++) {
    const idBytes = textBytes(ids[row]!);
    if (idBytes < 1 || idBytes > ID_BYTES_MAX) {
      const message = `row ${row}: an id has 1 to ${ID_BYTES_MAX} bytes, got ${idBytes}`;
      throw new OmenError("INVALID_ID", message);
    }
    bytes += recordBytes(idBytes, metadata?.[row]?.length ?? 0);
  }
  return bytes;
}

export function writeRecords(
  frame: Uint8Array,
  ids: readonly string[],
  metadata: readonly (Uint8Array | undefined)[] | undefined,
): void {
  const view = viewOf(frame);
  let record = RECORDS_OFFSET;
  for (let row = 0; row < ids.length; row++) {
    const text = metadata?.[row];
    const metadataBytes = text?.length ?? 0;
    const idOffset = record + RECORD_HEADER_BYTES;
    const idBytes = writeText(frame, idOffset, ids[row]!);
    view.setUint16(record, idBytes, true);
    view.setUint16(record + 2, metadataBytes > 0 ? RECORD_HAS_METADATA : 0, true);
    view.setUint32(record + 4, metadataBytes, true);
    if (metadataBytes > 0) frame.set(text!, idOffset + idBytes);
    record += recordBytes(idBytes, metadataBytes);
  }
}
