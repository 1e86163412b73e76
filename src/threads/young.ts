/**
 * The part of a heap where objects are born. V8 lets it grow to several times as much under load
 * and hardly gives it back, while searches cost the same with less. Threads are started with a
 * bound (crew.ts); the main thread, where it answers requests itself, cannot be. But V8 asks by
 * which factor to grow each time, so a look now and then bounds it as well.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Of each thread's heap, for what lives briefly. */
export const YOUNG_MB_MAX = 8;

const LOOK_MS = 100;
const MB = 1024 * 1024;

/** Bounds this thread's; for a process in which no other thread runs. Returns how to stop it. */
export function boundYoung(): () => void {
  let isAtBound = false;
  const look = () => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    const mayNotGrow = (young?.space_size ?? 0) >= YOUNG_MB_MAX * MB;
    if (mayNotGrow === isAtBound) return;
    isAtBound = mayNotGrow;
    setFlagsFromString(`--semi-space-growth-factor=${mayNotGrow ? 1 : 2}`);
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return () => clearInterval(timer);
}
