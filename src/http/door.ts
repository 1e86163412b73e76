/** What the routes are given, and the few questions that all of them ask of it. */
import type { Request, RequestHandler, Response } from "express";
import { ipKeyGenerator } from "express-rate-limit";
import { type Grant, sees } from "../access/grant.ts";
import type { CollectionSettings, CollectionView, Database } from "../collections/database.ts";
import type { Config } from "../config.ts";
import { OmenError } from "../errors.ts";
import type { BodyReader, ScannedBody } from "./body.ts";
import type { VectorLimit } from "./limits.ts";
import type { Control } from "./meters.ts";
import type { OperationName } from "./operations.ts";
import { expectNoParameters } from "./parameters.ts";
import { COLLECTION_NAME } from "./schemas.ts";
import type { Turnstile } from "./turnstile.ts";

export interface Door {
  readonly database: Database;
  readonly config: Config;
  readonly control: Control;
  readonly bodies: Pick<BodyReader, "read" | "gather" | "judge" | "lines">;
  readonly vectorLimit: VectorLimit;
  readonly turnstile: Turnstile;
  readonly version: string;
}

export type Handlers<Names extends OperationName> = Record<Names, RequestHandler>;

/** What the caller may do; undefined where no credential is configured or needed. */
export function grantOf(response: Response): Grant | undefined {
  return response.locals.grant;
}

export function maySee(response: Response, collection: string): boolean {
  const grant = grantOf(response);
  return grant === undefined || sees(grant, collection);
}

/** An IPv6 client owns a whole network, so the network is what is counted. */
export function addressOf(request: Request): string {
  return ipKeyGenerator(request.ip ?? "unknown");
}

/** The collection that the root's endpoints act on, and that its first write makes. */
export const DEFAULT_COLLECTION = "default";

export function collectionName(request: Request): string {
  const name = request.params.collection;
  return typeof name === "string" ? name : DEFAULT_COLLECTION;
}

/** undefined only for `default` before its first write; any other name has to be there. */
export function collectionOf(door: Door, request: Request): CollectionView | undefined {
  const name = collectionName(request);
  const collection = COLLECTION_NAME.test(name) ? door.database.collection(name) : undefined;
  if (collection === undefined && name !== DEFAULT_COLLECTION) refuseMissing(name);
  return collection;
}

export function refuseMissing(name: string): never {
  const hint = COLLECTION_NAME.test(name) ? `; PUT /collections/${name} makes it` : "";
  const message = `no collection is named ${JSON.stringify(name)}${hint}`;
  throw new OmenError("COLLECTION_NOT_FOUND", message);
}

/** What a write may make its collection with; any but `default` has to be there. */
export function settingsOfFirst(
  door: Door,
  request: Request,
  dimensions: number,
): CollectionSettings | undefined {
  collectionOf(door, request);
  if (collectionName(request) !== DEFAULT_COLLECTION) return undefined;
  return defaultSettings(dimensions, door.config.metric);
}

export function defaultSettings(
  dimensions: number,
  metric: CollectionSettings["metric"],
): CollectionSettings {
  return { dimensions, metric, quantization: "sq8", m: 16, efConstruction: 64, efSearch: 96 };
}

/**
 * Reads and checks the body, hands it to `use`, and gives its memory back whatever happens. There
 * is little of it, so whoever has to wait for others gives it back before.
 */
export async function withBody<Body>(
  door: Door,
  request: Request,
  response: Response,
  check: (value: unknown) => Body,
  use: (body: Body, scanned: ScannedBody) => Promise<void> | void,
): Promise<void> {
  expectNoParameters(request);
  const scanned = await goOnWith(door.bodies.read(request), request, response);
  try {
    await use(check(scanned.value), scanned);
  } finally {
    scanned.release();
  }
}

/** Asks a client that waits with its body to send it. */
export function goOn(response: Response): void {
  response.locals.isContinued = true;
  response.writeContinue();
}

/** The same while its body is being read, unless its headers were refused already. */
export async function goOnWith<Read>(
  reading: Promise<Read>,
  request: Request,
  response: Response,
): Promise<Read> {
  if (request.headers.expect !== undefined) {
    await Promise.race([reading, nextTurn()]);
    goOn(response);
  }
  return reading;
}

/** Lets other requests have their turn when the work since `begunAtMs` has been long. */
const SLICE_MS = 4;
export function isTurnOver(begunAtMs: number): boolean {
  return performance.now() - begunAtMs > SLICE_MS;
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
