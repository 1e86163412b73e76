/** What the graph's checker may find, in words. */
import * as L from "../../assembly/layout.ts";

export interface GraphFault {
  readonly fault: string;
  readonly slot: number;
  readonly value: number;
}

const FAULTS: Record<number, string> = {
  [L.FAULT_DEGREE]: "a list is longer than its level allows",
  [L.FAULT_LINK_BOUNDS]: "a link points past the rows",
  [L.FAULT_SELF_LINK]: "a row links to itself",
  [L.FAULT_DUPLICATE_LINK]: "a list names a row twice",
  [L.FAULT_LINK_UNLINKED]: "a link points at a row that is not in the graph",
  [L.FAULT_LEVEL]: "a row has an impossible level",
  [L.FAULT_UPPER_BOUNDS]: "a row's upper lists lie outside their region",
  [L.FAULT_ENTRY]: "the entry point is not a linked row of its level",
  [L.FAULT_UNREACHABLE]: "live rows cannot be reached from the entry point",
  [L.FAULT_STAMP]: "a row is still marked as being written",
  [L.FAULT_TAIL]: "a counter is past its bound",
  [L.FAULT_LINK_LEVEL]: "a link points at a row that is not on that level",
  [L.FAULT_LOCK]: "a row is locked",
  [L.FAULT_SEQUENCE]: "a row was written or removed by a write that is not there",
  [L.FAULT_DEAD]: "a row's death and its bit among the dead disagree",
  [L.FAULT_FREE]: "the list of free slots is broken",
  [L.FAULT_UPPER_TWICE]: "upper lists belong to two rows, or to one and the free ones",
  [L.FAULT_FLAGS]: "a row outside of the graph has links, or its flags are none",
  [L.FAULT_COMPONENT]: "a component of a vector or of its code cannot be",
  [L.FAULT_BAY]: "a row's float32 lies where it cannot",
};

export function nameFault(fault: number): string {
  return FAULTS[fault] ?? `fault ${fault}`;
}
