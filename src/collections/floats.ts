/** Vectors that come as bytes of little-endian float32, which is how this machine keeps them. */
import { COMPONENT_MAX, VECTOR_OUT_OF_RANGE, VECTOR_TORN } from "../../assembly/desk.ts";
import { vectorFault } from "../engine/faults.ts";

const COMPONENT_BYTES = 4;
const FLOAT32_COMPONENT_MAX = Math.fround(COMPONENT_MAX);

/** One vector, the whole body. Throws INVALID_VECTOR, with `pointer` at it. */
export function vectorFrom(
  chunks: readonly Uint8Array[],
  pointer: string,
): Float32Array<ArrayBuffer> {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (bytes % COMPONENT_BYTES !== 0) throw vectorFault(VECTOR_TORN, pointer, 0, bytes);
  const values = new Float32Array(bytes / COMPONENT_BYTES);
  const target = new Uint8Array(values.buffer);
  let at = 0;
  for (const chunk of chunks) {
    target.set(chunk, at);
    at += chunk.length;
  }
  const wrong = wrongComponent(values);
  if (wrong >= 0) throw vectorFault(VECTOR_OUT_OF_RANGE, pointer, wrong);
  return values;
}

/** The first component that is not finite or out of range; -1 when all are sound. */
export function wrongComponent(values: Float32Array): number {
  for (let index = 0; index < values.length; index++) {
    // NaN fails the comparison too.
    if (!(Math.abs(values[index]!) <= FLOAT32_COMPONENT_MAX)) return index;
  }
  return -1;
}
