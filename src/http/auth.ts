/**
 * Who may call: one credential, in X-API-Key or as a bearer token, found by the thread's Access.
 * A collection that its holder may not see is not there for him; what his role does not reach is
 * forbidden. All of it happens before a body is read.
 *
 * Wrong credentials are counted per address. Past the budget they are answered 429, so that nobody
 * tries keys at speed; a valid one is looked at first and never waits behind somebody else's
 * mistakes.
 */
import type { Request, RequestHandler, Response } from "express";
import type { Access } from "../access/access.ts";
import { type Grant, mayAct, sees } from "../access/grant.ts";
import { OmenError } from "../errors.ts";
import { addressOf, collectionName, grantOf, refuseMissing } from "./door.ts";
import type { Control } from "./meters.ts";
import type { Operation } from "./operations.ts";
import { Windows } from "./windows.ts";

const FAILURES_MAX = 20;
const FAILURE_WINDOW_MS = 60_000;
/** Query parameters that people put keys in. */
const KEY_PARAMETER =
  /[?&](?:(x[-_])?(api|access|auth|id)?[-_]?(key|token)|authorization|bearer|jwt|secret)=/i;

/** Lets a request with a valid credential pass; without any configured, every request. */
export function createGuard(access: Access, control: Control): RequestHandler {
  if (access.isOpen) return (_request, _response, next) => next();
  const failures = new Windows(control.failureCells, control.seed, FAILURE_WINDOW_MS);

  function refuse(error: unknown, request: Request): never {
    if (!(error instanceof OmenError) || error.code !== "UNAUTHENTICATED") throw error;
    control.count("authFailures");
    const { count, msLeft } = failures.add(addressOf(request));
    if (count <= FAILURES_MAX) throw error;
    control.count("rateLimited");
    throw new OmenError("RATE_LIMITED", "too many wrong credentials from this address", {
      retryAfterSeconds: msLeft / 1000,
    });
  }

  async function wait(finding: Promise<Grant>, request: Request, response: Response) {
    try {
      response.locals.grant = await finding;
    } catch (error) {
      refuse(error, request);
    }
  }

  return (request, response, next) => {
    const offered = credentialOf(request);
    if (offered === undefined) {
      control.count("authFailures");
      throw new OmenError(
        "UNAUTHENTICATED",
        "send the key as X-API-Key, or as Authorization: Bearer",
      );
    }
    let found: Grant | Promise<Grant>;
    try {
      found = access.identify(offered);
    } catch (error) {
      refuse(error, request);
    }
    if (found instanceof Promise) return wait(found, request, response).then(() => next());
    response.locals.grant = found;
    next();
  };
}

/** What the operation asks of the caller. */
export function createGate({ role, scope, path }: Operation): RequestHandler {
  const isOfCollection = scope === "collection" || path.includes("{collection}");
  return (request, response, next) => {
    const grant = grantOf(response);
    if (grant === undefined || role === "anyone") return next();
    if (isOfCollection && !sees(grant, collectionName(request))) {
      refuseMissing(collectionName(request));
    }
    if (mayAct(grant, role)) return next();
    const has = grant.role === undefined ? "has no role here" : `is of a ${grant.role}`;
    throw new OmenError("FORBIDDEN", `the credential ${has}, and this needs the role ${role}`);
  };
}

/** URLs end in logs of proxies and in histories of browsers, so a key in one is not a key. */
export function refuseKeyInUrl(request: Request): void {
  const { url } = request;
  const start = url.indexOf("?");
  if (start < 0 || !KEY_PARAMETER.test(decoded(url.slice(start)))) return;
  throw new OmenError(
    "INVALID_REQUEST",
    "a credential in the query string is refused: send it as X-API-Key or Authorization: Bearer",
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Of the only header that holds one: of two, nobody knows which was meant. */
function credentialOf(request: Request): string | undefined {
  const { rawHeaders } = request;
  let found = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const { length } = rawHeaders[index]!;
    if (length !== 9 && length !== 13) continue;
    const name = rawHeaders[index]!.toLowerCase();
    if (name === "x-api-key" || name === "authorization") found++;
  }
  if (found > 1) {
    throw new OmenError("INVALID_REQUEST", "expected one credential, got several headers with one");
  }
  const { "x-api-key": key, authorization } = request.headers;
  if (typeof key === "string" && key !== "") return key;
  return authorization?.match(/^bearer +(.+)$/i)?.[1];
}
