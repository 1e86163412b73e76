/**
 * Parameters in an address, for requests whose body has no place for them. They are brought to the
 * types that the schema of a JSON body gives them and are then checked by that very schema.
 */
import type { Request } from "express";
import { OmenError } from "../errors.ts";

const NUMBER = /^-?\d{1,20}(\.\d{1,30})?(e[+-]?\d{1,3})?$/i;
const NONE: Readonly<Record<string, unknown>> = Object.freeze({});

/** Of a schema's properties, what says how a text is to be read. */
interface Property {
  readonly type?: unknown;
  readonly enum?: unknown;
}

/** What no schema knows, and what cannot be read, stays a text, which the schema refuses. */
export function parametersOf(
  request: Request,
  properties: Readonly<Record<string, object>>,
): Readonly<Record<string, unknown>> {
  if (!request.url.includes("?")) return NONE;
  // Not by assignment, for a name may be __proto__.
  return Object.fromEntries(
    Object.entries(request.query).map(([name, given]) => {
      if (typeof given !== "string") refuse(name, "is given more than once");
      const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
      return [name, property === undefined ? given : readText(name, given, property)];
    }),
  );
}

/** Where a parameter would be overlooked; by default since the body has a place for everything. */
export function expectNoParameters(
  request: Request,
  why = "belongs into the body, not into the address",
): void {
  if (!request.url.includes("?")) return;
  const [name] = Object.keys(request.query);
  if (name !== undefined) refuse(name, why);
}

function readText(name: string, text: string, property: Property): unknown {
  switch (property.type) {
    case "integer":
    case "number":
      return NUMBER.test(text) ? Number(text) : text;
    case "boolean":
      return text === "true" || text === "false" ? text === "true" : text;
    case "string":
      return text;
  }
  if (property.enum !== undefined) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    refuse(name, `is not JSON: ${(error as Error).message}`);
  }
}

function refuse(name: string, message: string): never {
  const pointer = `/${name.slice(0, 100)}`;
  throw new OmenError("INVALID_REQUEST", `${pointer}: ${message}`, {
    errors: [{ pointer, message }],
  });
}
