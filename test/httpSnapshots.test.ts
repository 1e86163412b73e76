/** Snapshots over HTTP: what a client sees of them, whatever keeps them. */
import { expect } from "chai";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { MemorySnapshots } from "./memorySnapshots.ts";
import { type Connection, connect } from "./server.ts";

const OCTETS = { "content-type": "application/octet-stream" };

describe("http snapshots", () => {
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    door = await openDoor({ MAX_SNAPSHOT_MB: 1 });
    door.database.snapshots = new MemorySnapshots(door.database);
    client = door.connect();
    await client.post("/vectors/batch", {
      vectors: [0, 1, 2].map((n) => ({ id: `row-${n}`, vector: [n, 1], metadata: { n } })),
    });
  });
  afterEach(closeDoors);

  const refused = async (sent: Promise<{ status: number; body: { code: string } }>) => {
    const { status, body } = await sent;
    return [status, body?.code];
  };
  const made = async (): Promise<string> => (await client.post("/snapshots", undefined)).body.id;

  it("are begun, looked at, listed and deleted", async () => {
    const begun = await client.send("POST", "/collections/default/snapshots");
    expect(begun.status).to.equal(202);
    expect(begun.body).to.include({ status: "creating", progress: 0 });
    expect(begun.headers.location).to.equal(`/collections/default/snapshots/${begun.body.id}`);
    const ready = await client.get(begun.headers.location!);
    expect(ready.body).to.include({
      ...{ status: "ready", sequence: 1, vectors: 3, dimensions: 2, metric: "l2" },
    });
    expect(new Date(ready.body.created_at).getTime()).to.be.closeTo(Date.now(), 60_000);
    const { snapshots } = (await client.get("/snapshots")).body;
    expect(snapshots).to.deep.equal([ready.body]);
    const path = `/snapshots/${begun.body.id}`;
    expect((await client.send("DELETE", path)).body).to.deep.equal({ status: "ok" });
    expect(await refused(client.get(path))).to.deep.equal([404, "SNAPSHOT_NOT_FOUND"]);
    expect(await refused(client.send("DELETE", path))).to.deep.equal([404, "SNAPSHOT_NOT_FOUND"]);
  });

  it("are carried from one server to another and restored there", async () => {
    const id = await made();
    const { text } = await client.get(`/snapshots/${id}/download`);
    const other = await openDoor();
    other.database.snapshots = new MemorySnapshots(other.database);
    const there = other.connect();
    const path = "/collections/copy/snapshots/moved";
    const kept = await there.send("PUT", path, text, OCTETS);
    expect([kept.status, kept.body.vectors]).to.deep.equal([201, 3]);
    expect((await there.get("/collections/copy/stats")).body.vectors).to.equal(0);
    const restored = await there.send("POST", `${path}/restore`);
    expect(restored.body).to.include({ status: "ok", vectors: 3 });
    const found = await there.post("/collections/copy/search", { vector: [2, 1], k: 1 });
    expect(found.body.results[0]).to.include({ id: "row-2", distance: 0 });
    expect(await refused(there.send("PUT", path, text, OCTETS))).to.deep.equal([
      ...[409, "SNAPSHOT_EXISTS"],
    ]);
  });

  it("refuse a key and parameters that would be overlooked, and are carried out once", async () => {
    const id = await made();
    const before = (await client.get("/stats")).body.sequence;
    const key = { "idempotency-key": "once" };
    for (const path of ["/snapshots", `/snapshots/${id}/restore`]) {
      const keyed = client.send("POST", path, undefined, key);
      expect(await refused(keyed)).to.deep.equal([400, "INVALID_REQUEST"]);
      const asked = client.send("POST", `${path}?dryrun=true`);
      expect(await refused(asked)).to.deep.equal([400, "INVALID_REQUEST"]);
    }
    for (const path of [`/snapshots/${id}`, "/collections/default"]) {
      const asked = client.send("DELETE", `${path}?dryrun=true`);
      expect(await refused(asked)).to.deep.equal([400, "INVALID_REQUEST"]);
    }
    expect((await client.get("/snapshots")).body.snapshots).to.have.lengthOf(1);
    expect((await client.get("/stats")).body.sequence).to.equal(before);
    const row = { id: "row-1", vector: [9, 9] };
    for (const path of ["/vectors/add?mode=insert", "/vectors/count?filter=x"]) {
      const asked = client.post(path, path.includes("add") ? row : {});
      expect(await refused(asked)).to.deep.equal([400, "INVALID_REQUEST"]);
    }
  });

  describe("downloads", () => {
    let path: string;
    let whole: string;
    beforeEach(async () => {
      path = `/snapshots/${await made()}/download`;
      whole = (await client.get(path)).text;
    });
    const ranged = (range: string, more = {}) =>
      client.send("GET", path, undefined, { range, ...more });

    it("say what they are, also to HEAD", async () => {
      for (const method of ["GET", "HEAD"]) {
        const { status, headers, text } = await client.send(method, path);
        expect(status).to.equal(200);
        expect(headers).to.include({
          ...{ "content-type": "application/octet-stream", "accept-ranges": "bytes" },
          "content-length": String(whole.length),
        });
        expect(headers["content-disposition"]).to.match(/^attachment; filename="default-s\d+/);
        expect(text.length).to.equal(method === "GET" ? whole.length : 0);
      }
    });

    it("come in ranges", async () => {
      const size = whole.length;
      for (const [range, start, end] of [
        ...([["bytes=0-9", 0, 10] as const, ["bytes=10-", 10, size] as const] as const),
        ...([["bytes=-7", size - 7, size] as const, ["bytes=5-5", 5, 6] as const] as const),
        [`bytes=3-${size + 100}`, 3, size] as const,
      ]) {
        const { status, headers, text } = await ranged(range);
        expect(status, range).to.equal(206);
        expect(headers["content-range"]).to.equal(`bytes ${start}-${end - 1}/${size}`);
        expect(headers["content-length"]).to.equal(String(end - start));
        expect(text).to.equal(whole.slice(start, end));
      }
    });

    it("are whole where a range makes no sense, and refused where there are no such bytes", async () => {
      for (const range of ["bytes=9-3", "rows=1-2", "bytes=0-1,4-5", "bytes=-", "bytes=a-"]) {
        expect((await ranged(range)).text, range).to.equal(whole);
      }
      for (const range of [`bytes=${whole.length}-`, "bytes=-0"]) {
        const { status, headers, body } = await ranged(range);
        expect([status, body.code]).to.deep.equal([416, "RANGE_NOT_SATISFIABLE"]);
        expect(headers["content-range"]).to.equal(`bytes */${whole.length}`);
      }
    });

    it("keep If-Range and If-None-Match", async () => {
      const etag = (await client.send("HEAD", path)).headers.etag!;
      expect((await ranged("bytes=0-3", { "if-range": etag })).status).to.equal(206);
      expect((await ranged("bytes=0-3", { "if-range": '"other"' })).status).to.equal(200);
      const held = await client.send("GET", path, undefined, { "if-none-match": etag });
      expect([held.status, held.text]).to.deep.equal([304, ""]);
    });
  });

  describe("refusals", () => {
    it("names what is wrong, and keeps nothing of it", async () => {
      const broken = "no snapshot at all";
      const put = (path: string, body: string, type = OCTETS["content-type"]) =>
        refused(client.send("PUT", path, body, { "content-type": type }));
      expect(await put("/snapshots/a", broken)).to.deep.equal([422, "INVALID_SNAPSHOT"]);
      expect(await put("/snapshots/a", "{}", "application/json")).to.deep.equal([
        ...[415, "UNSUPPORTED_MEDIA_TYPE"],
      ]);
      const large = "x".repeat(1024 * 1024 + 1);
      expect(await put("/snapshots/a", large)).to.deep.equal([413, "BODY_TOO_LARGE"]);
      for (const id of ["..%2f..%2fetc", "A", "-a", "a.b", "x".repeat(65), "%00"]) {
        expect((await put(`/snapshots/${id}`, broken))[0], id).to.equal(400);
        expect((await refused(client.get(`/snapshots/${id}`)))[0], id).to.equal(400);
      }
      for (const name of ["missing", "..%2f", "a.b"]) {
        const sent = client.send("POST", `/collections/${name}/snapshots`);
        expect((await refused(sent))[0], name).to.equal(404);
      }
      expect((await client.get("/snapshots")).body.snapshots).to.deep.equal([]);
    });

    it("ends an upload that breaks off, and keeps nothing of it", async () => {
      const socket = connect(door.port);
      const sent = socket.send("PUT", "/snapshots/half", "0123", {
        ...{ ...OCTETS, "content-length": "1000" },
      });
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.close();
      expect(await sent.catch((error: Error) => error.message)).to.match(/hang up|ECONNRESET/);
      expect((await client.get("/snapshots")).body.snapshots).to.deep.equal([]);
    });

    it("says that without a data path there is nowhere to keep them", async () => {
      const memory = await openDoor();
      const there = memory.connect();
      await there.post("/vectors/add", { id: "a", vector: [1] });
      for (const [method, path, body] of [
        ...([["POST", "/snapshots"] as const, ["GET", "/snapshots"] as const] as const),
        ...([["GET", "/snapshots/a"] as const, ["DELETE", "/snapshots/a"] as const] as const),
        ...([
          ["PUT", "/snapshots/a", "x"] as const,
          ["GET", "/snapshots/a/download"] as const,
        ] as const),
        ["POST", "/snapshots/a/restore"] as const,
      ]) {
        const { status, body: problem } = await there.send(method, path, body, OCTETS);
        expect([status, problem?.code], path).to.deep.equal([409, "NO_DATA_PATH"]);
        expect(problem.detail).to.match(/OMENDB_PATH/);
      }
    });
  });
});
