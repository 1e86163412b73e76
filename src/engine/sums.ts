/**
 * Checksums of bytes that lie in a memory of the engine, by an instance over that very memory: what
 * was read is summed where it is, without a copy. The tables take the page that is left free at the
 * memory's end.
 */
import { CRC_TABLE_BYTES } from "../../assembly/desk.ts";
import type { Sum } from "./sections.ts";
import { instantiate, type Variant } from "./variant.ts";

/** `end` is where the memory's own bytes end; undefined where nothing is left behind them. */
export function sumIn(variant: Variant, memory: WebAssembly.Memory, end: number): Sum | undefined {
  const table = Math.ceil(end / 64) * 64;
  if (table + CRC_TABLE_BYTES > memory.buffer.byteLength) return undefined;
  const engine = instantiate(variant, memory);
  engine.crc32cInit(table);
  return ({ byteOffset, length }) => engine.crc32c(table, byteOffset, length, 0) >>> 0;
}
