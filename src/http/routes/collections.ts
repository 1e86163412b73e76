/** Collections made, listed, counted and dropped. */
import type { Static } from "typebox";
import type {
  CollectionSettings,
  CollectionStats,
  CollectionView,
  Metric,
} from "../../collections/database.ts";
import { checkSchema } from "../../collections/schema.ts";
import { checkKeeping } from "../../collections/settings.ts";
import { OmenError } from "../../errors.ts";
import { sendJson } from "../answer.ts";
import {
  collectionName,
  collectionOf,
  type Door,
  defaultSettings,
  type Handlers,
  maySee,
  refuseMissing,
  withBody,
} from "../door.ts";
import { expectNoParameters } from "../parameters.ts";
import { COLLECTION_NAME, CollectionBody } from "../schemas.ts";
import { validator } from "../validate.ts";

type Names = "listCollections" | "createCollection" | "getCollection" | "dropCollection" | "stats";

const checkCollection = validator(CollectionBody);

export function collectionRoutes(door: Door): Handlers<Names> {
  const { database, config } = door;

  /** Under its own address also `default` has to be there. */
  function found(name: string): CollectionView {
    const collection = COLLECTION_NAME.test(name) ? database.collection(name) : undefined;
    return collection ?? refuseMissing(name);
  }

  return {
    listCollections: (_request, response) => {
      const seen = database.collections().filter(({ name }) => maySee(response, name));
      const collections = seen.map((collection) => ({
        name: collection.name,
        vectors: collection.live,
        dimensions: collection.settings.dimensions,
        metric: collection.settings.metric,
        memory_bytes: collection.stats().memoryBytes,
      }));
      sendJson(response, JSON.stringify({ collections }));
    },

    createCollection: (request, response) =>
      withBody(door, request, response, checkCollection, async (body) => {
        const name = collectionName(request);
        if (!COLLECTION_NAME.test(name)) {
          throw new OmenError("INVALID_REQUEST", "a name is 1 to 64 of A-Z, a-z, 0-9, _ and -");
        }
        if (body.vectors === "none" && !config.experimentalCodes) throw notOffered();
        const { created } = await database.create(name, settingsOf(body, config.metric));
        const text = JSON.stringify(describe(found(name)));
        sendJson(response, text, created ? 201 : 200);
      }),

    getCollection: (request, response) => {
      const collection = found(collectionName(request));
      const stats = { ...statsOf(collection), ...serverOf(door) };
      sendJson(response, JSON.stringify({ ...describe(collection), stats }));
    },

    dropCollection: async (request, response) => {
      expectNoParameters(request, "is not known here");
      const { name } = found(collectionName(request));
      const { dropped } = await database.drop(name);
      if (!dropped) refuseMissing(name);
      sendJson(response, '{"status":"ok"}');
    },

    stats: (request, response) => {
      const collection = collectionOf(door, request);
      const counts = collection === undefined ? noStats(config.metric) : statsOf(collection);
      sendJson(response, JSON.stringify({ ...counts, ...serverOf(door) }));
    },
  };
}

function settingsOf(body: Static<typeof CollectionBody>, metric: Metric): CollectionSettings {
  const { vectors } = body;
  const settings = defaultSettings(body.dimensions, body.metric ?? metric);
  const wanted = {
    ...settings,
    ...(vectors === "none" && { vectors }),
    quantization: body.quantization ?? settings.quantization,
    m: body.m ?? settings.m,
    efConstruction: body.ef_construction ?? settings.efConstruction,
    efSearch: body.ef_search ?? settings.efSearch,
    ...(body.quota && { quota: body.quota }),
    ...(body.schema && { schema: checkSchema(body.schema, "/schema") }),
  };
  checkKeeping(wanted);
  return wanted;
}

function describe({ name, settings }: CollectionView) {
  return {
    name,
    dimensions: settings.dimensions,
    metric: settings.metric,
    quantization: settings.quantization,
    vectors: settings.vectors ?? "memory",
    m: settings.m,
    ef_construction: settings.efConstruction,
    ef_search: settings.efSearch,
    schema: settings.schema,
    quota: settings.quota,
  };
}

/** With a data path only. */
interface OnDisk {
  readonly wal?: { bytes: number; records: number; oldest_sequence: number };
  readonly last_snapshot?: { sequence: number; age_seconds: number };
}

function onDisk({ wal, lastSnapshot }: CollectionStats): OnDisk {
  if (wal === undefined) return {};
  const { bytes, records, oldestSequence: oldest_sequence } = wal;
  if (lastSnapshot === undefined) return { wal: { bytes, records, oldest_sequence } };
  const { sequence, ageSeconds } = lastSnapshot;
  const age_seconds = Math.round(ageSeconds * 1000) / 1000;
  return { wal: { bytes, records, oldest_sequence }, last_snapshot: { sequence, age_seconds } };
}

function statsOf(collection: CollectionView) {
  const { settings } = collection;
  const stats = collection.stats();
  return {
    ...onDisk(stats),
    vectors: stats.vectors,
    deleted: stats.deleted,
    dimensions: settings.dimensions as number | null,
    metric: settings.metric,
    quantization: settings.quantization,
    sequence: stats.sequence,
    indexed: stats.indexed,
    unindexed: stats.unindexed,
    memory_bytes: stats.memoryBytes,
    memory: stats.memory,
    bytes_per_vector: stats.bytesPerVector,
    capacity: {
      shards: stats.capacity.shards,
      rows_per_shard: stats.capacity.rowsPerShard,
      bytes_per_row: stats.capacity.bytesPerRow,
    },
  };
}

/** `default` before its first write. */
function noStats(metric: Metric): ReturnType<typeof statsOf> {
  const memory = { vectors: 0, codes: 0, graph: 0, ids: 0, metadata: 0, columns: 0, free: 0 };
  return {
    ...{ vectors: 0, deleted: 0, dimensions: null, metric, quantization: "sq8", sequence: 0 },
    ...{ indexed: 0, unindexed: 0, memory_bytes: 0, memory, bytes_per_vector: 0 },
    capacity: { shards: 0, rows_per_shard: 0, bytes_per_row: 0 },
  };
}

function serverOf({ database }: Door) {
  return {
    threads: database.threads,
    wasm_variant: database.wasmVariant,
    uptime_seconds: Math.round(process.uptime() * 1000) / 1000,
  };
}

/** A row far from all others can make the codes of all too coarse, and nothing else is kept. */
function notOffered(): OmenError {
  const pointer = "/vectors";
  const message =
    "expected memory, got none, which is being tried out: OMENDB_EXPERIMENTAL_CODES=true allows it";
  return new OmenError("INVALID_REQUEST", message, { errors: [{ pointer, message }] });
}
