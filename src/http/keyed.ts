/**
 * Writes under an Idempotency-Key: the same request again gives the first answer again and writes
 * nothing. A request is the same when its operation, row, conditions and body are; a key is one of
 * its credential's and collection's. The answer itself is not kept: it is made anew from the
 * request and from what the first write gave, its sequence and how many rows it changed.
 */
import { createHash, hash } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import type { Once } from "../collections/ledger.ts";
import { OmenError } from "../errors.ts";
import { collectionName, type Door, grantOf } from "./door.ts";
import type { OperationName } from "./operations.ts";

const KEY = /^[\x21-\x7e]{1,255}$/;
const HASH_DIGITS = 32;

export interface Written {
  readonly sequence: number;
  /** Rows that a removal took away. */
  readonly deleted?: number;
}

/** Carries out a write, or gives what the first one gave; at most once a request. */
export type WriteOnce = (write: (once?: Once) => Promise<Written>) => Promise<Written>;

/** `handle` writes by the function that it is given. */
export function keyed(
  door: Door,
  operation: OperationName,
  handle: (request: Request, response: Response, write: WriteOnce) => Promise<void>,
): RequestHandler {
  return async (request, response) => {
    const given = request.headers["idempotency-key"];
    if (given === undefined) return handle(request, response, (write) => write());
    const key = keyOf(String(given), response);
    const claim = await door.database.claim(collectionName(request), key);
    let isReleased = false;
    const release = async () => {
      if (isReleased) return;
      isReleased = true;
      await claim.release();
    };
    const digest = createHash("sha256").update(describe(request, operation));
    response.locals.digest = digest;
    const write: WriteOnce = async (carryOut) => {
      // The key is free again before the answer is on its way, or an eager client meets itself.
      try {
        const asked = digest.digest("hex").slice(0, HASH_DIGITS);
        const { first } = claim;
        if (first === undefined) {
          return await carryOut({ key, request: asked, atMs: Date.now() });
        }
        if (first.request !== asked) {
          const message = "another request has been carried out under this Idempotency-Key";
          throw new OmenError("IDEMPOTENCY_KEY_REUSED", message);
        }
        response.setHeader("Idempotent-Replayed", "true");
        return { sequence: first.sequence, deleted: first.changed };
      } finally {
        await release();
      }
    };
    try {
      await handle(request, response, write);
    } finally {
      await release();
    }
  };
}

/** For requests that are no single write: a key is refused, not overlooked. */
export function expectNoKey(request: Request, why: string): void {
  if (request.headers["idempotency-key"] === undefined) return;
  throw new OmenError("INVALID_REQUEST", `an Idempotency-Key cannot be kept here: ${why}`);
}

function keyOf(given: string, response: Response): string {
  if (!KEY.test(given)) {
    const message = "Idempotency-Key: expected 1 to 255 visible ASCII characters";
    throw new OmenError("INVALID_REQUEST", message);
  }
  const who = grantOf(response)?.name ?? "";
  return hash("sha256", JSON.stringify([who, given]), "hex").slice(0, HASH_DIGITS);
}

/** All of the request but its body, and but where its collection is named. */
function describe(request: Request, operation: OperationName): string {
  const { "if-match": match, "if-none-match": noneMatch } = request.headers;
  const { id } = request.params;
  return `${JSON.stringify([operation, id, match, noneMatch, request.query])}\n`;
}
