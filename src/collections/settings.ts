/** A collection's settings: compared, and read back from what a file states. */
import {
  CODE_DIMENSIONS_MIN,
  DIMENSIONS_MAX,
  EF_MAX,
  M_MAX,
  M_MIN,
} from "../../assembly/layout.ts";
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
  if (keepingOf(present) !== keepingOf(wanted)) {
    differences.push(`vectors ${keepingOf(present)}, not ${keepingOf(wanted)}`);
  }
  if (schemaOf(present) !== schemaOf(wanted)) differences.push("another schema");
  if (quotaOf(present) !== quotaOf(wanted)) differences.push("another quota");
  return differences.join("; ");
}

/** Its paths are in order. */
const schemaOf = ({ schema }: CollectionSettings) => JSON.stringify(schema ?? {});

const quotaOf = ({ quota: { vectors, bytes } = {} }: CollectionSettings) => `${vectors} ${bytes}`;
const keepingOf = ({ vectors = "memory" }: CollectionSettings) => vectors;
const othersOf = (settings: CollectionSettings) =>
  `${keepingOf(settings)} ${schemaOf(settings)} ${quotaOf(settings)}`;

function hasCodes({ quantization, dimensions }: Partial<CollectionSettings>): boolean {
  return quantization === "sq8" && dimensions! >= CODE_DIMENSIONS_MIN;
}

/** Throws INVALID_REQUEST where there would be no codes to keep in place of float32. */
export function checkKeeping(settings: CollectionSettings): void {
  const { vectors, quantization, dimensions } = settings;
  if (vectors !== "none" || hasCodes(settings)) return;
  const message =
    `"none" keeps codes alone: expected quantization "sq8" and ${CODE_DIMENSIONS_MIN} ` +
    `dimensions or more, got ${JSON.stringify(quantization)} and ${dimensions}`;
  const errors = [{ pointer: "/vectors", message }];
  throw new OmenError("INVALID_REQUEST", `/vectors: ${message}`, { errors });
}

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

/** Settings from a file, where anything may stand. `file` is what the error calls it. */
export function readSettings(stated: unknown, file: string): CollectionSettings {
  const refuse = (what: string, cause?: unknown) =>
    new OmenError("CORRUPT_FILE", `${file}, offset 0: ${what}`, { cause });
  if (!isPlain(stated)) throw refuse(`settings cannot be ${JSON.stringify(stated)}`);
  const settings: Record<string, unknown> = {};
  for (const name of SETTING_NAMES) {
    const value = stated[name];
    if (!RULES[name](value)) throw refuse(`the setting ${name} cannot be ${JSON.stringify(value)}`);
    settings[name] = value;
  }
  const { vectors, schema, quota, ...others } = stated;
  // A setting of a build to come must not pass unseen.
  const stranger = Object.keys(others).find((name) => !Object.hasOwn(RULES, name));
  if (stranger !== undefined) throw refuse(`no setting is called ${JSON.stringify(stranger)}`);
  if (vectors !== undefined) {
    const isKept = vectors === "memory" || (vectors === "none" && hasCodes(settings));
    if (!isKept) throw refuse(`the setting vectors cannot be ${JSON.stringify(vectors)}`);
    settings.vectors = vectors;
  }
  if (schema !== undefined) {
    if (!isPlain(schema)) throw refuse(`a schema cannot be ${JSON.stringify(schema)}`);
    try {
      settings.schema = checkSchema(schema as Record<string, string>, "schema");
    } catch (cause) {
      throw refuse(cause instanceof Error ? cause.message : "", cause);
    }
  }
  if (quota !== undefined) {
    if (!isPlain(quota)) throw refuse(`a quota cannot be ${JSON.stringify(quota)}`);
    for (const [name, most] of Object.entries(quota)) {
      const isKnown = name === "vectors" || name === "bytes";
      if (isKnown && isWhole(1, Number.MAX_SAFE_INTEGER)(most)) continue;
      throw refuse(`the quota of ${name} cannot be ${JSON.stringify(most)}`);
    }
    settings.quota = quota;
  }
  return settings as unknown as CollectionSettings;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
