/**
 * The once: what makes a repeated request known. It ends a frame, so that it is written exactly
 * when the write is, and whoever applies the frame enters it in the collection's ledger.
 *
 *   offset | size | name     | meaning
 *        0 |   16 | key      | hash of the client's key, and of whose it is
 *       16 |   16 | request  | hash of all that the client asked for
 *       32 |    8 | atMs     | when it was asked for, Unix time in milliseconds
 *       40 |    8 | reserved | 0
 */
import { getU64, setU64, viewOf } from "./bytes.ts";

export const ONCE_BYTES = 48;
export const ONCE_HASH_BYTES = 16;
/** Of a frame's flags. */
export const FRAME_HAS_ONCE = 1;
const FLAGS_OFFSET = 18;

/** The hashes as lower-case hexadecimal digits. */
export interface Once {
  readonly key: string;
  readonly request: string;
  readonly atMs: number;
}

/** Writes it over the last bytes of a frame, or of whatever they end. */
export function writeOnce(bytes: Uint8Array, { key, request, atMs }: Once): void {
  const start = bytes.length - ONCE_BYTES;
  writeHash(bytes, start, key);
  writeHash(bytes, start + ONCE_HASH_BYTES, request);
  setU64(viewOf(bytes), start + 2 * ONCE_HASH_BYTES, atMs);
}

/** Of a frame that was encoded here or passed checkFrame. */
export function onceOf(frame: Uint8Array): Once | undefined {
  const flags = viewOf(frame).getUint16(FLAGS_OFFSET, true);
  return (flags & FRAME_HAS_ONCE) === 0 ? undefined : readOnce(frame, frame.length - ONCE_BYTES);
}

export function readOnce(bytes: Uint8Array, start: number): Once {
  return {
    key: readHash(bytes, start),
    request: readHash(bytes, start + ONCE_HASH_BYTES),
    atMs: getU64(viewOf(bytes), start + 2 * ONCE_HASH_BYTES),
  };
}

function writeHash(bytes: Uint8Array, start: number, hash: string): void {
  for (let index = 0; index < ONCE_HASH_BYTES; index++) {
    bytes[start + index] = Number.parseInt(hash.slice(index * 2, index * 2 + 2), 16);
  }
}

function readHash(bytes: Uint8Array, start: number): string {
  let hash = "";
  for (let index = 0; index < ONCE_HASH_BYTES; index++) {
    hash += bytes[start + index]!.toString(16).padStart(2, "0");
  }
  return hash;
}
