/**
 * Which living rows a walk from the entry point can meet at all. A row may lose its last incoming
 * link when lists are pruned or mended; here such rows are found and tied in again.
 *
 * Three bits a slot (marks.ts): *due* (it lived in the graph when the round began), *met*, and
 * *spread* (its links were followed). A round goes over the slots in order, again and again while a
 * link led backwards to a row not met before; all in slices, by whoever has the repair lock, while
 * others link and search. A link that comes and goes meanwhile costs one needless repair at worst.
 */
import { slotsUsed } from "../header";
import * as L from "../layout";
import * as Row from "../row";
import { Worker } from "../worker";
import { relink } from "./relink";
import { dueAt, isMet, metAt, setMet, spreadAt } from "./marks";
import { slotIn } from "./pool";
import { entry } from "./search";
import { forgetLinks, noteLink } from "./thin";

// @ts-ignore: decorator
@inline
function words(): u32 {
  return (slotsUsed() + 63) >> 6;
}

/** Notes the living rows of `budget` slots; true when all are noted. */
export function noteDue(budget: u32): bool {
  const end = words();
  let word = load<u32>(L.HEADER_REPAIR_CURSOR);
  for (let left = budget >> 6; left > 0 && word < end; left--, word++) {
    let bits: u64 = 0;
    const last = min<u32>(64, slotsUsed() - (word << 6));
    for (let bit: u32 = 0; bit < last; bit++)
      if (Row.isSettled((word << 6) + bit)) bits |= (<u64>1) << bit;
    store<u64>(dueAt(word), bits);
    store<u64>(metAt(word), 0);
    store<u64>(spreadAt(word), 0);
    forgetLinks(word);
  }
  store<u32>(L.HEADER_REPAIR_CURSOR, word);
  if (word < end) return false;
  store<u32>(L.HEADER_REACH_END, end);
  store<u32>(L.HEADER_REPAIR_AGAIN, 0);
  const door = slotIn(entry());
  if (door < end << 6) {
    setMet(door);
    store<u32>(L.HEADER_REPAIR_CURSOR, door >> 6);
  }
  return true;
}

/** Follows the links of up to `budget` met rows; true when nobody new is met any more. */
export function spread(budget: u32): bool {
  const end = load<u32>(L.HEADER_REACH_END);
  let word = load<u32>(L.HEADER_REPAIR_CURSOR);
  let left = <i32>budget;
  for (; word < end && left > 0; word++) {
    while (true) {
      const todo = load<u64>(metAt(word)) & ~load<u64>(spreadAt(word));
      if (todo == 0) break;
      const bit = <u32>ctz<u64>(todo);
      store<u64>(spreadAt(word), load<u64>(spreadAt(word)) | ((<u64>1) << bit));
      spreadFrom((word << 6) + bit, word, end);
      left--;
    }
  }
  store<u32>(L.HEADER_REPAIR_CURSOR, word);
  if (word < end) return false;
  const again = load<u32>(L.HEADER_REPAIR_AGAIN);
  store<u32>(L.HEADER_REPAIR_AGAIN, 0);
  store<u32>(L.HEADER_REPAIR_CURSOR, 0);
  return again == 0;
}

function spreadFrom(slot: u32, word: u32, end: u32): void {
  const list = Row.listOf(slot, 0);
  const count = min<u32>(Row.countOf(list), Row.degreeMax(0));
  const lives = !Row.hasDied(slot);
  for (let i: u32 = 0; i < count; i++) {
    const other = Row.linkAt(list, i);
    if (other >> 6 >= end) continue;
    if (lives) noteLink(other);
    if (isMet(other)) continue;
    setMet(other);
    if (other >> 6 < word) store<u32>(L.HEADER_REPAIR_AGAIN, 1);
  }
}

/**
 * Ties in the next row that was due and not met; the caller spreads from there on. False when none
 * is left.
 */
export function tieNext(worker: Worker): bool {
  const end = load<u32>(L.HEADER_REACH_END);
  for (let word = load<u32>(L.HEADER_REPAIR_CURSOR); word < end; word++) {
    let missing = load<u64>(dueAt(word)) & ~load<u64>(metAt(word));
    while (missing != 0) {
      const slot = (word << 6) + <u32>ctz<u64>(missing);
      missing &= missing - 1;
      setMet(slot);
      if (!Row.isSettled(slot)) continue;
      relink(worker, slot);
      store<u32>(L.HEADER_REPAIR_CURSOR, word);
      return true;
    }
  }
  return false;
}
