/**
 * As little HTTP as a driver needs, so that it takes little of the processor that its server wants:
 * requests are bytes made before the clock starts, and of an answer only its status and its length
 * are looked at.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";

/** A request as it goes over the wire. */
export function requestBytes(path: string, type: string, body: Uint8Array): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(head.join("\r\n") + HEAD_END), body]);
}

/** One connection; the next request may be sent when the answer is there. */
export class Wire {
  readonly #socket: Socket;
  #parts: Buffer[] = [];
  #settle: { resolve(body: Buffer): void; reject(error: Error): void } | undefined;

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1").setNoDelay(true);
    this.#socket.on("data", (part) => this.#read(part));
    this.#socket.on("error", (error) => this.#settle?.reject(error));
    this.#socket.on("close", () => this.#settle?.reject(new Error("the connection ended")));
  }

  async open(): Promise<this> {
    await once(this.#socket, "connect");
    return this;
  }

  /** Resolves with the body; rejects when the status is not 200. */
  ask(request: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#settle = undefined;
    this.#socket.destroy();
  }

  #read(part: Buffer): void {
    this.#parts.push(part);
    const bytes = this.#parts.length === 1 ? part : Buffer.concat(this.#parts);
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = bytes.toString("latin1", 0, headEnd);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
    const body = bytes.subarray(headEnd + HEAD_END.length);
    if (body.length < length) return;
    this.#parts = [];
    const settle = this.#settle;
    this.#settle = undefined;
    if (head.startsWith("HTTP/1.1 200 ")) settle?.resolve(body);
    else settle?.reject(new Error(`${head.split("\r\n")[0]}: ${body}`));
  }
}
