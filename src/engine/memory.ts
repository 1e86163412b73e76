/**
 * Shared linear memories. One is reserved at its full size at once: that costs address space and no
 * memory until pages are touched, and since it never grows, no view of it ever goes stale.
 */
import { OmenError } from "../errors.ts";

export const PAGE_BYTES = 65536;
/** 4 GiB, what one wasm memory can span. */
export const PAGES_MAX = 65536;
const PAGES_MIN = 256;

/** Reserves `pages`, or half as often as it takes where the platform gives less. */
export function reserveMemory(pages: number = PAGES_MAX, shared = true): WebAssembly.Memory {
  for (let size = pages; ; size = size >>> 1) {
    try {
      return new WebAssembly.Memory({ initial: size, maximum: size, shared });
    } catch (cause) {
      if (size <= PAGES_MIN) {
        const needed = `${(size * PAGE_BYTES) / 1048576} MiB of address space`;
        throw new OmenError("MEMORY_LIMIT", `the platform refused ${needed}`, { cause });
      }
    }
  }
}
