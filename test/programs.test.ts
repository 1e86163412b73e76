/**
 * The programs of perf/ as somebody meets them who does not know them: each says what it is for when
 * it is asked, and says what is wrong with a flag in a line, not in a trace.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";

const run = promisify(execFile);
const folder = fileURLToPath(new URL("../perf/", import.meta.url));
const SELF = "arguments.ts";
const texts = readdirSync(folder)
  .filter((name) => name.endsWith(".ts") && name !== SELF)
  .map((name) => ({ name, text: readFileSync(folder + name, "utf8") }));
const programs = texts.filter(({ text }) => text.includes("readArguments("));

async function outcomeOf(name: string, flag: string) {
  try {
    const { stdout } = await run(process.execPath, [folder + name, flag], { timeout: 30_000 });
    return { code: 0, said: stdout };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { code, said: stderr };
  }
}

describe("programs of perf/", () => {
  for (const { name, text } of programs) {
    it(`${name} tells what it does, and refuses a flag that it does not know`, async () => {
      const help = await outcomeOf(name, "--help");
      const firstWords = /^\/\*\*\s+\*? ?(.+?)(?: \*\/)?$/m.exec(text)![1]!;
      expect(help.code, help.said).to.equal(0);
      expect(help.said).to.contain(firstWords).and.contain("--help");
      const wrong = await outcomeOf(name, "--nonsense");
      expect(wrong.code, wrong.said).to.equal(2);
      expect(wrong.said).to.contain("--nonsense").and.contain(firstWords);
      expect(wrong.said).not.to.match(/^\s+at /m);
    });
  }

  it("all read their flags the same way", () => {
    expect(programs.map(({ name }) => name)).to.include.members(["servers.ts", "load.ts"]);
    const others = texts.filter(({ text }) => /\bparseArgs\b/.test(text)).map(({ name }) => name);
    expect(others).to.deep.equal([]);
  });
});
