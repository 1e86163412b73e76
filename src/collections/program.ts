/**
 * From a filter's tree to a program over a shard's columns. What a program cannot tell, because a
 * path has no column there, it leaves to the rows' JSON.
 */
import * as C from "../../assembly/columns.ts";
import type { Columns, Program } from "../engine/columns.ts";
import type { Condition, FilterNode, Scalar } from "./filter.ts";

const LANE_MASK = BigInt(C.LANE_MASK_HIGH) << 32n;
const WORD = 0xffff_ffff_ffff_ffffn;
/** The same as in assembly/columns/meets.ts. */
const SET_MULTIPLIER = 0x9e3779b97f4a7c15n;
const ORDERS = {
  gt: C.ORDER_GREATER,
  gte: C.ORDER_GREATER_EQUAL,
  lt: C.ORDER_LESS,
  lte: C.ORDER_LESS_EQUAL,
} as const;

export interface Compiled extends Program {
  /** Of its instructions. */
  readonly count: number;
  /** Paths that it leaves to the rows' JSON. */
  readonly unread: ReadonlySet<string>;
  /** Its columns by number, for each its path. */
  readonly read: ReadonlyMap<number, string>;
  /** Of the columns when it was made: `isCurrent` looks whether it still holds. */
  readonly columnCount: number;
  /** Undefined when all its strings were found. */
  readonly textCount?: number;
}

export function isCurrent(compiled: Compiled, columns: Columns): boolean {
  if (compiled.columnCount !== columns.columnCount) return false;
  return compiled.textCount === undefined || compiled.textCount === columns.textCount;
}

/** Undefined when the program would be too long for its place: then JSON decides every row. */
export function compileProgram(root: FilterNode, columns: Columns): Compiled | undefined {
  const writer = new ProgramWriter(columns);
  writer.node(root);
  return writer.end();
}

interface Instruction {
  readonly op: number;
  readonly column?: number;
  readonly target?: bigint | number;
  readonly address?: number;
  length?: number;
  readonly order?: number;
}

class ProgramWriter {
  readonly #columns: Columns;
  readonly #instructions: Instruction[] = [];
  readonly #pieces: Uint8Array[] = [];
  #dataBytes = 0;
  readonly #unread = new Set<string>();
  readonly #read = new Map<number, string>();
  readonly #columnCount: number;
  readonly #textCount: number;
  #isTextMissing = false;

  constructor(columns: Columns) {
    this.#columns = columns;
    this.#columnCount = columns.columnCount;
    this.#textCount = columns.textCount;
  }

  node(node: FilterNode): void {
    if (node.kind === "and") this.#combine(node.nodes, C.OP_AND, C.OP_SKIP_IF_NONE);
    else if (node.kind === "or") this.#combine(node.nodes, C.OP_OR, C.OP_SKIP_IF_ALL);
    else if (node.kind === "not") {
      this.node(node.node);
      this.#instructions.push({ op: C.OP_NOT });
    } else this.#condition(node);
  }

  /** What is left is not looked at for a group of rows whose outcome is known. */
  #combine(nodes: readonly FilterNode[], op: number, skip: number): void {
    if (nodes.length === 0) this.#instructions.push({ op: C.OP_ALL });
    const skips: Instruction[] = [];
    for (const [index, node] of nodes.entries()) {
      if (index > 0) {
        const instruction = { op: skip, length: 0 };
        skips.push(instruction);
        this.#instructions.push(instruction);
      }
      this.node(node);
      if (index > 0) this.#instructions.push({ op });
    }
    for (const instruction of skips) instruction.length = this.#instructions.length;
  }

  #condition(condition: Condition): void {
    const path = condition.path.join(".");
    const column = this.#columns.columnOf(path);
    if (column === undefined || column.isNone || !isWellFormed(condition)) {
      this.#unread.add(path);
      const isUnknown = column === undefined && !this.#isBelowNone(condition.path);
      const length = isUnknown ? C.ROW_FLAG_OVERFLOW : C.ROW_FLAG_METADATA;
      this.#instructions.push({ op: C.OP_UNKNOWN, column: 0, length });
      return;
    }
    this.#read.set(column.number, path);
    this.#instructions.push({ column: column.number, ...this.#test(condition) });
  }

  #isBelowNone(path: readonly string[]): boolean {
    return path.some(
      (_, index) => index > 0 && this.#columns.columnOf(path.slice(0, index).join("."))?.isNone,
    );
  }

  #test(condition: Condition): Instruction {
    switch (condition.kind) {
      case "exists":
        return { op: C.OP_EXISTS };
      case "eq":
        return { op: C.OP_EQUALS, target: this.#laneOf(condition.value) };
      case "in":
        return { op: C.OP_IN, ...this.#set(condition.values) };
      case "contains": {
        const target = this.#laneOf(condition.value);
        const { value } = condition;
        return { op: C.OP_CONTAINS, target, ...(typeof value === "string" && this.#text(value)) };
      }
      default: {
        const { kind, value } = condition;
        if (typeof value === "string") {
          return { op: C.OP_TEXT, order: ORDERS[kind], ...this.#text(value) };
        }
        return { op: C.OP_NUMBER, order: ORDERS[kind], target: value };
      }
    }
  }

  /** A scalar as rows keep it; a string that no row has gets a lane that no row has. */
  #laneOf(value: Scalar): bigint {
    if (typeof value === "number") return numberLane(value);
    if (typeof value === "boolean") return tagged(C.TAG_BOOLEAN, Number(value));
    if (value === null) return tagged(C.TAG_NULL, 0);
    const code = this.#columns.codeOf(value);
    if (code !== undefined) return tagged(C.TAG_TEXT, code);
    this.#isTextMissing = true;
    return tagged(C.TAG_NOWHERE, 0);
  }

  #text(value: string): { address: number; length: number } {
    const bytes = new TextEncoder().encode(value);
    return { address: this.#keep(bytes), length: bytes.length };
  }

  /** Open addressing in twice the places, so that most look-ups end at once. */
  #set(values: ReadonlySet<Scalar>): { address: number; length: number } {
    let places = 2;
    while (places < values.size * 2) places *= 2;
    const mask = places - 1;
    const set = new BigUint64Array(places);
    for (const value of values) {
      const lane = this.#laneOf(value);
      let place = Number(((lane * SET_MULTIPLIER) & WORD) >> 32n) & mask;
      while (set[place] !== 0n && set[place] !== lane) place = (place + 1) & mask;
      set[place] = lane;
    }
    return { address: this.#keep(new Uint8Array(set.buffer)), length: mask };
  }

  #keep(bytes: Uint8Array): number {
    const address = this.#columns.dataAddress + this.#dataBytes;
    this.#pieces.push(bytes);
    this.#dataBytes += Math.ceil(bytes.length / 8) * 8 + 8;
    return address;
  }

  end(): Compiled | undefined {
    this.#instructions.push({ op: C.OP_END });
    const count = this.#instructions.length;
    if (count > C.PROGRAM_INSTRUCTIONS_MAX || this.#dataBytes > C.PROGRAM_DATA_BYTES) {
      return undefined;
    }
    const instructions = new DataView(new ArrayBuffer(count * C.INSTRUCTION_BYTES));
    for (const [index, instruction] of this.#instructions.entries()) {
      writeInstruction(instructions, index * C.INSTRUCTION_BYTES, instruction);
    }
    const data = new Uint8Array(this.#dataBytes);
    let at = 0;
    for (const piece of this.#pieces) {
      data.set(piece, at);
      at += Math.ceil(piece.length / 8) * 8 + 8;
    }
    return {
      instructions: new Uint8Array(instructions.buffer),
      data,
      count,
      unread: this.#unread,
      read: this.#read,
      columnCount: this.#columnCount,
      textCount: this.#isTextMissing ? this.#textCount : undefined,
    };
  }
}

function writeInstruction(view: DataView, at: number, instruction: Instruction): void {
  const { op, column = 0, target = 0n, address = 0, length = 0, order = 0 } = instruction;
  view.setUint32(at + C.INSTRUCTION_OP, op, true);
  view.setUint32(at + C.INSTRUCTION_COLUMN, column, true);
  if (typeof target === "number") view.setFloat64(at + C.INSTRUCTION_TARGET, target, true);
  else view.setBigUint64(at + C.INSTRUCTION_TARGET, target, true);
  view.setUint32(at + C.INSTRUCTION_ADDRESS, address, true);
  view.setUint32(at + C.INSTRUCTION_LENGTH, length, true);
  view.setUint32(at + C.INSTRUCTION_ORDER, order, true);
}

const tagged = (tag: number, payload: number) => (BigInt(tag) << 32n) | BigInt(payload);

const cell = new DataView(new ArrayBuffer(8));
function numberLane(value: number): bigint {
  cell.setFloat64(0, value === 0 ? 0 : value);
  return cell.getBigUint64(0) ^ LANE_MASK;
}

/** Half a surrogate has no UTF-8: only the strings themselves can be compared with it. */
function isWellFormed(condition: Condition): boolean {
  if (condition.kind === "exists") return true;
  const values = condition.kind === "in" ? condition.values : [condition.value];
  for (const value of values) if (typeof value === "string" && !value.isWellFormed()) return false;
  return true;
}
