/**
 * How much each caller may ask: requests a second and vectors a second, for each key or token, or
 * for each address where there is none, counted over all listener threads in whole seconds. A key
 * of the key file may have its own budgets.
 *
 * Vectors are those that are written or searched for. A batch is within the budget as a whole or
 * refused as a whole; a stream of rows waits for the next second instead.
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

export interface VectorLimit {
  /** Throws RATE_LIMITED, or BODY_TOO_LARGE when no second would ever have room. */
  spend(request: Request, vectors: number): void;
  /** Waits until so many have had their place. */
  wait(request: Request, vectors: number): Promise<void>;
}

export function createVectorLimit(config: Config, control: Control): VectorLimit {
  const limitOf = (response: Response) =>
    grantOf(response)?.vectorRateLimit ?? config.vectorRateLimit;
  const windows = new Windows(control.requestCells, control.seed, WINDOW_MS);
  const keyOf = (request: Request) => `vectors ${holderOf(request, request.res!)}`;

  function spend(request: Request, vectors: number): void {
    const response = request.res!;
    const limit = limitOf(response);
    if (limit === 0) return;
    if (vectors > limit) {
      const message = `${vectors} vectors at once, of ${limit} a second; send fewer at a time`;
      throw new OmenError("BODY_TOO_LARGE", message);
    }
    const { count, msLeft, taken } = windows.take(keyOf(request), vectors, limit);
    const seconds = Math.ceil(msLeft / 1000);
    response.append("RateLimit-Policy", `"vectors"; q=${limit}; w=${WINDOW_MS / 1000}`);
    response.append("RateLimit", `"vectors"; r=${limit - count}; t=${seconds}`);
    if (taken === vectors) return;
    control.count("rateLimited");
    throw new OmenError("RATE_LIMITED", `more than ${limit} vectors a second`, {
      retryAfterSeconds: seconds,
    });
  }

  async function wait(request: Request, vectors: number): Promise<void> {
    const limit = limitOf(request.res!);
    if (limit === 0) return;
    for (let left = vectors; left > 0; ) {
      const { taken, msLeft } = windows.take(keyOf(request), Math.min(left, limit), limit);
      left -= taken;
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(msLeft)));
    }
  }
  return { spend, wait };
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
