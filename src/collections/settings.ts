/** A collection's settings: compared, and read back from what a file states. */
import { DIMENSIONS_MAX, EF_MAX, M_MAX, M_MIN } from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import type { CollectionSettings } from "./database.ts";
import { checkSchema } from "./schema.ts";

const SETTING_NAMES = [
  "dimensions",
  "metric",
  "quantization",
  "m",
  "efConstruction",
  "efSearch",
] as const satisfies (keyof CollectionSettings)[];

export function isSameSettings(a: CollectionSettings, b: CollectionSettings): boolean {
  return SETTING_NAMES.every((name) => a[name] === b[name]) && othersOf(a) === othersOf(b);
}

export function describeDifference(
  present: CollectionSettings,
  wanted: CollectionSettings,
): string {
  const differences = SETTING_NAMES.filter((name) => present[name] !== wanted[name]).map(
    (name) => `${name} ${present[name]}, not ${wanted[name]}`,
  );
  if (schemaOf(present) !== schemaOf(wanted)) differences.push("another schema");
  if (quotaOf(present) !== quotaOf(wanted)) differences.push("another quota");
  return differences.join("; ");
}

/** Its paths are in order. */
const schemaOf = ({ schema }: CollectionSettings) => JSON.stringify(schema ?? {});

const quotaOf = ({ quota: { vectors, bytes } = {} }: CollectionSettings) => `${vectors} ${bytes}`;
const othersOf = (settings: CollectionSettings) => `${schemaOf(settings)} ${quotaOf(settings)}`;

const isWhole = (min: number, max: number) => (value: unknown) =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
const isOneOf = (values: readonly string[]) => (value: unknown) => values.includes(value as string);

const RULES: Record<(typeof SETTING_NAMES)[number], (value: unknown) => boolean> = {
  dimensions: isWhole(1, DIMENSIONS_MAX),
  metric: isOneOf(["l2", "cosine", "dot"]),
  quantization: isOneOf(["sq8", "none"]),
  m: isWhole(M_MIN, M_MAX),
  efConstruction: isWhole(1, EF_MAX),
  efSearch: isWhole(1, EF_MAX),
};

function checkStatedSchema(schema: unknown, file: string): void {
  try {
    checkSchema(Object(schema) as Record<string, string>, "schema");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "";
    throw new OmenError("CORRUPT_FILE", `${file}, offset 0: ${reason}`, { cause });
  }
}

/** Settings from a file, where anything may stand. `file` is what the error calls it. */
export function readSettings(stated: Record<string, unknown>, file: string): CollectionSettings {
  for (const name of SETTING_NAMES) {
    if (RULES[name](stated[name])) continue;
    const message = `the setting ${name} cannot be ${JSON.stringify(stated[name])}`;
    throw new OmenError("CORRUPT_FILE", `${file}, offset 0: ${message}`);
  }
  if (stated.schema !== undefined) checkStatedSchema(stated.schema, file);
  for (const [name, most] of Object.entries(stated.quota ?? {})) {
    if (isWhole(1, Number.MAX_SAFE_INTEGER)(most)) continue;
    throw new OmenError("CORRUPT_FILE", `${file}, offset 0: the quota of ${name} is ${most}`);
  }
  return stated as unknown as CollectionSettings;
}
