/** What a running server is seen to hold and do, from outside: the kernel's view and its own. */
import { readdirSync } from "node:fs";
import type { Connection } from "../test/server.ts";
import { residentBytesOf } from "./process.ts";

export interface Vitals {
  readonly residentBytes: number;
  readonly handles: number;
  readonly vectors: number;
  readonly unindexed: number;
  readonly memoryBytes: number;
  readonly walBytes: number;
  /** The worst listener's event loop delay. */
  readonly lagMs: number;
}

export async function vitalsOf(pid: number, connection: Connection): Promise<Vitals> {
  const { body: stats } = await connection.get("/stats");
  const { text } = await connection.get("/metrics");
  const lags = [...text.matchAll(/^omendb_event_loop_lag_seconds\{[^}]*\} (\S+)$/gm)];
  return {
    residentBytes: residentBytesOf(pid) ?? 0,
    handles: handlesOf(pid),
    vectors: stats.vectors,
    unindexed: stats.unindexed,
    memoryBytes: stats.memory_bytes,
    walBytes: stats.wal?.bytes ?? 0,
    lagMs: Math.max(0, ...lags.map(([, seconds]) => Number(seconds) * 1000)),
  };
}

function handlesOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}
