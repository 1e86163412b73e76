/**
 * Conditions in a request's headers (RFC 9110, section 13). A row's ETag is its version in quotes;
 * an ETag that this server never gave matches no row.
 */
import type { Request, Response } from "express";
import type { Expected } from "../collections/database.ts";
import { OmenError } from "../errors.ts";

const TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;
const VERSION = /^[1-9]\d{0,15}$/;

export const etagOf = (version: number) => `"${version}"`;

/** What If-Match and If-None-Match ask of the row that a write is about. */
export function expectedBy(request: Request): readonly Expected[] | undefined {
  const { "if-match": match, "if-none-match": noneMatch } = request.headers;
  if (match !== undefined && noneMatch !== undefined) {
    throw refused("If-Match and If-None-Match cannot both be kept");
  }
  if (match !== undefined) {
    return [match.trim() === "*" ? "present" : versionsIn("If-Match", match, false)];
  }
  if (noneMatch === undefined) return undefined;
  if (noneMatch.trim() === "*") return ["absent"];
  throw refused("on a write If-None-Match can only be *");
}

/** For writes of no one row: a condition is refused, not overlooked. */
export function expectNoCondition(request: Request): void {
  for (const name of ["If-Match", "If-None-Match"]) {
    if (request.headers[name.toLowerCase()] === undefined) continue;
    throw refused(`${name} is about one row, and this request is not`);
  }
}

/**
 * Answers a read of a row that is there by its conditions alone: 304 when the client holds it
 * already. Throws PRECONDITION_FAILED.
 */
export function isAnswered(request: Request, response: Response, version: number): boolean {
  const { "if-match": match, "if-none-match": noneMatch } = request.headers;
  response.setHeader("ETag", etagOf(version));
  response.setHeader("Cache-Control", "private, no-cache");
  if (match !== undefined && !matches("If-Match", match, version, false)) {
    throw new OmenError("PRECONDITION_FAILED", `the row has version ${version}`);
  }
  const isHeld = noneMatch !== undefined && matches("If-None-Match", noneMatch, version, true);
  if (isHeld) response.status(304).end();
  return isHeld;
}

function matches(name: string, value: string, version: number, isWeakFine: boolean): boolean {
  return value.trim() === "*" || versionsIn(name, value, isWeakFine).includes(version);
}

/** The versions that a list of ETags names; a weak one is left out unless it is fine. */
function versionsIn(name: string, value: string, isWeakFine: boolean): number[] {
  // No version has a comma in it, so the list may be cut at each of them.
  return value.split(",").flatMap((part) => {
    const text = part.trim();
    if (text === "") return [];
    const found = TAG.exec(text);
    if (found === null) throw refused(`${name}: expected * or ETags in quotes, got ${show(text)}`);
    const [, weak, tag] = found;
    const isOurs = VERSION.test(tag!) && (weak === undefined || isWeakFine);
    return isOurs ? [Number(tag)] : [];
  });
}

const show = (text: string) => JSON.stringify(text.slice(0, 40));
const refused = (message: string) => new OmenError("INVALID_REQUEST", message);
