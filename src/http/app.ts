/**
 * The app: every request gets an id and the safe headers, an operation is found in the table, the
 * guard and the rate limit look at it before its body is read, and what goes wrong anywhere comes
 * out of one handler.
 */
import { randomBytes } from "node:crypto";
import express, {
  type Express,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from "express";
import helmet from "helmet";
import type { Logger } from "pino";
import type { Access } from "../access/access.ts";
import { OmenError } from "../errors.ts";
import { beginRequest, endRequest, type RequestSpan } from "../tracing.ts";
import type { Audit } from "./audit.ts";
import { createGate, createGuard, refuseKeyInUrl } from "./auth.ts";
import type { Backlog } from "./backlog.ts";
import { allowOrigins } from "./cors.ts";
import type { Door, Handlers } from "./door.ts";
import { createForeignCheck } from "./foreign.ts";
import { createRateLimit, createVectorLimit } from "./limits.ts";
import { createRequestLog, type RequestLog } from "./log.ts";
import { negotiate } from "./media.ts";
import { createMetrics, NO_OPERATION, observeRequest } from "./metrics.ts";
import {
  isReadOfRows,
  mediaOffered,
  methodsAt,
  type OperationName,
  operationNames,
  operationOf,
} from "./operations.ts";
import { problemHandler } from "./problem.ts";
import { collectionRoutes } from "./routes/collections.ts";
import { recallRoutes } from "./routes/recall.ts";
import { scrollRoutes } from "./routes/scroll.ts";
import { searchRoutes } from "./routes/search.ts";
import { snapshotRoutes } from "./routes/snapshots.ts";
import { systemRoutes } from "./routes/system.ts";
import { vectorRoutes } from "./routes/vectors.ts";
import { Turnstile } from "./turnstile.ts";

export interface AppParts extends Omit<Door, "vectorLimit" | "turnstile"> {
  readonly log: Logger;
  readonly access: Access;
  readonly audit: Audit;
  readonly backlog: Backlog;
}

/** Served without a key where OMENDB_DOCS_PUBLIC says so. */
const OF_DOCS: readonly string[] = ["openapi", "docs", "docsFile"];
const REQUEST_ID = /^[\w.:+/=-]{1,128}$/;

/** One app a listener thread; all of them share what `control` and `database` hold. */
export function createApp(parts: AppParts): Express {
  const { database, config, control, version, access, audit, backlog } = parts;
  const metrics = createMetrics(database, control, version);
  const door: Door = {
    ...parts,
    vectorLimit: createVectorLimit(config, control),
    turnstile: new Turnstile(control, config.scanWaitMs),
  };
  const handlers: Handlers<OperationName> = {
    ...searchRoutes(door),
    ...vectorRoutes(door),
    ...scrollRoutes(door),
    ...recallRoutes(door),
    ...collectionRoutes(door),
    ...snapshotRoutes(door),
    ...systemRoutes(door, metrics),
  };
  const requestLog = createRequestLog(parts.log);
  const guard = createGuard(access, control);
  const rateLimit = createRateLimit(config, control);
  const gates = rateLimit === undefined ? [guard] : [guard, rateLimit];
  const standInLine: RequestHandler = (request, _response, next) => {
    backlog.enter(() => {
      if (!request.socket.destroyed) next();
    });
  };

  const whenLoaded: RequestHandler = (_request, _response, next) => {
    const { status, progress = 0, isLoaded } = database.health();
    if (status !== "starting" || isLoaded) return next();
    const message = `the collections are being loaded, ${Math.round(progress * 100)} % are there`;
    next(new OmenError("STARTING", message, { retryAfterSeconds: 1 }));
  };

  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", "simple");
  app.enable("strict routing").enable("case sensitive routing");
  if (config.trustProxy !== undefined) app.set("trust proxy", config.trustProxy);

  app.use(begin(requestLog, parts));
  if (config.corsOrigins.length > 0) app.use(allowOrigins(config.corsOrigins));
  // Express would answer it for each router by itself, knowing only that router's methods.
  app.use((request, response, next) => {
    if (request.method === "OPTIONS") nothingHere(request, response, next);
    else next();
  });
  const options = { mergeParams: true, strict: true, caseSensitive: true };
  const verbs = Router(options);
  const server = Router(options);
  for (const [index, name] of operationNames.entries()) {
    const operation = operationOf(name);
    const { scope, method, path } = operation;
    const enter: RequestHandler = (_request, response, next) => {
      response.locals.operation = index;
      next();
    };
    const offered = mediaOffered(operation);
    const agree: RequestHandler = ({ headers }, response, next) => {
      if (offered.length > 1) response.vary("Accept");
      response.locals.media = negotiate(headers.accept, offered);
      next();
    };
    const isUnguarded =
      operation.role === "anyone" ||
      (name === "metrics" && config.metricsPublic) ||
      (OF_DOCS.includes(name) && config.docsPublic);
    const needed = isAnsweredAtStart(name) ? [] : [whenLoaded];
    if (isReadOfRows(operation)) needed.unshift(standInLine);
    const watch = audit.of(name, operation) ?? [];
    const held = isUnguarded ? [] : [...gates, createGate(operation)];
    const chain = [enter, watch, ...held, ...needed, agree, handlers[name]].flat();
    const router = scope === "collection" ? verbs : server;
    router[method](path.replaceAll(/\{(\w+)\}/g, ":$1"), ...chain);
  }
  app.use("/", verbs);
  app.use("/", server);
  app.use("/collections/:collection", verbs);
  app.use(...gates, nothingHere);
  app.use(problemHandler(requestLog));
  return app;
}

/** What the server says of itself needs no collection. */
function isAnsweredAtStart(name: OperationName): boolean {
  return ["health", "live", "ready", "metrics", ...OF_DOCS].includes(name);
}

/** What every request has before anything can refuse it. */
function begin(requestLog: RequestLog, { control, config, access }: AppParts): RequestHandler {
  const safeHeaders = recordHeaders(config.tlsCert !== undefined);
  const refuseForeign = access.isOpen ? createForeignCheck(config) : undefined;
  const prefix = randomBytes(6).toString("base64url");
  let requestCount = 0;

  function count(this: Response): void {
    const { operation, startedAtMs, trace } = this.locals;
    if (trace !== undefined) endTrace(this, trace);
    observeRequest(control, operation, this.statusCode, performance.now() - startedAtMs);
  }

  return (request, response, next) => {
    const { locals } = response;
    locals.startedAtMs = performance.now();
    locals.operation = NO_OPERATION;
    const offered = request.headers["x-request-id"];
    const isSane = typeof offered === "string" && REQUEST_ID.test(offered);
    locals.requestId = isSane ? offered : `${prefix}-${(requestCount++).toString(36)}`;
    response.setHeader("X-Request-Id", locals.requestId);
    for (const [name, value] of safeHeaders) response.setHeader(name, value);
    response.once("close", count);
    locals.trace = beginRequest(request.headers);
    requestLog.begun(request, response);
    refuseKeyInUrl(request);
    refuseMisled(request);
    refuseForeign?.(request.headers);
    next();
  };
}

function endTrace({ req, locals, statusCode }: Response, trace: RequestSpan): void {
  const name = operationNames[locals.operation];
  const route = name === undefined ? "none" : operationOf(name).path;
  endRequest(trace, `${req.method} ${route}`, {
    "http.request.method": req.method,
    "http.route": route,
    "http.response.status_code": statusCode,
    "omendb.operation": name ?? "none",
    "omendb.request_id": locals.requestId,
    "error.type": locals.code,
  });
}

/** What Node refuses without a word when it is not asked to leave it to us. */
function refuseMisled({ headers, httpVersion }: Request): void {
  if (headers.host === undefined && httpVersion === "1.1") {
    throw new OmenError("INVALID_REQUEST", "HTTP/1.1 needs a Host header");
  }
  const { expect } = headers;
  if (expect === undefined || expect.toLowerCase() === "100-continue") return;
  throw new OmenError("EXPECTATION_FAILED", "expected nothing but 100-continue in Expect");
}

/** Helmet sets the same headers on every answer, so it is asked once. */
function recordHeaders(isTls: boolean): [string, string][] {
  const headers = new Map<string, string>();
  const recorder = {
    setHeader: (name: string, value: string) => headers.set(name, value),
    removeHeader: (name: string) => headers.delete(name),
  };
  const set = helmet({
    // Answers are data: nothing in them is to be loaded, framed or guessed at.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    crossOriginOpenerPolicy: false,
    // Who may read an answer is said by CORS.
    crossOriginResourcePolicy: { policy: "cross-origin" },
    originAgentCluster: false,
    // A browser that has been here over HTTPS stays with it. Behind a proxy, the proxy says so.
    strictTransportSecurity: isTls,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: { action: "deny" },
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  set({} as never, recorder as never, () => undefined);
  return [...headers.set("Cache-Control", "no-store")];
}

const nothingHere: RequestHandler = (request, response, next) => {
  const methods = methodsAt(request.path);
  if (methods.length === 0) {
    return next(new OmenError("NOT_FOUND", `there is nothing at ${request.path.slice(0, 200)}`));
  }
  response.setHeader("Allow", methods.join(", "));
  if (request.method === "OPTIONS") return void response.status(204).end();
  next(
    new OmenError("METHOD_NOT_ALLOWED", `${request.method} is not one of ${methods.join(", ")}`),
  );
};
