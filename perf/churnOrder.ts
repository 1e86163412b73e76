/** What `bench:churn` tells its other threads. */
import type { CollectionParts } from "../src/collections/collection.ts";
import type { Variant } from "../src/engine/variant.ts";

export interface ChurnOrder {
  readonly role: "linker" | "reader";
  readonly variant: Variant;
  readonly worker: number;
  readonly parts: CollectionParts;
  /** Words: 1 ends all, 1 lets the readers read. */
  readonly signals: SharedArrayBuffer;
  /** CPU microseconds, one place a worker. */
  readonly cpu: SharedArrayBuffer;
}

export const STOP = 0;
export const READ = 1;
