/** Reading one row where it lies, as a reader at a snapshot sees it. */
import { NO_SLOT } from "../../assembly/layout.ts";
import type { Row } from "./database.ts";
import type { Part } from "./searchable.ts";

/** The slot in which a reader at `snapshot` finds the row at a position, or NO_SLOT. */
export function slotFor(part: Part, position: number, snapshot: number): number {
  let slot = part.rows.slotAt(position);
  if (slot === NO_SLOT) return NO_SLOT;
  if (part.shard.birth(slot) > snapshot) slot = part.shard.previous(slot);
  if (slot === NO_SLOT) return NO_SLOT;
  return part.shard.isVisible(slot, snapshot) ? slot : NO_SLOT;
}

/** The row at a position; "moved" when its slot was given away while it was read. */
export function readAt(part: Part, position: number, snapshot: number): Row | "moved" | undefined {
  const { shard, rows } = part;
  const slot = slotFor(part, position, snapshot);
  if (slot === NO_SLOT) return undefined;
  const stamp = shard.stamp(slot);
  const row = {
    id: rows.id(slot),
    vector: shard.vector(slot).slice(),
    metadata: rows.metadata(slot),
    version: shard.birth(slot),
  };
  return shard.isStillVisible(slot, stamp, snapshot) ? row : "moved";
}

/** The row of an id in one shard. */
export function readRow(part: Part, id: Uint8Array, snapshot: number): Row | "moved" | undefined {
  const { rows } = part;
  const position = rows.find(id, 0, id.length, rows.hash(id));
  if (position < 0) return undefined;
  const row = readAt(part, position, snapshot);
  if (typeof row !== "object") return row;
  // The position may have been given to another id since it was found.
  return isText(row.id, id) ? row : "moved";
}

const encoder = new TextEncoder();

function isText(text: string, bytes: Uint8Array): boolean {
  const own = encoder.encode(text);
  return own.length === bytes.length && own.every((byte, index) => byte === bytes[index]);
}
