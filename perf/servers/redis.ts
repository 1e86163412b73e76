/**
 * Redis 8 vector sets, at REDIS_URL (redis://127.0.0.1:6379). Float32 without quantisation (NOQUANT):
 * its codes of 8 bits do not reach recall 0.99. It knows cosine alone, which orders SIFT
 * descriptors, all of one length, as l2 does. Whether it is durable is the operator's setting.
 *
 * REDIS_SERVER is a shell command that runs it: with it the server is started here when none runs
 * there, and again for the time that a start takes.
 */
import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { pause } from "../../test/server.ts";
import { type Rows, rowAt } from "../exact.ts";
import { residentBytesOf } from "../process.ts";
import { EF_CONSTRUCTION, M, type PeerStart, RARE_EVERY, type ServerPeer } from "./peer.ts";
import { Link } from "./resp.ts";

const KEY = "omendb-comparison";
const PIPELINE = 100;
/** Rows that its filter looks at, for each of its width. */
const FILTER_EF_TIMES = 100;
const READY_MS = 60_000;
const POLL_MS = 5;
const BLOCK_BYTES = 512;

export const startRedis: PeerStart = async (_folder, clients) => {
  const { REDIS_URL, REDIS_SERVER } = process.env;
  if (REDIS_URL === undefined) return "REDIS_URL names no server";
  const peer = new RedisPeer(new URL(REDIS_URL), clients, REDIS_SERVER);
  try {
    await peer.open();
  } catch (error) {
    return `no vector sets at ${REDIS_URL}: ${(error as Error).message}`;
  }
  return peer;
};

class RedisPeer implements ServerPeer {
  readonly name = "Redis vector sets, f32";
  version = "unknown";
  readonly notes = [
    `a filter is tried on each row of a walk, ${FILTER_EF_TIMES} times its width at most`,
    "in memory while it is measured; its file is written when it is asked to",
  ];
  pids: readonly number[] = [];
  readonly #url: URL;
  readonly #clients: number;
  readonly #command: string | undefined;
  #isOurs = false;
  #links: readonly Link[] = [];
  #ef = 100;
  #dimensions = 0;

  constructor(url: URL, clients: number, command: string | undefined) {
    this.#url = url;
    this.#clients = clients;
    this.#command = command;
  }

  async open(): Promise<void> {
    if (this.#command !== undefined && !(await this.#isUp())) await this.#start();
    await this.#connect();
    await this.#ask("DEL", KEY);
    await this.#ask("VCARD", KEY);
  }

  async load(base: Rows, onRows: (rows: number) => void): Promise<void> {
    const [link] = this.#links;
    this.#dimensions = base.dimensions;
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
    const tried = String(this.#ef * FILTER_EF_TIMES);
    const filter = onlyRare ? ["FILTER", ".rare == 1", "FILTER-EF", tried] : [];
    const options = ["COUNT", String(k), "EF", String(this.#ef), ...filter];
    const asked = this.#links[client]!.ask("VSIM", KEY, "FP32", bytesOf(query), ...options);
    return ((await asked) as string[]).map(Number);
  }

  async ownBytes(): Promise<number> {
    return Number(/used_memory:(\d+)/.exec(String(await this.#ask("INFO", "memory")))?.[1]);
  }

  residentBytes(): number | string {
    const [pid] = this.pids;
    if (pid === undefined) return "it runs elsewhere";
    return residentBytesOf(pid) ?? "there is no /proc here";
  }

  /** Of the file that SAVE writes, as the server's process sees it. */
  async diskBytes(): Promise<number | string> {
    await this.#ask("SAVE");
    const [pid] = this.pids;
    const settings = (await this.#ask("CONFIG", "GET", "dir", "dbfilename")) as string[];
    const [dir, file] = ["dir", "dbfilename"].map((name) => settings[settings.indexOf(name) + 1]);
    try {
      return statSync(`/proc/${pid}/root${dir}/${file}`).blocks * BLOCK_BYTES;
    } catch {
      return "its file cannot be read from here";
    }
  }

  async restart(): Promise<number | string> {
    if (this.#command === undefined) return "REDIS_SERVER names no command";
    await this.#stop("SAVE");
    const start = performance.now();
    await this.#start();
    await this.#connect();
    await this.search(0, new Float32Array(this.#dimensions), 1, false);
    return (performance.now() - start) / 1000;
  }

  async close(): Promise<void> {
    await this.#ask("DEL", KEY);
    if (this.#isOurs) await this.#stop("NOSAVE");
    for (const link of this.#links) link.close();
  }

  #ask(...words: string[]) {
    return this.#links[0]!.ask(...words);
  }

  #link(): Link {
    return new Link(this.#url.hostname, Number(this.#url.port || 6379));
  }

  async #connect(): Promise<void> {
    this.#links = Array.from({ length: this.#clients }, () => this.#link());
    const info = String(await this.#ask("INFO", "server"));
    this.version = /redis_version:(\S+)/.exec(info)?.[1] ?? "unknown";
    const pid = Number(/process_id:(\d+)/.exec(info)?.[1]);
    this.pids = Number.isInteger(pid) ? [pid] : [];
  }

  /** Until its data is loaded it answers, but not with PONG. */
  async #isUp(): Promise<boolean> {
    const link = this.#link();
    const answer = await link.ask("PING").catch(() => undefined);
    link.close();
    return answer === "PONG";
  }

  async #start(): Promise<void> {
    spawn("sh", ["-c", `exec ${this.#command}`], { stdio: "ignore" });
    this.#isOurs = true;
    const end = performance.now() + READY_MS;
    while (!(await this.#isUp())) {
      if (performance.now() > end) throw new Error("REDIS_SERVER did not start one");
      await pause(POLL_MS);
    }
  }

  async #stop(how: "SAVE" | "NOSAVE"): Promise<void> {
    await this.#ask("SHUTDOWN", how).catch(() => undefined);
    for (const link of this.#links) link.close();
    while (await this.#isUp()) await pause(POLL_MS);
  }
}

function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}
