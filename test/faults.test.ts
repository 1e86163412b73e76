/**
 * Nothing acknowledged is lost and nothing refused comes back: a log is written on a faulty disk (faultyFiles.ts), dies
 * at random operations, and is opened again, many times over. A model beside it knows what each write was told.
 */
import { expect } from "chai";
import type { OmenError } from "../src/errors.ts";
import { encodePut, encodeRemove, seal } from "../src/storage/frame.ts";
import { type Safety, Wal } from "../src/storage/wal.ts";
import { crc32c } from "./crc32c.ts";
import { FaultyFiles, Random, takeSeed } from "./faultyFiles.ts";

const FOLDER = "data/c";
const seed = takeSeed();
const COUNT = Number(process.env.SCHEDULES ?? 60);

/** A text that tells two frames apart; two sound frames of one sequence and one crc are the same. */
const markOf = (frame: Uint8Array) =>
  Buffer.from(frame.buffer, frame.byteOffset, 16).toString("hex");

/** What writes were told. `acknowledged` and `possible` are by sequence. */
class Model {
  /** The image holds everything up to here, durably. */
  image = 0;
  acknowledged: string[] = [""];
  /** Writes that were told nothing, or an error that leaves it open: they may be there, as a whole prefix. */
  possible: string[] = [];
  durableSequence = 0;

  get last(): number {
    return this.acknowledged.length - 1;
  }

  /** Judges what a start found; from then on that is what stands. */
  accept(found: readonly string[], mustHold: number): void {
    const last = this.image + found.length;
    if (last < mustHold) throw new Error(`lost: ${mustHold} was acknowledged, ${last} is the last`);
    const standing = [...this.acknowledged.slice(1), ...this.possible];
    found.forEach((mark, index) => {
      const sequence = this.image + index + 1;
      if (standing[sequence - 1] !== mark) throw new Error(`write ${sequence} is not what stood`);
    });
    this.acknowledged = ["", ...standing.slice(0, Math.max(last, this.image))];
    this.possible = [];
  }
}

class Schedule {
  readonly files: FaultyFiles;
  readonly model = new Model();
  readonly random: Random;
  readonly safety: Safety;
  wal: Wal | undefined;
  faultRate = 0;
  counts = { acknowledged: 0, refused: 0, deaths: 0, faults: 0, resumed: 0, dropped: 0, cut: 0 };

  constructor(start: number, safety: Safety) {
    this.random = new Random(start);
    this.files = new FaultyFiles(this.random);
    this.safety = safety;
    this.files.fault = (operation) => {
      if (operation === "read" || operation === "list" || !this.random.chance(this.faultRate))
        return undefined;
      this.counts.faults++;
      return this.random.chance(0.5) ? "EIO" : "ENOSPC";
    };
  }

  async run(rounds: number): Promise<void> {
    await this.files.makeFolder(FOLDER);
    for (let round = 0; round < rounds; round++) {
      const isPowerLoss = await this.live();
      this.counts.deaths++;
      const sure =
        this.safety === "normal" && isPowerLoss ? this.model.durableSequence : this.model.last;
      if (isPowerLoss) this.files.crash();
      else this.files.kill();
      await this.start(sure);
    }
  }

  /** One life of the process; true when it ends by a power loss. */
  async live(): Promise<boolean> {
    const { files, random } = this;
    this.faultRate = random.chance(0.5) ? 0 : 0.08;
    files.dieAt = files.operations + 1 + random.below(120);
    if (this.wal === undefined) await this.start(0).catch(() => undefined);
    while (!files.isDead && this.wal !== undefined) await this.step(this.wal);
    this.wal = undefined;
    this.faultRate = 0;
    return random.chance(0.6);
  }

  async start(mustHold: number): Promise<void> {
    const found: string[] = [];
    const { files, safety, model } = this;
    const wal = await Wal.open({
      files,
      folder: FOLDER,
      crc32c,
      after: model.image,
      visit: (frame) => void found.push(markOf(frame)),
      safety,
      segmentBytesMax: 4000,
      onFault: () => undefined,
    });
    this.counts.cut += wal.report.cut.length;
    model.accept(found, mustHold);
    model.durableSequence = model.last;
    expect(wal.nextSequence).to.equal(model.last + 1);
    this.wal = wal;
  }

  async step(wal: Wal): Promise<void> {
    const { random, model } = this;
    if (wal.fault !== undefined) {
      if (await wal.tryResume()) {
        this.counts.resumed++;
        model.possible = [];
      }
    } else if (random.chance(0.85)) {
      await this.write(wal);
    } else if (random.chance(0.4)) {
      await wal.roll().catch(() => undefined);
    } else if (random.chance(0.5)) {
      await wal.sync().catch(() => undefined);
    } else {
      model.image = wal.durableSequence;
      this.counts.dropped += await wal.dropBefore(model.image + 1).catch(() => 0);
    }
    // Only what the log calls durable may be counted on after a power loss in normal mode.
    if (!this.files.isDead)
      model.durableSequence = Math.max(model.durableSequence, wal.durableSequence);
  }

  async write(wal: Wal): Promise<void> {
    const { model, counts } = this;
    const group = this.group(wal.nextSequence);
    const marks = group.map(markOf);
    try {
      await wal.commit(group);
      model.acknowledged.push(...marks);
      counts.acknowledged += group.length;
    } catch (error) {
      expect((error as OmenError).code).to.be.oneOf(["STORAGE_FULL", "READ_ONLY"]);
      counts.refused += group.length;
      if (this.files.isDead || !wal.fault!.settled) model.possible = marks;
    }
  }

  group(first: number): Uint8Array[] {
    const { random } = this;
    return Array.from({ length: 1 + random.below(4) }, (_, index) => {
      const ids = Array.from({ length: 1 + random.below(3) }, () => `id-${random.below(1e6)}`);
      const dimensions = 1 + random.below(100);
      const vectors = Float32Array.from({ length: ids.length * dimensions }, () => random.next());
      const frame = random.chance(0.3)
        ? encodeRemove(ids)
        : encodePut({ ids, vectors, dimensions });
      seal(frame, first + index, crc32c);
      return frame;
    });
  }
}

/** Runs schedules until one loses something; answers what it said. */
async function runSchedules(count: number, safety: Safety, liesAboutSync: boolean) {
  const totals: Record<string, number> = {};
  for (let index = 0; index < count; index++) {
    const schedule = new Schedule(seed + index, safety);
    schedule.files.liesAboutSync = liesAboutSync;
    try {
      await schedule.run(12);
    } catch (error) {
      return { totals, failure: `schedule ${index} of SEED=${seed}: ${(error as Error).stack}` };
    }
    for (const [name, value] of Object.entries(schedule.counts))
      totals[name] = (totals[name] ?? 0) + value;
  }
  return { totals, failure: undefined };
}

describe(`a log on a faulty disk (SEED=${seed})`, () => {
  for (const safety of ["strict", "normal"] as const) {
    it(`${safety}: loses nothing acknowledged, brings back nothing refused, and always starts`, async () => {
      const { totals, failure } = await runSchedules(COUNT, safety, false);
      expect(failure).to.equal(undefined);
      for (const name of [
        "acknowledged",
        "refused",
        "deaths",
        "faults",
        "resumed",
        "dropped",
        "cut",
      ]) {
        expect(totals[name], `${name} happened`).to.be.greaterThan(0);
      }
    });
  }

  it("fails when the fdatasync is taken out", async () => {
    const { failure } = await runSchedules(COUNT, "strict", true);
    expect(failure).to.be.a("string");
  });
});
