/** An imager whose collection cannot sit still for it gives up, and the next one is taken. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { Gate } from "../src/imaging/gate.ts";
import { Sitting } from "../src/imaging/sitting.ts";
import { WorkerImages } from "../src/threads/images.ts";
import { Alone } from "./collections/alone.ts";
import { deskModule } from "./deskModule.ts";

class Restless extends Sitting {
  override async stop(): Promise<never> {
    throw new Error("it does not stop");
  }
}

describe("an imager in a thread of its own", () => {
  it("ends with what the writer's thread could not do, and takes the next image", async () => {
    const folder = await mkdtemp(join(tmpdir(), "omendb-sitting-"));
    const file = new URL("../src/threads/imagerWorker.ts", import.meta.url);
    const thread = new Worker(file, { workerData: { desk: deskModule() } });
    try {
      const alone = await Alone.open(1000, { dimensions: 4 });
      await alone.put([{ id: "a", vector: Float32Array.of(1, 2, 3, 4) }]);
      const { collection } = alone;
      const images = new WorkerImages(thread);
      const gate = new Gate();
      const ring = () => undefined;
      const first = images.take(`${folder}/first.img`, new Restless(collection, gate, ring));
      const error = await first.catch((thrown: unknown) => thrown);
      expect(String(error)).to.contain("it does not stop");
      expect(collection.state.enter(), "linkers are let in again").to.equal(true);
      collection.state.leave();
      const { vectors } = await images.take(
        `${folder}/second.img`,
        new Sitting(collection, gate, ring),
      );
      expect(vectors).to.equal(1);
      expect(await readdir(folder)).to.deep.equal(["second.img"]);
    } finally {
      await thread.terminate();
      await rm(folder, { recursive: true });
    }
  });
});
