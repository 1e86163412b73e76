/** The part of the table of operations that is about snapshots, and the shapes that go with it. */
import { Type } from "typebox";
import type { ErrorCode } from "../errors.ts";
import { OCTETS_MEDIA } from "./media.ts";
import type { Operation } from "./operations.ts";

const whole = (description: string) => Type.Integer({ minimum: 0, description });

export const Snapshot = Type.Object({
  id: Type.String({ description: "1 to 64 of a-z 0-9 _ -, a letter or digit first." }),
  status: Type.Enum(["creating", "ready", "failed"]),
  progress: Type.Number({ minimum: 0, maximum: 1, description: "Of what is being done." }),
  created_at: Type.String({ description: "ISO 8601, UTC." }),
  sequence: Type.Optional(whole("Of the last write that it holds, once it is ready.")),
  bytes: Type.Optional(whole("Of the file.")),
  vectors: Type.Optional(whole("Rows that searches would find.")),
  dimensions: Type.Optional(whole("Of its rows.")),
  metric: Type.Optional(Type.Enum(["l2", "cosine", "dot"])),
  reason: Type.Optional(Type.String({ description: "Why it failed." })),
});
export const SnapshotList = Type.Object({
  snapshots: Type.Array(Snapshot, { description: "Oldest first." }),
});
export const Restored = Type.Object({
  status: Type.Literal("ok"),
  sequence: whole("Of the restore, which is a write: it goes on, never back."),
  vectors: whole("Rows that the collection has now."),
});
export const SnapshotDeleted = Type.Object({ status: Type.Literal("ok") });
const SnapshotFile = Type.String({
  contentMediaType: OCTETS_MEDIA,
  description: "A snapshot's file, as a download gives it.",
});

const always = ["NO_DATA_PATH", "COLLECTION_NOT_FOUND"] as const;
const ofOne: readonly ErrorCode[] = [...always, "INVALID_REQUEST", "SNAPSHOT_NOT_FOUND"];
const ONE = "/snapshots/{snapshot}";

export const SNAPSHOT_OPERATIONS = {
  createSnapshot: {
    ...{ method: "post", path: "/snapshots", scope: "collection", role: "writer" },
    isAudited: true,
    summary: "Begin a snapshot",
    description: "Answers at once, with its address in Location; reads and writes go on.",
    answers: { 202: Snapshot },
    errors: [...always, "STORAGE_FULL", "READ_ONLY"],
  },
  listSnapshots: {
    ...{ method: "get", path: "/snapshots", scope: "collection", role: "reader" },
    summary: "All snapshots of the collection",
    answers: { 200: SnapshotList },
    errors: always,
  },
  getSnapshot: {
    ...{ method: "get", path: ONE, scope: "collection", role: "reader" },
    summary: "How far a snapshot is, and what it holds",
    answers: { 200: Snapshot },
    errors: ofOne,
  },
  uploadSnapshot: {
    ...{ method: "put", path: ONE, scope: "collection", role: "admin" },
    summary: "Keep a snapshot that was downloaded elsewhere",
    description:
      "Streamed to a file aside; it is there once all its bytes are and every checksum holds. " +
      "Where there is no collection of the name, an empty one is made to restore into.",
    otherBodies: { [OCTETS_MEDIA]: SnapshotFile },
    answers: { 201: Snapshot },
    errors: [
      ...(["NO_DATA_PATH", "INVALID_REQUEST", "BODY_TOO_LARGE", "REQUEST_TIMEOUT"] as const),
      ...(["UNSUPPORTED_MEDIA_TYPE", "SNAPSHOT_EXISTS", "INVALID_SNAPSHOT"] as const),
      ...(["STORAGE_FULL", "READ_ONLY"] as const),
    ],
  },
  downloadSnapshot: {
    ...{ method: "get", path: `${ONE}/download`, scope: "collection", role: "reader" },
    isAudited: true,
    summary: "A snapshot's file, or a range of it",
    description:
      "One range of bytes is answered 206. The ETag names these very bytes: If-Range and " +
      "If-None-Match are kept.",
    answers: { 200: OCTETS_MEDIA, 206: OCTETS_MEDIA },
    errors: [...ofOne, "SNAPSHOT_BUSY", "RANGE_NOT_SATISFIABLE"],
  },
  restoreSnapshot: {
    ...{ method: "post", path: `${ONE}/restore`, scope: "collection", role: "admin" },
    summary: "Put the collection back to a snapshot",
    description:
      "It is loaded aside, its checksums and its graph are checked and searches tried; only then " +
      "it takes the place of all rows. It is a write like any other.",
    answers: { 200: Restored },
    errors: [
      ...ofOne,
      ...(["SNAPSHOT_BUSY", "INVALID_SNAPSHOT", "COLLECTION_EXISTS"] as const),
      ...(["MEMORY_LIMIT", "STORAGE_FULL", "READ_ONLY"] as const),
    ],
  },
  deleteSnapshot: {
    ...{ method: "delete", path: ONE, scope: "collection", role: "admin" },
    summary: "Delete a snapshot",
    answers: { 200: SnapshotDeleted },
    errors: [...ofOne, "SNAPSHOT_BUSY", "READ_ONLY"],
  },
} as const satisfies Record<string, Operation>;
