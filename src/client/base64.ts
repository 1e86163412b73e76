/**
 * float32 vectors as base64 of their little-endian bytes, and back. Written out here because Node
 * and browsers have no fast way in common.
 */
import type { Vector } from "./types.ts";

const ALPHABET = new TextEncoder().encode(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
);
const VALUES = new Uint8Array(256).fill(255);
for (let value = 0; value < 64; value++) VALUES[ALPHABET[value]!] = value;
const PADDING = 61;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeVector(vector: Vector): string {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  for (let index = 0; index < vector.length; index++) {
    view.setFloat32(index * 4, vector[index]!, true);
  }
  return encodeBytes(new Uint8Array(view.buffer));
}

/** Takes what the server may send: base64, or an array of numbers. */
export function decodeVector(vector: string | readonly number[]): Float32Array {
  if (typeof vector !== "string") return Float32Array.from(vector);
  const bytes = decodeBytes(vector);
  const view = new DataView(bytes.buffer, 0, bytes.length);
  return Float32Array.from({ length: bytes.length >> 2 }, (_, index) =>
    view.getFloat32(index * 4, true),
  );
}

function encodeBytes(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  let at = 0;
  for (let index = 0; index < bytes.length; index += 3) {
    const [first, second = 0, third = 0] = [bytes[index]!, bytes[index + 1], bytes[index + 2]];
    text[at++] = ALPHABET[first >> 2]!;
    text[at++] = ALPHABET[((first & 3) << 4) | (second >> 4)]!;
    text[at++] = ALPHABET[((second & 15) << 2) | (third >> 6)]!;
    text[at++] = ALPHABET[third & 63]!;
  }
  const missing = (3 - (bytes.length % 3)) % 3;
  text.fill(PADDING, text.length - missing);
  return decoder.decode(text);
}

function decodeBytes(text: string): Uint8Array<ArrayBuffer> {
  const letters = encoder.encode(text);
  let length = letters.length;
  while (length > 0 && letters[length - 1] === PADDING) length--;
  const bytes = new Uint8Array((length * 3) >> 2);
  let at = 0;
  let held = 0;
  let bits = 0;
  for (let index = 0; index < length; index++) {
    held = (held << 6) | VALUES[letters[index]!]!;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = held >> bits;
    held &= (1 << bits) - 1;
  }
  return bytes;
}
