/**
 * Snapshots of a real server that are odd, damaged or on their way out: what is sound is restored
 * and listed whatever stands beside it, and what is not is refused before it changes anything.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { seededRandom } from "../perf/random.ts";
import { reseal } from "./resealed.ts";
import { type Connection, ok, pause, type Server, startServer } from "./server.ts";

const OCTETS = { "content-type": "application/octet-stream" };

describe("snapshots beside faults", () => {
  let folder: string;
  let server: Server;
  let client: Connection;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-"));
    server = await startServer({ PATH: folder, LOG_LEVEL: "fatal" });
    client = server.connect();
  });
  afterEach(async () => {
    await server.stop("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  it("of a graph that misses some of its rows are restored", async () => {
    const [rows, dimensions] = [10_000, 48];
    const settings = { dimensions, m: 4, ef_construction: 8, ef_search: 10 };
    await ok(client.send("PUT", "/collections/loose", settings), 201);
    const random = seededRandom(1);
    const vectors = Array.from({ length: rows }, (_, row) => ({
      id: `r${row}`,
      vector: Array.from({ length: dimensions }, () => random.normal()),
    }));
    for (let at = 0; at < rows; at += 2000) {
      const some = { vectors: vectors.slice(at, at + 2000) };
      await ok(client.post("/collections/loose/vectors/batch", some));
    }
    while ((await ok(client.get("/collections/loose/stats"))).unindexed > 0) await pause(20);
    let missed = 0;
    for (const { id, vector } of vectors.slice(0, 400)) {
      const { results } = await ok(client.post("/collections/loose/search", { vector }));
      if (!results.some((hit: { id: string }) => hit.id === id)) missed++;
    }
    expect(missed, "rows that a search misses").to.be.greaterThan(10);
    for (let round = 0; round < 3; round++) {
      const id = await newSnapshot(client, "/collections/loose");
      const restored = await client.post(`/collections/loose/snapshots/${id}/restore`, undefined);
      expect(restored.status, restored.text).to.equal(200);
    }
  }).timeout(60_000);

  it("with a sequence that leaves no room for writes are refused, and nothing is changed", async () => {
    await ok(client.post("/vectors/add", { id: "a", vector: [1, 2] }));
    const id = await newSnapshot(client);
    const [path] = await snapshotFiles(folder);
    const image = new Uint8Array(await readFile(path!));
    new DataView(image.buffer).setBigUint64(16, BigInt(Number.MAX_SAFE_INTEGER), true);
    reseal(image);
    const kept = await client.send("PUT", "/snapshots/far", image, OCTETS);
    expect(kept.status, kept.text).to.equal(201);
    const refused = await client.post("/snapshots/far/restore", undefined);
    expect([refused.status, refused.body.code]).to.deep.equal([422, "INVALID_SNAPSHOT"]);
    expect(refused.body.detail).to.include("offset 16");
    const added = await ok(client.post("/vectors/add", { id: "b", vector: [1, 2] }));
    expect(added.sequence).to.equal(2);
    await ok(client.post(`/snapshots/${id}/restore`, undefined));
  });

  it("of another format are the client's fault, by its number", async () => {
    await ok(client.post("/vectors/add", { id: "a", vector: [1, 2] }));
    await newSnapshot(client);
    const [path] = await snapshotFiles(folder);
    const image = new Uint8Array(await readFile(path!));
    image[8] = 99;
    const { status, body } = await client.send("PUT", "/snapshots/new", image, OCTETS);
    expect([status, body.code]).to.deep.equal([422, "INVALID_SNAPSHOT"]);
    expect(body.detail).to.match(/99/).and.not.include(folder);
  });

  it("are listed when one of them is damaged, which says why", async () => {
    await ok(client.post("/vectors/add", { id: "a", vector: [1, 2] }));
    const sound = await newSnapshot(client);
    const damaged = await newSnapshot(client);
    const path = (await snapshotFiles(folder)).find((name) => name.includes(damaged))!;
    const bytes = await readFile(path);
    bytes[70]! ^= 1;
    await writeFile(path, bytes);
    const { snapshots } = await ok(client.get("/snapshots"));
    const shown = snapshots.map((one: { id: string; status: string }) => [one.id, one.status]);
    expect(shown).to.have.deep.members([
      [sound, "ready"],
      [damaged, "failed"],
    ]);
    const { body, text } = await client.get(`/snapshots/${damaged}`);
    expect(body.reason).to.be.a("string");
    expect(body.created_at.slice(0, 10)).to.equal(damaged.slice(0, 10));
    expect(text).not.to.include(folder);
    await ok(client.send("DELETE", `/snapshots/${damaged}`));
    expect((await ok(client.get("/snapshots"))).snapshots).to.have.length(1);
  });

  it("leave a collection its quota when they are restored", async () => {
    const quota = { vectors: 3 };
    await ok(client.send("PUT", "/collections/small", { dimensions: 2, quota }), 201);
    await ok(client.send("PUT", "/collections/free", { dimensions: 2 }), 201);
    await ok(client.post("/collections/free/vectors/add", { id: "a", vector: [1, 2] }));
    await newSnapshot(client, "/collections/free");
    const path = (await snapshotFiles(folder))[0]!;
    const image = new Uint8Array(await readFile(path));
    await ok(client.send("PUT", "/collections/small/snapshots/a", image, OCTETS), 201);
    await ok(client.post("/collections/small/snapshots/a/restore", undefined));
    await server.stop("SIGKILL");
    server = await startServer({ PATH: folder, LOG_LEVEL: "fatal" });
    client = server.connect();
    const vectors = Array.from({ length: 3 }, (_, row) => ({ id: `r${row}`, vector: [row, 1] }));
    const refused = await client.post("/collections/small/vectors/batch", { vectors });
    expect([refused.status, refused.body.code]).to.deep.equal([507, "QUOTA_EXCEEDED"]);
  });

  it("give back the memory of what they replaced", async () => {
    if (process.platform !== "linux") return;
    await ok(client.post("/vectors/add", { id: "a", vector: [1, 2] }));
    const id = await newSnapshot(client);
    const before = await reservedGiB(server.pid);
    for (let round = 0; round < 12; round++) {
      await ok(client.post(`/snapshots/${id}/restore`, undefined));
    }
    // A collection reserves 12 GiB of addresses; what is gone is collected within seconds.
    for (const start = performance.now(); ; await pause(200)) {
      const grown = (await reservedGiB(server.pid)) - before;
      if (grown < 3 * 12) return;
      expect(performance.now() - start, `${grown} GiB more are reserved`).to.be.below(30_000);
    }
  }).timeout(60_000);

  it("that are deleted while others read them are not found, and nothing worse", async () => {
    await ok(client.post("/vectors/add", { id: "a", vector: [1, 2] }));
    const others = Array.from({ length: 4 }, () => server.connect());
    const seen = new Set<number>();
    for (let round = 0; round < 20; round++) {
      const id = await newSnapshot(client);
      const paths = ["/snapshots", `/snapshots/${id}`, `/snapshots/${id}/download`, "/snapshots"];
      const reads = others.map((other, index) => other.get(paths[index]!));
      const deleted = client.send("DELETE", `/snapshots/${id}`);
      for (const { status } of await Promise.all([deleted, ...reads])) seen.add(status);
    }
    expect([...seen]).to.have.members([...seen].filter((status) => [200, 404].includes(status)));
    for (const other of others) other.close();
  }).timeout(30_000);
});

async function newSnapshot(client: Connection, root = ""): Promise<string> {
  const { id } = await ok(client.post(`${root}/snapshots`, undefined), 202);
  while ((await ok(client.get(`${root}/snapshots/${id}`))).status === "creating") await pause(10);
  return id;
}

async function reservedGiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmSize:\s+(\d+)/.exec(status)?.[1]) / 2 ** 20;
}

async function snapshotFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names
    .filter((name) => name.endsWith(".img") && name.includes("snapshots"))
    .map((name) => join(folder, name));
}
