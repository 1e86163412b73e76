/**
 * Filters: Mongo-style conditions on a row's metadata, compiled once per request into a small tree.
 *
 * - A path such as `a.b` steps into objects, and into each element of an array on the way. What it
 *   ends at are the field's values: a scalar is one, an array's elements are many.
 * - A condition holds when any of the values meets it. A value of another type never does: numbers
 *   compare with numbers, strings with strings in order of their UTF-16 units.
 * - `$ne`, `$nin` and `$not` are the opposite of a whole condition: a row without the field meets
 *   them. null is a value, not a missing field; `$exists` alone tells the two apart.
 * - Names are data: `__proto__` in a filter or in metadata is a member like any other.
 *
 * The tree is public, because a filter is also compiled into column scans and into explanations.
 */
import { OmenError } from "../errors.ts";

/** Limits, so that a filter of a few KiB cannot cost a scan of minutes or a stack. */
export const FILTER_DEPTH_MAX = 16;
export const FILTER_NODES_MAX = 256;
export const FILTER_LIST_MAX = 4096;
export const FILTER_TEXT_MAX = 4096;
export const FILTER_STEPS_MAX = 32;

export type Scalar = string | number | boolean | null;

export type FilterNode =
  | { readonly kind: "and"; readonly nodes: readonly FilterNode[] }
  | { readonly kind: "or"; readonly nodes: readonly FilterNode[] }
  | { readonly kind: "not"; readonly node: FilterNode }
  | Condition;

/** One test of one field. `$ne`, `$nin` and `$exists: false` are a `not` around one of these. */
export type Condition =
  | { readonly kind: "eq"; readonly path: Path; readonly value: Scalar }
  | { readonly kind: Order; readonly path: Path; readonly value: string | number }
  | { readonly kind: "in"; readonly path: Path; readonly values: ReadonlySet<Scalar> }
  | { readonly kind: "exists"; readonly path: Path }
  | { readonly kind: "contains"; readonly path: Path; readonly value: Scalar };

export type Path = readonly string[];
type Order = "gt" | "gte" | "lt" | "lte";

export interface Filter {
  readonly root: FilterNode;
  /** The same for the same conditions: what a thread remembers of a filter goes by it. */
  readonly text: string;
  /** `metadata` is parsed JSON; undefined stands for a row that has none. */
  matches(metadata: unknown): boolean;
}

/** Throws OmenError INVALID_FILTER; `pointer` is where in the request the filter stands. */
export function compileFilter(json: unknown, pointer: string): Filter {
  const root = new Compiler().conditions(json, pointer, 1);
  const text = JSON.stringify(json);
  return { root, text, matches: (metadata) => holds(root, metadata) };
}

const OPERATORS = [
  ...["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"],
  ...["$exists", "$contains", "$not"],
];
const COMBINERS = ["$and", "$or", "$not"];

class Compiler {
  nodes = 0;

  /** An object of conditions, all of which must hold; an empty one always does. */
  conditions(json: unknown, pointer: string, depth: number): FilterNode {
    const members = membersOf(json, pointer, depth);
    return all(
      members.map(([name, value]) => this.member(name, value, step(pointer, name), depth)),
    );
  }

  private member(name: string, value: unknown, pointer: string, depth: number): FilterNode {
    this.countNode(pointer);
    if (name === "$not") return { kind: "not", node: this.conditions(value, pointer, depth + 1) };
    if (name === "$and" || name === "$or") {
      const nodes = listOf(value, pointer, FILTER_NODES_MAX).map((each, index) =>
        this.conditions(each, `${pointer}/${index}`, depth + 1),
      );
      if (nodes.length === 0) refuse(pointer, `${name} needs at least one filter`);
      return { kind: name === "$and" ? "and" : "or", nodes };
    }
    if (name.startsWith("$")) {
      const isMisplaced = OPERATORS.includes(name);
      const reason = isMisplaced ? "stands under a field" : "is not an operator";
      refuse(pointer, `${shorten(name)} ${reason}; here stand fields and ${COMBINERS.join(", ")}`);
    }
    return this.field(pathOf(name, pointer), value, pointer, depth);
  }

  private field(path: Path, value: unknown, pointer: string, depth: number): FilterNode {
    if (typeof value !== "object" || value === null) {
      return { kind: "eq", path, value: scalarOf(value, pointer) };
    }
    if (Array.isArray(value)) refuse(pointer, "an array is not a value; use $in or $contains");
    const members = membersOf(value, pointer, depth + 1);
    if (members.length === 0) refuse(pointer, "expected a value or operators, got {}");
    return all(
      members.map(([operator, operand]) =>
        this.operator(path, operator, operand, step(pointer, operator), depth + 1),
      ),
    );
  }

  private operator(
    path: Path,
    operator: string,
    operand: unknown,
    pointer: string,
    depth: number,
  ): FilterNode {
    this.countNode(pointer);
    switch (operator) {
      case "$eq":
        return { kind: "eq", path, value: scalarOf(operand, pointer) };
      case "$ne":
        return not({ kind: "eq", path, value: scalarOf(operand, pointer) });
      case "$gt":
      case "$gte":
      case "$lt":
      case "$lte":
        return { kind: operator.slice(1) as Order, path, value: orderedOf(operand, pointer) };
      case "$in":
        return { kind: "in", path, values: setOf(operand, pointer) };
      case "$nin":
        return not({ kind: "in", path, values: setOf(operand, pointer) });
      case "$exists":
        if (typeof operand !== "boolean") refuse(pointer, `expected true or false`);
        return operand ? { kind: "exists", path } : not({ kind: "exists", path });
      case "$contains":
        return { kind: "contains", path, value: scalarOf(operand, pointer) };
      case "$not":
        if (typeof operand !== "object" || operand === null) {
          refuse(pointer, "expected an object of operators");
        }
        return not(this.field(path, operand, pointer, depth));
      default:
        return refuse(
          pointer,
          operator.startsWith("$")
            ? `${shorten(operator)} is not an operator; known are ${OPERATORS.join(", ")}`
            : `expected operators; a nested field is reached by a path such as "a.b"`,
        );
    }
  }

  private countNode(pointer: string): void {
    if (++this.nodes > FILTER_NODES_MAX) {
      refuse(pointer, `a filter may have ${FILTER_NODES_MAX} conditions`);
    }
  }
}

const not = (node: FilterNode): FilterNode => ({ kind: "not", node });
const all = (nodes: readonly FilterNode[]): FilterNode =>
  nodes.length === 1 ? nodes[0]! : { kind: "and", nodes };
const step = (pointer: string, name: string) =>
  `${pointer}/${shorten(name).replaceAll("~", "~0").replaceAll("/", "~1")}`;
const shorten = (name: string) => (name.length > 80 ? `${name.slice(0, 80)}...` : name);

function refuse(pointer: string, message: string): never {
  throw new OmenError("INVALID_FILTER", message, { errors: [{ pointer, message }] });
}

function membersOf(json: unknown, pointer: string, depth: number): [string, unknown][] {
  if (depth > FILTER_DEPTH_MAX) refuse(pointer, `a filter may be ${FILTER_DEPTH_MAX} levels deep`);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    refuse(pointer, "expected an object");
  }
  return Object.entries(json);
}

function listOf(json: unknown, pointer: string, lengthMax: number): unknown[] {
  if (!Array.isArray(json)) return refuse(pointer, "expected an array");
  if (json.length > lengthMax) refuse(pointer, `the array may have ${lengthMax} elements`);
  return json;
}

function scalarOf(json: unknown, pointer: string): Scalar {
  if (typeof json === "string") {
    if (json.length > FILTER_TEXT_MAX) {
      refuse(pointer, `a string may have ${FILTER_TEXT_MAX} characters`);
    }
    return json;
  }
  if (typeof json === "boolean" || json === null) return json;
  if (typeof json === "number" && Number.isFinite(json)) return json;
  return refuse(pointer, "expected a string, a number, a boolean or null");
}

function orderedOf(json: unknown, pointer: string): string | number {
  const value = scalarOf(json, pointer);
  if (typeof value === "string" || typeof value === "number") return value;
  return refuse(pointer, "only numbers and strings have an order");
}

function setOf(json: unknown, pointer: string): ReadonlySet<Scalar> {
  const list = listOf(json, pointer, FILTER_LIST_MAX);
  return new Set(list.map((each, index) => scalarOf(each, `${pointer}/${index}`)));
}

function pathOf(name: string, pointer: string): Path {
  if (name.length > FILTER_TEXT_MAX)
    refuse(pointer, `a path may have ${FILTER_TEXT_MAX} characters`);
  const path = name.split(".");
  if (path.length > FILTER_STEPS_MAX) refuse(pointer, `a path may have ${FILTER_STEPS_MAX} steps`);
  return path;
}

function holds(node: FilterNode, metadata: unknown): boolean {
  switch (node.kind) {
    case "and":
      return node.nodes.every((each) => holds(each, metadata));
    case "or":
      return node.nodes.some((each) => holds(each, metadata));
    case "not":
      return !holds(node.node, metadata);
    default:
      return reaches(node, metadata, 0);
  }
}

/** Whether the condition holds for any value that its path, from `at` on, finds in `place`. */
function reaches(condition: Condition, place: unknown, at: number): boolean {
  const { path } = condition;
  if (at === path.length) return meetsAny(condition, place);
  if (typeof place !== "object" || place === null) return false;
  if (!Array.isArray(place)) {
    const name = path[at]!;
    return (
      Object.hasOwn(place, name) &&
      reaches(condition, (place as Record<string, unknown>)[name], at + 1)
    );
  }
  // An array on the way, but not an array in an array: there the way ends.
  return at > 0 && place.some((each) => !Array.isArray(each) && reaches(condition, each, at));
}

function meetsAny(condition: Condition, found: unknown): boolean {
  if (condition.kind === "exists") return true;
  if (!Array.isArray(found)) return meets(condition, found, condition.kind === "contains");
  return found.some((element) => meets(condition, element, false));
}

/** `isWhole` says that the value is the field itself, in which a string may contain another. */
function meets(condition: Condition, found: unknown, isWhole: boolean): boolean {
  switch (condition.kind) {
    case "eq":
      return found === condition.value;
    case "in":
      return condition.values.has(found as Scalar);
    case "contains": {
      if (!isWhole) return found === condition.value;
      const { value } = condition;
      return typeof found === "string" && typeof value === "string" && found.includes(value);
    }
    case "exists":
      return true;
    default:
      return isOrdered(condition.kind, found, condition.value);
  }
}

function isOrdered(order: Order, found: unknown, value: string | number): boolean {
  if (typeof found !== typeof value) return false;
  const other = found as string | number;
  switch (order) {
    case "gt":
      return other > value;
    case "gte":
      return other >= value;
    case "lt":
      return other < value;
    case "lte":
      return other <= value;
  }
}
