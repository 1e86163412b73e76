/**
 * A scroll's cursor: the place among all ids where the next page begins. Clients pass it on as they
 * got it. It carries two sums over its bytes, keyed with the seed that the collection's ids are
 * hashed with, so a broken one, one of another collection, and one of a collection that was dropped
 * and made again are told from our own. Whoever forges one gains nothing: it only names a place.
 *
 *   offset | size | name    | meaning
 *        0 |    1 | version | 1
 *        1 |    4 | place   | of the next row, as placeOf gives it
 *        5 |    n | after   | its id comes after this one; empty where every id at the place does
 *    5 + n |    8 | sums    | of all before, keyed with the seed and with its complement
 */
import { ID_BYTES_MAX } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { hashBytes } from "./hash.ts";

export interface Cursor {
  readonly place: number;
  /** Empty before the first id. */
  readonly after: string;
}

const VERSION = 1;
const HEAD_BYTES = 5;
const SUMS_BYTES = 8;
/** Base64url of the longest cursor. */
export const CURSOR_LENGTH_MAX = Math.ceil(((HEAD_BYTES + ID_BYTES_MAX + SUMS_BYTES) * 4) / 3);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The order of a scroll: the hash of an id read from its last bit to its first. So a place of an
 * index, which is the last bits of a hash, is one stretch of the order, however many bits it has.
 */
export function placeOf(hash: number): number {
  let bits = hash;
  bits = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
  bits = ((bits >>> 2) & 0x33333333) | ((bits & 0x33333333) << 2);
  bits = ((bits >>> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4);
  bits = ((bits >>> 8) & 0x00ff00ff) | ((bits & 0x00ff00ff) << 8);
  return ((bits >>> 16) | (bits << 16)) >>> 0;
}

export function writeCursor({ place, after }: Cursor, seed: number): string {
  const id = encoder.encode(after);
  const bytes = new Uint8Array(HEAD_BYTES + id.length + SUMS_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  view.setUint32(1, place);
  bytes.set(id, HEAD_BYTES);
  const end = HEAD_BYTES + id.length;
  view.setUint32(end, hashBytes(bytes, 0, end, seed));
  view.setUint32(end + 4, hashBytes(bytes, 0, end, ~seed));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Throws OmenError INVALID_CURSOR. */
export function readCursor(text: string, seed: number): Cursor {
  const bytes = bytesOf(text);
  const end = bytes.length - SUMS_BYTES;
  if (end < HEAD_BYTES) throw refused("it is no cursor");
  if (bytes[0] !== VERSION) throw refused(`its version is ${bytes[0]}, this server's ${VERSION}`);
  const view = new DataView(bytes.buffer);
  const isOurs =
    view.getUint32(end) === hashBytes(bytes, 0, end, seed) &&
    view.getUint32(end + 4) === hashBytes(bytes, 0, end, ~seed);
  if (!isOurs) throw refused("it is broken, or was given by another collection");
  return { place: view.getUint32(1), after: decoder.decode(bytes.subarray(HEAD_BYTES, end)) };
}

/** Empty for what is no base64url as this file writes it. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]*$/.test(text) || text.length > CURSOR_LENGTH_MAX || text.length % 4 === 1) {
    return new Uint8Array(0);
  }
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

export function refused(why: string): OmenError {
  return new OmenError("INVALID_CURSOR", `the cursor is refused: ${why}; begin without one`);
}
