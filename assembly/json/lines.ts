/** Lines of NDJSON: one value after the other, each a root of its own, in one desk memory. */
import { emitByte, EXPECT_VALUE, MEMBER_PLAIN, Scan } from "./state";

const COMMA: u32 = 0x2c;

/**
 * Begins a value of its own at `start`, after the one before it was read whole; with `isMuted` it
 * is only judged. The byte at `end` must be zero. Handles go on counting. A comma goes to the
 * skeleton first, so that the lines become the elements of an array.
 */
export function jsonLine(state: usize, start: usize, end: usize, isMuted: u32): void {
  const scan = changetype<Scan>(state);
  scan.isMuted = isMuted;
  emitByte(scan, COMMA);
  scan.position = start;
  scan.end = end;
  scan.depth = 0;
  scan.member = MEMBER_PLAIN;
  scan.expect = EXPECT_VALUE;
}
