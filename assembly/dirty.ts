/**
 * Which parts of the memory the writer has changed since an image was begun: one byte for each
 * DIRTY_BYTES, set by a plain store. There are two maps, and HEADER_DIRTY_NOW says which one is
 * marked: the imager lets the writer's thread turn from one to the other, so that the map it reads
 * and clears is never written meanwhile, and every change that it missed is marked in the other.
 *
 * Only the writer marks. What linkers change (links, levels, flags, codes that move to a new
 * generation) is copied while they are held.
 */
import * as L from "./layout";

export function markDirty(address: usize, bytes: usize): void {
  const map = <usize>load<u32>(L.HEADER_DIRTY_NOW);
  const last = (address + bytes - 1) >> L.DIRTY_SHIFT;
  for (let at = address >> L.DIRTY_SHIFT; at <= last; at++) store<u8>(map + at, 1);
}
