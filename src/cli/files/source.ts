/** Rows that come from a file. */
import { extname } from "node:path";
import type { RowToAdd } from "../../client/index.ts";
import { UsageError } from "../exit.ts";

export interface Source {
  /** Where the file says how many there are. */
  readonly rows?: number;
  /** The rows after the first `skip`. */
  read(skip: number): AsyncGenerator<RowToAdd>;
  /** How much of the file, 0 to 1, lies behind so many rows that were read. */
  share(rows: number): number | undefined;
}

export const FORMATS = [".ndjson", ".npy", ".fvecs", ".bvecs", ".parquet"] as const;
export type Format = (typeof FORMATS)[number];

const ALIASES: Readonly<Record<string, Format>> = { ".jsonl": ".ndjson", ".pq": ".parquet" };

/** By the name's ending, or as it was named. */
export function formatOf(path: string, named?: string): Format {
  const ending = named === undefined ? extname(path).toLowerCase() : `.${named.replace(/^\./, "")}`;
  const format = ALIASES[ending] ?? FORMATS.find((each) => each === ending);
  if (format !== undefined) return format;
  const known = FORMATS.join(", ");
  throw new UsageError(`${path}: the format is none of ${known}; --format names it`);
}
