/**
 * Who may call: a key in X-API-Key or as a bearer token, compared in constant time as SHA-256
 * digests, so that neither its length nor its beginning can be measured.
 *
 * Wrong keys are counted per address. Past the budget they are answered 429, so that nobody tries
 * keys at speed; a valid key is looked at first and never waits behind somebody else's mistakes.
 * All of it happens before a body is read.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler } from "express";
import { ipKeyGenerator, rateLimit, type Store } from "express-rate-limit";
import type { Config } from "../config.ts";
import { OmenError } from "../errors.ts";
import type { Control } from "./meters.ts";
import { Windows } from "./windows.ts";

const FAILURES_MAX = 20;
const FAILURE_WINDOW_MS = 60_000;
const RATE_WINDOW_MS = 1000;

const sha256 = (text: string): Buffer => hash("sha256", text, "buffer");

/** Lets a request with a valid key pass; without a key configured, every request. */
export function createGuard(config: Config, control: Control): RequestHandler {
  if (config.apiKey === undefined) return (_request, _response, next) => next();
  const expected = sha256(config.apiKey);
  const failures = new Windows(control.failureCells, control.seed, FAILURE_WINDOW_MS);
  return (request, response, next) => {
    const offered = keyOf(request);
    if (offered !== undefined && timingSafeEqual(sha256(offered), expected)) {
      response.locals.isKnown = true;
      return next();
    }
    control.count("authFailures");
    if (offered === undefined) {
      throw new OmenError(
        "UNAUTHENTICATED",
        "send the key as X-API-Key, or as Authorization: Bearer",
      );
    }
    const { count, msLeft } = failures.add(addressOf(request));
    if (count <= FAILURES_MAX) throw new OmenError("UNAUTHENTICATED", "the key is not valid");
    control.count("rateLimited");
    throw new OmenError("RATE_LIMITED", "too many wrong keys from this address", {
      retryAfterSeconds: msLeft / 1000,
    });
  };
}

/** One budget for each key or address over all listener threads; undefined when it is off. */
export function createRateLimit(config: Config, control: Control): RequestHandler | undefined {
  if (config.rateLimit === 0) return undefined;
  const windows = new Windows(control.requestCells, control.seed, RATE_WINDOW_MS);
  return rateLimit({
    windowMs: RATE_WINDOW_MS,
    limit: config.rateLimit,
    identifier: "requests",
    standardHeaders: "draft-8",
    legacyHeaders: false,
    validate: false,
    keyGenerator: (request, response) => (response.locals.isKnown ? "key" : addressOf(request)),
    store: storeOf(windows),
    handler: (_request, _response, next) => {
      control.count("rateLimited");
      next(
        new OmenError("RATE_LIMITED", `more than ${config.rateLimit} requests a second`, {
          retryAfterSeconds: RATE_WINDOW_MS / 1000,
        }),
      );
    },
  });
}

function storeOf(windows: Windows): Store {
  const hits = (key: string, by: number) => {
    const { count, msLeft } = windows.add(key, by);
    return { totalHits: count, resetTime: new Date(Date.now() + msLeft) };
  };
  return {
    localKeys: false,
    increment: (key) => hits(key, 1),
    decrement: (key) => void hits(key, -1),
    resetKey: (key) => void hits(key, Number.NEGATIVE_INFINITY),
  };
}

function keyOf(request: Request): string | undefined {
  const { "x-api-key": key, authorization } = request.headers;
  if (typeof key === "string" && key !== "") return key;
  return authorization?.match(/^bearer +(.+)$/i)?.[1];
}

/** An IPv6 client owns a whole network, so the network is what is counted. */
function addressOf(request: Request): string {
  return ipKeyGenerator(request.ip ?? "unknown");
}
