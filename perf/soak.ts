/**
 * `npm run soak -- --hours N`: a durable server under mixed work for hours, and a verdict. Clients
 * read, write, replace, delete and search at a steady rate and judge every answer; meanwhile snapshots
 * are taken and removed, keys are given and revoked in the file the server watches, and in the first
 * half the server is restarted now and then. What the process holds is sampled all the while, and now
 * and then when its garbage has been collected: in the last half, in which nothing is restarted,
 * memory and handles must stay flat. At the end the same rows are put into a fresh collection, and
 * as many must find themselves in the old one. Ends with 1 when something was wrong (soakJudge.ts).
 *
 *   npm run soak -- [--hours 2] [--rate 200] [--rows 40000] [--json FILE] [--leak KIB]
 *
 * --leak has each thread of the server lose so many KiB a second: the verdict must say so.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { numberOf, readArguments } from "./arguments.ts";
import { seedFromEnvironment } from "./random.ts";
import { growth, judge, mib, percent, pooledRecalls, RECALL_TARGET } from "./soakJudge.ts";
import { DIMENSIONS, Soak } from "./soakRun.ts";

async function main(): Promise<void> {
  const { values } = readArguments(import.meta.url, {
    hours: { type: "string", default: "2" },
    rate: { type: "string", default: "200" },
    rows: { type: "string", default: "40000" },
    json: { type: "string" },
    leak: { type: "string" },
  });
  const seconds = numberOf("hours", values.hours) * 3600;
  const perSecond = numberOf("rate", values.rate, 1);
  const rows = numberOf("rows", values.rows, 1);
  const seed = seedFromEnvironment();
  const about = `${rows} rows of ${DIMENSIONS} dimensions, ${perSecond} operations/s, SEED=${seed}`;
  console.log(`soak of ${values.hours} h: ${about}`);
  console.log(`${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`);
  const collecting = new URL("./collecting.ts", import.meta.url);
  process.env.NODE_OPTIONS = `--expose-gc --import ${collecting}`;
  if (values.leak !== undefined) {
    process.env.PLANT_LEAK = String(numberOf("leak", values.leak, 1));
    console.log(`each thread loses ${values.leak} KiB a second`);
  }
  const soak = new Soak(perSecond, rows, seed);
  try {
    await soak.run(seconds);
  } finally {
    soak.remove();
  }
  const { tally, samples, collections, restarts, snapshots, keyReloads, selves } = soak;
  const faults = judge(soak);
  const last = samples.at(-2) ?? samples.at(-1)!;
  const resident = growth(collections, ({ residentBytes }) => residentBytes);
  const heap = growth(collections, (one) => one.heapBytes + one.externalBytes);
  console.log(`
searches ${tally.searches} (${tally.missed} missed their own row), reads ${tally.reads}, rows written ${tally.writes}, deletes ${tally.deletes}, refused for a while ${tally.refused}
snapshots ${snapshots}, key reloads ${keyReloads}, restarts ${restarts.length}: stopped in ${worst(restarts.map((r) => r.stopSeconds))} s, ready in ${worst(restarts.map((r) => r.readySeconds))} s at worst
asked for recall ${RECALL_TARGET}: ${Math.min(...pooledRecalls(samples)).toFixed(4)} at worst over twenty samples
rows that do not find themselves: ${selves.missed} of ${selves.rows} (${percent(selves.missed / selves.rows)} %), ${selves.missedFresh} in a fresh index
from the third quarter to the last, without garbage: resident ${mib(resident.before)} to ${mib(resident.after)} MiB, heaps ${mib(heap.before)} to ${mib(heap.after)} MiB
with garbage: resident ${mib(last.residentBytes)} MiB; handles ${last.handles}, log ${mib(last.walBytes)} MiB, lag ${worst(samples.map(({ lagMs }) => lagMs))} ms at worst
verdict: ${faults.length === 0 ? "sound" : "NOT SOUND"}`);
  for (const fault of faults) console.log(`  ${fault}`);
  if (values.json !== undefined) {
    const seen = { tally, samples, collections, restarts, snapshots, keyReloads, selves };
    const report = { about, seconds, ...seen, faults };
    writeFileSync(values.json, JSON.stringify(report));
  }
  process.exitCode = faults.length === 0 ? 0 : 1;
}

const worst = (values: readonly number[]) => Math.max(0, ...values).toFixed(1);

await main();
