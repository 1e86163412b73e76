/**
 * The one place where an error becomes an answer: application/problem+json of RFC 9457, from the
 * catalogue for what is known, and INTERNAL with nothing inside for what is not.
 *
 * A request may be refused while its body is still on the way. A short one is here within the same
 * turn, and the connection goes on. Otherwise the answer goes out at once and whole; then the rest
 * of the body is thrown away for a bounded time, because closing a socket with unread bytes resets
 * it, and the client might lose the answer it has not read yet.
 */
import type { ErrorRequestHandler, Request, Response } from "express";
import { ERRORS, type ErrorCode, type Fault, OmenError } from "../errors.ts";
import type { RequestLog } from "./log.ts";

const SHORT_BYTES_MAX = 64 * 1024;
const LINGER_BYTES_MAX = 128 * 1024 * 1024;
const LINGER_MS = 2000;
const INSTANCE_LENGTH_MAX = 2048;
export const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: ErrorCode;
  readonly request_id: string;
  readonly errors?: readonly Fault[];
  readonly ids?: readonly string[];
  /** Only of a write in parts; see errors.ts. */
  readonly accepted?: number;
  readonly line?: number;
}

/** `requestId` and `instance` are empty where no request was understood. */
export function problemOf(error: OmenError, instance: string, requestId: string): Problem {
  const { status, title } = ERRORS[error.code];
  return {
    type: `urn:omendb:problem:${error.code}`,
    title,
    status,
    // What went wrong inside is for the log; it may name paths or show the inside of the process.
    detail: status === 500 ? title : error.message,
    instance: instance.slice(0, INSTANCE_LENGTH_MAX),
    code: error.code,
    request_id: requestId,
    ...(error.errors === undefined ? {} : { errors: error.errors }),
    ...(error.ids === undefined ? {} : { ids: error.ids }),
    ...error.progress,
  };
}

/** The last handler of the app. It needs all four parameters: Express counts them. */
export function problemHandler(requestLog: RequestLog): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    const error = known(thrown);
    requestLog.failed(request, response, error);
    if (response.headersSent || request.socket.destroyed) {
      response.destroy();
      return;
    }
    const problem = problemOf(error, request.path, String(response.locals.requestId));
    response.statusCode = problem.status;
    response.setHeader("Content-Type", PROBLEM_TYPE);
    if (error.retryAfterSeconds !== undefined) {
      response.setHeader("Retry-After", Math.max(1, Math.ceil(error.retryAfterSeconds)));
    }
    if (problem.status === 401) response.setHeader("WWW-Authenticate", 'Bearer realm="omendb"');
    answer(request, response, Buffer.from(JSON.stringify(problem)));
  };
}

const CODE_OF_STATUS: Record<number, ErrorCode> = {
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  408: "REQUEST_TIMEOUT",
  413: "BODY_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
};

/** Express and Node mark what the client did wrong by a status; all else is our own fault. */
function known(thrown: unknown): OmenError {
  if (thrown instanceof OmenError) return thrown;
  const { status, message } = (thrown ?? {}) as { status?: unknown; message?: unknown };
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new OmenError(CODE_OF_STATUS[status] ?? "INVALID_REQUEST", String(message));
  }
  return new OmenError("INTERNAL", String(message), { cause: thrown });
}

function answer(request: Request, response: Response, body: Buffer): void {
  response.setHeader("Content-Length", body.length);
  if (!isBodyUnderWay(request)) {
    response.end(body);
    return;
  }
  const length = Number(request.headers["content-length"]);
  if (length <= SHORT_BYTES_MAX && request.headers.expect === undefined) {
    request.resume();
    setImmediate(() => (request.complete ? response.end(body) : part(request, response, body)));
    return;
  }
  part(request, response, body);
}

/** Answers who has not sent all, and ends the connection. */
function part(request: Request, response: Response, body: Buffer): void {
  response.setHeader("Connection", "close");
  // Who waits for "100 Continue" has sent nothing yet, and will not after this.
  if (request.headers.expect !== undefined && !response.locals.isContinued) {
    response.end(body);
    return;
  }
  response.write(body);
  throwAway(request, () => response.end());
}

function isBodyUnderWay(request: Request): boolean {
  if (request.complete) return false;
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== "0");
}

function throwAway(request: Request, done: () => void): void {
  let bytes = 0;
  const timer = setTimeout(finish, LINGER_MS);
  request.on("data", count).once("end", finish).once("close", finish).once("error", finish);
  request.resume();

  function count(chunk: Buffer): void {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) finish();
  }
  function finish(): void {
    clearTimeout(timer);
    request.off("data", count).off("end", finish).off("close", finish);
    done();
  }
}
