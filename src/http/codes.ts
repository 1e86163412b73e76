/** Which errors an operation may answer: its own, and those that come from what it is. */
import type { ErrorCode } from "../errors.ts";
import { JSON_MEDIA } from "./media.ts";
import { isReadOfRows, type Operation } from "./operations.ts";

/** Whatever is asked. */
const ANYWHERE: readonly ErrorCode[] = [
  ...(["INVALID_REQUEST", "REQUEST_TIMEOUT", "EXPECTATION_FAILED"] as const),
  ...(["HEADERS_TOO_LARGE", "INTERNAL", "SHUTTING_DOWN", "NOT_ACCEPTABLE"] as const),
];
const GUARDED: readonly ErrorCode[] = [
  ...(["UNAUTHENTICATED", "FORBIDDEN", "RATE_LIMITED", "ISSUER_UNAVAILABLE"] as const),
];
const WITH_BODY: readonly ErrorCode[] = ["BODY_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "OVERLOADED"];
const KEYED: readonly ErrorCode[] = ["IDEMPOTENCY_KEY_IN_FLIGHT", "IDEMPOTENCY_KEY_REUSED"];

export function codesOf(operation: Operation): ErrorCode[] {
  const { role, scope, body, otherBodies, errors = [], isKeyed, conditions } = operation;
  const isJson = body !== undefined;
  return [
    ...new Set([
      ...errors,
      ...(isJson ? (["INVALID_JSON"] as const) : []),
      ...(isJson || otherBodies !== undefined ? WITH_BODY : []),
      ...(isReadOfRows(operation) ? (["OVERLOADED"] as const) : []),
      ...(isKeyed ? KEYED : []),
      ...(conditions === undefined ? [] : (["PRECONDITION_FAILED"] as const)),
      ...(scope === "collection" ? (["COLLECTION_NOT_FOUND", "STARTING"] as const) : []),
      ...(role === "anyone" ? [] : GUARDED),
      ...ANYWHERE,
    ]),
  ];
}

/** Media types of the bodies that an operation takes, and their schemas. */
export function bodiesOf({ body, otherBodies = {} }: Operation): [string, object][] {
  const json: Record<string, object> = body === undefined ? {} : { [JSON_MEDIA]: body };
  return Object.entries({ ...json, ...otherBodies });
}
