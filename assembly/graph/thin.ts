/**
 * Rows that few links lead to. A walk for such a row passes by the two or three rows that name it,
 * above all where distances are alike, as in a cloud of many dimensions: of rows that three links
 * or fewer lead to, a walk of ef 96 misses one in ten, of the others one in five hundred. Links are
 * counted while reach.ts follows them, four bits a slot; then each thin row is searched for, and
 * its nearest link to it (splice.ts), until enough do.
 */
import { MODE_CAREFUL, MODE_COARSE, MODE_CODES } from "../codebook";
import { header } from "../header";
import {
  Careful,
  DotCoarse,
  DotCodes,
  L2Coarse,
  L2Codes,
  L2Floats,
  OtherFloats,
} from "../kernels/metric";
import * as L from "../layout";
import { prepareRow } from "../query";
import { beginWalk, endWalk } from "../readers";
import * as Row from "../row";
import { Worker } from "../worker";
import { isCopy } from "./copies";
import { gatherPool } from "./insert";
import { dueAt, isMet } from "./marks";
import { DEAD, poolEntry, slotIn } from "./pool";
import { descend, entry, searchLayer } from "./search";
import { splice } from "./splice";

/** So many links should lead to a row. */
const ENOUGH: u32 = 6;
const EF: u32 = 64;
const COUNT_MAX: u32 = 15;

// @ts-ignore: decorator
@inline
function countAt(slot: u32): usize {
  return header().reachBase + 3 * <usize>header().bitmapStride + (slot >> 1);
}

// @ts-ignore: decorator
@inline
function countOf(slot: u32): u32 {
  return (<u32>load<u8>(countAt(slot)) >> ((slot & 1) << 2)) & COUNT_MAX;
}

/** No link has been met that leads to the 64 slots of a word. */
export function forgetLinks(word: u32): void {
  memory.fill(countAt(word << 6), 0, 32);
}

// @ts-ignore: decorator
@inline
export function noteLink(slot: u32): void {
  if (countOf(slot) == COUNT_MAX) return;
  store<u8>(countAt(slot), load<u8>(countAt(slot)) + (<u8>1 << (<u8>(slot & 1) << 2)));
}

/** Sees to the thin rows of some words, up to `budget` of them; true when all words are done. */
export function thicken(worker: Worker, budget: u32, words: u32): bool {
  const end = load<u32>(L.HEADER_REACH_END);
  let word = load<u32>(L.HEADER_REPAIR_CURSOR);
  let left = <i32>budget;
  for (let seen: u32 = 0; word < end && left > 0 && seen < words; word++, seen++) {
    for (let due = load<u64>(dueAt(word)); due != 0; due &= due - 1) {
      const slot = (word << 6) + <u32>ctz<u64>(due);
      if (countOf(slot) >= ENOUGH || !isMet(slot) || !Row.isSettled(slot)) continue;
      leadTo(worker, slot, ENOUGH - countOf(slot), false);
      left--;
    }
  }
  store<u32>(L.HEADER_REPAIR_CURSOR, word);
  return word >= end;
}

/** Looks for a row, and where a walk does not find it, has the nearest rows found lead to it. */
export function leadToLost(worker: Worker, slot: u32): void {
  leadTo(worker, slot, ENOUGH, true);
}

function leadTo(worker: Worker, slot: u32, links: u32, ifLost: bool): void {
  worker.snapshot = u64.MAX_VALUE;
  beginWalk(worker);
  prepareRow(worker, slot);
  const metric = header().metric;
  if (worker.mode == MODE_COARSE) {
    if (metric == L.METRIC_DOT) leadIn<DotCoarse>(worker, slot, links, ifLost);
    else leadIn<L2Coarse>(worker, slot, links, ifLost);
  } else if (worker.mode == MODE_CODES) {
    if (metric == L.METRIC_DOT) leadIn<DotCodes>(worker, slot, links, ifLost);
    else leadIn<L2Codes>(worker, slot, links, ifLost);
  } else if (worker.mode == MODE_CAREFUL) leadIn<Careful>(worker, slot, links, ifLost);
  else if (metric == L.METRIC_L2) leadIn<L2Floats>(worker, slot, links, ifLost);
  else leadIn<OtherFloats>(worker, slot, links, ifLost);
  endWalk(worker);
}

function leadIn<S>(worker: Worker, slot: u32, links: u32, ifLost: bool): void {
  const door = entry();
  if (slotIn(door) == L.NO_SLOT || slotIn(door) == slot) return;
  searchLayer<S>(worker, descend<S>(worker, slotIn(door), <u32>(door >> 32), 0), EF, 0);
  if (ifLost && isFound(worker, slot)) return;
  const met = gatherPool(worker, slot, DEAD);
  for (let i: u32 = 0; i < met && links > 0; i++) {
    const host = slotIn(load<u64>(worker.order + ((<usize>i) << 3)));
    // Copies are a tree (copies.ts), in which one link leads to each, and enough lead to its root.
    if (isCopy(worker, host, slot)) return;
    if (leads(host, slot)) continue;
    splice<S>(worker, host, slot);
    links--;
  }
}

function isFound(worker: Worker, slot: u32): bool {
  for (let i: u32 = 0; i < worker.poolSize; i++)
    if (slotIn(poolEntry(worker, i)) == slot) return true;
  return false;
}

function leads(host: u32, slot: u32): bool {
  const list = Row.listOf(host, 0);
  const count = min<u32>(Row.countOf(list), Row.degreeMax(0));
  for (let i: u32 = 0; i < count; i++) if (Row.linkAt(list, i) == slot) return true;
  return false;
}
