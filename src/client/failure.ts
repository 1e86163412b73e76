/**
 * What a call throws. A server that refused says why in a problem of RFC 9457, whose stable code is
 * kept; where no answer came, the client has three codes of its own.
 */
import type { ErrorCode } from "../errors.ts";

/** UNREACHABLE: no connection, or it broke. TIMEOUT: no answer in time. BAD_ANSWER: not ours. */
export type ClientCode = "UNREACHABLE" | "TIMEOUT" | "BAD_ANSWER";

export type FailureCode = ErrorCode | ClientCode;

export interface FailureDetails {
  readonly status?: number;
  readonly requestId?: string;
  /** Where in the body the fault lies, as JSON pointers. */
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  readonly retryAfterSeconds?: number;
  readonly problem?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export class OmenDBError extends Error {
  override readonly name = "OmenDBError";
  /** Branch on this: codes are part of the API, messages are not. */
  readonly code: FailureCode;
  /** 0 when no answer came. */
  readonly status: number;
  readonly requestId?: string;
  readonly errors: NonNullable<FailureDetails["errors"]>;
  readonly retryAfterSeconds?: number;
  /** The whole answer, for fields that only some codes have. */
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(code: FailureCode, message: string, details: FailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status ?? 0;
    this.requestId = details.requestId;
    this.errors = details.errors ?? [];
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.problem = details.problem ?? {};
  }
}

/** `if (isFailure(error, "ROW_NOT_FOUND")) ...` */
export function isFailure(error: unknown, ...codes: readonly FailureCode[]): error is OmenDBError {
  return error instanceof OmenDBError && (codes.length === 0 || codes.includes(error.code));
}

/** From an answer that is no success. */
export async function failureOf(response: Response): Promise<OmenDBError> {
  const { status, headers } = response;
  const text = await response.text().catch(() => "");
  const requestId = headers.get("x-request-id") ?? undefined;
  const retryAfterSeconds = secondsOf(headers.get("retry-after"));
  const problem = objectOf(text);
  const known = { status, requestId, retryAfterSeconds, problem };
  if (typeof problem?.code !== "string") {
    const message = `${status} without a problem document: ${text.slice(0, 200)}`;
    return new OmenDBError("BAD_ANSWER", message, known);
  }
  const { code, detail, title, errors } = problem as {
    code: FailureCode;
    detail?: string;
    title?: string;
    errors?: FailureDetails["errors"];
  };
  return new OmenDBError(code, detail ?? title ?? code, { ...known, errors });
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Retry-After is a number of seconds or a date. */
function secondsOf(text: string | null): number | undefined {
  if (text === null) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}
