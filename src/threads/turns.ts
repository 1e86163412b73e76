/**
 * Slices of long work, one for each turn of the event loop. Were each to ask for a turn by itself,
 * all that are under way would have a slice in the same turn, and whoever connects meanwhile would
 * wait for the sum of them.
 */

/** Resolves when it is the caller's turn; whoever has waited longest is first. */
export function createTurns(): () => Promise<void> {
  const waiting: (() => void)[] = [];

  function next(): void {
    waiting.shift()!();
    if (waiting.length > 0) setImmediate(next);
  }
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 1) setImmediate(next);
    });
}
