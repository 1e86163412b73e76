/**
 * What Redis speaks, RESP, as far as it is needed here: a command is an array of byte strings, and
 * its reply a line, a number, bytes or an array of these.
 */
import { connect, type Socket } from "node:net";

export type Reply = string | number | null | Error | Reply[];

/** One connection; answers come in the order of the commands. */
export class Link {
  readonly #socket: Socket;
  readonly #waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = [];
  #bytes = Buffer.alloc(0);
  #at = 0;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on("data", (part: Buffer) => this.#take(part));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the connection ended")));
  }

  ask(...words: readonly (string | Buffer)[]): Promise<Reply> {
    const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
    for (const word of words) {
      const bytes = Buffer.from(word);
      parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n"));
    }
    this.#socket.write(Buffer.concat(parts));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #take(part: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, part]);
    for (;;) {
      this.#at = 0;
      const reply = this.#read();
      if (reply === undefined) return;
      this.#bytes = this.#bytes.subarray(this.#at);
      const waiting = this.#waiting.shift();
      if (reply instanceof Error) waiting?.reject(reply);
      else waiting?.resolve(reply);
    }
  }

  /** The next reply; undefined while it is not whole. */
  #read(): Reply | undefined {
    const end = this.#bytes.indexOf("\r\n", this.#at);
    if (end < 0) return undefined;
    const kind = String.fromCharCode(this.#bytes[this.#at]!);
    const line = this.#bytes.toString("utf8", this.#at + 1, end);
    this.#at = end + 2;
    if (kind === "+") return line;
    if (kind === "-") return new Error(line);
    if (kind === ":") return Number(line);
    const length = Number(line);
    if (length < 0) return null;
    return kind === "$" ? this.#readBytes(length) : this.#readArray(length);
  }

  #readBytes(length: number): string | undefined {
    const end = this.#at + length;
    if (this.#bytes.length < end + 2) return undefined;
    const text = this.#bytes.toString("utf8", this.#at, end);
    this.#at = end + 2;
    return text;
  }

  #readArray(length: number): Reply[] | undefined {
    const replies: Reply[] = [];
    for (let index = 0; index < length; index++) {
      const reply = this.#read();
      if (reply === undefined) return undefined;
      replies.push(reply);
    }
    return replies;
  }
}
