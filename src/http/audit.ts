/**
 * The audit log: one JSON line for each call that destroys, administers or takes a collection away,
 * whether it was carried out, refused or broke off: when, who, what, from where, and with what
 * result. Never a credential, and never what was written.
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
  // Whatever else the log leaves out, these lines are not less important for it.
  const own = log.level === "silent" ? log : log.child({}, { level: "info" });
  const lines = file
    ? pino({ base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, file)
    : own;
  let failure: string | undefined;
  if (file) {
    file.on("error", ({ message }: Error) => fail(message));
    file.on("write", () => {
      failure = undefined;
    });
  }

  /** Told once: calls go on, and their lines go to the log until the file can be written again. */
  function fail(message: string): void {
    if (failure === undefined) log.error({ file: auditLog, cause: message }, "the audit log fails");
    failure = message;
  }

  function write(name: OperationName, { scope, path }: Operation, request: Request) {
    const { method, ip, originalUrl } = request;
    const isOfCollection = scope === "collection" || path.includes("{collection}");
    // By the time the answer is out, Express has put both back to what they were before the route.
    const where = {
      ...{ from: ip ?? null, method, path: pathOf(originalUrl).slice(0, PATH_LENGTH_MAX) },
      ...(isOfCollection ? { collection: collectionName(request).slice(0, 128) } : {}),
    };
    return function (this: Response) {
      const grant = grantOf(this);
      const { statusCode, locals, writableFinished } = this;
      const line = {
        audit: name,
        ...{ who: grant?.name ?? null, role: grant?.role ?? null, ...where },
        result: resultOf(statusCode, writableFinished),
        status: statusCode,
        code: locals.code,
        request_id: locals.requestId,
      };
      lines.info(line, "audit");
      if (failure !== undefined) own.info(line, "audit");
    };
  }

  return {
    of(name, operation) {
      const { role, method, isAudited } = operation;
      if (!isAudited && (role !== "admin" || method === "get")) return undefined;
      return (request, response, next) => {
        response.once("close", write(name, operation, request));
        next();
      };
    },
    reopen() {
      try {
        if (file) file.reopen();
      } catch (error) {
        fail((error as Error).message);
      }
    },
  };
}

const pathOf = (url: string) => url.split("?", 1)[0]!;

function resultOf(status: number, isFinished: boolean): string {
  if (!isFinished) return "broken off";
  if (status < 400) return "done";
  return status < 500 ? "refused" : "failed";
}
