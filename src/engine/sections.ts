/** How the engine's and the collections' loaders read an image, whatever it comes from. */
import type { OmenError } from "../errors.ts";

/** CRC-32C of bytes that lie where it knows. */
export type Sum = (bytes: Uint8Array) => number;

export interface Sections {
  /** Bytes of a section; undefined when the image has none of that name. */
  lengthOf(name: string): number | undefined;
  /** Fills the first bytes of `target` with the section, every checksum checked, by `sum`. */
  load(name: string, target: Uint8Array, sum?: Sum): Promise<void>;
  /** What to throw when a section's content cannot be. */
  damage(name: string, message: string): OmenError;
}

/**
 * Loads a region, which may lie in several sections (`rows`, `rows.1`, ...) because it grew while
 * it was copied. It must have exactly as many bytes as `target`.
 */
export async function loadRegion(
  sections: Sections,
  name: string,
  target: Uint8Array,
  sum?: Sum,
): Promise<void> {
  let at = 0;
  let part = name;
  for (let index = 1; ; index++) {
    const bytes = sections.lengthOf(part);
    if (bytes === undefined) break;
    if (at + bytes > target.length) {
      throw sections.damage(part, `the region ends at ${target.length}, not at ${at + bytes}`);
    }
    await sections.load(part, target.subarray(at, at + bytes), sum);
    at += bytes;
    part = `${name}.${index}`;
  }
  if (at === target.length) return;
  throw sections.damage(name, `the region has ${target.length} bytes, the file ${at}`);
}

/** A small section as a whole, of at most so many bytes. */
export async function loadPart(
  sections: Sections,
  name: string,
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = sections.lengthOf(name);
  if (bytes === undefined) throw sections.damage(name, "there is no such section");
  if (bytes > bytesMax) throw sections.damage(name, `${bytes} bytes, at most ${bytesMax} may be`);
  const target = new Uint8Array(bytes);
  await sections.load(name, target);
  return target;
}

/** All results, once nothing is under way any more: after an error no one may still be reading. */
export async function together<T extends readonly unknown[]>(
  work: {
    readonly [K in keyof T]: Promise<T[K]>;
  },
): Promise<T> {
  await Promise.allSettled(work);
  return (await Promise.all(work)) as unknown as T;
}
