/**
 * Requests over connections that stay open, each with one request at a time, at little cost: the
 * driver runs on the cores that the server wants, and node:http would take as long as a search. An
 * answer that never came has status 0.
 */
import { connect, type Socket } from "node:net";

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly timeoutMs: number;
}

export interface Exchanged {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: string;
}

const HEAD_END = "\r\n\r\n";
const LINE_END = "\r\n";
const SWEEP_MS = 100;

/** Connections by host that wait for the next request. */
const idle = new Map<string, Line[]>();
const busy = new Set<Line>();

export function exchange({ method, url, headers, body, timeoutMs }: Asked): Promise<Exchanged> {
  const at = url.indexOf("/", url.indexOf("//") + 2);
  const host = url.slice(url.indexOf("//") + 2, at < 0 ? undefined : at);
  let head = `${method} ${at < 0 ? "/" : url.slice(at)} HTTP/1.1\r\nHost: ${host}\r\n`;
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
  if (body !== undefined) head += `Content-Length: ${body.length}\r\n`;
  return (idleOf(host).pop() ?? new Line(host)).ask(`${head}\r\n`, body, timeoutMs);
}

function idleOf(host: string): Line[] {
  const lines = idle.get(host) ?? [];
  if (lines.length === 0) idle.set(host, lines);
  return lines;
}

setInterval(sweep, SWEEP_MS).unref();

function sweep(): void {
  const now = performance.now();
  for (const line of busy) if (now > line.dueAtMs) line.fail("no answer in time");
}

class Line {
  dueAtMs = 0;
  readonly #host: string;
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #resolve: ((answer: Exchanged) => void) | undefined;

  constructor(host: string) {
    this.#host = host;
    const { hostname, port } = new URL(`http://${host}`);
    this.#socket = connect({ host: hostname, port: Number(port || 80), noDelay: true });
    this.#socket.on("data", (part) => this.#take(part));
    this.#socket.on("error", ({ message }) => this.fail(message));
    this.#socket.on("close", () => this.fail("the connection ended"));
  }

  ask(head: string, body: Uint8Array | undefined, timeoutMs: number): Promise<Exchanged> {
    this.dueAtMs = performance.now() + timeoutMs;
    busy.add(this);
    if (body === undefined) this.#socket.write(head, "latin1");
    else this.#socket.write(Buffer.concat([Buffer.from(head, "latin1"), body]));
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  fail(error: string): void {
    const lines = idleOf(this.#host);
    const place = lines.indexOf(this);
    if (place >= 0) lines.splice(place, 1);
    this.#socket.destroy();
    this.#end({ status: 0, text: "", headers: {}, error });
  }

  #end(answer: Exchanged): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    busy.delete(this);
    resolve?.(answer);
  }

  #take(part: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? part : Buffer.concat([this.#bytes, part]);
    const headEnd = this.#bytes.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const [first, ...lines] = this.#bytes.toString("latin1", 0, headEnd).split(LINE_END);
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const status = Number(first!.split(" ")[1]);
    const rest = this.#bytes.subarray(headEnd + HEAD_END.length);
    const text = textOf(rest, headers, status);
    if (text === undefined) return;
    this.#bytes = Buffer.alloc(0);
    if (headers.connection === "close") this.#socket.destroy();
    else idleOf(this.#host).push(this);
    this.#end({ status, text, headers, error: "" });
  }
}

/** The body; undefined while it is not whole. */
function textOf(
  rest: Buffer,
  headers: Readonly<Record<string, string>>,
  status: number,
): string | undefined {
  if (status === 204 || status === 304) return "";
  if (headers["transfer-encoding"] !== "chunked") {
    const length = Number(headers["content-length"] ?? 0);
    return rest.length < length ? undefined : rest.toString("utf8", 0, length);
  }
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = rest.indexOf(LINE_END, at);
    if (end < 0) return undefined;
    const length = Number.parseInt(rest.toString("latin1", at, end), 16);
    const next = end + 2 * LINE_END.length + length;
    if (rest.length < next) return undefined;
    if (length === 0) return Buffer.concat(parts).toString("utf8");
    parts.push(rest.subarray(end + LINE_END.length, next - LINE_END.length));
    at = next;
  }
}
