/**
 * The OpenAPI 3.1 document, written from the table of operations and the very schemas that check
 * requests. What ajv sees as a handle is shown as what a client sends.
 */
import { SNAPSHOT_ID } from "../collections/snapshots.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import { bodiesOf, codesOf } from "./codes.ts";
import { EXAMPLE_COLLECTION, EXAMPLE_ID, EXAMPLE_SNAPSHOT, EXAMPLES } from "./examples.ts";
import { HEADERS, headersAt, headersOf } from "./headers.ts";
import { JSON_MEDIA } from "./media.ts";
import {
  type Operation,
  type OperationName,
  operationNames,
  operationOf,
  pathsOf,
} from "./operations.ts";
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

export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const name of operationNames) {
    const operation = operationOf(name);
    pathsOf(operation).forEach((path, index) => {
      paths[path] ??= {};
      paths[path][operation.method] = {
        operationId: index === 0 ? name : `${name}In`,
        ...describe(name, path),
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
      headers: HEADERS,
      examples: Object.fromEntries(
        Object.keys(ERRORS).map((code) => [code, { value: problemExample(code as ErrorCode) }]),
      ),
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
  id: { schema: { type: "string", minLength: 1 }, example: EXAMPLE_ID },
  collection: {
    schema: { type: "string", pattern: schemas.COLLECTION_NAME.source },
    example: EXAMPLE_COLLECTION,
  },
  snapshot: {
    schema: { type: "string", pattern: SNAPSHOT_ID.source },
    example: EXAMPLE_SNAPSHOT,
  },
  file: { schema: { type: "string" }, example: "begin.js" },
};

function describe(name: OperationName, path: string): Json {
  const operation = operationOf(name);
  const { summary, description, query, role } = operation;
  const isOpen = role === "anyone";
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    ...{ name, in: "path", required: true },
    ...IN_PATH[name!],
  }));
  const parameters = [...inPath, ...queryOf(name, query), ...headersOf(operation)];
  const bodies = bodiesOf(operation);
  const { body } = EXAMPLES[name];
  const content = Object.fromEntries(
    bodies.map(([media, schema]) => [
      media,
      {
        schema: shown(schema),
        ...(media === JSON_MEDIA ? { example: body } : {}),
      },
    ]),
  );
  return {
    summary,
    ...(description === undefined ? {} : { description }),
    ...(isOpen ? { security: [] } : { "x-role": role }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(bodies.length === 0 ? {} : { requestBody: { required: true, content } }),
    responses: { ...answersOf(name), ...problemsOf(operation) },
  };
}

/** What is not a text, a number or a truth stands there as JSON. */
function queryOf(name: OperationName, query?: schemas.TObject): Json[] {
  const examples = EXAMPLES[name].query ?? {};
  return Object.entries(query?.properties ?? {}).map(([name, schema]) => {
    const isPlain = "type" in schema || "enum" in schema;
    const text = examples[name];
    const example = text === undefined ? {} : { example: isText(schema) ? text : JSON.parse(text) };
    const kind = isPlain
      ? { schema: shown(schema), ...example }
      : { content: { [JSON_MEDIA]: { schema: shown(schema), ...example } } };
    return { name, in: "query", ...kind };
  });
}

const isText = (schema: object) => (schema as { type?: unknown }).type === "string";

const SAID: Readonly<Record<string, string>> = {
  ...{ 201: "Made", 202: "Begun", 206: "A part of it", 503: "Not now" },
};

function answersOf(name: OperationName): Json {
  const operation = operationOf(name);
  const isConditional = operation.conditions?.includes("If-None-Match") === true;
  const answers = Object.entries(operation.answers).map(([status, answer]) => {
    const isOther = typeof answer === "string";
    const type = isOther ? answer.split(";")[0]! : JSON_MEDIA;
    const example = EXAMPLES[name].answers[Number(status)];
    const content = isOther ? {} : { schema: shown(answer), example };
    const headers = headersAt(operation, Number(status));
    const others = status === "200" ? (operation.otherAnswers ?? []) : [];
    const all = { [type]: content, ...Object.fromEntries(others.map((media) => [media, {}])) };
    return [status, { description: SAID[status] ?? "Done", headers, content: all }];
  });
  const isSame = { description: "As the client has it", headers: headersAt(operation, 304) };
  const unchanged = operation.method === "get" && isConditional ? { 304: isSame } : {};
  return { ...Object.fromEntries(answers), ...unchanged };
}

function problemsOf(operation: Operation): Json {
  const byStatus = Map.groupBy(codesOf(operation), (code) => ERRORS[code].status);
  return Object.fromEntries(
    [...byStatus]
      .filter(([status]) => !(status in operation.answers))
      .map(([status, codes]) => {
        const code = { enum: codes };
        const schema = { allOf: [shown(schemas.Problem)], properties: { code } };
        const examples = Object.fromEntries(
          codes.map((each) => [each, { $ref: `#/components/examples/${each}` }]),
        );
        const content = { [PROBLEM_MEDIA]: { schema, examples } };
        const headers = headersAt(operation, status);
        return [status, { description: codes.join(", "), headers, content }];
      }),
  );
}

const PROBLEM_MEDIA = "application/problem+json";

function problemExample(code: ErrorCode): Json {
  const { status, title } = ERRORS[code];
  return {
    ...{ type: `urn:omendb:problem:${code}`, title, status, detail: title },
    ...{ instance: "/search", code, request_id: "ZTC9kPDW-1" },
  };
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
