/**
 * The audit log: one JSON line for each call that destroys or administers, whether it was carried
 * out, refused or broke off: when, who, what, from where, and with what result. Never a credential,
 * and never what was written.
 */
import type { Request, RequestHandler, Response } from "express";
import { type Logger, pino } from "pino";
import type { Config } from "../config.ts";
import { collectionName, grantOf } from "./door.ts";
import type { Operation, OperationName } from "./operations.ts";

const PATH_LENGTH_MAX = 2048;

export interface Audit {
  /** What to put into the operation's chain, before the guard; undefined where none is needed. */
  of(name: OperationName, operation: Operation): RequestHandler | undefined;
  /** The file is opened anew: it was moved away. */
  reopen(): void;
}

export function createAudit(config: Pick<Config, "auditLog">, log: Logger): Audit {
  const { auditLog } = config;
  // Threads append whole lines to one file; the system keeps them apart.
  const file = auditLog && pino.destination({ dest: auditLog, append: true, sync: true });
  const lines = file
    ? pino({ base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, file)
    : log;

  function write(name: OperationName, { scope, path }: Operation, request: Request) {
    return function (this: Response) {
      const grant = grantOf(this);
      const { statusCode, locals, writableFinished } = this;
      const isOfCollection = scope === "collection" || path.includes("{collection}");
      lines.info(
        {
          audit: name,
          who: grant?.name ?? null,
          role: grant?.role ?? null,
          from: request.ip ?? null,
          method: request.method,
          path: request.path.slice(0, PATH_LENGTH_MAX),
          ...(isOfCollection ? { collection: collectionName(request).slice(0, 128) } : {}),
          result: resultOf(statusCode, writableFinished),
          status: statusCode,
          code: locals.code,
          request_id: locals.requestId,
        },
        "audit",
      );
    };
  }

  return {
    of(name, operation) {
      const { role, method, isDestructive } = operation;
      if (!isDestructive && (role !== "admin" || method === "get")) return undefined;
      return (request, response, next) => {
        response.once("close", write(name, operation, request));
        next();
      };
    },
    reopen() {
      if (file) file.reopen();
    },
  };
}

function resultOf(status: number, isFinished: boolean): string {
  if (!isFinished) return "broken off";
  if (status < 400) return "done";
  return status < 500 ? "refused" : "failed";
}
