/**
 * The OpenAPI 3.1 document, written from the table of operations and the very schemas that check
 * requests. What ajv sees as a handle is shown as what a client sends.
 */
import { SNAPSHOT_ID } from "../collections/snapshots.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import { JSON_MEDIA } from "./media.ts";
import { type Operation, operationNames, operationOf, pathsOf } from "./operations.ts";
import * as schemas from "./schemas.ts";
import * as snapshotSchemas from "./snapshotOperations.ts";

type Json = { [name: string]: unknown };

/** Schemas that have a name of their own in the document: what their files export. */
const NAMED = new Map(
  Object.entries({ ...schemas, ...snapshotSchemas }).flatMap(([name, value]) =>
    isSchema(value) && name !== "BatchEnvelope" ? [[value as object, name] as const] : [],
  ),
);

const OUR_NAMES: Record<schemas.OurKind, string> = {
  vector: "Vector",
  metadata: "Metadata",
  metadataPatch: "MetadataPatch",
  id: "Id",
};

/** Any operation may answer these. */
const ANYWHERE: readonly ErrorCode[] = [
  ...(["UNAUTHENTICATED", "FORBIDDEN", "RATE_LIMITED"] as const),
  ...(["ISSUER_UNAVAILABLE", "INTERNAL"] as const),
];
const WITH_BODY: readonly ErrorCode[] = [
  ...(["INVALID_REQUEST", "INVALID_JSON", "BODY_TOO_LARGE"] as const),
  ...(["UNSUPPORTED_MEDIA_TYPE", "REQUEST_TIMEOUT"] as const),
];

export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const name of operationNames) {
    const operation = operationOf(name);
    pathsOf(operation).forEach((path, index) => {
      paths[path] ??= {};
      paths[path][operation.method] = {
        operationId: index === 0 ? name : `${name}In`,
        ...describe(operation, path),
      };
    });
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "OmenDB Server",
      version,
      description:
        "A vector database. Paths without /collections act on the collection `default`. Every " +
        "error is a problem of RFC 9457 with a stable `code`.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ key: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        key: { type: "apiKey", in: "header", name: "X-API-Key" },
        bearer: { type: "http", scheme: "bearer" },
      },
      schemas: {
        ...Object.fromEntries(
          Object.entries(OUR_NAMES).map(([kind, name]) => [
            name,
            schemas.SHOWN[kind as schemas.OurKind],
          ]),
        ),
        ...Object.fromEntries([...NAMED].map(([schema, name]) => [name, shown(schema, true)])),
      },
    },
  };
}

const IN_PATH: Readonly<Record<string, Json>> = {
  id: { type: "string", minLength: 1 },
  collection: { type: "string", pattern: schemas.COLLECTION_NAME.source },
  snapshot: { type: "string", pattern: SNAPSHOT_ID.source },
};

function describe(operation: Operation, path: string): Json {
  const { summary, description, body, otherBodies = {}, query, role } = operation;
  const isOpen = role === "anyone";
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: IN_PATH[name!],
  }));
  const parameters = [...inPath, ...queryOf(query)];
  const json = body === undefined ? {} : { [JSON_MEDIA]: body };
  const bodies = Object.entries({ ...json, ...otherBodies });
  return {
    summary,
    ...(description === undefined ? {} : { description }),
    ...(isOpen ? { security: [] } : { "x-role": role }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(bodies.length === 0
      ? {}
      : {
          requestBody: {
            required: true,
            content: Object.fromEntries(
              bodies.map(([media, schema]) => [media, { schema: shown(schema) }]),
            ),
          },
        }),
    responses: { ...answersOf(operation), ...problemsOf(operation) },
  };
}

/** What is not a text, a number or a truth stands there as JSON. */
function queryOf(query?: schemas.TObject): Json[] {
  return Object.entries(query?.properties ?? {}).map(([name, schema]) => {
    const isPlain = "type" in schema || "enum" in schema;
    const kind = isPlain
      ? { schema: shown(schema) }
      : { content: { [JSON_MEDIA]: { schema: shown(schema) } } };
    return { name, in: "query", ...kind };
  });
}

const SAID: Readonly<Record<string, string>> = {
  ...{ 201: "Made", 202: "Begun", 206: "A part of it", 503: "Not now" },
};

function answersOf({ answers }: Operation): Json {
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => {
      const [type, schema] =
        typeof answer === "string"
          ? [answer.split(";")[0]!, {}]
          : ["application/json", shown(answer)];
      const description = SAID[status] ?? "Done";
      return [status, { description, content: { [type]: { schema } } }];
    }),
  );
}

function problemsOf({ body, role, errors = [], answers }: Operation): Json {
  const codes = [...errors, ...(body ? WITH_BODY : []), ...(role === "anyone" ? [] : ANYWHERE)];
  const byStatus = Map.groupBy(new Set(codes), (code) => ERRORS[code].status);
  return Object.fromEntries(
    [...byStatus]
      .filter(([status]) => !(status in answers))
      .map(([status, found]) => [
        status,
        {
          description: found.join(", "),
          content: { "application/problem+json": { schema: shown(schemas.Problem) } },
        },
      ]),
  );
}

/** The schema as a client sees it: by name where it has one, and our keyword put into words. */
function shown(schema: unknown, isNamed = false): unknown {
  if (Array.isArray(schema)) return schema.map((each) => shown(each));
  if (typeof schema !== "object" || schema === null) return schema;
  const name = isNamed ? undefined : NAMED.get(schema);
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  const ours = (schema as Json)[schemas.KEYWORD] as schemas.OurKind | undefined;
  if (ours !== undefined) return { $ref: `#/components/schemas/${OUR_NAMES[ours]}` };
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, shown(value)]));
}

function isSchema(value: unknown): boolean {
  return typeof value === "object" && value !== null && "type" in value && "properties" in value;
}
