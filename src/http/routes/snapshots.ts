/**
 * Snapshots made, listed, carried away, brought back and restored. Files are streamed both ways: a
 * part at a time is in memory, and whoever is too slow waits for the other.
 */
import { once } from "node:events";
import type { Request, Response } from "express";
import { type ByteSource, SNAPSHOT_ID, type Snapshot } from "../../collections/snapshots.ts";
import { OmenError } from "../../errors.ts";
import { sendJson } from "../answer.ts";
import { octetsOf } from "../body.ts";
import { collectionName, type Door, goOnWith, type Handlers, refuseMissing } from "../door.ts";
import { expectNoKey } from "../keyed.ts";
import { mediaOf, OCTETS_MEDIA } from "../media.ts";
import { expectNoParameters } from "../parameters.ts";
import { type ByteRange, rangeOf } from "../ranges.ts";
import { COLLECTION_NAME } from "../schemas.ts";

type Names =
  | ("createSnapshot" | "listSnapshots" | "getSnapshot" | "deleteSnapshot")
  | ("uploadSnapshot" | "downloadSnapshot" | "restoreSnapshot");

const PART_BYTES = 256 * 1024;
/** A receiver that takes nothing for so long is taken for gone. */
const STALL_MS = 60_000;

export function snapshotRoutes(door: Door): Handlers<Names> {
  const { database, config } = door;

  return {
    createSnapshot: async (request, response) => {
      expectNothingElse(request);
      const snapshot = await database.snapshots.create(nameOf(request));
      response.setHeader("Location", `${request.baseUrl}/snapshots/${snapshot.id}`);
      sendJson(response, JSON.stringify(shown(snapshot)), 202);
    },

    listSnapshots: async (request, response) => {
      const snapshots = await database.snapshots.list(nameOf(request));
      sendJson(response, JSON.stringify({ snapshots: snapshots.map(shown) }));
    },

    getSnapshot: async (request, response) => {
      const snapshot = await database.snapshots.get(nameOf(request), idOf(request));
      sendJson(response, JSON.stringify(shown(snapshot)));
    },

    deleteSnapshot: async (request, response) => {
      expectNothingElse(request);
      await database.snapshots.delete(nameOf(request), idOf(request));
      sendJson(response, '{"status":"ok"}');
    },

    uploadSnapshot: async (request, response) => {
      const [name, id] = [nameOf(request), idOf(request)];
      mediaOf(request, [OCTETS_MEDIA]);
      response.locals.isUnhurried = true;
      const octets = octetsOf(request, config.snapshotBytesMax, "OMENDB_MAX_SNAPSHOT_MB");
      const receiving = database.snapshots.receive(name, id, octets);
      const snapshot = await goOnWith(receiving, request, response);
      sendJson(response, JSON.stringify(shown(snapshot)), 201);
    },

    downloadSnapshot: async (request, response) => {
      const [name, id] = [nameOf(request), idOf(request)];
      const snapshot = await database.snapshots.get(name, id);
      const source = await database.snapshots.open(name, id);
      try {
        await download(request, response, { snapshot, source, file: `${name}-${id}.omen` });
      } finally {
        await source.close?.();
      }
    },

    restoreSnapshot: async (request, response) => {
      expectNothingElse(request);
      response.locals.isUnhurried = true;
      const restored = await database.snapshots.restore(nameOf(request), idOf(request));
      sendJson(response, JSON.stringify({ status: "ok", ...restored }));
    },
  };
}

/** Sent again, each of them is carried out again: a key that promises otherwise is refused. */
function expectNothingElse(request: Request): void {
  expectNoKey(request, "a snapshot that is sent for again is another one, a restore another write");
  expectNoParameters(request, "is not known here");
}

/** A name becomes a folder's, so nothing else comes through, and ids neither. */
function nameOf(request: Request): string {
  const name = collectionName(request);
  if (COLLECTION_NAME.test(name)) return name;
  refuseMissing(name);
}

function idOf(request: Request): string {
  const id = request.params.snapshot;
  if (typeof id === "string" && SNAPSHOT_ID.test(id)) return id;
  const message = "a snapshot's id is 1 to 64 of a-z, 0-9, _ and -, a letter or digit first";
  throw new OmenError("INVALID_REQUEST", message);
}

function shown(snapshot: Snapshot) {
  const { id, status, progress, createdAt, sequence, bytes, vectors, reason } = snapshot;
  const { dimensions, metric } = snapshot.settings ?? {};
  const known = { sequence, bytes, vectors, dimensions, metric, reason };
  return { id, status, progress, created_at: createdAt, ...known };
}

interface Download {
  readonly snapshot: Snapshot;
  readonly source: ByteSource;
  readonly file: string;
}

async function download(
  request: Request,
  response: Response,
  { snapshot, source, file }: Download,
): Promise<void> {
  const etag = `"${snapshot.sequence ?? 0}-${source.size}-${Date.parse(snapshot.createdAt)}"`;
  response.setHeader("ETag", etag);
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader("Cache-Control", "private, no-cache");
  if (isHeld(request, etag)) return void response.status(304).end();
  const range = rangeOf(request, source.size, etag);
  if (range === "unsatisfiable") {
    response.setHeader("Content-Range", `bytes */${source.size}`);
    throw new OmenError("RANGE_NOT_SATISFIABLE", `the snapshot has ${source.size} bytes`);
  }
  const { start, end } = range ?? { start: 0, end: source.size };
  response.statusCode = range === undefined ? 200 : 206;
  if (range !== undefined) {
    response.setHeader("Content-Range", `bytes ${start}-${end - 1}/${source.size}`);
  }
  response.setHeader("Content-Type", OCTETS_MEDIA);
  response.setHeader("Content-Length", end - start);
  response.setHeader("Content-Disposition", `attachment; filename="${file}"`);
  if (request.method !== "HEAD") await pour(source, { start, end }, response);
  response.end();
}

function isHeld(request: Request, etag: string): boolean {
  const held = request.headers["if-none-match"];
  if (held === undefined) return false;
  return held.split(",").some((tag) => ["*", etag, `W/${etag}`].includes(tag.trim()));
}

/** Each part gets memory of its own, since the socket may hold on to it. */
async function pour(source: ByteSource, range: ByteRange, response: Response): Promise<void> {
  for (let at = range.start; at < range.end; at += PART_BYTES) {
    const part = Buffer.allocUnsafeSlow(Math.min(PART_BYTES, range.end - at));
    const bytes = await source.read(at, part);
    if (bytes < part.length) {
      throw new OmenError("CORRUPT_FILE", `${source.name}: the file ends at ${at + bytes}`);
    }
    if (response.destroyed) return;
    if (!response.write(part) && !(await isTaken(response))) return void response.destroy();
  }
}

async function isTaken(response: Response): Promise<boolean> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), STALL_MS);
  const { signal } = stalled;
  try {
    await Promise.race([once(response, "drain", { signal }), once(response, "close", { signal })]);
    return !response.destroyed;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    stalled.abort();
  }
}
