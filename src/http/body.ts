/**
 * A request's body, from the socket to a value. The content type and the declared length are looked
 * at before anything is read; chunks are gathered as they come, inflated where they are compressed,
 * under a limit of bytes for the body, one for all bodies this thread is gathering, and two clocks;
 * then the desk reads them.
 *
 * Lines of NDJSON may come without end: some of them are gathered at a time, read and handed on,
 * and nothing more is taken off the socket while whoever has them is busy.
 *
 * Where somebody wants to know the same body again, it goes through their digest on the way.
 *
 * A body that is refused half-way is still being sent. Closing the connection at once would reset
 * it, and the sender might never see why; so it is half-closed after the answer, and what still
 * comes is thrown away for a moment.
 */
import type { Hash } from "node:crypto";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Request } from "express";
import { OmenError } from "../errors.ts";
import { Inflow, openInflow, tooSlow } from "./inflow.ts";
import { JSON_MEDIA, mediaOf } from "./media.ts";

/** No byte for so long, and the sender is taken for gone. */
export const BODY_IDLE_MS = 15_000;
/** From the first look at the request to the last byte of its body. */
export const BODY_TOTAL_MS = 120_000;
/** The longest line of NDJSON. */
export const LINE_BYTES_MAX = 1024 * 1024;
/** Of NDJSON, gathered before they are read: they become one write. */
const LINES_BYTES = 1024 * 1024;
/** How long a refused sender may go on before the connection is cut. */
const LINGER_MS = 1000;
const OVERLOAD_RETRY_SECONDS = 1;
const NEWLINE = 0x0a;

export interface BodyLimits {
  /** Of a body as it is when inflated. */
  readonly bytesMax: number;
  /** Of all bodies being gathered in this thread together. */
  readonly gatheredBytesMax: number;
  readonly lineBytesMax?: number;
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

/** Some lines of a longer body. The first that could not be read ends it, as `fault`. */
export interface ScannedLines extends ScannedBody {
  readonly value: readonly unknown[];
  /** Of each element, counted from 1 at the body's beginning. */
  readonly lines: readonly number[];
  /** The last line that was looked at. */
  readonly linesEnd: number;
  readonly fault?: LineFault;
}

export interface LineFault {
  readonly line: number;
  readonly error: OmenError;
}

/** The thread's desk, as far as bodies need it; see src/engine/desk.ts. */
export interface BodyDesk {
  scan(chunks: Uint8Array[], pause: () => Promise<void>): Promise<ScannedBody>;
  scanLines(
    chunks: Uint8Array[],
    linesBefore: number,
    lineBytesMax: number,
    pause: () => Promise<void>,
  ): Promise<ScannedLines>;
  judgeTexts(
    texts: Uint8Array[],
    pause: () => Promise<void>,
  ): Promise<{ readonly index: number; readonly error: OmenError } | undefined>;
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
   * JSON. Throws UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, REQUEST_TIMEOUT, OVERLOADED, INVALID_JSON
   * (with the byte and the pointer), INVALID_METADATA, and INVALID_REQUEST when the sender went
   * away or what it sent cannot be inflated.
   */
  async read(request: Request): Promise<ScannedBody> {
    mediaOf(request, [JSON_MEDIA]);
    return this.gather(request, async (chunks) => {
      const body = await this.#desk.scan(chunks, turn);
      request.res?.once("close", () => body.release());
      return body;
    });
  }

  /**
   * The bytes of a body, whatever they are, which count as gathered while `use` has them. Throws as
   * `read` does, but for what is wrong with JSON.
   */
  async gather<Result>(
    request: Request,
    use: (chunks: Uint8Array[]) => Promise<Result>,
  ): Promise<Result> {
    const declared = Number(request.headers["content-length"] ?? 0);
    if (declared > this.#limits.bytesMax) {
      hangUp(request);
      throw this.#tooLarge();
    }
    const gathered: Gathered = { chunks: [], bytes: 0 };
    try {
      await this.#gather(request, gathered);
      return await use(gathered.chunks);
    } finally {
      this.#gatheredBytes -= gathered.bytes;
    }
  }

  /** The first text that is no metadata, and why. */
  judge(texts: Uint8Array[]): ReturnType<BodyDesk["judgeTexts"]> {
    return this.#desk.judgeTexts(texts, turn);
  }

  /**
   * Lines of NDJSON as they come, some at a time; each part must be released. Throws what `gather`
   * throws, but for the limits on a whole body: the only clock is the one between two bytes.
   */
  lines(request: Request): AsyncGenerator<ScannedLines, void, void> {
    return this.#lines(request, new Inflow(request, this.#limits.idleMs ?? BODY_IDLE_MS));
  }

  async *#lines(request: Request, inflow: Inflow): AsyncGenerator<ScannedLines, void, void> {
    const { lineBytesMax = LINE_BYTES_MAX } = this.#limits;
    let gathered: Gathered = { chunks: [], bytes: 0 };
    let linesBefore = 0;
    /** Since the last newline. */
    let openBytes = 0;
    let isWhole = false;
    const scan = async (): Promise<ScannedLines> => {
      const { chunks, bytes } = gathered;
      gathered = { chunks: [], bytes: 0 };
      try {
        const part = await this.#desk.scanLines(chunks, linesBefore, lineBytesMax, turn);
        linesBefore = part.linesEnd;
        return part;
      } finally {
        this.#gatheredBytes -= bytes;
      }
    };
    try {
      for (let piece = await inflow.next(); piece !== undefined; piece = await inflow.next()) {
        const overload = this.#keep(piece, gathered);
        if (overload !== undefined) throw overload;
        const end = piece.lastIndexOf(NEWLINE) + 1;
        openBytes = piece.length - end + (end === 0 ? openBytes : 0);
        // The desk finds the line that is too long, after those before it.
        if (openBytes > lineBytesMax) return yield await scan();
        if (end === 0 || gathered.bytes < LINES_BYTES) continue;
        const rest = piece.subarray(end);
        gathered.chunks[gathered.chunks.length - 1] = piece.subarray(0, end);
        gathered.bytes -= rest.length;
        yield await scan();
        gathered = { chunks: [rest], bytes: rest.length };
      }
      isWhole = true;
      if (gathered.bytes > 0) yield await scan();
    } finally {
      this.#gatheredBytes -= gathered.bytes;
      inflow.stop();
      if (!isWhole) hangUp(request);
    }
  }

  #gather(request: Request, gathered: Gathered): Promise<void> {
    const { idleMs = BODY_IDLE_MS, totalMs = BODY_TOTAL_MS } = this.#limits;
    return new Promise((resolve, reject) => {
      const end = (error?: OmenError) => {
        clearTimeout(idle);
        clearTimeout(total);
        if (error === undefined) resolve();
        else reject(error);
      };
      const refuse = (error: OmenError) => {
        flow.stop();
        hangUp(request);
        end(error);
      };
      const digest: Hash | undefined = request.res?.locals.digest;
      const data = (chunk: Buffer) => {
        digest?.update(chunk);
        const error = this.#add(chunk, gathered);
        if (error === undefined) idle.refresh();
        else refuse(error);
      };
      const flow = openInflow(request, { data, end });
      const idle = setTimeout(() => refuse(tooSlow(`no byte for ${idleMs} ms`)), idleMs);
      const total = setTimeout(() => refuse(tooSlow(`not complete in ${totalMs} ms`)), totalMs);
    });
  }

  #add(chunk: Buffer, gathered: Gathered): OmenError | undefined {
    const overload = this.#keep(chunk, gathered);
    return gathered.bytes > this.#limits.bytesMax ? this.#tooLarge() : overload;
  }

  #keep(chunk: Buffer, gathered: Gathered): OmenError | undefined {
    gathered.bytes += chunk.length;
    this.#gatheredBytes += chunk.length;
    if (this.#gatheredBytes > this.#limits.gatheredBytesMax) return tooMany();
    gathered.chunks.push(chunk);
    return undefined;
  }

  #tooLarge(): OmenError {
    return new OmenError("BODY_TOO_LARGE", `a body may have ${this.#limits.bytesMax} bytes`);
  }
}

/**
 * A body of bytes as they come, of at most `bytesMax`; `setting` is what a refusal names. The only
 * clock is the one between two bytes. Throws as `gather` does.
 */
export async function* octetsOf(
  request: Request,
  bytesMax: number,
  setting: string,
): AsyncGenerator<Buffer, void, void> {
  const tooLarge = () =>
    new OmenError("BODY_TOO_LARGE", `the body may have ${bytesMax} bytes (${setting})`);
  const inflow = new Inflow(request, BODY_IDLE_MS);
  let bytes = 0;
  let isWhole = false;
  try {
    if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge();
    for (let piece = await inflow.next(); piece !== undefined; piece = await inflow.next()) {
      bytes += piece.length;
      if (bytes > bytesMax) throw tooLarge();
      yield piece;
    }
    isWhole = true;
  } finally {
    inflow.stop();
    if (!isWhole) hangUp(request);
  }
}

interface Gathered {
  chunks: Uint8Array[];
  bytes: number;
}

const turn = () => setImmediate();
const tooMany = () =>
  new OmenError("OVERLOADED", "too many bodies are on their way at once", {
    retryAfterSeconds: OVERLOAD_RETRY_SECONDS,
  });

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
