/**
 * Redis 8 vector sets, at REDIS_URL (redis://127.0.0.1:6379). Float32 without quantisation (NOQUANT):
 * its codes of 8 bits do not reach recall 0.99. What it speaks, RESP, is written here: a command is an
 * array of byte strings. Whether it is durable is the operator's setting and none of ours.
 */
import { connect, type Socket } from "node:net";
import { type Rows, rowAt } from "../exact.ts";
import { EF_CONSTRUCTION, M, type PeerStart, RARE_EVERY, type ServerPeer } from "./peer.ts";

const KEY = "omendb-comparison";
const PIPELINE = 100;

type Reply = string | number | null | Error | Reply[];

export const startRedis: PeerStart = async (_folder, clients) => {
  const { REDIS_URL } = process.env;
  if (REDIS_URL === undefined) return "REDIS_URL names no server";
  const { hostname, port } = new URL(REDIS_URL);
  const links = Array.from({ length: clients }, () => new Link(hostname, Number(port || 6379)));
  try {
    const info = String(await links[0]!.ask("INFO", "server"));
    const version = /redis_version:(\S+)/.exec(info)?.[1] ?? "unknown";
    const pid = Number(/process_id:(\d+)/.exec(info)?.[1]);
    await links[0]!.ask("DEL", KEY);
    await links[0]!.ask("VCARD", KEY);
    return new RedisPeer(version, pid, links);
  } catch (error) {
    for (const link of links) link.close();
    return `no vector sets at ${REDIS_URL}: ${(error as Error).message}`;
  }
};

class RedisPeer implements ServerPeer {
  readonly name = "Redis vector sets, f32";
  readonly version: string;
  readonly pids: readonly number[];
  readonly #links: readonly Link[];
  #ef = 100;

  constructor(version: string, pid: number, links: readonly Link[]) {
    this.version = version;
    this.pids = Number.isInteger(pid) ? [pid] : [];
    this.#links = links;
  }

  async load(base: Rows, onRows: (rows: number) => void): Promise<void> {
    const [link] = this.#links;
    for (let start = 0; start < base.count; start += PIPELINE) {
      const count = Math.min(PIPELINE, base.count - start);
      const written = Array.from({ length: count }, (_, index) => {
        const row = start + index;
        const attributes = JSON.stringify({ rare: row % RARE_EVERY === 0 ? 1 : 0 });
        const options = ["NOQUANT", "EF", String(EF_CONSTRUCTION), "SETATTR", attributes];
        const vector = ["FP32", bytesOf(rowAt(base, row)), String(row)] as const;
        return link!.ask("VADD", KEY, ...vector, ...options, "M", String(M));
      });
      await Promise.all(written);
      onRows(count);
    }
  }

  async setEf(ef: number): Promise<void> {
    this.#ef = ef;
  }

  async search(client: number, query: Float32Array, k: number, onlyRare: boolean) {
    const filter = onlyRare ? ["FILTER", ".rare == 1"] : [];
    const options = ["COUNT", String(k), "EF", String(this.#ef), ...filter];
    const asked = this.#links[client]!.ask("VSIM", KEY, "FP32", bytesOf(query), ...options);
    return ((await asked) as string[]).map(Number);
  }

  async close(): Promise<void> {
    await this.#links[0]!.ask("DEL", KEY);
    for (const link of this.#links) link.close();
  }
}

function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}

/** One connection; answers come in the order of the commands. */
class Link {
  readonly #socket: Socket;
  readonly #waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = [];
  #bytes = Buffer.alloc(0);
  #at = 0;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on("data", (part: Buffer) => this.#take(part));
    this.#socket.on("error", (error) => {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
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
