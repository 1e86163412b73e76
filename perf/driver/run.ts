/**
 * The run that is under way: its metrics, and which iteration the present code belongs to. The
 * modules that stand in for k6's share it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Recorder } from "./record.ts";

export interface Iteration {
  readonly number: number;
  readonly client: number;
  /** When the scenario began, in milliseconds since 1970. */
  readonly startTime: number;
}

export const recorder = new Recorder();
export const iterations = new AsyncLocalStorage<Iteration>();

recorder.define("http_reqs", "counter");
recorder.define("http_req_duration", "trend");
recorder.define("http_req_failed", "rate");
recorder.define("iterations", "counter");
recorder.define("iteration_duration", "trend");
recorder.define("dropped_iterations", "counter");
recorder.define("checks", "rate");
