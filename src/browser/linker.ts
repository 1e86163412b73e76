/**
 * The program of the worker that links rows for a page; linking.ts is its other end. It works until
 * nothing waits and says so, and touches nothing before the next ring.
 */
import { State } from "../collections/state.ts";
import { tend } from "../engine/linking.ts";
import { Shard } from "../engine/shard.ts";
import type { FromLinker, ToLinker } from "./linking.ts";
import { pauseOfPage } from "./pause.ts";

/** Rows of a shard that are linked before another one, or a message, has its turn. */
const SLICE_ROWS = 64;
/** A reader in the middle of a walk must move first. */
const WAIT_MS = 2;

type Start = Extract<ToLinker, { kind: "start" }>;

const pause = pauseOfPage();
const shards: Shard[] = [];
let start: Start;
let state: State;
let rung = 0;
let isLinking = false;

const say = (message: FromLinker) => (globalThis as unknown as Worker).postMessage(message);

function attach(memory: WebAssembly.Memory): void {
  shards.push(new Shard(start.variant, memory, start.worker));
}

async function link(): Promise<void> {
  isLinking = true;
  for (let idleAt = 0; idleAt < rung; ) {
    const heard = rung;
    let isIdle = true;
    for (const shard of shards) {
      const tended = tend(shard, SLICE_ROWS, start.efConstruction, state.sequence);
      if (tended === "waiting") await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      if (tended !== "idle") isIdle = false;
    }
    if (isIdle) idleAt = heard;
    await pause();
  }
  isLinking = false;
  say({ kind: "idle", count: rung });
}

globalThis.onmessage = ({ data }: MessageEvent<ToLinker>) => {
  if (data.kind === "start") {
    start = data;
    state = new State(data.state);
    data.memories.forEach(attach);
    say({ kind: "started" });
  } else if (data.kind === "shard") {
    attach(data.memory);
  } else {
    rung = data.count;
    // The other end hears of errors only, not of promises that are broken.
    if (!isLinking) link().catch(reportError);
  }
};
