/**
 * The palette of a column: the first lanes that its rows had, each under a code of one byte. Where
 * all rows have one of those, a filter needs to read nothing but their codes. It only grows.
 */
import * as C from "../columns";
import { markDirty } from "../dirty";

const MULTIPLIER: u64 = 0x9e3779b97f4a7c15;

// @ts-ignore: decorator
@inline
function paletteAt(column: u32): usize {
  return <usize>load<u32>(C.COLUMNS_PALETTES_BASE) + <usize>column * C.PALETTE_BYTES;
}

/** Codes given so far, code 0 aside. */
// @ts-ignore: decorator
@inline
export function codeCount(column: u32): u32 {
  return atomic.load<u32>(paletteAt(column));
}

// @ts-ignore: decorator
@inline
export function laneOfCode(column: u32, code: u32): u64 {
  return load<u64>(paletteAt(column) + (<usize>code << 3), C.PALETTE_LANES);
}

/** The writer: the code of a lane, given now if one is left; what is seen in JSON has none. */
export function codeOfLane(column: u32, lane: u64): u32 {
  if (lane == 0) return 0;
  if (lane >> 32 == C.TAG_JSON) return C.CODE_OTHER;
  const palette = paletteAt(column);
  let place = <u32>((lane * MULTIPLIER) >> 54);
  while (true) {
    const code = <u32>load<u8>(palette + place, C.PALETTE_TABLE);
    if (code == 0) break;
    if (laneOfCode(column, code) == lane) return code;
    place = (place + 1) & (C.PALETTE_PLACES - 1);
  }
  const code = load<u32>(palette) + 1;
  if (code > <u32>C.PALETTE_CODE_MAX) return C.CODE_OTHER;
  store<u64>(palette + (<usize>code << 3), lane, C.PALETTE_LANES);
  store<u8>(palette + place, <u8>code, C.PALETTE_TABLE);
  atomic.store<u32>(palette, code);
  markDirty(palette, C.PALETTE_BYTES);
  return code;
}

/** Leads from a lane to the code it has; false when another code has it. */
export function enterCode(column: u32, code: u32, lane: u64): bool {
  const palette = paletteAt(column);
  let place = <u32>((lane * MULTIPLIER) >> 54);
  while (true) {
    const held = <u32>load<u8>(palette + place, C.PALETTE_TABLE);
    if (held == 0) break;
    if (laneOfCode(column, held) == lane) return false;
    place = (place + 1) & (C.PALETTE_PLACES - 1);
  }
  store<u8>(palette + place, <u8>code, C.PALETTE_TABLE);
  return true;
}
