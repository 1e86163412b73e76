/** From the float32 of a query, or of a row to be linked, to everything a walk measures with. */
import { floatsOf } from "./bays";
import { modeNow, MODE_CAREFUL, MODE_FLOATS } from "./codebook";
import { encode, unitFactor } from "./encode";
import { codebook, fence, generation, header } from "./header";
import { sumCode } from "./kernels/codes";
import * as L from "./layout";
import { flagsOf } from "./row";
import { Worker } from "./worker";

/** Copies of a row that a walk keeps when it links another (graph/copies.ts). */
const COPIES_LINKED: u32 = 16;

/**
 * Readies the vector in `worker.query`. A query that the range cannot hold is walked on float32.
 */
export function prepareQuery(worker: Worker): void {
  begin(worker);
  if (worker.mode != MODE_FLOATS) encodeQuery(worker);
}

/** Readies a row that is to be linked. */
export function prepareRow(worker: Worker, slot: u32): void {
  worker.copiesMax = COPIES_LINKED;
  memory.copy(worker.query, floatsOf(slot, worker.floatsA), header().vectorStride);
  begin(worker);
  if (worker.mode == MODE_FLOATS) return;
  if (flagsOf(slot) & L.FLAG_ROUGH) worker.mode = MODE_FLOATS;
  else encodeQuery(worker);
}

function begin(worker: Worker): void {
  worker.codesEpoch = atomic.load<u32>(L.HEADER_CODES_EPOCH);
  worker.mode = modeNow();
  worker.inverseNorm = unitFactor(worker.query);
}

function encodeQuery(worker: Worker): void {
  const current = generation();
  const book = codebook(current);
  const target = current & 1 ? worker.codeB : worker.codeA;
  worker.code = target;
  if (header().metric == L.METRIC_DOT && worker.mode != MODE_CAREFUL)
    return encodeSigned(worker, target, book.scale);
  worker.unit = book.scale * book.scale * (header().metric == L.METRIC_COSINE ? <f32>0.5 : <f32>1);
  const rough = encode(worker.query, worker.inverseNorm, target, book);
  setSum(worker, current, sumCode(target, header().codeBytes));
  let outside = rough;
  if (worker.mode == MODE_CAREFUL && current > 1) {
    const other = current & 1 ? worker.codeA : worker.codeB;
    // A clamped query would be near to all that the old range holds.
    outside |= encode(worker.query, worker.inverseNorm, other, codebook(current - 1));
    setSum(worker, current - 1, sumCode(other, header().codeBytes));
  }
  if (outside) worker.mode = MODE_FLOATS;
}

/**
 * Under dot the query has a scale of its own, and signed components -127..127: its inner products
 * with codes are those with their rows, but for a factor and for what is the same for all rows.
 */
function encodeSigned(worker: Worker, target: usize, scale: f32): void {
  const dimensions = header().dimensions;
  let most = f32x4.splat(0);
  for (let at: usize = 0; at < header().vectorStride; at += 16)
    most = f32x4.max(most, f32x4.abs(v128.load(worker.query + at)));
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  const largest = max<f32>(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1));
  const inverse: f32 = largest > 0 ? 127 / largest : 0;
  for (let at: u32 = 0; at < dimensions; at++) {
    const component = load<f32>(worker.query + ((<usize>at) << 2));
    store<i8>(target + at, <i8>nearest<f32>(component * inverse));
  }
  memory.fill(target + dimensions, 0, header().codeBytes - dimensions);
  worker.unit = largest > 0 ? (scale * largest) / 127 : 0;
}

function setSum(worker: Worker, number: u32, sum: i32): void {
  if (number & 1) worker.sumB = sum;
  else worker.sumA = sum;
}

/**
 * Whether a generation began or ended since the query was readied: what was measured must be
 * measured again.
 */
export function isStale(worker: Worker): bool {
  fence();
  return worker.codesEpoch != atomic.load<u32>(L.HEADER_CODES_EPOCH);
}
