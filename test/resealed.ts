/** Images that somebody has changed and made right again, every checksum of them. */
import { CHUNK_BYTES, imageCrc, SECTION_ROW_BYTES } from "../src/storage/head.ts";
import { crc32c } from "./crc32c.ts";

export interface Place {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

const tableStart = (view: DataView) => Math.ceil((64 + view.getUint32(36, true)) / 8) * 8;

export function sectionsOf(bytes: Uint8Array): Place[] {
  const view = new DataView(bytes.buffer);
  const start = tableStart(view);
  return Array.from({ length: view.getUint32(40, true) }, (_, index) => {
    const row = start + index * SECTION_ROW_BYTES;
    const name = new TextDecoder().decode(bytes.subarray(row, row + 40)).replaceAll("\0", "");
    return { name, offset: view.getUint32(row + 40, true), length: view.getUint32(row + 48, true) };
  });
}

export function reseal(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  const sections = sectionsOf(bytes);
  let place = tableStart(view) + sections.length * SECTION_ROW_BYTES;
  for (const { offset, length } of sections) {
    for (let at = 0; at < length; at += CHUNK_BYTES, place += 4) {
      const end = offset + Math.min(at + CHUNK_BYTES, length);
      view.setUint32(place, crc32c(bytes.subarray(offset + at, end)), true);
    }
  }
  view.setUint32(12, imageCrc(bytes.subarray(0, view.getUint32(32, true)), crc32c), true);
}
