/**
 * How much each caller may ask: requests a second for each key or token, or for each address where
 * there is none, counted over all listener threads. A key of the key file may have its own budget.
 */
import type { Request, RequestHandler, Response } from "express";
import { rateLimit, type Store } from "express-rate-limit";
import type { Config } from "../config.ts";
import { OmenError } from "../errors.ts";
import { addressOf, grantOf } from "./door.ts";
import type { Control } from "./meters.ts";
import { Windows } from "./windows.ts";

const WINDOW_MS = 1000;

/** undefined when nobody can have a limit. */
export function createRateLimit(config: Config, control: Control): RequestHandler | undefined {
  if (config.rateLimit === 0 && config.keysFile === undefined) return undefined;
  const limitOf = (response: Response) => grantOf(response)?.rateLimit ?? config.rateLimit;
  const windows = new Windows(control.requestCells, control.seed, WINDOW_MS);
  const limit = rateLimit({
    windowMs: WINDOW_MS,
    limit: (_request, response) => limitOf(response as Response),
    identifier: "requests",
    standardHeaders: "draft-8",
    legacyHeaders: false,
    validate: false,
    keyGenerator: (request, response) => holderOf(request as Request, response as Response),
    store: storeOf(windows),
    handler: (_request, response, next) => {
      control.count("rateLimited");
      next(
        new OmenError(
          "RATE_LIMITED",
          `more than ${limitOf(response as Response)} requests a second`,
          {
            retryAfterSeconds: WINDOW_MS / 1000,
          },
        ),
      );
    },
  });
  return (request, response, next) => {
    if (limitOf(response) === 0) next();
    else return limit(request, response, next);
  };
}

/** Whose budget it is. No address begins as a name does here. */
function holderOf(request: Request, response: Response): string {
  const grant = grantOf(response);
  return grant === undefined ? addressOf(request) : `=${grant.name}`;
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
