/**
 * What the documents say was measured: a paragraph, or a table with the sentence above it, that names
 * the command of a part of the report tells no figure that this part, as it was last run, does not
 * have. `npm run report` runs it again.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Part, Parts } from "../perf/report.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const SAVED = join(ROOT, "docs", "benchmarks.json");
/** Written from the saved parts. */
const REPORT = "BENCHMARKS.md";
/** Where figures stand for what they were measured in: ms for s or us, KiB for MiB, shares for %. */
const SCALES = [1, 1000, 1 / 1000, 100, 1 / 100, 1024, 1 / 1024];
/** A number of its own, not a part of a name such as sift100k. */
const NUMBER = /(?<![\w.,/-])\d[\d,]*(?:\.\d+)?(?![\w-])/g;

const numbersIn = (text: string) =>
  [...text.matchAll(NUMBER)].map(([digits]) => digits.replace(/,$/, ""));
const amountOf = (digits: string) => Number(digits.replaceAll(",", ""));

function documents(): string[] {
  const folder = join(ROOT, "docs");
  const names = readdirSync(folder).filter((name) => name.endsWith(".md") && name !== REPORT);
  return [join(ROOT, "README.md"), ...names.map((name) => join(folder, name))];
}

/** Paragraphs, and tables or listings together with a sentence above them that ends in a colon. */
function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  for (const block of text.split(/\n\s*\n/)) {
    if (blocks.at(-1)?.trimEnd().endsWith(":")) blocks.push(`${blocks.pop()}\n${block}`);
    else blocks.push(block);
  }
  return blocks.flatMap((block) => (block.startsWith("- ") ? block.split(/\n(?=- )/) : [block]));
}

/** Commands stand in backticks, on one line or two. */
function partsNamedBy(block: string, parts: Parts): Part[] {
  const quoted = [...block.matchAll(/`([^`]+)`/g)].map(([, text]) => text!.replace(/\s+/g, " "));
  return Object.values(parts).filter(({ command }) => quoted.includes(command));
}

/** All that a part has measured, and how it was set up. */
function valuesOf({ text, data, command }: Part): number[] {
  const stated = JSON.stringify(data ?? null).match(/-?\d+(\.\d+)?(e[-+]?\d+)?/g) ?? [];
  const printed = text.match(/\d[\d,]*(\.\d+)?/g) ?? [];
  return [...numbersIn(command), ...printed, ...stated].map(amountOf);
}

function isAmong(digits: string, values: readonly number[]): boolean {
  const decimals = digits.split(".")[1]?.length ?? 0;
  const half = 0.5 * 10 ** -decimals + 1e-9;
  const figure = amountOf(digits);
  return values.some((value) => SCALES.some((scale) => Math.abs(value * scale - figure) <= half));
}

describe("figures", () => {
  const parts: Parts = JSON.parse(readFileSync(SAVED, "utf8"));

  it("of the README are those of the demo's last run, line by line", () => {
    const { text } = parts.demo!;
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const shown = readme.match(/```text\n(sift100k: [^`]+)\n```/)![1]!;
    expect(text.startsWith(shown), shown).to.equal(true);
  });

  it("beside a command of the report stand in what it measured", () => {
    const unknown: string[] = [];
    let checked = 0;
    for (const file of documents()) {
      for (const block of blocksOf(readFileSync(file, "utf8"))) {
        const named = partsNamedBy(block, parts);
        if (named.length === 0) continue;
        const values = named.flatMap(valuesOf);
        const figures = numbersIn(block.replaceAll(/`[^`]*`/g, " "));
        checked += figures.length;
        const strange = figures.filter((digits) => !isAmong(digits, values));
        if (strange.length === 0) continue;
        const commands = named.map(({ command }) => command).join(", ");
        unknown.push(`${file}, "${block.slice(0, 60)}": ${strange.join(", ")} (${commands})`);
      }
    }
    expect(unknown, `\n${unknown.join("\n")}`).to.have.lengthOf(0);
    expect(checked).to.be.above(100);
  });
});
