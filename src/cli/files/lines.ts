/** NDJSON: a line of JSON a row, `{"id", "vector", "metadata"?}`; the vector may be base64. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { decodeVector } from "../../client/base64.ts";
import type { RowToAdd } from "../../client/index.ts";
import { OmenError } from "../../errors.ts";
import type { Source } from "./source.ts";

const NEWLINE = 0x0a;
const READ_BYTES = 1024 * 1024;
const LINE_BYTES_MAX = 16 * 1024 * 1024;

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Of the file, behind the line. */
  readonly end: number;
  /** Throws where it is none. */
  json(): unknown;
}

/** Lines that are not empty, after the first `skip` of them. */
export async function* linesOf(path: string, skip = 0): AsyncGenerator<Line, undefined, undefined> {
  let [number, left, end] = [0, skip, 0];
  let rest: Buffer[] = [];
  const take = (bytes: Buffer): Line | undefined => {
    number++;
    const text = bytes.toString("utf8").trim();
    if (text === "" || left-- > 0) return undefined;
    const place = number;
    return { number: place, end, json: () => parse(text, path, place) };
  };
  let restBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
    let from = 0;
    for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      const part = chunk.subarray(from, to);
      const bytes = rest.length === 0 ? part : Buffer.concat([...rest, part]);
      end += bytes.length + 1;
      [rest, restBytes, from] = [[], 0, to + 1];
      const line = take(bytes);
      if (line !== undefined) yield line;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > LINE_BYTES_MAX) {
      throw refusal(path, number + 1, `a line may have ${LINE_BYTES_MAX} bytes`);
    }
  }
  const last = Buffer.concat(rest);
  end += last.length;
  const line = take(last);
  if (line !== undefined) yield line;
  return undefined;
}

export async function openLines(path: string): Promise<Source> {
  const { size } = await stat(path);
  let end = 0;
  async function* read(skip: number): AsyncGenerator<RowToAdd> {
    for await (const line of linesOf(path, skip)) {
      end = line.end;
      yield rowOf(line.json(), path, line.number);
    }
  }
  return { read, share: () => (size === 0 ? 1 : end / size) };
}

function rowOf(value: unknown, path: string, number: number): RowToAdd {
  const { id, vector, metadata, ...others } = value as Partial<RowToAdd>;
  const stray = Object.keys(others).find((name) => name !== "version");
  if (stray !== undefined) {
    throw refusal(path, number, `${stray} is none of id, vector and metadata`);
  }
  if (typeof id !== "string" && typeof id !== "number")
    throw refusal(path, number, "there is no id");
  if (typeof vector !== "string" && !Array.isArray(vector)) {
    throw refusal(path, number, "there is no vector");
  }
  return { id, vector: decodeVector(vector), metadata: metadata ?? undefined };
}

function parse(text: string, path: string, number: number): unknown {
  try {
    const value = JSON.parse(text) as unknown;
    return value;
  } catch (error) {
    throw refusal(path, number, (error as Error).message);
  }
}

function refusal(path: string, number: number, message: string): OmenError {
  return new OmenError("INVALID_REQUEST", `${path}, line ${number}: ${message}`);
}
