/**
 * Figures in the documents are those of docs/benchmarks.json: the report is made of it alone, the
 * README prints what its parts printed, and the plots can be read on a phone.
 */
import { existsSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { PLOTS } from "../perf/plots.ts";
import { document, type Parts } from "../perf/report.ts";

const FONT_PIXELS_MIN = 13;
const WIDTH_PIXELS_MAX = 640;
const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const parts = JSON.parse(read("docs/benchmarks.json")) as Parts;
const printed = Object.values(parts).flatMap(({ text }) => text.split("\n").map(plain));

/** Without what differs in a table or a line that was printed at another width. */
function plain(line: string): string {
  return line.replaceAll(/\s+/g, " ").trim();
}

describe("benchmarks", () => {
  it("the report is what docs/benchmarks.json says", () => {
    expect(read("docs/BENCHMARKS.md"), "npm run report -- --saved").to.equal(document(parts));
  });

  it("every part says what was run, when, where and on which version", () => {
    for (const [name, part] of Object.entries(parts)) {
      expect(part.command, name).to.match(/^npm run /);
      expect(part.date, name).to.match(/^\d{4}-\d\d-\d\d$/);
      expect(part.machine, name).to.contain("Node ");
      expect(part.omendb, name).to.match(/^\d+\.\d+\.\d+/);
    }
  });

  it("the README shows figures that a part of the report has printed", () => {
    const [, section] = /\n## What it gives\n([\s\S]*?)\n## /.exec(read("README.md"))!;
    const blocks = [...section!.matchAll(/```text\n([\s\S]*?)```/g)].map(([, block]) => block!);
    const shown = [...blocks, section!.match(/^\|.*\d.*$/gm)?.join("\n") ?? ""].join("\n");
    const lines = shown.split("\n").map(plain).filter(Boolean);
    expect(lines).to.have.length.above(8);
    expect(lines.filter((line) => !printed.includes(line))).to.deep.equal([]);
  });

  it("every plot of a part that was run is there, narrow, and in type that can be read", () => {
    for (const { name, part } of PLOTS.filter(({ part: of }) => parts[of]?.data !== undefined)) {
      const file = `docs/plots/${name}.svg`;
      expect(existsSync(new URL(`../${file}`, import.meta.url)), file).to.equal(true);
      const svg = read(file);
      const [, width] = /viewBox="0 0 ([\d.]+) [\d.]+"/.exec(svg)!;
      expect(Number(width), file).to.be.at.most(WIDTH_PIXELS_MAX);
      const sizes = [...svg.matchAll(/font-size="([\d.]+)px"/g)].map(([, size]) => Number(size));
      expect(sizes, file).to.have.length.above(5);
      expect(Math.min(...sizes), file).to.be.at.least(FONT_PIXELS_MIN);
      expect(svg, `${file} says of which part it is`).to.contain(parts[part]!.date);
    }
  });
});
