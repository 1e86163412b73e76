/** A sheet's body, step by step; what the engine cannot decide is decided here. */
import {
  COMPONENT_MAX,
  DESK_ODDITIES,
  ODDITY_BYTES,
  ODDITY_FLOAT,
  ODDITY_SOURCE,
  ODDITY_VECTOR,
  SCAN_DONE,
  SCAN_FAULT,
  SCAN_MORE,
  SCAN_ODDITY_COUNT,
  VECTOR_BYTES,
  VECTOR_FAULT,
  VECTOR_FAULT_INDEX,
  VECTOR_FLOATS,
  VECTOR_OUT_OF_RANGE,
  VECTOR_SOUND,
} from "../../assembly/desk.ts";
import { bodyFault } from "./faults.ts";
import type { Sheet } from "./sheet.ts";

/** What goes through the engine in one call: some tenths of a millisecond. */
const STEP_BYTES = 65_536;
const FLOAT32_COMPONENT_MAX = Math.fround(COMPONENT_MAX);
const NUMBER_CHARACTERS = new TextEncoder().encode("0123456789.-+eE");

/**
 * One step; true when it was the last. Throws what is wrong, with bytes counted from `origin`.
 */
export function isRead(sheet: Sheet, origin: number): boolean {
  const status = sheet.step(STEP_BYTES);
  if (status === SCAN_FAULT) throw bodyFault(sheet, origin);
  if (status !== SCAN_MORE) resolveOddities(sheet);
  return status === SCAN_DONE;
}

/**
 * Components that the engine could not decide, by JSON.parse (of a number alone, that is Number).
 */
function resolveOddities(sheet: Sheet): void {
  const count = sheet.get(SCAN_ODDITY_COUNT);
  for (let index = 0; index < count; index++) {
    const oddity = (DESK_ODDITIES + index * ODDITY_BYTES) >>> 2;
    const float = sheet.words[oddity + (ODDITY_FLOAT >>> 2)]! >>> 2;
    const value = Math.fround(numberAt(sheet, sheet.words[oddity + (ODDITY_SOURCE >>> 2)]!));
    sheet.floats[float] = value;
    if (Math.abs(value) <= FLOAT32_COMPONENT_MAX) continue;
    blame(sheet, sheet.words[oddity + (ODDITY_VECTOR >>> 2)]!, float);
  }
  if (count > 0) sheet.clear(SCAN_ODDITY_COUNT);
}

function numberAt(sheet: Sheet, start: number): number {
  let end = start;
  while (NUMBER_CHARACTERS.includes(sheet.bytes[end]!)) end++;
  return Number(String.fromCharCode(...sheet.bytes.subarray(start, end)));
}

/** The component is out of range; the engine may have found a later one first. */
function blame(sheet: Sheet, vector: number, float: number): void {
  const entry = (sheet.areas.vectors + vector * VECTOR_BYTES) >>> 2;
  const index = float - (sheet.words[entry + (VECTOR_FLOATS >>> 2)]! >>> 2);
  const isSound = sheet.words[entry + (VECTOR_FAULT >>> 2)] === VECTOR_SOUND;
  if (!isSound && sheet.words[entry + (VECTOR_FAULT_INDEX >>> 2)]! < index) return;
  sheet.words[entry + (VECTOR_FAULT >>> 2)] = VECTOR_OUT_OF_RANGE;
  sheet.words[entry + (VECTOR_FAULT_INDEX >>> 2)] = index;
}
