/** docs/OPERATIONS.md is held to the code: every metric, alert and dependency stands in it. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { closeDoors, openDoor } from "./httpDoor.ts";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const page = read("docs/OPERATIONS.md");
const settings = read("docs/REFERENCE.md");

describe("operations page", () => {
  afterEach(closeDoors);

  it("names every metric that the server has, and only those", async () => {
    const { text } = await (await openDoor()).connect().get("/metrics");
    const served = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
    for (const name of served) expect(page).to.contain(`\`${name}\``);
    for (const [, name] of page.matchAll(/`((?:omendb|process|nodejs)_[a-z_]+)`/g)) {
      expect(served).to.include(name);
    }
  });

  it("says of every alert what to do", () => {
    const alerts = [...read("docs/operations/alerts.yml").matchAll(/- alert: (\w+)/g)];
    expect(alerts).to.have.length.above(5);
    for (const [, name] of alerts) expect(page).to.contain(`**${name}** - `);
  });

  it("names every dependency, and only settings that exist", () => {
    for (const name of Object.keys(JSON.parse(read("package.json")).dependencies)) {
      expect(page).to.contain(`\`${name}\``);
    }
    for (const [name] of page.matchAll(/OMENDB_[A-Z_]+[A-Z]/g)) {
      if (name !== "OMENDB_URL") expect(settings, name).to.contain(`\`${name}\``);
    }
  });
});
