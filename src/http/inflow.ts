/**
 * A body's bytes, piece by piece as somebody asks for them. While nobody asks, little is taken off
 * the socket: a few pieces are kept, then the sender has to wait, as TCP makes it.
 */
import type { Readable } from "node:stream";
import type { Request } from "express";
import { OmenError } from "../errors.ts";
import { createInflater } from "./inflate.ts";
import { type Encoding, encodingOf } from "./media.ts";

/** What is kept for who asks next, before the sender waits. */
const KEPT_BYTES_MAX = 256 * 1024;

export const gone = () =>
  new OmenError("INVALID_REQUEST", "the connection ended before the body did");
export const tooSlow = (what: string) =>
  new OmenError("REQUEST_TIMEOUT", `the body came too slowly: ${what}`);
const unsound = (encoding: Encoding, cause: Error) =>
  new OmenError("INVALID_REQUEST", `the body is not sound ${encoding}: ${cause.message}`, {
    cause,
  });

export interface InflowHandlers {
  data(piece: Buffer): void;
  /** Once, with the error unless the body came whole. */
  end(error?: OmenError): void;
}

/**
 * Lets the body flow into the handlers, inflated where it is compressed. Returns how to hold it up
 * and how to stop listening. Throws UNSUPPORTED_MEDIA_TYPE.
 */
export function openInflow(
  request: Request,
  handlers: InflowHandlers,
): { readonly stream: Readable; stop(): void } {
  const encoding = encodingOf(request);
  const inflater = encoding && createInflater(encoding);
  const stream = inflater ?? request;
  const onEnd = () => finish();
  const onClose = () => {
    if (!request.complete || inflater === undefined) finish(gone());
  };
  const onError = (cause: Error) => finish(unsound(encoding!, cause));

  function stop(): void {
    stream.off("data", handlers.data).off("end", onEnd);
    request.off("close", onClose);
    if (inflater === undefined) return;
    request.unpipe(inflater);
    inflater.destroy();
  }
  function finish(error?: OmenError): void {
    stop();
    handlers.end(error);
  }

  stream.on("data", handlers.data).on("end", onEnd);
  // An aborted request says so with an error as well as a close; the close is enough.
  request.on("close", onClose).on("error", ignore);
  inflater?.on("error", onError);
  if (inflater !== undefined) request.pipe(inflater);
  return { stream, stop };
}

const ignore = () => {};

/** The same, for whoever asks for one piece after the other. */
export class Inflow {
  readonly #idleMs: number;
  readonly #flow: ReturnType<typeof openInflow>;
  readonly #pieces: Buffer[] = [];
  #keptBytes = 0;
  #end: { error?: OmenError } | undefined;
  #wake: (() => void) | undefined;

  /** Throws UNSUPPORTED_MEDIA_TYPE. */
  constructor(request: Request, idleMs: number) {
    this.#idleMs = idleMs;
    this.#flow = openInflow(request, {
      data: (piece) => {
        this.#pieces.push(piece);
        this.#keptBytes += piece.length;
        if (this.#keptBytes >= KEPT_BYTES_MAX) this.#flow.stream.pause();
        this.#wake?.();
      },
      end: (error) => {
        this.#end = { error };
        this.#wake?.();
      },
    });
  }

  /**
   * undefined at the body's end. Throws INVALID_REQUEST when the sender went away or what it sent
   * cannot be inflated, and REQUEST_TIMEOUT when no byte came for `idleMs` although one was wanted.
   */
  async next(): Promise<Buffer | undefined> {
    while (this.#pieces.length === 0) {
      if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return undefined;
      }
      await this.#more();
    }
    const piece = this.#pieces.shift()!;
    this.#keptBytes -= piece.length;
    return piece;
  }

  /** What is left of the body is nobody's any more. */
  stop(): void {
    this.#flow.stop();
  }

  #more(): Promise<void> {
    this.#flow.stream.resume();
    return new Promise((resolve, reject) => {
      const idle = setTimeout(() => {
        this.#wake = undefined;
        reject(tooSlow(`no byte for ${this.#idleMs} ms`));
      }, this.#idleMs);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(idle);
        resolve();
      };
    });
  }
}
