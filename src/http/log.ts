/**
 * The request log. At debug every request is a line; above that only failed ones are, because a
 * line for each search would cost more than the search. Headers and bodies are never written: they
 * hold keys and vectors.
 *
 * Whoever is refused because there is too much to do must not cause more of it: of those one line a
 * second is written, which says how many there were. What is over a client's own budget is counted
 * in the metrics only.
 */
import type { Request, Response } from "express";
import type { Logger } from "pino";
import { pinoHttp } from "pino-http";
import { ERRORS, type OmenError } from "../errors.ts";
import { grantOf } from "./door.ts";
import { operationNames } from "./operations.ts";

const OVERLOADED_EVERY_MS = 1000;

export interface RequestLog {
  /** At the begin of each request. */
  begun(request: Request, response: Response): void;
  failed(request: Request, response: Response, error: OmenError): void;
}

/** Names and shapes of a line; `statusCode` and times are added when the answer is out. */
export function createRequestLog(log: Logger): RequestLog {
  const follow = pinoHttp<Request, Response>({
    logger: log,
    customLogLevel: (_request, response, error) => {
      if (error || response.statusCode >= 500) return "error";
      return response.statusCode >= 400 ? "info" : "debug";
    },
    wrapSerializers: false,
    serializers: {
      req: shownRequest,
      res: shownResponse,
    },
    genReqId: (_request, response) => response.locals.requestId,
    customSuccessObject: (_request, response, line) => ({ ...line, ...known(response) }),
    customErrorObject: (_request, response, _error, line) => ({ ...line, ...known(response) }),
  });
  const isEveryLogged = log.isLevelEnabled("debug");
  let overloadedAtMs = Number.NEGATIVE_INFINITY;
  let overloadedCount = 0;

  function overloaded(request: Request): void {
    overloadedCount++;
    const nowMs = performance.now();
    if (nowMs - overloadedAtMs < OVERLOADED_EVERY_MS) return;
    const about = { code: "OVERLOADED", requests: overloadedCount, last: shownRequest(request) };
    log.warn(about, "more is asked than can be done: requests were refused");
    overloadedAtMs = nowMs;
    overloadedCount = 0;
  }

  return {
    begun(request, response) {
      if (isEveryLogged) follow(request, response);
    },
    failed(request, response, error) {
      const { status } = ERRORS[error.code];
      response.locals.code = error.code;
      response.locals.progress = error.progress;
      if (error.code === "OVERLOADED" && !isEveryLogged) return overloaded(request);
      if (status >= 500) response.err = (error.cause as Error | undefined) ?? error;
      if (isEveryLogged || status === 429) return;
      if (!response.closed) follow(request, response);
      else {
        // There is nobody to answer, so nothing would follow.
        const line = { req: shownRequest(request), res: shownResponse(response) };
        log.info({ ...line, ...known(response) }, "the client went away");
      }
    },
  };
}

function shownRequest({ method, path, ip, res }: Request) {
  return { method, path, ip, id: res?.locals.requestId };
}

function shownResponse({ statusCode, locals }: Response) {
  return { statusCode, code: locals.code, ...locals.progress };
}

/** What is known of a request only once it has been looked at. */
function known(response: Response) {
  const route = operationNames[response.locals.operation];
  return { route, who: grantOf(response)?.name, responseTime: since(response) };
}

function since(response: Response): number {
  return Math.round((performance.now() - response.locals.startedAtMs) * 1000) / 1000;
}
