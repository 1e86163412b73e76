/**
 * The HTTP server around the app: how long a client may take, how many there may be, what those get
 * whose bytes are no HTTP, and how to stop without cutting off an answer.
 */
import { randomUUID } from "node:crypto";
import {
  createServer,
  IncomingMessage,
  type Server,
  type ServerOptions,
  ServerResponse,
} from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Express, NextFunction, Request, Response } from "express";
import type { Config } from "../config.ts";
import { type ErrorCode, OmenError } from "../errors.ts";
import { PROBLEM_TYPE, problemOf } from "./problem.ts";
import { contextOf, type TlsTexts } from "./tls.ts";

const HEADER_BYTES_MAX = 16 * 1024;
const TIMEOUT_CHECK_MS = 500;
const IDLE_CHECK_MS = 25;
/** While it stops: no byte of a body for so long, and it is not waited for. */
const STALLED_MS = 1000;

export interface HttpServer {
  /** Not listening yet: the caller says where, and whether the port is shared. */
  readonly server: Server;
  /** Later connections are spoken to with these; there have to be some from the start. */
  setTls(texts: TlsTexts): void;
  /**
   * Stops accepting, lets requests in flight finish, and cuts those that are not done after
   * `deadlineMs`. Resolves with how many connections were cut.
   */
  close(deadlineMs: number): Promise<number>;
}

export function createHttpServer(app: Express, config: Config, tls?: TlsTexts): HttpServer {
  const limits: ServerOptions = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: Math.min(config.headersTimeoutMs, config.requestTimeoutMs),
    // Node knows one time for all requests, and a stream of rows may take as long as it likes.
    requestTimeout: 0,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    noDelay: true,
    // The app refuses a request without one, in words.
    requireHostHeader: false,
    ...bornFor(app),
  };
  const server = tls === undefined ? createServer(limits) : createHttps(limits, tls);
  server.maxConnections = config.connectionsMax;
  const answers = new Map<Socket, ServerResponse>();
  let isClosing = false;

  function hurry(): void {
    const { requestTimeoutMs } = config;
    for (const [socket, answer] of answers) {
      const { startedAtMs, isUnhurried } = (answer as Response).locals;
      if (answer.req.complete || isUnhurried) continue;
      if (performance.now() - startedAtMs < requestTimeoutMs) continue;
      refuse({ name: "", message: "", code: "ERR_HTTP_REQUEST_TIMEOUT" }, socket, answer);
    }
  }
  const hurrying = setInterval(hurry, TIMEOUT_CHECK_MS).unref();
  server.on("close", () => clearInterval(hurrying));
  const opened = tls === undefined ? "connection" : "secureConnection";
  server.on(opened, (socket: Socket) => socket.once("close", () => answers.delete(socket)));

  function handle(request: IncomingMessage, response: ServerResponse): void {
    answers.set(request.socket, response);
    if (isClosing) response.setHeader("Connection", "close");
    (response as Response).locals = newLocals();
    app(request as Request, response as Response, unanswered);
  }
  server.on("request", handle);
  // Whoever asks before sending a body is told to go on by the route, after the guard.
  server.on("checkContinue", handle);
  server.on("checkExpectation", handle);
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    refuse(error, socket, answers.get(socket));
  });

  async function close(deadlineMs: number): Promise<number> {
    isClosing = true;
    const connections = new Promise<number>((resolve) => {
      server.getConnections((_error, count) => resolve(count ?? 0));
    });
    if ((await connections) === 0 && !server.listening) return 0;
    const uploads = new Map<Socket, { bytes: number; sinceMs: number }>();
    const stalled = setInterval(() => refuseStalled(answers, uploads), IDLE_CHECK_MS);
    return stop(server, deadlineMs).finally(() => clearInterval(stalled));
  }
  return {
    server,
    setTls(texts) {
      if (tls !== undefined) (server as TlsServer).setSecureContext(contextOf(texts));
    },
    close,
  };
}

/**
 * Express gives each request and each answer its own prototypes, which costs as much as finding the
 * route. They are born with them, so there is nothing to change.
 */
function bornFor({ request, response }: Express): Pick<ServerOptions, "IncomingMessage"> {
  return {
    IncomingMessage: bornAs(IncomingMessage, request),
    ServerResponse: bornAs(ServerResponse, response),
  } as Pick<ServerOptions, "IncomingMessage">;
}

type Maker = new (...given: never[]) => object;

function bornAs<Made extends Maker>(made: Made, prototype: object): Made {
  function Born(...given: unknown[]): object {
    return Reflect.construct(made, given, new.target);
  }
  Born.prototype = prototype;
  return Born as unknown as Made;
}

/** What the app keeps of a request, of one shape: Express's own is a dictionary. */
function newLocals(): Response["locals"] {
  return {
    startedAtMs: 0,
    operation: 0,
    requestId: "",
    trace: undefined,
    grant: undefined,
    media: undefined,
  };
}

/** The app answers everything, errors too; what it did not answer is nobody's. */
const unanswered: NextFunction = (error?: unknown) => {
  throw error ?? new Error("a request went through the app without an answer");
};

/** A handshake may take as long as headers may. */
function createHttps(limits: ServerOptions, tls: TlsTexts): TlsServer {
  const isMutual = tls.ca !== undefined;
  return createTlsServer({
    ...limits,
    ...contextOf(tls),
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: limits.headersTimeout,
    requestCert: isMutual,
    rejectUnauthorized: isMutual,
  });
}

/** A body that has ceased to come must not keep the process from ending. */
function refuseStalled(
  answers: ReadonlyMap<Socket, ServerResponse>,
  uploads: Map<Socket, { bytes: number; sinceMs: number }>,
): void {
  for (const [socket, answer] of answers) {
    if (answer.req.complete || answer.writableFinished) continue;
    const seen = uploads.get(socket);
    if (seen?.bytes !== socket.bytesRead) {
      uploads.set(socket, { bytes: socket.bytesRead, sinceMs: performance.now() });
    } else if (performance.now() - seen.sinceMs > STALLED_MS) {
      refuse({ name: "", message: "", code: "STALLED" }, socket, answer);
    }
  }
}

/** A kept-alive connection becomes idle whenever its answer is out, so idle ones are looked for. */
function stop(server: Server, deadlineMs: number): Promise<number> {
  return new Promise((resolve) => {
    let cut = 0;
    const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
    const deadline = setTimeout(() => {
      server.getConnections((_error, count) => {
        cut = count ?? 0;
        server.closeAllConnections();
      });
    }, deadlineMs);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(deadline);
      resolve(cut);
    });
    server.closeIdleConnections();
  });
}

/** Node found no request in the bytes, or waited too long for one. There is no app to ask. */
function refuse(
  error: NodeJS.ErrnoException,
  socket: Socket,
  answer: ServerResponse | undefined,
): void {
  const isAnswered = answer?.headersSent === true && !answer.writableFinished;
  // Anything but HTTP's own errors means that the connection is gone, or never came to be.
  const isOfHttp = /^(HPE_|ERR_HTTP_|STALLED)/.test(error.code ?? "");
  if (!isOfHttp || !socket.writable || isAnswered) {
    socket.destroy();
    return;
  }
  const problem = problemOf(refusalOf(error.code), "", randomUUID());
  const body = Buffer.from(JSON.stringify(problem));
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.code}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${body.length}`,
    `X-Request-Id: ${problem.request_id}`,
    "Connection: close",
    "X-Content-Type-Options: nosniff",
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]));
}

function refusalOf(code: string | undefined): OmenError {
  const [known, detail]: [ErrorCode, string] =
    code === "HPE_HEADER_OVERFLOW"
      ? ["HEADERS_TOO_LARGE", `the headers are over ${HEADER_BYTES_MAX} bytes`]
      : code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["REQUEST_TIMEOUT", "the request did not arrive in time"]
        : code === "STALLED"
          ? ["SHUTTING_DOWN", "the server is stopping, and the body has ceased to come"]
          : ["INVALID_REQUEST", "the bytes are no HTTP request"];
  return new OmenError(known, detail);
}
