/** One range of bytes of something (RFC 9110, section 14), as a Range header asks for it. */
import type { Request } from "express";

export interface ByteRange {
  readonly start: number;
  /** Not included. */
  readonly end: number;
}

const RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/**
 * undefined stands for the whole: no range was asked for, it is of a kind that may be ignored
 * (several ranges, another unit, no sense), or If-Range names another state.
 */
export function rangeOf(
  request: Request,
  bytes: number,
  etag: string,
): ByteRange | "unsatisfiable" | undefined {
  const { range, "if-range": condition } = request.headers;
  if (range === undefined || (condition !== undefined && condition !== etag)) return undefined;
  const [, first, last] = RANGE.exec(range.replaceAll(/\s/g, "")) ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  if (first === "") {
    const length = Math.min(Number(last), bytes);
    return length === 0 ? "unsatisfiable" : { start: bytes - length, end: bytes };
  }
  const start = Number(first);
  const end = last === "" ? bytes : Math.min(Number(last) + 1, bytes);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= bytes ? "unsatisfiable" : { start, end };
}
