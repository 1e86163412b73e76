/** What a shard is made with, and how its memory is laid out for that. */
import * as L from "../../assembly/layout.ts";
import { OmenError } from "../errors.ts";
import { instantiate, type Variant } from "./variant.ts";

const METRICS = { l2: L.METRIC_L2, cosine: L.METRIC_COSINE, dot: L.METRIC_DOT } as const;
const KEEPS = { memory: L.KEEP_ALL, none: L.KEEP_ROUGH } as const;
const QUANTIZATIONS = { none: L.QUANTIZATION_NONE, sq8: L.QUANTIZATION_SQ8 } as const;

export interface ShardSettings {
  readonly dimensions: number;
  readonly metric: keyof typeof METRICS;
  readonly quantization: keyof typeof QUANTIZATIONS;
  /** Which float32 rows stay: all, or with `none` those that codes cannot hold. */
  readonly vectors?: keyof typeof KEEPS;
  readonly m: number;
  /** Threads that will ever hold the shard. */
  readonly workers: number;
  /** Rows at most; fewer when the memory holds fewer. */
  readonly capacityMax: number;
}

/** Lays out an untouched memory. Throws OmenError MEMORY_LIMIT when not one row fits. */
export function formatShard(
  variant: Variant,
  memory: WebAssembly.Memory,
  settings: ShardSettings,
): number {
  const capacity = instantiate(variant, memory).format(
    settings.dimensions,
    METRICS[settings.metric],
    settings.m,
    QUANTIZATIONS[settings.quantization],
    KEEPS[settings.vectors ?? "memory"],
    settings.workers,
    settings.capacityMax,
    memory.buffer.byteLength,
  );
  if (capacity > 0) return capacity;
  const mib = memory.buffer.byteLength / 1048576;
  const message = `no row of ${settings.dimensions} dimensions fits a memory of ${mib} MiB`;
  throw new OmenError("MEMORY_LIMIT", message);
}
