/**
 * Answers are written by hand into bytes: metadata is spliced in as the client sent it, never
 * parsed again, and numbers are formatted once. A text grows in one piece of memory that is used
 * again, and is copied out of it when it is done, since a socket may hold on to what it is given.
 * Texts are joined before they become bytes, and a short answer never does: Node sends it as text.
 */
import type { Response } from "express";
import type { Explanation, Hit, RecallEstimate } from "../collections/database.ts";
import { OmenError } from "../errors.ts";
import { isTurnOver, nextTurn } from "./door.ts";
import type { VectorFormat } from "./schemas.ts";

/** Texts are joined up to here. */
const PENDING_LENGTH_MAX = 8 * 1024;
const START_BYTES = 64 * 1024;
const KEPT_BYTES_MAX = 1024 * 1024;
/** Hits written between two looks at the clock; more than that are written in slices. */
export const SLICE_HITS = 50;
const JOINED_BYTES_MAX = 16 * 1024;
export const ANSWER_BYTES_MAX = 512 * 1024 * 1024;
export const JSON_TYPE = "application/json; charset=utf-8";

export class JsonText {
  private bytes = Buffer.allocUnsafeSlow(START_BYTES);
  private length = 0;
  private pending = "";

  text(text: string): this {
    this.pending += text;
    if (this.pending.length > PENDING_LENGTH_MAX) this.flush();
    return this;
  }

  private flush(): void {
    const { pending } = this;
    if (pending === "") return;
    this.pending = "";
    // Three bytes are the most that one UTF-16 unit takes.
    this.reserve(pending.length * 3);
    this.length += this.bytes.write(pending, this.length);
  }

  /** UTF-8 that is JSON already. */
  splice(json: Uint8Array): this {
    this.flush();
    this.reserve(json.length);
    this.bytes.set(json, this.length);
    this.length += json.length;
    return this;
  }

  vector(components: Float32Array, format: VectorFormat = "array"): this {
    if (format === "base64") return this.base64(components);
    // In pieces, because one text of 8192 components is long enough to be slow to join.
    const PIECE = 256;
    this.text("[");
    for (let from = 0; from < components.length; from += PIECE) {
      const to = Math.min(from + PIECE, components.length);
      let piece = from === 0 ? "" : ",";
      for (let index = from; index < to; index++) {
        const component = components[index]!;
        if (index > from) piece += ",";
        piece += Object.is(component, -0) ? "-0" : component;
      }
      this.text(piece);
    }
    return this.text("]");
  }

  private base64({ buffer, byteOffset, byteLength }: Float32Array): this {
    // Without bytes beyond ASCII in it, the text takes a byte a unit.
    const text = Buffer.from(buffer, byteOffset, byteLength).toString("base64");
    this.flush();
    this.reserve(text.length + 2);
    this.length += this.bytes.write(`"${text}"`, this.length, "latin1");
    return this;
  }

  hits(hits: readonly Hit[], format?: VectorFormat): this {
    return hits.length === 0 ? this.text("[]") : this.list("[", hits, format).text("]");
  }

  /** The same; others have their turn between, so nobody else may write to this text. */
  async hitsInSlices(hits: readonly Hit[], format?: VectorFormat): Promise<this> {
    let begunAtMs = performance.now();
    for (let from = 0; from < hits.length; from += SLICE_HITS) {
      this.list(from === 0 ? "[" : ",", hits.slice(from, from + SLICE_HITS), format);
      if (!isTurnOver(begunAtMs)) continue;
      await nextTurn();
      begunAtMs = performance.now();
    }
    return this.text(hits.length === 0 ? "[]" : "]");
  }

  private list(open: string, hits: readonly Hit[], format?: VectorFormat): this {
    let text = open;
    let begin = '{"id":';
    for (const { id, distance, score, metadata, vector } of hits) {
      text += `${begin}${JSON.stringify(id)},"distance":${distance},"score":${score}`;
      begin = '},{"id":';
      if (metadata === undefined && vector === undefined) continue;
      if (metadata !== undefined) this.text(`${text},"metadata":`).splice(metadata);
      else this.text(text);
      if (vector !== undefined) this.text(',"vector":').vector(vector, format);
      text = "";
    }
    return this.text(`${text}}`);
  }

  explanation(explanation: Explanation): this {
    const { strategy, matching, ef, unsure, unread, recall } = explanation;
    const json =
      unsure === undefined ? "" : `,"json":{"rows":${unsure},"fields":${JSON.stringify(unread)}}`;
    const aim = recall === undefined ? "" : `,"recall":${aimText(recall)}`;
    const kind = explanation.approximate ? ',"approximate":true' : "";
    const distances = `"distances_computed":${explanation.distancesComputed}${kind}${aim}${json}`;
    return this.text(`{"strategy":"${strategy}","matching":${matching},"ef":${ef},${distances}}`);
  }

  /** Answers with the text and begins a new one. */
  send(response: Response): void {
    response.setHeader("Content-Type", JSON_TYPE);
    const { pending } = this;
    if (this.length === 0) {
      const bytes = Buffer.byteLength(pending);
      response.setHeader("Content-Length", bytes);
      // One unit for each byte: Node joins that with the head and writes once, as it stands.
      response.end(pending, bytes === pending.length ? "latin1" : "utf8");
    } else {
      this.flush();
      response.setHeader("Content-Length", this.length);
      response.end(this.handOver(this.length), "latin1");
    }
    this.clear();
  }

  /**
   * A small text goes as one unit for each byte: bytes beside a head are a gathered write. A large
   * one gives its memory away.
   */
  private handOver(length: number): string | Buffer {
    if (length <= JOINED_BYTES_MAX) return this.bytes.toString("latin1", 0, length);
    const text = this.bytes.subarray(0, length);
    return this.bytes.length > KEPT_BYTES_MAX ? text : Buffer.from(text);
  }

  /** Also after a failure half way. */
  clear(): void {
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = Buffer.allocUnsafeSlow(START_BYTES);
    this.length = 0;
    this.pending = "";
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    if (needed > ANSWER_BYTES_MAX) {
      this.clear();
      throw new OmenError(
        "INVALID_REQUEST",
        `the answer would pass ${ANSWER_BYTES_MAX} bytes; ask for fewer rows or less of each`,
      );
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

export function sendJson(response: Response, body: string, status = 200): void {
  response.statusCode = status;
  response.setHeader("Content-Type", JSON_TYPE);
  response.setHeader("Content-Length", Buffer.byteLength(body));
  response.end(body);
}

/** Milliseconds since `startedAtMs`, to the microsecond. */
export function tookMs(startedAtMs: number): number {
  return Math.round((performance.now() - startedAtMs) * 1000) / 1000;
}

function aimText({ target, sample, recall, atLeast }: RecallEstimate): string {
  return JSON.stringify({ target, sample, estimate: recall, at_least: atLeast });
}
