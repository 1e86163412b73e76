/**
 * The error catalogue: each code is part of the API, its status and title stand here and nowhere
 * else.
 */

export const ERRORS = {
  INVALID_REQUEST: { status: 400, title: "The request is not valid" },
  INVALID_JSON: { status: 400, title: "The body is not valid JSON" },
  INVALID_FILTER: { status: 400, title: "The filter is not valid" },
  INVALID_CURSOR: { status: 400, title: "The cursor is not one that this collection gave" },
  DIMENSION_MISMATCH: { status: 400, title: "The vector has the wrong number of dimensions" },
  INVALID_VECTOR: { status: 400, title: "The vector has a component that cannot be stored" },
  ZERO_VECTOR: { status: 400, title: "A zero vector has no direction, which cosine needs" },
  INVALID_ID: { status: 400, title: "The id is empty, too long or not a string" },
  DUPLICATE_ID: { status: 400, title: "The batch names an id twice" },
  INVALID_METADATA: { status: 400, title: "The metadata is not an object or is too large" },
  BATCH_EMPTY: { status: 400, title: "The batch has no rows" },
  UNAUTHENTICATED: { status: 401, title: "A valid API key is needed" },
  FORBIDDEN: { status: 403, title: "The credential does not allow this" },
  NOT_FOUND: { status: 404, title: "There is nothing at this address" },
  COLLECTION_NOT_FOUND: { status: 404, title: "There is no such collection" },
  SNAPSHOT_NOT_FOUND: { status: 404, title: "There is no such snapshot" },
  ROW_NOT_FOUND: { status: 404, title: "There is no row of that id" },
  METHOD_NOT_ALLOWED: { status: 405, title: "The address does not take this method" },
  NOT_ACCEPTABLE: { status: 406, title: "None of the accepted media types can be produced" },
  REQUEST_TIMEOUT: { status: 408, title: "The request did not arrive in time" },
  COLLECTION_EXISTS: { status: 409, title: "The collection exists with other settings" },
  SNAPSHOT_EXISTS: { status: 409, title: "A snapshot of that id exists" },
  SNAPSHOT_BUSY: { status: 409, title: "The snapshot is being written or restored" },
  NO_DATA_PATH: { status: 409, title: "Without OMENDB_PATH there is nowhere to keep it" },
  ROW_EXISTS: { status: 409, title: "A row of that id exists" },
  IDEMPOTENCY_KEY_IN_FLIGHT: {
    status: 409,
    title: "A request with this Idempotency-Key is under way",
  },
  PRECONDITION_FAILED: { status: 412, title: "The row has another version" },
  BODY_TOO_LARGE: { status: 413, title: "The body is over the limit" },
  RANGE_NOT_SATISFIABLE: { status: 416, title: "The file has no such bytes" },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: "The content type is not supported" },
  EXPECTATION_FAILED: { status: 417, title: "Only 100-continue can be expected" },
  INVALID_SNAPSHOT: { status: 422, title: "The file is not a sound snapshot" },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    title: "Another request was carried out under this Idempotency-Key",
  },
  RATE_LIMITED: { status: 429, title: "Too many requests" },
  HEADERS_TOO_LARGE: { status: 431, title: "The headers are over the limit" },
  INTERNAL: { status: 500, title: "The server failed; the request id finds the reason in its log" },
  STARTING: { status: 503, title: "The server is still loading" },
  OVERLOADED: { status: 503, title: "The server is behind; try again later" },
  SHUTTING_DOWN: { status: 503, title: "The server is shutting down" },
  ISSUER_UNAVAILABLE: { status: 503, title: "The token cannot be checked now" },
  READ_ONLY: { status: 503, title: "Writes are refused after a disk fault" },
  STORAGE_FULL: { status: 507, title: "There is no room left" },
  QUOTA_EXCEEDED: { status: 507, title: "The write would pass the collection's quota" },
  MEMORY_LIMIT: { status: 507, title: "The write would pass the memory limit" },
  CORRUPT_FILE: { status: 500, title: "A file is damaged" },
  UNSUPPORTED_FORMAT: {
    status: 500,
    title: "A file has a format version this build does not open",
  },
  ENGINE_FAULT: { status: 500, title: "The engine refused a call that should have been valid" },
  UNSUPPORTED_PLATFORM: { status: 500, title: "The platform lacks what the engine needs" },
  INVALID_SETTING: { status: 500, title: "A setting is wrong" },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** Where in a request body the fault lies: an RFC 6901 pointer and a sentence. */
export interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/** How far a write that goes in parts has come. */
export interface Progress {
  /** Rows that are written: all those on lines before `line`. */
  readonly accepted: number;
  /** The line at fault, or the first one that was not written; counted from 1. */
  readonly line: number;
}

export interface ErrorDetails {
  readonly errors?: readonly Fault[];
  /** The ids of the rows at fault, where it is about rows. */
  readonly ids?: readonly string[];
  readonly retryAfterSeconds?: number;
  readonly progress?: Progress;
  readonly cause?: unknown;
}

export class OmenError extends Error {
  readonly code: ErrorCode;
  readonly errors?: readonly Fault[];
  readonly ids?: readonly string[];
  readonly retryAfterSeconds?: number;
  readonly progress?: Progress;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "OmenError";
    this.code = code;
    this.errors = details.errors;
    this.ids = details.ids;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.progress = details.progress;
  }
}
