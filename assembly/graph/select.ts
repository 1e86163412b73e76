/**
 * Which neighbours a row keeps: Algorithm 4 of Malkov and Yashunin, with the relaxation of
 * Subramanya et al., "DiskANN" (2019): a candidate is left out when a row already chosen is nearer
 * to it than the row itself by the factor alpha. Strictly nearer, so that rows equally far do not
 * push each other out and stay connected. Of the copies of a row one is enough (copies.ts).
 */
import { header } from "../header";
import * as L from "../layout";
import { Worker } from "../worker";
import { isCopy, OWN_COPIES } from "./copies";
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
 * For the row `own`, chooses at most `wanted` of the `count` entries (key << 32 | slot, nearest
 * first) at `candidates`, and leaves their slots in `worker.chosen`. Returns how many.
 */
export function select<S>(
  worker: Worker,
  own: u32,
  candidates: usize,
  count: u32,
  wanted: u32,
): u32 {
  return choose<S>(worker, own, candidates, count, wanted, true);
}

/**
 * As `select`, for the neighbours that a row itself links to, from entries that a walk from it has
 * measured. Under dot they are its nearest: a row of great norm would push out all others.
 */
export function selectOwn<S>(
  worker: Worker,
  own: u32,
  candidates: usize,
  count: u32,
  wanted: u32,
): u32 {
  return choose<S>(worker, own, candidates, count, wanted, header().metric != L.METRIC_DOT);
}

function choose<S>(
  worker: Worker,
  own: u32,
  candidates: usize,
  count: u32,
  wanted: u32,
  apart: bool,
): u32 {
  const alpha: f32 = header().metric == L.METRIC_DOT ? 1 : ALPHA;
  turnTies(candidates, count, own);
  let chosen: u32 = 0;
  let tiedKey: u32 = 0;
  let tiedFrom: u32 = 0;
  for (let i: u32 = 0; i < count && chosen < wanted; i++) {
    const entry = load<u64>(candidates + ((<usize>i) << 3));
    const slot = slotIn(entry);
    if (keyIn(entry) != tiedKey) {
      tiedFrom = chosen;
      tiedKey = keyIn(entry);
    }
    if (chosen > tiedFrom && isOneMore(worker, own, slot, tiedFrom, chosen)) continue;
    const distance = changetype<S>(0).value(keyIn(entry));
    if (apart && isNearChosen<S>(worker, slot, distance, chosen, alpha)) continue;
    store<u32>(worker.chosen + ((<usize>chosen) << 2), slot);
    chosen++;
  }
  return chosen;
}

/**
 * Turns each run of entries that are equally far by something else for each row. Sorted by slot as
 * they are, all rows would choose the same ones, and leave the others without a way in.
 */
function turnTies(entries: usize, count: u32, own: u32): void {
  for (let from: u32 = 0; from + 1 < count; ) {
    const key = keyIn(load<u64>(entries + ((<usize>from) << 3)));
    let to = from + 1;
    while (to < count && keyIn(load<u64>(entries + ((<usize>to) << 3))) == key) to++;
    const length = to - from;
    if (length > 1) {
      const by = ((own * 0x9e3779b9) >> 8) % length;
      turnRound(entries, from, from + by);
      turnRound(entries, from + by, to);
      turnRound(entries, from, to);
    }
    from = to;
  }
}

function turnRound(entries: usize, from: u32, to: u32): void {
  for (let i = from, j = to; i + 1 < j; i++) {
    j--;
    const a = entries + ((<usize>i) << 3);
    const b = entries + ((<usize>j) << 3);
    const entry = load<u64>(a);
    store<u64>(a, load<u64>(b));
    store<u64>(b, entry);
  }
}

/**
 * Whether enough copies of a row are among the chosen ones from `from` on. Of another's copies it
 * is the one in the lowest slot that is chosen, so that walks which climb to it find what is
 * behind.
 */
function isOneMore(worker: Worker, own: u32, slot: u32, from: u32, chosen: u32): bool {
  let copies: u32 = 0;
  let place: u32 = 0;
  for (let i = from; i < chosen; i++) {
    if (!isCopy(worker, slot, chosenAt(worker, i))) continue;
    copies++;
    place = i;
  }
  if (copies == 0) return false;
  if (isCopy(worker, slot, own)) return copies >= OWN_COPIES;
  if (slot < chosenAt(worker, place))
    store<u32>(worker.chosen + ((<usize>place) << 2), slot);
  return true;
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
