/**
 * The real server as tests and the demo see it: a process of its own on a free port, spoken to over
 * connections that stay open. Settings of the surrounding environment are kept away from it. A
 * server that is still running when this process ends is killed with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { request as requestTls, Agent as TlsAgent } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const HOST = "127.0.0.1";
/** A machine that has other work to do may take so long to start a process. */
const READY_MS = 120_000;
const POLL_MS = 25;

/** Settings without their prefix, `{ THREADS: 2 }`. */
export type Settings = Readonly<Record<string, string | number>>;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
}

/** One connection that stays open; a second request waits for the first one's answer. */
export interface Connection {
  /** A body that is neither text nor bytes is sent as JSON. */
  send(method: string, path: string, body?: unknown, headers?: Headers): Promise<Answer>;
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
  close(): void;
}

type Headers = Readonly<Record<string, string>>;

export interface Server {
  readonly port: number;
  readonly pid: number;
  /** Everything it has written to stdout and stderr. */
  output(): string;
  connect(headers?: Headers): Connection;
  /** The exit code, or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
  readonly ended: Promise<number | string>;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Resolves once /readyz says so; rejects with the output when the process ends before. */
export async function startServer(settings: Settings = {}, trust?: Trust): Promise<Server> {
  const port = Number(settings.PORT ?? (await freePort()));
  const { child, output, ended } = launch({ ...settings, PORT: port });
  const early = ended.then((code) => {
    throw new Error(`the server ended with ${code} before it was ready:\n${output()}`);
  });
  const isReady = waitUntilReady(port, output, trust);
  await Promise.race([early, isReady]).catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  early.catch(() => {});
  return {
    port,
    pid: child.pid!,
    output,
    connect: (headers) => connect(port, headers, trust),
    stop: (signal = "SIGTERM") => {
      child.kill(signal);
      return ended;
    },
    ended,
  };
}

/** Runs the server until it ends by itself, as one that refuses to start does. */
export async function runToEnd(settings: Settings) {
  const { child, output, ended } = launch(settings);
  const timer = setTimeout(() => child.kill("SIGKILL"), READY_MS);
  const code = await ended;
  clearTimeout(timer);
  return { code, output: output() };
}

export async function freePort(): Promise<number> {
  const listener = createServer().listen(0, HOST);
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** SERVER_ENTRY names another program to test, such as a packed build. */
function launch(settings: Settings) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("OMENDB_"));
  const given = Object.entries(settings).map(([name, value]) => [`OMENDB_${name}`, String(value)]);
  const entry = process.env.SERVER_ENTRY ?? join(root, "src", "main.ts");
  const child = spawn(process.execPath, [entry], {
    cwd: root,
    env: Object.fromEntries([...inherited, ...given]),
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => (text += part));
  }
  const ended = once(child, "close").then(([code, signal]) => {
    running.delete(child);
    return (code ?? signal) as number | string;
  });
  return { child, ended, output: () => text };
}

async function waitUntilReady(port: number, output: () => string, trust?: Trust) {
  const end = performance.now() + READY_MS;
  const connection = connect(port, {}, trust);
  while (performance.now() < end) {
    const answer = await connection.get("/readyz").catch(() => undefined);
    if (answer?.status === 200) return connection.close();
    await pause(POLL_MS);
  }
  throw new Error(`the server was not ready in ${READY_MS} ms:\n${output()}`);
}

/** What a client needs to speak HTTPS: whom it trusts, and who it is. */
export interface Trust {
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** The body of an answer that must have this status. */
export async function ok(answering: Promise<Answer>, expected = 200): Promise<Answer["body"]> {
  const { status, text, body } = await answering;
  if (status !== expected) throw new Error(`the server answered ${status}: ${text}`);
  return body;
}

export function connect(port: number, headers: Headers = {}, trust?: Trust): Connection {
  const kept = { keepAlive: true, maxSockets: 1 };
  const agent = trust === undefined ? new Agent(kept) : new TlsAgent({ ...kept, ...trust });
  const send: Connection["send"] = (method, path, body, extra = {}) => {
    const isRaw = typeof body === "string" || body instanceof Uint8Array;
    const bytes = body === undefined ? undefined : Buffer.from(isRaw ? body : JSON.stringify(body));
    const type = bytes && { "content-type": "application/json", "content-length": bytes.length };
    const options = { host: HOST, port, method, path, agent };
    return exchange({ ...options, headers: { ...type, ...headers, ...extra } }, bytes);
  };
  return {
    send,
    get: (path) => send("GET", path),
    post: (path, body) => send("POST", path, body),
    close: () => agent.destroy(),
  };
}

function exchange(options: object, bytes: Uint8Array | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const isTls = (options as { agent?: Agent }).agent instanceof TlsAgent;
    const outgoing = (isTls ? requestTls : request)(options, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        const { statusCode: status = 0, headers } = incoming;
        const isJson = /\bjson\b/.test(headers["content-type"] ?? "");
        resolve({
          status,
          headers,
          text,
          body: isJson && text !== "" ? JSON.parse(text) : undefined,
        });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(bytes);
  });
}
