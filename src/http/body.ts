/**
 * A request's body, from the socket to a value. The content type and the declared length are looked
 * at before anything is read; chunks are gathered as they come, under a limit of bytes for the
 * body, one for all bodies this thread is gathering, and two clocks; then the desk reads them.
 *
 * A body that is refused half-way is still being sent. Closing the connection at once would reset
 * it, and the sender might never see why; so it is half-closed after the answer, and what still
 * comes is thrown away for a moment.
 */
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Request } from "express";
import { OmenError } from "../errors.ts";

/** No byte for so long, and the sender is taken for gone. */
export const BODY_IDLE_MS = 15_000;
/** From the first look at the request to the last byte of its body. */
export const BODY_TOTAL_MS = 120_000;
/** How long a refused sender may go on before the connection is cut. */
const LINGER_MS = 1000;
const OVERLOAD_RETRY_SECONDS = 1;

export interface BodyLimits {
  readonly bytesMax: number;
  /** Of all bodies being gathered in this thread together. */
  readonly gatheredBytesMax: number;
  readonly idleMs?: number;
  readonly totalMs?: number;
}

/** What a body's handles stand for; see src/engine/scanned.ts. */
export interface ScannedBody {
  readonly value: unknown;
  /** Throws INVALID_VECTOR, naming the component at fault. The view holds until `release`. */
  vector(handle: number): { readonly values: Float32Array<ArrayBuffer>; readonly count: number };
  /** Row after row; throws INVALID_VECTOR and DIMENSION_MISMATCH. */
  matrix(handles: readonly number[], dimensions: number): Float32Array<ArrayBuffer>;
  /** The JSON as it was sent. The view holds until `release`. */
  metadata(handle: number): Uint8Array<ArrayBuffer>;
  /**
   * Call it once the views are no longer needed; at the latest it happens when the response closes.
   */
  release(): void;
}

/** The thread's desk, as far as bodies need it; see src/engine/desk.ts. */
export interface BodyDesk {
  scan(chunks: Uint8Array[], pause: () => Promise<void>): Promise<ScannedBody>;
}

export class BodyReader {
  readonly #desk: BodyDesk;
  readonly #limits: BodyLimits;
  #gatheredBytes = 0;

  constructor(desk: BodyDesk, limits: BodyLimits) {
    this.#desk = desk;
    this.#limits = limits;
  }

  /**
   * Throws UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, REQUEST_TIMEOUT, OVERLOADED, INVALID_JSON (with
   * the byte and the pointer), INVALID_METADATA, and INVALID_REQUEST when the sender went away.
   */
  async read(request: Request): Promise<ScannedBody> {
    expectJson(request);
    const declared = Number(request.headers["content-length"] ?? 0);
    if (declared > this.#limits.bytesMax) {
      hangUp(request);
      throw this.#tooLarge();
    }
    const gathered: Gathered = { chunks: [], bytes: 0 };
    try {
      await this.#gather(request, gathered);
      const body = await this.#desk.scan(gathered.chunks, turn);
      request.res?.once("close", () => body.release());
      return body;
    } finally {
      this.#gatheredBytes -= gathered.bytes;
    }
  }

  #gather(request: Request, gathered: Gathered): Promise<void> {
    const { idleMs = BODY_IDLE_MS, totalMs = BODY_TOTAL_MS } = this.#limits;
    return new Promise((resolve, reject) => {
      const settle = (error?: OmenError) => {
        clearTimeout(idle);
        clearTimeout(total);
        request.off("data", onData).off("end", onEnd).off("close", onClose);
        if (error === undefined) resolve();
        else reject(error);
      };
      const refuse = (error: OmenError) => {
        hangUp(request);
        settle(error);
      };
      const onData = (chunk: Buffer) => {
        const error = this.#add(chunk, gathered);
        if (error === undefined) idle.refresh();
        else refuse(error);
      };
      const onEnd = () => settle();
      const onClose = () => settle(gone());
      const idle = setTimeout(() => refuse(tooSlow(`no byte for ${idleMs} ms`)), idleMs);
      const total = setTimeout(() => refuse(tooSlow(`not complete in ${totalMs} ms`)), totalMs);
      request.on("data", onData).on("end", onEnd).on("close", onClose);
      // An aborted request says so with an error as well as a close; the close is enough.
      request.on("error", ignore);
    });
  }

  #add(chunk: Buffer, gathered: Gathered): OmenError | undefined {
    gathered.bytes += chunk.length;
    this.#gatheredBytes += chunk.length;
    if (gathered.bytes > this.#limits.bytesMax) return this.#tooLarge();
    if (this.#gatheredBytes > this.#limits.gatheredBytesMax) return tooMany();
    gathered.chunks.push(chunk);
    return undefined;
  }

  #tooLarge(): OmenError {
    return new OmenError("BODY_TOO_LARGE", `a body may have ${this.#limits.bytesMax} bytes`);
  }
}

interface Gathered {
  chunks: Uint8Array[];
  bytes: number;
}

const turn = () => setImmediate();
const ignore = () => {};

const tooSlow = (what: string) =>
  new OmenError("REQUEST_TIMEOUT", `the body came too slowly: ${what}`);
const gone = () => new OmenError("INVALID_REQUEST", "the connection ended before the body did");
const tooMany = () =>
  new OmenError("OVERLOADED", "too many bodies are on their way at once", {
    retryAfterSeconds: OVERLOAD_RETRY_SECONDS,
  });

/** `application/json`, of no other charset than UTF-8 and not compressed. */
function expectJson(request: Request): void {
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new OmenError("UNSUPPORTED_MEDIA_TYPE", `expected no content encoding, got ${encoding}`);
  }
  const type = request.headers["content-type"] ?? "";
  const [media = "", ...parameters] = type.toLowerCase().split(";");
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith("charset="));
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  if (media.trim() === "application/json" && isUtf8) return;
  const got = type === "" ? "none" : type.slice(0, 100);
  throw new OmenError("UNSUPPORTED_MEDIA_TYPE", `expected application/json in UTF-8, got ${got}`);
}

/** The connection ends with this answer, but gently. */
function hangUp(request: Request): void {
  request.res?.set("Connection", "close");
  request.resume();
  const socket: Socket = request.socket;
  // What Node calls once the answer is written.
  socket.destroySoon = () => {
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };
}
