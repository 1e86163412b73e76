/**
 * One request and what may go wrong on its way, on fetch alone.
 *
 * What is sent again: an answer of 429 or 503 means that nothing was done, so any call may be sent
 * again. A broken connection, a timeout or a 502 or 504 of something between leaves open what was
 * done, so only calls that may be repeated are: reads, and writes that carry an Idempotency-Key.
 * Waits grow twofold with jitter, and are never shorter than Retry-After asks.
 */
import { failureOf, OmenDBError } from "./failure.ts";

export interface ClientOptions {
  /** Sent as X-API-Key. */
  readonly apiKey?: string;
  /** Sent as Authorization: Bearer, a token or a key. */
  readonly token?: string;
  /** How long an attempt may take; 30 s by default, 0 for ever. */
  readonly timeoutMs?: number;
  /** How often a call is sent again; 4 by default. */
  readonly retries?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of the global one. */
  readonly fetch?: typeof fetch;
}

/** What may be said about a single call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly retries?: number;
}

export interface Call extends CallOptions {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** From the server's root, encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Text is JSON. */
  readonly body?: string | Blob | Uint8Array<ArrayBuffer> | ReadableStream;
  readonly headers?: Readonly<Record<string, string>>;
  readonly mayRepeat: boolean;
}

const TIMEOUT_MS = 30_000;
const RETRIES = 4;
const WAIT_MS_MIN = 100;
const WAIT_MS_MAX = 10_000;
/** A server that asks for more patience than this is better told to the caller. */
const RETRY_AFTER_SECONDS_MAX = 60;

export class Transport {
  readonly #base: string;
  readonly #options: ClientOptions;

  constructor(url: string | URL, options: ClientOptions) {
    this.#base = String(url).replace(/\/+$/, "");
    this.#options = options;
  }

  /** The answer's JSON, which belongs to the attempt: a body that breaks off is asked for again. */
  json<Answer>(call: Call): Promise<Answer> {
    return this.#repeat(call, async (response) => (await response.json()) as Answer);
  }

  /** Resolves with a success; its body is still on the way. Throws OmenDBError. */
  send(call: Call): Promise<Response> {
    return this.#repeat(call, async (response) => response);
  }

  async #repeat<Answer>(call: Call, read: (response: Response) => Promise<Answer>) {
    const isOnce = call.body instanceof ReadableStream;
    const retries = isOnce ? 0 : (call.retries ?? this.#options.retries ?? RETRIES);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(call, read);
      } catch (error) {
        if (attempt >= retries || !isWorthAnother(error, call)) throw error;
        await rest(waitMs(error, attempt), call.signal);
      }
    }
  }

  async #attempt<Answer>(call: Call, read: (response: Response) => Promise<Answer>) {
    const { method, path, query, body, signal } = call;
    const timeoutMs = call.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS;
    const alarm = new AbortController();
    const timer = timeoutMs > 0 ? setTimeout(() => alarm.abort(), timeoutMs) : undefined;
    const request = this.#options.fetch ?? fetch;
    try {
      const response = await request(this.#base + path + queryText(query), {
        method,
        headers: this.#headers(call),
        body,
        signal: signal === undefined ? alarm.signal : AbortSignal.any([signal, alarm.signal]),
        ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
      } as RequestInit);
      if (!response.ok) throw await failureOf(response);
      return await read(response);
    } catch (cause) {
      if (cause instanceof OmenDBError) throw cause;
      signal?.throwIfAborted();
      const where = `${method} ${this.#base}${path}`;
      if (alarm.signal.aborted) {
        throw new OmenDBError("TIMEOUT", `${where}: no answer in ${timeoutMs} ms`, { cause });
      }
      const code = cause instanceof SyntaxError ? "BAD_ANSWER" : "UNREACHABLE";
      throw new OmenDBError(code, `${where}: ${reasonOf(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #headers({ body, headers }: Call): Record<string, string> {
    const { apiKey, token, headers: always } = this.#options;
    return {
      ...(typeof body === "string" ? { "content-type": "application/json" } : {}),
      ...(apiKey === undefined ? {} : { "x-api-key": apiKey }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...always,
      ...headers,
    };
  }
}

function queryText(query: Call["query"]): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

function isWorthAnother(error: unknown, { mayRepeat, signal }: Call): boolean {
  if (signal?.aborted || !(error instanceof OmenDBError)) return false;
  if ((error.retryAfterSeconds ?? 0) > RETRY_AFTER_SECONDS_MAX) return false;
  if (error.status === 429 || error.status === 503) return true;
  // This very write, sent before, is still being carried out: its answer will come under the key.
  if (error.code === "IDEMPOTENCY_KEY_IN_FLIGHT") return mayRepeat;
  const isUnanswered = error.code === "UNREACHABLE" || error.code === "TIMEOUT";
  return mayRepeat && (isUnanswered || error.status === 502 || error.status === 504);
}

/** Half of the wait is chance, so that many clients do not come back at once. */
function waitMs(error: unknown, attempt: number): number {
  const grown = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** attempt);
  const asked = error instanceof OmenDBError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
  return asked + (grown / 2) * (1 + Math.random());
}

function rest(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** fetch hides why a connection failed in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return cause?.message || message || String(error);
}
