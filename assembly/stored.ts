/**
 * What ids and metadata say that come from a file: ids are UTF-8 and have a hash, metadata is a
 * JSON object as one that came in by a request is. Where they lie is tried in trial.ts.
 */
import { DEPTH_MAX } from "./desk";
import { hexUnit, plainEscape } from "./json/text";
import { isSpace } from "./json/tokens";
import { digitAt } from "./numbers";

const ASCII: u64 = 0x8080808080808080;

/** As src/collections/hash.ts. */
export function hashId(id: usize, bytes: u32, seed: u32): u32 {
  let hash = seed;
  let at = id;
  let left = bytes;
  for (; left >= 4; left -= 4, at += 4) {
    hash = rotl<u32>(hash ^ mixBlock(load<u32>(at)), 13) * 5 + 0xe6546b64;
  }
  let rest: u32 = 0;
  for (let i = left; i > 0; i--) rest = (rest << 8) | <u32>load<u8>(at + i - 1);
  hash ^= mixBlock(rest) ^ bytes;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  return hash ^ (hash >> 16);
}

// @ts-ignore: decorator
@inline
function mixBlock(block: u32): u32 {
  return rotl<u32>(block * 0xcc9e2d51, 15) * 0x1b873593;
}

/** Whether bytes are UTF-8, as the standard's table of well-formed sequences has it. */
export function isText(from: usize, end: usize): bool {
  let at = from;
  while (at < end) {
    if (at + 8 <= end && (load<u64>(at) & ASCII) == 0) {
      at += 8;
      continue;
    }
    const first = <u32>load<u8>(at);
    if (first < 0x80) {
      at++;
      continue;
    }
    const more: usize = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || at + more >= end) return false;
    const second = <u32>load<u8>(at, 1);
    const least: u32 = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const most: u32 = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < least || second > most) return false;
    for (let i: usize = 2; i <= more; i++) if (load<u8>(at + i) >> 6 != 2) return false;
    at += more + 1;
  }
  return true;
}

/** Whether text is one JSON object, no deeper than a body may be. */
export function isObject(from: usize, end: usize): bool {
  let at = spaceEnd(from, end);
  if (!stands(at, end, 0x7b)) return false;
  // One bit for each level that is open: 1 an object, 0 an array.
  let levels: u64 = 0;
  let depth: u32 = 0;
  while (true) {
    // A value begins here.
    const first = at < end ? <u32>load<u8>(at) : 0;
    if (first == 0x7b || first == 0x5b) {
      if (++depth > <u32>DEPTH_MAX) return false;
      levels = (levels << 1) | u64(first == 0x7b);
      at = spaceEnd(at + 1, end);
      if (!stands(at, end, closing(levels))) {
        if (levels & 1) at = nameEnd(at, end);
        if (at == 0) return false;
        continue;
      }
    } else {
      at = first == 0x22 ? stringEnd(at, end) : plainEnd(at, end, first);
      if (at == 0) return false;
      at = spaceEnd(at, end);
    }
    // Behind a value, or where an empty level ends.
    while (stands(at, end, closing(levels))) {
      levels >>= 1;
      at = spaceEnd(at + 1, end);
      if (--depth == 0) return at == end;
    }
    if (!stands(at, end, 0x2c)) return false;
    at = spaceEnd(at + 1, end);
    if (levels & 1) at = nameEnd(at, end);
    if (at == 0) return false;
  }
  return false;
}

// @ts-ignore: decorator
@inline
function closing(levels: u64): u32 {
  return levels & 1 ? 0x7d : 0x5d;
}

// @ts-ignore: decorator
@inline
function stands(at: usize, end: usize, character: u32): bool {
  return at < end && <u32>load<u8>(at) == character;
}

function spaceEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end && isSpace(<u32>load<u8>(at))) at++;
  return at;
}

/** The address of the value behind a name and its colon; 0 where there is none. */
function nameEnd(from: usize, end: usize): usize {
  if (!stands(from, end, 0x22)) return 0;
  const after = stringEnd(from, end);
  if (after == 0) return 0;
  const colon = spaceEnd(after, end);
  return stands(colon, end, 0x3a) ? spaceEnd(colon + 1, end) : 0;
}

function stringEnd(from: usize, end: usize): usize {
  let at = from + 1;
  while (at < end) {
    const character = <u32>load<u8>(at);
    if (character == 0x22) return at + 1;
    if (character < 0x20) return 0;
    at++;
    if (character != 0x5c) continue;
    const escaped = at < end ? <u32>load<u8>(at) : 0;
    at++;
    if (escaped == 0x75) {
      if (at + 4 > end || hexUnit(at) < 0) return 0;
      at += 4;
    } else if (plainEscape(escaped) == 0) return 0;
  }
  return 0;
}

/** The address after true, false, null or a number; 0 for anything else. */
function plainEnd(at: usize, end: usize, first: u32): usize {
  if (first == 0x74) return at + 4 <= end && load<u32>(at) == 0x65757274 ? at + 4 : 0;
  if (first == 0x6e) return at + 4 <= end && load<u32>(at) == 0x6c6c756e ? at + 4 : 0;
  if (first == 0x66) return at + 5 <= end && load<u32>(at, 1) == 0x65736c61 ? at + 5 : 0;
  let digits = first == 0x2d ? at + 1 : at;
  if (stands(digits, end, 0x30)) digits++;
  else digits = digitsEnd(digits, end);
  if (digits != 0 && stands(digits, end, 0x2e)) digits = digitsEnd(digits + 1, end);
  if (digits == 0 || digits >= end || (<u32>load<u8>(digits) | 0x20) != 0x65) return digits;
  digits++;
  if (stands(digits, end, 0x2b) || stands(digits, end, 0x2d)) digits++;
  return digitsEnd(digits, end);
}

/** The address after at least one digit; 0 where there is none. */
function digitsEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end && digitAt(at) <= 9) at++;
  return at == from ? 0 : at;
}
