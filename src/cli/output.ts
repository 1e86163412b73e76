/**
 * What commands print: answers go to stdout, one JSON document with --json and plain lines for
 * people without; everything about the way there goes to stderr.
 */

/** `text` is only made for people. */
export function printAnswer(isJson: boolean, answer: unknown, text: () => string): void {
  process.stdout.write(`${isJson ? JSON.stringify(answer) : text()}\n`);
}

export function printNote(note: string): void {
  process.stderr.write(`${note}\n`);
}

/** Columns as wide as their widest cell; numbers stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cells = [head, ...rows.map((row) => row.map((cell) => shown(cell)))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const isNumber = head.map((_, column) => rows.every((row) => typeof row[column] === "number"));
  const lines = cells.map((row) =>
    row.map((cell, column) => {
      const width = widths[column]!;
      return isNumber[column] && rows.length > 0 ? cell.padStart(width) : cell.padEnd(width);
    }),
  );
  return lines.map((line) => line.join("  ").trimEnd()).join("\n");
}

function shown(cell: unknown): string {
  if (cell === undefined || cell === null) return "-";
  return typeof cell === "number" ? cell.toLocaleString("en-US") : String(cell);
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

export function bytesShown(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`;
}
