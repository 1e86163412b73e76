/**
 * Bodies against their schemas: compiled once, at start, and the first fault becomes an OmenError
 * with a JSON pointer and a sentence that says what was expected and what came.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import type { Static, TSchema } from "typebox";
import { type ErrorCode, OmenError } from "../errors.ts";
import { ID_BYTES_MAX, KEYWORD, type OurKind } from "./schemas.ts";

const ajv = new Ajv2020({ allErrors: false, strict: true, verbose: true, logger: false });
ajv.addKeyword({
  keyword: KEYWORD,
  errors: false,
  compile: (kind: OurKind) => CHECKS[kind],
});

/** `pointer` says where in the body the value stands. */
export type Validator<Body> = (value: unknown, pointer?: string) => Body;

/** Gives the value its type, or throws the OmenError that says what is wrong with it. */
export function validator<S extends TSchema>(schema: S): Validator<Static<S>> {
  const validate: ValidateFunction = ajv.compile(schema);
  return (value, pointer = "") => {
    if (validate(value)) return value as Static<S>;
    throw faultOf(validate.errors![0]!, pointer);
  };
}

/** A string of 1..512 bytes, or a whole number that is exact as a number. */
export function isId(value: unknown): boolean {
  if (typeof value === "string") return isIdText(value);
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function isIdText(text: string): boolean {
  if (text.length === 0 || text.length > ID_BYTES_MAX || !text.isWellFormed()) return false;
  // A UTF-16 unit takes at most three bytes, so short ids need no counting.
  return text.length * 3 <= ID_BYTES_MAX || Buffer.byteLength(text) <= ID_BYTES_MAX;
}

/** The body reader leaves whole numbers from 0 up in place of what it has read itself. */
function isHandle(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}

const CHECKS: Record<OurKind, (value: unknown) => boolean> = {
  ...{ id: isId, vector: isHandle, metadata: isHandle },
  metadataPatch: (value) => value === null || isHandle(value),
};

function faultOf(error: ErrorObject, place: string): OmenError {
  const { keyword, params } = error;
  const path = place + error.instancePath;
  const owner = keyword === "required" && (params.missingProperty as string);
  const stranger = keyword === "additionalProperties" && (params.additionalProperty as string);
  const member = owner || stranger;
  const pointer = member === false ? path : `${path}/${escapeStep(member)}`;
  const [code, message] = explain(error);
  const detail = pointer === "" ? message : `${shorten(pointer)}: ${message}`;
  return new OmenError(code, detail, { errors: [{ pointer: shorten(pointer), message }] });
}

function explain(error: ErrorObject): [ErrorCode, string] {
  const { keyword, params, data, schema } = error;
  switch (keyword) {
    case "required":
      return ["INVALID_REQUEST", "is missing"];
    case "additionalProperties": {
      const known = Object.keys(propertiesOf(error)).join(", ");
      return ["INVALID_REQUEST", `is not known here; known are ${known}`];
    }
    case "minProperties":
      return ["INVALID_REQUEST", `expected ${Object.keys(propertiesOf(error)).join(" or ")}`];
    case "minItems":
      return ["BATCH_EMPTY", "is empty"];
    case "maxItems":
      return ["INVALID_REQUEST", `has ${lengthOf(data)} elements, ${params.limit} are allowed`];
    case "enum":
      return ["INVALID_REQUEST", `expected one of ${(schema as string[]).join(", ")}`];
    case KEYWORD:
      return explainOurs(schema as OurKind, data);
    default:
      return ["INVALID_REQUEST", `${error.message ?? "is not valid"}, got ${show(data)}`];
  }
}

function propertiesOf({ parentSchema }: ErrorObject): object {
  return (parentSchema as { properties?: object }).properties ?? {};
}

function explainOurs(kind: OurKind, data: unknown): [ErrorCode, string] {
  switch (kind) {
    case "vector":
      return ["INVALID_VECTOR", `expected numbers or a base64 string, got ${show(data)}`];
    case "metadata":
      return ["INVALID_METADATA", `expected an object, got ${show(data)}`];
    case "metadataPatch":
      return ["INVALID_METADATA", `expected an object or null, got ${show(data)}`];
    case "id":
      return ["INVALID_ID", explainId(data)];
  }
}

export function explainId(data: unknown): string {
  if (data === "") return "is empty";
  if (typeof data === "string") {
    if (!data.isWellFormed()) return "has half of a surrogate pair";
    return `has ${Buffer.byteLength(data)} bytes, ${ID_BYTES_MAX} are allowed`;
  }
  return `expected a string or a whole number from 0 to 2^53-1, got ${show(data)}`;
}

const lengthOf = (data: unknown) => (data as unknown[]).length;
const escapeStep = (member: string) => member.replaceAll("~", "~0").replaceAll("/", "~1");
const shorten = (text: string) => (text.length > 200 ? `${text.slice(0, 200)}...` : text);

/** What came, never at length: an object is only named, a long text is cut. */
function show(data: unknown): string {
  if (Array.isArray(data)) return "an array";
  if (typeof data === "object" && data !== null) return "an object";
  const text = JSON.stringify(data) ?? "nothing";
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
