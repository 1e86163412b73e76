/** From the float32 of a query, or of a row to be linked, to everything a walk measures with. */
import { encode, modeNow, MODE_CAREFUL, MODE_CODES, MODE_FLOATS, unitFactor } from "./codebook";
import { codebook, fence, generation, header } from "./header";
import { sumCode } from "./kernels/codes";
import * as L from "./layout";
import { codeOf, flagsOf, generationOf, vectorOf } from "./row";
import { Worker } from "./worker";

/**
 * Readies the vector in `worker.query`. A query that the range cannot hold is walked on float32.
 */
export function prepareQuery(worker: Worker): void {
  begin(worker);
  if (worker.mode != MODE_FLOATS) encodeQuery(worker);
}

/**
 * Readies a row that is to be linked: its own code serves, where it has one of the current
 * generation.
 */
export function prepareRow(worker: Worker, slot: u32): void {
  memory.copy(worker.query, vectorOf(slot), header().vectorStride);
  begin(worker);
  if (worker.mode == MODE_FLOATS) return;
  if (flagsOf(slot) & L.FLAG_ROUGH) worker.mode = MODE_FLOATS;
  else if (worker.mode == MODE_CODES && <u8>generationOf(slot) == <u8>generation())
    worker.code = codeOf(slot);
  else encodeQuery(worker);
}

function begin(worker: Worker): void {
  worker.codesEpoch = atomic.load<u32>(L.HEADER_CODES_EPOCH);
  worker.mode = modeNow();
  worker.inverseNorm = unitFactor(worker.query);
}

function encodeQuery(worker: Worker): void {
  const current = generation();
  const bytes = header().codeBytes;
  const target = current & 1 ? worker.codeB : worker.codeA;
  worker.code = target;
  const rough = encode(worker.query, worker.inverseNorm, target, codebook(current));
  setSum(worker, current, sumCode(target, bytes));
  let outside = rough;
  if (worker.mode == MODE_CAREFUL && current > 1) {
    const other = current & 1 ? worker.codeA : worker.codeB;
    // A clamped query would be near to all that the old range holds.
    outside |= encode(worker.query, worker.inverseNorm, other, codebook(current - 1));
    setSum(worker, current - 1, sumCode(other, bytes));
  }
  if (outside) worker.mode = MODE_FLOATS;
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
