/** Random metadata and random filters over it, in a small world so that they often meet. */
import fc from "fast-check";

export type Json = Record<string, unknown>;

const name = fc.constantFrom("a", "b", "c", "__proto__", "constructor", "toString", "");
/** Among them strings whose order by bytes is not that by UTF-16 units, and one for no column. */
const word = fc.constantFrom(
  ...["", "a", "ab", "b", "2024-01-01", "2025-06-30", "10", "9", "é", "😀", "\uffee", "\ue000b"],
  ...['"\\/\b\f\n\r\t', "long".repeat(80)],
);
const number = fc.constantFrom(
  ...[0, -0, 1, -1, 2, 10, 9, 1.5, 0.1, -2.5e-7, 1e300, 5e-324, 0.30000000000000004, 1e22],
  ...[9007199254740994, -123456789012345680000, 1.7976931348623157e308, 4.35],
);
const scalar = fc.oneof(word, number, fc.boolean(), fc.constant(null));
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((steps) => steps.join("."));
/** Through JSON, so that `__proto__` is a member of its own, as it is in what a client sends. */
export const object = (entries: [string, unknown][]) =>
  JSON.parse(
    `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)}}`,
  ) as Json;
export const { document } = fc.letrec((tie) => ({
  document: fc
    .array(fc.tuple(name, tie("value")), { maxLength: 4 })
    .map((entries) => object(entries as [string, unknown][])),
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalar,
    fc.array(fc.oneof(scalar, tie("document")), { maxLength: 3 }),
    fc.array(fc.array(scalar, { maxLength: 2 }), { maxLength: 2 }),
    tie("document"),
  ),
}));
export const { condition } = fc.letrec((tie) => ({
  operators: fc
    .tuple(
      fc.oneof(
        { maxDepth: 3 },
        fc.tuple(fc.constantFrom("$eq", "$ne", "$contains"), scalar),
        fc.tuple(fc.constantFrom("$gt", "$gte", "$lt", "$lte"), fc.oneof(word, number)),
        fc.tuple(fc.constantFrom("$in", "$nin"), fc.array(scalar, { maxLength: 3 })),
        fc.tuple(fc.constant("$exists"), fc.boolean()),
        fc.tuple(fc.constant("$not"), tie("operators")),
      ),
    )
    .map((pairs) => object(pairs as [string, unknown][])),
  condition: fc.oneof(
    { maxDepth: 3 },
    fc.tuple(path, fc.oneof(scalar, tie("operators"))).map((pair) => object([pair])),
    fc
      .tuple(
        fc.constantFrom("$and", "$or"),
        fc.array(tie("condition"), { minLength: 1, maxLength: 3 }),
      )
      .map((pair) => object([pair])),
    fc.tuple(fc.constant("$not"), tie("condition")).map((pair) => object([pair])),
    fc
      .array(fc.tuple(path, fc.oneof(scalar, tie("operators"))), { maxLength: 2 })
      .map((pairs) => object(pairs)),
  ),
}));
