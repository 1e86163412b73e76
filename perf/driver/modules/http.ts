/** Stands in for the module `k6/http`: asyncRequest over connections that stay open. */
import { exchange } from "../exchange.ts";
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

/** An answer that never came has status 0, as in k6. */
async function asyncRequest(
  method: string,
  url: string,
  body?: string | ArrayBuffer | null,
  params: Params = {},
): Promise<Answer> {
  const bytes = typeof body === "string" ? Buffer.from(body) : body && new Uint8Array(body);
  const start = performance.now();
  const { status, text, headers, error } = await exchange({
    ...{ method, url, headers: params.headers ?? {}, body: bytes || undefined },
    timeoutMs: params.timeout ?? TIMEOUT_MS,
  });
  const duration = performance.now() - start;
  const isExpected = params.responseCallback ?? ((found) => found >= 200 && found < 400);
  recorder.add("http_reqs", 1, params.tags);
  recorder.add("http_req_duration", duration, params.tags);
  recorder.add("http_req_failed", Number(!isExpected(status)), params.tags);
  const json = () => JSON.parse(text) as unknown;
  return { status, body: text, headers, timings: { duration }, error, json };
}

function expectedStatuses(...expected: (number | Span)[]): (status: number) => boolean {
  return (status) =>
    expected.some((each) =>
      typeof each === "number" ? each === status : status >= each.min && status <= each.max,
    );
}

export default { asyncRequest, expectedStatuses };
