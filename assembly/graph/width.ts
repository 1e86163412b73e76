/**
 * How wide a search walks. A pool of `ef` rows is wider than an easy question needs and narrower
 * than a hard one does. What tells them apart is how fast distances grow from the nearest rows
 * outward: a walk is over when what is left to expand lies farther than the k-th row by more than
 * the rows of a pool of `ef` usually do. So an easy question ends after a third of `ef` rows, and a
 * hard one may fill two (the idea of distance adaptive beam search, Al-Jazzazi et al. 2025).
 *
 * What is usual is learned from the walks that link rows: the *spread*, by which factor the last
 * row of a pool is farther than the one at a quarter of it. Linking itself goes by a fixed width,
 * so that graphs do not depend on it. Keys must grow with the distance from zero: squared distances
 * of codes do, inner products do not, and a question on float32 is walked by a fixed width.
 */
import { MODE_CODES } from "../codebook";
import { header } from "../header";
import * as L from "../layout";
import { Worker } from "../worker";
import { keyIn, poolEntry, setPlaces } from "./pool";

/** Rows that are walked at least, a share of ef, and at most, in ef. */
const SURE_SHARE: u32 = 3;
const LIMIT: u32 = 2;
/** With the reach of that share of ef's rows, the mean recall is that of a fixed width of ef. */
const REACH_SHARE: f32 = 0.7;
/** A walk for fewer rows goes by the distance of this one all the same: the first may be at 0. */
const ANCHOR_MIN: u32 = 8;
/** Smaller pools say nothing, and a spread beyond this is taken for it. */
const SPREAD_ROWS: u32 = 32;
const SPREAD_MAX: f32 = 4;
/** A pool's part in the mean. */
const SPREAD_STEP: f32 = 0.00390625;

// @ts-ignore: decorator
@inline
function isScaled(worker: Worker): bool {
  return worker.mode <= MODE_CODES && header().metric != L.METRIC_DOT;
}

/** None is known at first, and what an image holds may be no number at all. */
// @ts-ignore: decorator
@inline
function isSpread(value: f32): bool {
  return value >= 1 && value <= SPREAD_MAX;
}

/** After a walk of a row to be linked on level 0. Linkers that race lose a value, which is all. */
export function noteSpread(worker: Worker): void {
  const size = worker.poolSize;
  if (size < SPREAD_ROWS || worker.poolDead > 0 || !isScaled(worker)) return;
  const near = <f32>keyIn(poolEntry(worker, (size >> 2) - 1));
  if (near == 0) return;
  const spread = min<f32>(<f32>keyIn(poolEntry(worker, size - 1)) / near, SPREAD_MAX);
  const mean = load<f32>(L.HEADER_SPREAD);
  store<f32>(L.HEADER_SPREAD, isSpread(mean) ? mean + (spread - mean) * SPREAD_STEP : spread);
}

/** Lets the walk that begins in the pool, for k rows by `ef`, be as wide as its question needs. */
export function adapt(worker: Worker, ef: u32, k: u32): void {
  const anchor = max(k, ANCHOR_MIN);
  const times = (REACH_SHARE * <f32>ef) / <f32>anchor;
  const spread = load<f32>(L.HEADER_SPREAD);
  if (times <= 1 || !isScaled(worker) || !isSpread(spread)) return;
  worker.poolAnchor = anchor;
  // Coarse codes tell a row's place only roughly: half as many again as are wanted stay.
  worker.poolSure = max(ef / SURE_SHARE, min(ef, anchor + anchor / 2));
  worker.poolLimit = min<u32>(ef * LIMIT, L.POOL_MAX);
  setPlaces(worker);
  worker.poolSpan = spanOf(spread, times);
}

/** The spread over that many times the rows: its power of the logarithm to base 4. */
function spanOf(spread: f32, times: f32): f32 {
  const root = sqrt<f32>(spread);
  let span: f32 = 1;
  while (times >= 2) {
    span *= root;
    times *= 0.5;
  }
  return span * (1 + (times - 1) * (root - 1));
}
