/** Stands in for the module `k6/http`: asyncRequest over connections that stay open. */
import { Agent, request } from "node:http";
import type { Tags } from "../record.ts";
import { recorder } from "../run.ts";

interface Params {
  readonly headers?: Readonly<Record<string, string>>;
  readonly tags?: Tags;
  readonly responseCallback?: (status: number) => boolean;
  readonly timeout?: number;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly timings: { readonly duration: number };
  readonly error: string;
  json(): unknown;
}

type Span = { readonly min: number; readonly max: number };

const TIMEOUT_MS = 60_000;
const agent = new Agent({ keepAlive: true });

/** An answer that never came has status 0, as in k6. */
async function asyncRequest(
  method: string,
  url: string,
  body?: string | ArrayBuffer | null,
  params: Params = {},
): Promise<Answer> {
  const bytes = typeof body === "string" ? Buffer.from(body) : body && Buffer.from(body);
  const start = performance.now();
  const { status, text, headers, error } = await exchange(method, url, bytes || undefined, params);
  const duration = performance.now() - start;
  const isExpected = params.responseCallback ?? ((found) => found >= 200 && found < 400);
  recorder.add("http_reqs", 1, params.tags);
  recorder.add("http_req_duration", duration, params.tags);
  recorder.add("http_req_failed", Number(!isExpected(status)), params.tags);
  const json = () => JSON.parse(text) as unknown;
  return { status, body: text, headers, timings: { duration }, error, json };
}

interface Exchanged {
  readonly status: number;
  readonly text: string;
  readonly headers: Answer["headers"];
  readonly error: string;
}

function exchange(
  method: string,
  url: string,
  bytes: Buffer | undefined,
  { headers, timeout = TIMEOUT_MS }: Params,
): Promise<Exchanged> {
  return new Promise((resolve) => {
    const failed = ({ message }: Error) =>
      resolve({ status: 0, text: "", headers: {}, error: message });
    const length = bytes === undefined ? {} : { "Content-Length": bytes.length };
    const signal = AbortSignal.timeout(timeout);
    const options = { method, agent, signal, headers: { ...headers, ...length } };
    const outgoing = request(url, options, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part)).on("error", failed);
      incoming.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        resolve({ status: incoming.statusCode ?? 0, text, headers: incoming.headers, error: "" });
      });
    });
    outgoing.on("error", failed).end(bytes);
  });
}

function expectedStatuses(...expected: (number | Span)[]): (status: number) => boolean {
  return (status) =>
    expected.some((each) =>
      typeof each === "number" ? each === status : status >= each.min && status <= each.max,
    );
}

export default { asyncRequest, expectedStatuses };
