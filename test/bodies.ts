/**
 * Arbitrary requests from the OpenAPI document: values that a schema allows, as often as not near
 * what the server holds, and ways to spoil them.
 */
import fc from "fast-check";
import type { Call, Json } from "./contract.ts";

/** Ids that a server under test may have. */
export const IDS = ["a", "b", "7", "é😀", "..", "a/b", "__proto__", "x".repeat(512)];
export const COLLECTIONS = ["books", "angles", "default", "nowhere"];
export const DIMENSIONS = 3;

const component = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 2, arbitrary: fc.double({ min: -1e16, max: 1e16, noNaN: true }) },
  fc.constantFrom(0, -0, 1e-45, 1e16, 3.4e38),
);
const floats = fc.array(component, { minLength: DIMENSIONS, maxLength: DIMENSIONS });
const base64 = floats.map((values) =>
  Buffer.from(Float32Array.from(values).buffer).toString("base64"),
);
const names = fc.constantFrom("n", "tags", "__proto__", "constructor", "a.b", "$eq", "", "é");
const scalar = fc.oneof(
  ...[fc.constant(null), fc.boolean(), fc.integer(), fc.string({ maxLength: 8 })],
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const { value: anything } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(names, tie("value")), { maxLength: 3 }).map((all) => Object.fromEntries(all)),
  ),
}));
const metadata = fc
  .array(fc.tuple(names, anything), { maxLength: 4 })
  .map((all) => Object.fromEntries(all));
const operators = fc.constantFrom(
  ...["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$contains"],
  ...["$not", "$and", "$or", "$regex"],
);
const filter = fc.oneof(
  metadata,
  fc.tuple(names, operators, anything).map(([name, by, what]) => ({ [name]: { [by]: what } })),
  fc.tuple(operators, fc.array(metadata, { maxLength: 3 })).map(([by, all]) => ({ [by]: all })),
);

/** Where the document says less than a server can use. */
const OURS: Record<string, fc.Arbitrary<Json>> = {
  Vector: fc.oneof({ weight: 6, arbitrary: floats }, base64, fc.array(component, { maxLength: 5 })),
  Metadata: metadata,
  MetadataPatch: fc.oneof(metadata, fc.constant(null)),
  Id: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...IDS) }, fc.nat(), fc.string()),
};

/** Values that the schema allows, nearly: what only words say is not kept. */
export function drawnFrom(schema: Json, document: Json, name = ""): fc.Arbitrary<Json> {
  if (schema.$ref !== undefined) {
    const named = schema.$ref.split("/").at(-1);
    return OURS[named] ?? drawnFrom(document.components.schemas[named], document, name);
  }
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) {
    return fc.oneof(...choices.map((each: Json) => drawnFrom(each, document, name)));
  }
  switch (schema.type) {
    case "object":
      return objectOf(schema, document);
    case "array":
      return fc.array(drawnFrom(schema.items, document), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 5, (schema.minItems ?? 0) + 4),
      });
    case "integer":
      return fc.oneof(
        fc.integer({
          min: schema.minimum ?? -100,
          max: Math.min(schema.maximum ?? 100, (schema.minimum ?? 0) + 40),
        }),
        fc.constantFrom(schema.minimum ?? 0, schema.default ?? schema.minimum ?? 1),
      );
    case "number":
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case "boolean":
      return fc.boolean();
    case "string":
      return fc.string({ minLength: schema.minLength ?? 0, maxLength: 30 });
    default:
      return name === "filter" ? filter : anything;
  }
}

function objectOf(schema: Json, document: Json): fc.Arbitrary<Json> {
  const properties = Object.entries<Json>(schema.properties ?? {});
  const members = properties.map(
    ([name, each]) => [name, drawnFrom(each, document, name)] as const,
  );
  return fc.record(Object.fromEntries(members), { requiredKeys: schema.required ?? [] });
}

/** A request as it goes out. */
export interface Sent {
  readonly path: string;
  readonly body: string | Uint8Array | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

const HEADERS: Record<string, readonly string[]> = {
  "if-match": ['"1"', "*", 'W/"1"', '"x"', "1", "", '"1", "2"', "\u00e9"],
  "if-none-match": ["*", '"1"', '"1"x', ""],
  "idempotency-key": ["k1", "k2", "a b", "", "x".repeat(300)],
  "content-type": ["text/plain", "", "application/json; charset=latin1", "application/x-ndjson"],
  "content-encoding": ["gzip", "br", "zstd", "x", "gzip, br"],
  accept: ["text/html", "application/vnd.apache.arrow.stream", "*/*;q=0", "??"],
  range: ["bytes=0-1", "bytes=9-1", "x"],
  expect: ["100-continue", "miracles"],
  "x-request-id": ["<script>", "ok-1"],
};
const header = fc
  .constantFrom(...Object.keys(HEADERS))
  .chain((name) => fc.constantFrom(...HEADERS[name]!).map((value) => [name, value] as const));

/** Requests to an operation: proper ones, and those that somebody has spoilt. */
export function requestsTo(call: Call, document: Json): fc.Arbitrary<Sent> {
  const content = call.operation.requestBody?.content ?? {};
  const json = content["application/json"];
  const value = json === undefined ? fc.constant(undefined) : drawnFrom(json.schema, document);
  const text = fc
    .tuple(value, fc.array(spoil, { maxLength: 2 }), fc.boolean())
    .map(([whole, spoilers, isSpoilt]) => {
      if (whole === undefined) return isSpoilt ? "{}" : undefined;
      const changed = isSpoilt ? spoilers.reduce((each, { value: by }) => by(each), whole) : whole;
      const written = JSON.stringify(changed) ?? "";
      return isSpoilt ? spoilers.reduce((each, { text: by }) => by(each), written) : written;
    });
  const query = fc.oneof({ weight: 2, arbitrary: fc.constant("") }, queryOf(call, document));
  const headers = fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    fc.array(header, { maxLength: 2 }),
  );
  return fc.tuple(pathOf(call.path), query, text, headers).map(([path, search, body, extra]) => ({
    path: path + search,
    body,
    headers: Object.fromEntries(extra),
  }));
}

const PARAMETERS: Record<string, readonly string[]> = {
  collection: [...COLLECTIONS, "a.b", "%00", "x".repeat(65), "..", "%E0%A4%A", "é"],
  id: [...IDS.map(encodeURIComponent), "none", "%", "%E0%A4%A", "%2e%2e", "x".repeat(513), "%00"],
  snapshot: ["before", "UPPER", "..", "%2F", "x".repeat(65)],
  file: ["begin.js", "swagger-ui.css", "../package.json", "%2e%2e", "__proto__"],
};

function pathOf(template: string): fc.Arbitrary<string> {
  const steps = template.split("/").map((step) => {
    const name = /^\{(\w+)\}$/.exec(step)?.[1];
    return name === undefined ? fc.constant(step) : fc.constantFrom(...PARAMETERS[name]!);
  });
  return fc.tuple(...steps).map((all) => all.join("/"));
}

function queryOf({ operation }: Call, document: Json): fc.Arbitrary<string> {
  const known = (operation.parameters ?? []).filter((each: Json) => each.in === "query");
  const proper = known.map((each: Json) => {
    const schema = each.schema ?? each.content["application/json"].schema;
    return drawnFrom(schema, document, each.name).map((value) =>
      typeof value === "string" ? [each.name, value] : [each.name, JSON.stringify(value) ?? ""],
    );
  });
  const stray = fc.constantFrom(
    ...[
      ["limit", "-1"],
      ["cursor", "AAAA"],
      ["filter", "{"],
      ["filter", "[[]]"],
    ],
    ...[
      ["__proto__", "1"],
      ["k", "1e3"],
      ["mode", "x"],
      ["limit", ""],
      ["vector_format", "x"],
    ],
  );
  return fc
    .array(fc.oneof(...proper, stray), { minLength: 1, maxLength: 3 })
    .map((pairs) => `?${new URLSearchParams(pairs as [string, string][])}`);
}

interface Spoiler {
  value(whole: Json): Json;
  text(written: string): string;
}

const same = { value: (whole: Json) => whole, text: (written: string) => written };
const spoilValue = (value: (whole: Json) => Json): Spoiler => ({ ...same, value });
const spoilText = (text: (written: string) => string): Spoiler => ({ ...same, text });

/** One thing that is wrong with a body. */
const spoil: fc.Arbitrary<Spoiler> = fc.oneof(
  // A member anywhere becomes something else, or goes.
  fc
    .tuple(fc.nat(), fc.option(anything))
    .map(([place, other]) =>
      spoilValue((whole) => replaceAt(whole, { left: place % countOf(whole) }, other)),
    ),
  fc
    .tuple(names, anything)
    .map(([name, other]) =>
      spoilValue((whole) =>
        typeof whole === "object" && whole !== null && !Array.isArray(whole)
          ? Object.fromEntries([...Object.entries(whole), [name, other]])
          : [whole, other],
      ),
    ),
  anything.map((other) => spoilValue(() => other)),
  fc.nat().map((at) => spoilText((text) => text.slice(0, at % (text.length + 1)))),
  fc
    .tuple(fc.nat(), fc.constantFrom(...'\u0000"\\{}[],:01eE-.tfn \ud800\ufeff'))
    .map(([at, character]) =>
      spoilText((text) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + character + text.slice(place + 1);
      }),
    ),
  fc
    .constantFrom("1e999", "-1e999", "1e17", "9007199254740993", "NaN", "01", "1.", "null")
    .map((number) => spoilText((text) => text.replace(/-?\d+(\.\d+)?(e[+-]?\d+)?/, number))),
  fc
    .constantFrom(70, 20_000)
    .map((depth) =>
      spoilText((text) => text.replace(/\d+/, "[".repeat(depth) + "]".repeat(depth))),
    ),
  fc.constant(spoilText((text) => text.replace(/\{("(?:[^"\\]|\\.)*":)/, "{$10,$1"))),
);

const countOf = (whole: Json): number =>
  typeof whole === "object" && whole !== null
    ? Object.values(whole).reduce((sum: number, each) => sum + countOf(each), 1)
    : 1;

/** The `left`-th value in the order of a walk is replaced; without another it goes. */
function replaceAt(whole: Json, count: { left: number }, other: Json): Json {
  if (count.left-- === 0) return other ?? undefined;
  if (typeof whole !== "object" || whole === null) return whole;
  if (Array.isArray(whole)) return whole.map((each) => replaceAt(each, count, other));
  return Object.fromEntries(
    Object.entries(whole).map(([name, each]) => [name, replaceAt(each, count, other)]),
  );
}
