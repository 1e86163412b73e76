/**
 * Others are answered while one client posts batches of 30 MiB and another scans exactly. Nothing
 * here is timed: a busy machine would fail it. `node perf/liveness.ts` measures, at full size.
 */
import { expect } from "chai";
import { Batch, type Load, newLoad, post, scan } from "../perf/liveness.ts";
import { type Pulse, startPulse } from "./pulse.ts";
import { type Server, startServer } from "./server.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = 30 * MIB;
const POSTERS = 3;
const SCANNERS = 2;
const ROWS = 50_000;

describe("liveness", () => {
  let server: Server;
  let pulse: Pulse;

  before(async () => {
    server = await startServer({ THREADS: 2, TAIL_ROWS: 1_000_000, LOG_LEVEL: "fatal" });
    pulse = startPulse(server.port);
    await pulse.take();
  });
  after(async () => {
    await pulse.stop();
    expect(await server.stop()).to.equal(0);
  });

  async function load(begin: (load: Load) => { ends: Promise<unknown>; goesOn: Promise<void>[] }) {
    const done = newLoad();
    const { ends, goesOn } = begin(done);
    await ends;
    const beats = await pulse.take();
    done.isOver = true;
    await Promise.all(goesOn);
    return { done, beats };
  }

  it("answers /health all the while 30 MiB batches come and 768 dimensions are scanned", async () => {
    const connections = Array.from({ length: POSTERS + SCANNERS }, () => server.connect());
    const ids = { next: 0 };
    const { done, beats } = await load((under) => ({
      ends: Promise.all(
        connections
          .slice(SCANNERS)
          .map((poster) => post(poster, new Batch(BODY_BYTES), under, ids, ROWS)),
      ),
      goesOn: connections.slice(0, SCANNERS).map((scanner) => scan(scanner, under)),
    }));
    for (const connection of connections) connection.close();
    expect(done.rows).to.be.at.least(ROWS);
    expect(done.scans).to.be.above(0);
    expect(beats.count).to.be.above(0);
    expect(beats.failed).to.equal(0);
    console.log(`      ${beats.count} answers, the slowest after ${beats.worstMs.toFixed(1)} ms`);
  });
});
