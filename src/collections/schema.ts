/**
 * The schema of a collection: paths of metadata that have a column from the start, and what it
 * holds. Here it is checked against what the columns of a shard can take.
 */
import {
  COLUMN_NAME_BYTES_MAX,
  PATH_STEPS_MAX,
  SCHEMA_COLUMNS_MAX,
  SCHEMA_PATHS_MAX,
} from "../../assembly/columns.ts";
import { type ColumnKind, KINDS, type Schema } from "../engine/columns.ts";
import { OmenError } from "../errors.ts";

const encoder = new TextEncoder();

/**
 * The same schema, paths in order, so that equal ones are equal as text. Throws INVALID_REQUEST.
 */
export function checkSchema(schema: Readonly<Record<string, string>>, pointer: string): Schema {
  const paths = Object.keys(schema).sort();
  if (paths.length > SCHEMA_PATHS_MAX) {
    refuse(pointer, `a schema may have ${SCHEMA_PATHS_MAX} paths, got ${paths.length}`);
  }
  const columns = new Set<string>();
  for (const path of paths) {
    const at = `${pointer}/${path.slice(0, 80).replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const kind = schema[path]!;
    if (!Object.hasOwn(KINDS, kind)) {
      refuse(at, `expected one of ${Object.keys(KINDS).join(", ")}`);
    }
    const names = path.split(".");
    if (names.length > PATH_STEPS_MAX) refuse(at, `a path may have ${PATH_STEPS_MAX} steps`);
    for (const [index, name] of names.entries()) {
      if (encoder.encode(name).length > COLUMN_NAME_BYTES_MAX || !name.isWellFormed()) {
        refuse(at, `each step may have ${COLUMN_NAME_BYTES_MAX} bytes`);
      }
      const above = names.slice(0, index).join(".");
      if (index > 0 && Object.hasOwn(schema, above) && schema[above] === "none") {
        refuse(at, `nothing below ${JSON.stringify(above)} has a column, for that is none`);
      }
      columns.add(names.slice(0, index + 1).join("."));
    }
  }
  if (columns.size > SCHEMA_COLUMNS_MAX) {
    const message = `with what lies on the way its paths need ${columns.size} columns`;
    refuse(pointer, `${message}, ${SCHEMA_COLUMNS_MAX} are the most`);
  }
  return Object.fromEntries(paths.map((path) => [path, schema[path] as ColumnKind]));
}

function refuse(pointer: string, message: string): never {
  throw new OmenError("INVALID_REQUEST", `${pointer}: ${message}`, {
    errors: [{ pointer, message }],
  });
}
