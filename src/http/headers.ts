/** The headers that operations take and give, as the OpenAPI document shows them. */
import type { Operation } from "./operations.ts";

type Json = { [name: string]: unknown };

const text = (description: string, example: string) => ({
  ...{ description, example },
  schema: { type: "string" },
});

/** By name, what comes back. */
export const HEADERS: Readonly<Record<string, Json>> = {
  "X-Request-Id": text("The client's own, if it sent a sane one; it finds the log's line.", "a-1"),
  ETag: text("The row's version in quotes.", '"17"'),
  "Idempotent-Replayed": {
    description: "true when this is the first answer again, and nothing was written.",
    schema: { type: "string", enum: ["true"] },
  },
  Location: text("Where it is to be found.", "/collections/books/snapshots/before-import"),
  "Retry-After": {
    description: "Seconds to wait before the same is tried again.",
    ...{ schema: { type: "integer", minimum: 1 }, example: 1 },
  },
  RateLimit: text("What is left of the budget, where there is one.", '"requests";r=99;t=1'),
  "RateLimit-Policy": text("The budget.", '"requests";q=100;w=1'),
  "WWW-Authenticate": text("How to say who one is.", 'Bearer realm="omendb"'),
};

const WAITING: readonly number[] = [409, 429, 503];

/** What may come with an answer of that status. */
export function headersAt(operation: Operation, status: number): Json {
  const { role, conditions, isKeyed, method } = operation;
  const isDone = status < 300;
  const isOfRow = (isDone || status === 304) && conditions !== undefined && method !== "delete";
  const names = [
    "X-Request-Id",
    ...(role === "anyone" ? [] : ["RateLimit", "RateLimit-Policy"]),
    ...(isOfRow ? ["ETag"] : []),
    ...(isDone && isKeyed ? ["Idempotent-Replayed"] : []),
    ...(status === 202 ? ["Location"] : []),
    ...(WAITING.includes(status) ? ["Retry-After"] : []),
    ...(status === 401 ? ["WWW-Authenticate"] : []),
  ];
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

const ASKED: Readonly<Record<string, Json>> = {
  "If-Match": text("ETags of which the row must have one, or *; otherwise 412.", '"17"'),
  "If-None-Match": text("Of a read: answered 304 while one holds. Of a write: only *.", "*"),
  "Idempotency-Key": {
    description:
      "The same request under the same key gives the first answer again and writes nothing. " +
      "Kept a day, or until 100,000 later keys have come to the collection.",
    schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[!-~]+$" },
    example: "3f6c1e0a-import-7",
  },
};

/** What the operation takes, as parameters. */
export function headersOf({ conditions = [], isKeyed }: Operation): Json[] {
  const names = [...conditions, ...(isKeyed ? ["Idempotency-Key"] : [])];
  return names.map((name) => ({ name, in: "header", ...ASKED[name] }));
}
