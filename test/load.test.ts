/**
 * The load scripts as they run without k6: a scenario against a real server, thresholds that are
 * really judged, and the schedule of an open loop. How fast the server was is not judged here.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { dueBy, milliseconds } from "../perf/driver/executors.ts";
import { percentile, Recorder } from "../perf/driver/record.ts";
import { runScenario } from "../perf/load.ts";

const DRIVER = fileURLToPath(new URL("../perf/driver/drive.ts", import.meta.url));

describe("load scripts", () => {
  it("the smoke scenario gets right answers from a real server", async () => {
    const { metrics } = await runScenario("smoke");
    const kept = (name: string) => Object.values(metrics[name]!.thresholds!).map(({ ok }) => ok);
    expect(kept("recall")).to.deep.equal([true]);
    expect(kept("http_req_failed")).to.deep.equal([true]);
    expect(metrics.recall!.values.count).to.be.above(100);
  });

  it("the keys scenario finds wrong keys refused and right ones let in", async () => {
    const { metrics } = await runScenario("keys");
    expect(metrics.checks!.values).to.include({ rate: 1, fails: 0 });
  });
});

describe("the driver without k6", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "omendb-driver-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Runs a script of ten iterations with these thresholds; answers the exit code and the output. */
  function drive(thresholds: object) {
    const script = join(folder, `script-${Object.keys(thresholds)[0]!.replaceAll(/\W/g, "-")}.ts`);
    writeFileSync(
      script,
      `import { check } from "k6";
       import exec from "k6/execution";
       import { Counter, Trend } from "k6/metrics";
       const seen = new Trend("seen");
       const turns = new Counter("turns");
       export const options = {
         scenarios: { ten: { executor: "shared-iterations", vus: 3, iterations: 10 } },
         thresholds: ${JSON.stringify(thresholds)},
       };
       export default async function () {
         const turn = exec.scenario.iterationInTest;
         turns.add(1);
         seen.add(turn, { half: turn < 5 ? "first" : "second" });
         check(turn, { "is below nine": (value) => value < 9 });
       }`,
    );
    const { status, stdout, stderr } = spawnSync(process.execPath, [DRIVER, script]);
    return { status, output: `${stdout}${stderr}` };
  }

  it("ends with 0 when every threshold is kept, parts by tag among them", () => {
    const thresholds = {
      turns: ["count==10"],
      seen: ["max==9", "p(50)>4", "avg<=4.5"],
      "seen{half:first}": ["max==4", "count==5"],
      checks: ["rate==0.9"],
    };
    expect(drive(thresholds)).to.deep.equal({ status: 0, output: "" });
  });

  for (const [metric, threshold] of [
    ["turns", "count<10"],
    ["seen", "p(99)<5"],
    ["seen{half:second}", "min<5"],
    ["checks", "rate==1"],
  ] as const) {
    it(`ends with 99 and says so when ${metric} misses ${threshold}`, () => {
      const { status, output } = drive({ [metric]: [threshold] });
      expect(status).to.equal(99);
      expect(output).to.contain(`NOT KEPT: ${metric} ${threshold}`);
    });
  }

  it("refuses a threshold that it does not understand, and a metric that is not there", () => {
    expect(drive({ turns: ["count is ten"] }).output).to.contain("is no threshold");
    expect(drive({ turnz: ["count==10"] }).output).to.contain("no metric is called turnz");
  });

  it("finds a percentile between two samples", () => {
    expect(percentile([1, 2, 3, 4], 50)).to.equal(2.5);
    expect(percentile([7], 99)).to.equal(7);
    const recorder = new Recorder();
    recorder.define("empty", "trend");
    expect(recorder.judge({ empty: ["max<1"] })[0]!.ok).to.equal(true);
  });

  it("lets as many iterations begin as the rates add up to", () => {
    const stages = [
      { target: 100, duration: "2s" },
      { target: 300, duration: "0s" },
      { target: 300, duration: "1s" },
      { target: 100, duration: "500ms" },
    ];
    expect(dueBy(100, stages, 1000)).to.equal(100);
    expect(dueBy(100, stages, 2000)).to.equal(200);
    expect(dueBy(100, stages, 3000)).to.equal(500);
    expect(dueBy(100, stages, 3500)).to.equal(600);
    expect(dueBy(100, stages, 9000)).to.equal(600);
    expect(milliseconds("1m30s")).to.equal(90_000);
  });
});
