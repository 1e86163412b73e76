/**
 * Which neighbours a row keeps: Algorithm 4 of Malkov and Yashunin, with the relaxation of
 * Subramanya et al., "DiskANN" (2019): a candidate is left out when a row already chosen is nearer
 * to it than the row itself by the factor alpha. Strictly nearer, so that equal rows do not push
 * each other out and stay connected.
 */
import { header } from "../header";
import * as L from "../layout";
import { Worker } from "../worker";
import { keyIn, slotIn } from "./pool";

/**
 * alpha over squared distances; above 1 it keeps more long links. Inner products have no scale to
 * multiply.
 */
const ALPHA: f32 = 1.1;

// @ts-ignore: decorator
@inline
function chosenAt(worker: Worker, index: u32): u32 {
  return load<u32>(worker.chosen + ((<usize>index) << 2));
}

/**
 * Chooses at most `wanted` of the `count` entries (key << 32 | slot, nearest first) at
 * `candidates`, and leaves their slots in `worker.chosen`. Returns how many.
 */
export function select<S>(worker: Worker, candidates: usize, count: u32, wanted: u32): u32 {
  return choose<S>(worker, candidates, count, wanted, true);
}

/**
 * As `select`, for the neighbours that a row itself links to, from entries that a walk from it has
 * measured. Under dot they are its nearest: a row of great norm would push out all others.
 */
export function selectOwn<S>(worker: Worker, candidates: usize, count: u32, wanted: u32): u32 {
  return choose<S>(worker, candidates, count, wanted, header().metric != L.METRIC_DOT);
}

function choose<S>(
  worker: Worker,
  candidates: usize,
  count: u32,
  wanted: u32,
  apart: bool,
): u32 {
  const alpha: f32 = header().metric == L.METRIC_DOT ? 1 : ALPHA;
  let chosen: u32 = 0;
  let tied: u32 = 0;
  let tiedKey: u32 = 0;
  for (let i: u32 = 0; i < count && chosen < wanted; i++) {
    const entry = load<u64>(candidates + ((<usize>i) << 3));
    const slot = slotIn(entry);
    // Rows equally far, as copies of one vector are, may take half of the list: the rest of it
    // must lead out of the heap of them.
    tied = keyIn(entry) == tiedKey ? tied + 1 : 1;
    tiedKey = keyIn(entry);
    if (tied > 1 && tied > wanted / 2) continue;
    const distance = changetype<S>(0).value(keyIn(entry));
    if (apart && isNearChosen<S>(worker, slot, distance, chosen, alpha)) continue;
    store<u32>(worker.chosen + ((<usize>chosen) << 2), slot);
    chosen++;
  }
  return chosen;
}

// @ts-ignore: decorator
@inline
function isNearChosen<S>(worker: Worker, slot: u32, distance: f32, chosen: u32, alpha: f32): bool {
  if (chosen == 0) return false;
  changetype<S>(0).hold(worker, slot);
  for (let i: u32 = 0; i < chosen; i++) {
    const key = changetype<S>(0).fromHeld(worker, chosenAt(worker, i));
    if (alpha * changetype<S>(0).value(key) < distance) return true;
  }
  return false;
}

/** Sorts `count` entries in place, nearest first; lists are short, so by insertion. */
export function sortEntries(entries: usize, count: u32): void {
  for (let i: u32 = 1; i < count; i++) {
    const entry = load<u64>(entries + ((<usize>i) << 3));
    let at = entries + ((<usize>i) << 3);
    while (at > entries && load<u64>(at - 8) > entry) {
      store<u64>(at, load<u64>(at - 8));
      at -= 8;
    }
    store<u64>(at, entry);
  }
}
