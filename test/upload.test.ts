/** A long upload into the real server, in the short form of perf/upload.ts. */
import { expect } from "chai";
import { lineOf, upload, watchMemory } from "../perf/upload.ts";
import { startServer } from "./server.ts";

const MIB = 1024 * 1024;

describe("an upload of 96 MiB as NDJSON", () => {
  it("takes memory for its rows and little more, and all of them are there", async () => {
    const settings = { THREADS: 2, LOG_LEVEL: "warn", TAIL_ROWS: 1_000_000 };
    const server = await startServer({ ...settings, MAX_BODY_MB: 1 });
    const uploading = upload(server, 96 * MIB);
    const rise = await watchMemory(server, uploading);
    const { rows, answer } = await uploading;
    expect(answer).to.deep.equal({ status: 200, accepted: rows });
    expect(rise).to.be.below(300e6);
    const client = server.connect();
    expect((await client.get("/stats")).body.vectors).to.equal(rows);
    for (const id of [0, rows >>> 1, rows - 1]) {
      const { vector } = (await client.get(`/vectors/${id}`)).body;
      const sent = JSON.parse(lineOf(id)).vector.map(Math.fround);
      expect(vector.map(Math.fround)).to.deep.equal(sent);
    }
    client.close();
    expect(await server.stop()).to.equal(0);
  });
});
