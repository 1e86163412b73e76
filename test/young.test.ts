/** A server of one thread bounds the part of its heap where objects are born. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { YOUNG_MB_MAX } from "../src/threads/young.ts";

const MB = 1024 * 1024;

/** Bytes of a process's young heap after rounds in which much survives for a while. */
function youngAfterLoad(bind: string): number {
  const module = new URL("../src/threads/young.ts", import.meta.url).href;
  const program = `
    import { getHeapSpaceStatistics } from "node:v8";
    import { setTimeout as pause } from "node:timers/promises";
    import { boundYoung } from ${JSON.stringify(module)};
    ${bind}
    const kept = [];
    for (let round = 0; round < 400; round++) {
      for (let object = 0; object < 5000; object++) kept.push({ object, list: [round] });
      if (kept.length > 50000) kept.splice(0, 25000);
      await pause(5);
    }
    console.log(getHeapSpaceStatistics().find((each) => each.space_name === "new_space").space_size);
    process.exit();`;
  const options = { cwd: fileURLToPath(new URL("..", import.meta.url)), encoding: "utf8" } as const;
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", program], options));
}

describe("the young heap of a thread", function () {
  this.timeout(60_000);

  it("grows to several times the bound by itself", () => {
    expect(youngAfterLoad("")).to.be.above(2 * YOUNG_MB_MAX * MB);
  });

  it("stays near the bound once it is bound", () => {
    expect(youngAfterLoad("boundYoung();")).to.be.at.most(2 * YOUNG_MB_MAX * MB);
  });
});
