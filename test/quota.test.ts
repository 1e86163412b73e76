/** A collection's quota: what passes it is refused whole, before anything is written. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { OmenError } from "../src/errors.ts";
import { Alone } from "./collections/alone.ts";
import { type Connection, type Server, startServer } from "./server.ts";

const rowsOf = (...ids: string[]) => ids.map((id) => ({ id, vector: Float32Array.of(1, 2) }));

async function codeOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return "written";
  } catch (error) {
    if (error instanceof OmenError) return error.code;
    throw error;
  }
}

describe("a quota", () => {
  it("of rows counts those that are there, over one group as over many", async () => {
    const alone = await Alone.open(100, { dimensions: 2, quota: { vectors: 4 } });
    const told = await Promise.all([
      codeOf(alone.put(rowsOf("a", "b"))),
      codeOf(alone.put(rowsOf("b", "c"))),
      codeOf(alone.put(rowsOf("d", "e"))),
      codeOf(alone.put(rowsOf("d"))),
      codeOf(alone.put(rowsOf("e"))),
      codeOf(alone.remove(["a", "b", "none"])),
      codeOf(alone.put(rowsOf("e", "f"))),
      codeOf(alone.put(rowsOf("g"))),
      codeOf(alone.put(rowsOf("c", "d", "e", "f"))),
    ]);
    expect(told).to.deep.equal([
      ...["written", "written", "QUOTA_EXCEEDED", "written", "QUOTA_EXCEEDED", "written"],
      ...["written", "QUOTA_EXCEEDED", "written"],
    ]);
    expect(alone.collection.live).to.equal(4);
    expect(alone.collection.sequence).to.equal(6);
    expect(await codeOf(alone.put(rowsOf("g")))).to.equal("QUOTA_EXCEEDED");
    await alone.remove(["c"]);
    expect(await codeOf(alone.put(rowsOf("g")))).to.equal("written");
  });

  it("of bytes holds for memory as the stats count it", async () => {
    const bytes = 2_000_000;
    const alone = await Alone.open(100_000, { dimensions: 2, quota: { bytes } });
    let written = 0;
    for (;;) {
      const ids = Array.from({ length: 100 }, (_, n) => `${written}-${n}`);
      if ((await codeOf(alone.put(rowsOf(...ids)))) === "QUOTA_EXCEEDED") break;
      written++;
      expect(alone.collection.stats().memoryBytes).to.be.at.most(bytes);
    }
    expect(written).to.be.above(10);
    expect(alone.collection.live).to.equal(written * 100);
  });

  describe("over HTTP, on a data path", () => {
    let path: string;
    let server: Server;
    let client: Connection;
    beforeEach(async () => {
      path = await mkdtemp(join(tmpdir(), "omendb-"));
    });
    afterEach(async () => {
      client?.close();
      await server?.stop();
      await rm(path, { recursive: true, force: true });
    });

    it("is shown, kept over a restart, and refuses every kind of write that adds rows", async () => {
      const begin = async () => {
        server = await startServer({ PATH: join(path, "data"), THREADS: 2, LOG_LEVEL: "warn" });
        client = server.connect();
      };
      await begin();
      const body = { dimensions: 2, quota: { vectors: 3 } };
      const made = await client.send("PUT", "/collections/few", body);
      expect([made.status, made.body.quota]).to.deep.equal([201, { vectors: 3 }]);
      expect((await client.send("PUT", "/collections/few", body)).status).to.equal(200);
      const other = { dimensions: 2, quota: { vectors: 4 } };
      expect((await client.send("PUT", "/collections/few", other)).status).to.equal(409);
      for (const quota of [{}, { vectors: 0 }, { rows: 1 }, 5, { bytes: 1.5 }]) {
        const wrong = await client.send("PUT", "/collections/wrong", { dimensions: 2, quota });
        expect([wrong.status, wrong.body.code]).to.deep.equal([400, "INVALID_REQUEST"]);
      }
      const row = (id: string) => ({ id, vector: [1, 2] });
      const add = (id: string) => client.post("/collections/few/vectors/add", row(id));
      for (const id of ["a", "b", "c", "a"]) expect((await add(id)).status).to.equal(200);
      await server.stop("SIGKILL");
      await begin();
      const vectors = [row("c"), row("d")];
      const lines = vectors.map((each) => JSON.stringify(each)).join("\n");
      const ndjson = { "content-type": "application/x-ndjson" };
      for (const answer of [
        await add("d"),
        await client.post("/collections/few/vectors/batch", { vectors }),
        await client.send("POST", "/collections/few/vectors/batch", lines, ndjson),
      ]) {
        expect([answer.status, answer.body.code]).to.deep.equal([507, "QUOTA_EXCEEDED"]);
        expect(answer.body.detail).to.contain("to 4 rows, its quota is 3");
      }
      const stats = (await client.get("/collections/few/stats")).body;
      expect(stats).to.include({ vectors: 3, sequence: 4 });
      expect((await add("b")).status).to.equal(200);
    }).timeout(30_000);
  });
});
