/**
 * What a request's body is said to be: its media type, of those that the operation takes, and how
 * it is compressed. Both are looked at before a byte of it is read. And what the client would have
 * as an answer, of what the operation gives.
 */
import type { Request } from "express";
import { OmenError } from "../errors.ts";

export const JSON_MEDIA = "application/json";
export const LINES_MEDIA = "application/x-ndjson";
export const ARROW_MEDIA = "application/vnd.apache.arrow.stream";
export const OCTETS_MEDIA = "application/octet-stream";

/** What curl says of a body when nobody tells it what it is. */
const FORM_MEDIA = "application/x-www-form-urlencoded";

export type Media =
  | typeof JSON_MEDIA
  | typeof LINES_MEDIA
  | typeof ARROW_MEDIA
  | typeof OCTETS_MEDIA;

export const ENCODINGS = ["gzip", "deflate", "br", "zstd"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** Other names that are in use for the same. */
const ALIASES: Readonly<Record<string, string>> = {
  "application/ndjson": LINES_MEDIA,
  "application/jsonl": LINES_MEDIA,
  "x-gzip": "gzip",
};

/** Throws UNSUPPORTED_MEDIA_TYPE, which says what would do. */
export function mediaOf<Allowed extends Media>(
  request: Request,
  allowed: readonly Allowed[],
): Allowed {
  const type = request.headers["content-type"] ?? "";
  // As almost every client writes it.
  if (type === allowed[0]) return allowed[0];
  const [first = "", ...parameters] = type.toLowerCase().split(";");
  const named = first.trim();
  const media = ALIASES[named] ?? named;
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith("charset="));
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  const found = allowed.find((each) => each === media);
  if (found !== undefined && isUtf8) return found;
  const got = type === "" ? "none" : type.slice(0, 100);
  const hint = media === FORM_MEDIA ? `; with curl -d, add -H 'Content-Type: ${allowed[0]}'` : "";
  throw new OmenError(
    "UNSUPPORTED_MEDIA_TYPE",
    `expected ${allowed.join(" or ")} in UTF-8, got ${got}${hint}`,
  );
}

/** undefined where the body comes as it is. Throws UNSUPPORTED_MEDIA_TYPE. */
export function encodingOf(request: Request): Encoding | undefined {
  const encoding = request.headers["content-encoding"];
  if (encoding === undefined) return undefined;
  const named = encoding.trim().toLowerCase();
  if (named === "identity" || named === "") return undefined;
  const known = ENCODINGS.find((each) => each === (ALIASES[named] ?? named));
  if (known !== undefined) return known;
  request.res?.setHeader("Accept-Encoding", ENCODINGS.join(", "));
  throw new OmenError(
    "UNSUPPORTED_MEDIA_TYPE",
    `expected one content encoding of ${ENCODINGS.join(", ")}, got ${encoding.slice(0, 100)}`,
  );
}

/**
 * The media type of the answer: what `accept` likes best (RFC 9110, 12.5.1), the first of `offered`
 * where it does not care. Throws NOT_ACCEPTABLE.
 */
export function negotiate(accept: string | undefined, offered: readonly string[]): string {
  const [first = JSON_MEDIA] = offered;
  if (accept === undefined || accept === "*/*" || accept === first) return first;
  const ranges = accept.toLowerCase().split(",").flatMap(rangeOf);
  let best: { media: string; quality: number } | undefined;
  for (const media of offered) {
    const quality = qualityOf(media, ranges);
    if (quality > (best?.quality ?? 0)) best = { media, quality };
  }
  if (best !== undefined) return best.media;
  // An empty header says as little as none.
  if (accept.trim() === "") return first;
  throw new OmenError("NOT_ACCEPTABLE", `there is ${offered.join(" or ")} to be had here`);
}

interface Range {
  readonly media: string;
  readonly quality: number;
}

function rangeOf(text: string): Range[] {
  const [media = "", ...parameters] = text.split(";").map((part) => part.trim());
  if (media === "") return [];
  const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
  const quality = weight === undefined ? 1 : Number(weight);
  return [{ media, quality: quality >= 0 && quality <= 1 ? quality : 0 }];
}

/** By the range that says most about it. */
function qualityOf(media: string, ranges: readonly Range[]): number {
  const wide = `${media.slice(0, media.indexOf("/"))}/*`;
  for (const name of [media, wide, "*/*"]) {
    const range = ranges.find((each) => each.media === name);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
