/**
 * A shard's ids and metadata, tried where they lie when they come from a file: every record is
 * inside the heap and overlaps no other and nothing that is free, metadata is a JSON object, each
 * live row has one id, which is text under its own hash, and the index leads to it. The host lays
 * the trial beside them, in memory that nobody uses yet, and asks for a slice at a time
 * (src/collections/rows.ts draws the memory, src/storage/frame.ts a record).
 *
 * Which bytes are whose is kept in a bit for 8 bytes of the heap. Where the bits of a whole heap
 * find no room, the host goes over the records once for each stretch of it that does.
 */
import { METADATA_BYTES_MAX } from "./desk";
import * as L from "./layout";
import { hashId, isObject, isText } from "./stored";

@unmanaged
class Trial {
  heap: usize;
  records: usize;
  table: usize;
  index: usize;
  units: u32;
  slots: u32;
  positions: u32;
  mask: u32;
  held: usize;
  living: usize;
  claimed: usize;
  firstUnit: u32;
  endUnit: u32;
  probesLeft: u32;
  live: u32;
  filled: u32;
  freeRecords: u32;
  place: u32;
  idBytes: f64;
  metadataBytes: f64;
  freeBytes: f64;
  seed: u32;
}

if (offsetof<Trial>("place") != L.TRIAL_PLACE) ERROR("Trial drifted from layout.ts");
if (offsetof<Trial>("seed") != L.TRIAL_SEED) ERROR("Trial drifted from layout.ts");

// A record's first 8 bytes: see src/storage/record.ts.
const HEADER_BYTES: u32 = 8;
const HAS_METADATA: u32 = 1;
/** Up to here size classes are multiples of 8, then there are four a doubling: see classes.ts. */
const SMALL_MAX: u32 = 512;
const REMOVED: u32 = 1;

// @ts-ignore: decorator
@inline
function hasBit(map: usize, bit: u32): bool {
  return ((load<u8>(map + (bit >> 3)) >> <u8>(bit & 7)) & 1) != 0;
}

function fail(trial: Trial, fault: u32, place: u32): u32 {
  trial.place = place;
  return fault;
}

/** Units of the heap that a record of so many bytes takes. */
// @ts-ignore: decorator
@inline
function unitsOf(bytes: u32): u32 {
  if (bytes <= SMALL_MAX) return (bytes + 7) >> 3;
  const step: u32 = 1 << (29 - clz(bytes - 1));
  return ((bytes + step - 1) & ~(step - 1)) >> 3;
}

/** False when something has claimed one of the units. Those of other stretches are passed by. */
function claim(trial: Trial, start: u32, count: u32): bool {
  let unit = max(start, trial.firstUnit);
  const end = min(start + count, trial.endUnit);
  while (unit < end) {
    const bit = unit - trial.firstUnit;
    const taken = min(64 - (bit & 63), end - unit);
    const bits = (<u64>-1 >> (64 - taken)) << (bit & 63);
    const word = trial.claimed + (<usize>(bit >> 6) << 3);
    const before = load<u64>(word);
    if (before & bits) return false;
    store<u64>(word, before | bits);
    unit += taken;
  }
  return true;
}

/** The records of the slots from..to. They are read and counted with the first stretch. */
export function tryRecords(at: usize, from: u32, to: u32): u32 {
  const trial = changetype<Trial>(at);
  const units = trial.units;
  const isFirst = trial.firstUnit == 0;
  for (let slot = from; slot < to; slot++) {
    const place = load<u32>(trial.records + (<usize>slot << 2));
    if (place == 0) {
      if (hasBit(trial.held, slot)) return fail(trial, L.TRIAL_NO_RECORD, slot);
      continue;
    }
    if (place > units) return fail(trial, L.TRIAL_RECORD_OUTSIDE, slot);
    const record = trial.heap + (<usize>(place - 1) << 3);
    const idBytes = <u32>load<u16>(record);
    const flags = <u32>load<u16>(record, 2);
    const metadataBytes = load<u32>(record, 4);
    if (
      idBytes - 1 >= <u32>L.ID_BYTES_MAX ||
      metadataBytes > <u32>METADATA_BYTES_MAX ||
      flags != (metadataBytes > 0 ? HAS_METADATA : 0)
    )
      return fail(trial, L.TRIAL_RECORD_HEADER, slot);
    const bytes = (HEADER_BYTES + idBytes + metadataBytes + 7) & ~7;
    const count = unitsOf(bytes);
    if (place - 1 + count > units) return fail(trial, L.TRIAL_RECORD_OUTSIDE, slot);
    if (!claim(trial, place - 1, count)) return fail(trial, L.TRIAL_RECORD_OVERLAP, slot);
    if (isFirst) {
      const text = record + HEADER_BYTES + idBytes;
      const isSound = isText(text, text + metadataBytes) && isObject(text, text + metadataBytes);
      if (metadataBytes > 0 && !isSound) return fail(trial, L.TRIAL_METADATA, slot);
      trial.idBytes += <f64>(bytes - metadataBytes);
      trial.metadataBytes += <f64>metadataBytes;
    }
  }
  return L.TRIAL_SOUND;
}

/** A list of free records of one size, which ends: its first place, and the units of each. */
export function tryFree(at: usize, first: u32, count: u32): u32 {
  const trial = changetype<Trial>(at);
  const units = trial.units;
  for (let place = first; place != 0; ) {
    const isInside = place <= units && place - 1 + count <= units;
    // More records than units: the list comes back to itself, outside of this stretch.
    if (!isInside || ++trial.freeRecords > units || !claim(trial, place - 1, count))
      return fail(trial, L.TRIAL_FREE_RECORD, place);
    if (trial.firstUnit == 0) trial.freeBytes += <f64>(count << 3);
    place = load<u32>(trial.heap + (<usize>(place - 1) << 3));
  }
  return L.TRIAL_SOUND;
}

/** The places from..to of the index name positions. */
export function tryIndex(at: usize, from: u32, to: u32): u32 {
  const trial = changetype<Trial>(at);
  const positions = trial.positions;
  let filled: u32 = 0;
  for (let place = from; place < to; place++) {
    const entry = load<u32>(trial.index + (<usize>place << 2));
    filled += u32(entry != 0);
    if (entry > REMOVED && entry - 2 >= positions) return fail(trial, L.TRIAL_INDEX_ENTRY, place);
  }
  trial.filled += filled;
  return L.TRIAL_SOUND;
}

/**
 * Each of the positions from..to that has a row has one of its own, a live one with a sound id, and
 * is found where its hash leads. Honest ids lie there or a few places on, so that probes are
 * bounded: a long way is somebody's work.
 */
export function tryIds(at: usize, from: u32, to: u32): u32 {
  const trial = changetype<Trial>(at);
  const mask = trial.mask;
  for (let position = from; position < to; position++) {
    const own = trial.table + (<usize>position << 3);
    const slot = load<u32>(own);
    if (slot == <u32>L.NO_SLOT) continue;
    if (slot >= trial.slots || !hasBit(trial.living, slot))
      return fail(trial, L.TRIAL_POSITION, position);
    const byte = trial.living + (slot >> 3);
    store<u8>(byte, load<u8>(byte) ^ <u8>(1 << (<u8>slot & 7)));
    trial.live++;
    const hash = load<u32>(own, 4);
    let place = hash & mask;
    while (true) {
      const entry = load<u32>(trial.index + (<usize>place << 2));
      if (entry == position + 2) break;
      if (entry == 0 || trial.probesLeft-- == 0) return fail(trial, L.TRIAL_NOT_FOUND, position);
      place = (place + 1) & mask;
    }
    // A live row has a record, and that has been tried.
    const record = trial.heap + (<usize>(load<u32>(trial.records + (<usize>slot << 2)) - 1) << 3);
    const bytes = <u32>load<u16>(record);
    const id = record + HEADER_BYTES;
    if (hashId(id, bytes, trial.seed) != hash || !isText(id, id + bytes))
      return fail(trial, L.TRIAL_ID, position);
  }
  return L.TRIAL_SOUND;
}
