/** A real server on a data path: what was answered is there after any end of the process. */
import { mkdtemp, open, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { runToEnd, type Server, type Settings, startServer } from "./server.ts";

describe("a server on a data path", () => {
  let path: string;
  let server: Server | undefined;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "omendb-"));
  });
  afterEach(async () => {
    await server?.stop("SIGKILL");
    server = undefined;
    await rm(path, { recursive: true, force: true });
  });

  const begin = async (settings: Settings = {}) => {
    server = await startServer({ PATH: path, ...settings });
    return server.connect();
  };
  const rowsOf = (round: number, count: number) =>
    Array.from({ length: count }, (_, row) => ({
      id: `${round}-${row}`,
      vector: [round, row, 1.5],
      metadata: { round, row },
    }));

  for (const threads of [1, 2]) {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      it(`has all that was answered before ${signal}, ${threads} threads`, async () => {
        const settings = { THREADS: threads };
        let client = await begin(settings);
        for (let round = 0; round < 5; round++) {
          const answer = await client.post("/vectors/batch", { vectors: rowsOf(round, 40) });
          expect(answer.body).to.deep.equal({ status: "ok", count: 40, sequence: round + 1 });
        }
        await client.post("/vectors/add", { id: "0-0", vector: [9, 9, 9] });
        await client.send("DELETE", "/vectors/1-1");
        await client.send("PUT", "/collections/Songs", { dimensions: 2, metric: "cosine" });
        await client.send("PUT", "/collections/songs", { dimensions: 4 });
        await client.send("PUT", "/collections/gone", { dimensions: 4 });
        await client.post("/collections/Songs/vectors/add", { id: "a", vector: [1, 0] });
        await client.send("DELETE", "/collections/gone");
        expect(await server!.stop(signal)).to.equal(signal === "SIGTERM" ? 0 : signal);

        client = await begin(settings);
        const { body: stats } = await client.get("/stats");
        expect(stats).to.deep.include({ vectors: 199, sequence: 7, dimensions: 3 });
        const { body: found } = await client.post("/search", { vector: [3, 7, 1.5], k: 1 });
        expect(found.results[0]).to.deep.include({ id: "3-7", metadata: { round: 3, row: 7 } });
        const { body: replaced } = await client.get("/vectors/0-0");
        expect(replaced).to.deep.include({ vector: [9, 9, 9], version: 6 });
        expect((await client.get("/vectors/1-1")).status).to.equal(404);
        const { body: list } = await client.get("/collections");
        const names = list.collections.map(({ name }: { name: string }) => name);
        expect(names).to.deep.equal(["Songs", "default", "songs"]);
        const next = await client.post("/vectors/add", { id: "next", vector: [1, 2, 3] });
        expect(next.body.sequence).to.equal(8);
      });
    }
  }

  it("refuses a second server on the same data path", async () => {
    await begin();
    const { code, output } = await runToEnd({ PORT: 0, PATH: path });
    expect(code).to.not.equal(0);
    expect(output).to.match(/held by another process \(pid \d+/);
  });

  it("cuts a torn end and says how much, but stops at damage and names file and offset", async () => {
    const client = await begin();
    await client.post("/vectors/batch", { vectors: rowsOf(0, 10) });
    await client.post("/vectors/batch", { vectors: rowsOf(1, 10) });
    await server!.stop("SIGKILL");
    const log = await onlyLog(path);
    const { size } = await stat(log);
    await truncate(log, size - 7);
    const again = await begin();
    expect((await again.get("/stats")).body).to.deep.include({ vectors: 10, sequence: 1 });
    expect(server!.output()).to.match(/cut the torn end/);
    await server!.stop();
    server = undefined;

    const file = await open(log, "r+");
    await file.write(Buffer.from("damage"), 0, 6, 150);
    await file.close();
    const { code, output } = await runToEnd({ PORT: 0, PATH: path });
    expect(code).to.not.equal(0);
    expect(output).to.match(/wal-0{15}1\.log, offset \d+: .*omendb wal inspect/);
  });
});

async function onlyLog(path: string): Promise<string> {
  const folder = join(path, "collections");
  const [collection] = await readdir(folder);
  const names = await readdir(join(folder, collection!));
  return join(folder, collection!, names.find((name) => name.endsWith(".log"))!);
}
