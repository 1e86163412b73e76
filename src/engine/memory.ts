/**
 * Shared linear memories. One is reserved at its full size at once: that costs address space and no
 * memory until pages are touched, and since it never grows, no view of it ever goes stale.
 */
import { OmenError } from "../errors.ts";

export const PAGE_BYTES = 65536;
/** 4 GiB, what one wasm memory can span. */
export const PAGES_MAX = 65536;
const PAGES_MIN = 256;

/** A few pages for a purpose of their own. Throws OmenError MEMORY_LIMIT. */
export function smallMemory(pages: number, shared: boolean): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (cause) {
    const needed = `${(pages * PAGE_BYTES) / 1048576} MiB`;
    throw new OmenError("MEMORY_LIMIT", `there is no memory left, not even ${needed}`, { cause });
  }
}

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
