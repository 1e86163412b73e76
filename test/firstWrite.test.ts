/** The write that makes a collection: when it is refused, for whatever reason, nothing is left. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { pino } from "pino";
import { readConfig } from "../src/config.ts";
import { defaultSettings } from "../src/http/door.ts";
import { NodeFiles, type OpenMode } from "../src/storage/files.ts";
import { loadEngine } from "../src/threads/engineFiles.ts";
import { openInner } from "../src/threads/inner.ts";
import { pause, type Server, startServer } from "./server.ts";

const ROWS = 4000;
const PATIENCE_MS = 10_000;

/** So many rows of 1024 dimensions are past the memory limit of 16 MiB; an empty shard is not. */
const tooMany = Array.from({ length: ROWS }, (_, id) => ({
  id,
  vector: Array(1024).fill(id % 10),
}));

describe("a refused first write", () => {
  let folder: string;
  let server: Server | undefined;
  const settings = () => ({ PATH: folder, THREADS: 2, LINKERS: 1, MEMORY_LIMIT_MB: 16 });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "omendb-first-"));
  });
  afterEach(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true });
  });

  const expectNothing = async (running: Server) => {
    const client = running.connect();
    expect((await client.get("/collections")).body.collections).to.deep.equal([]);
    expect((await client.get("/stats")).body.dimensions).to.equal(null);
    expect(readdirSync(join(folder, "collections"))).to.deep.equal([]);
    client.close();
  };

  it("leaves no collection behind, here or on the disk, and the next one may be another", async () => {
    server = await startServer(settings());
    const client = server.connect();
    const refused = await client.post("/vectors/batch", { vectors: tooMany });
    expect([refused.status, refused.body.code]).to.deep.equal([507, "MEMORY_LIMIT"]);
    await expectNothing(server);
    const lines = { "content-type": "application/x-ndjson" };
    const line = '{"id":"a","vector":[1,2]}';
    const stopped = await client.send("POST", "/vectors/batch?mode=update", line, lines);
    expect([stopped.status, stopped.body.accepted]).to.deep.equal([404, 0]);
    await expectNothing(server);
    for (const mode of ["update", "upsert"] as const) {
      const vectors = [{ id: "a", vector: [1, 2] }];
      const { status } = await client.post("/vectors/batch", { vectors, mode });
      expect(status).to.equal(mode === "update" ? 404 : 200);
      if (mode === "update") await expectNothing(server);
    }
    await server.stop("SIGKILL");
    server = await startServer(settings());
    expect((await server.connect().get("/stats")).body).to.include({ vectors: 1, dimensions: 2 });
  });

  it("leaves none either when lines are cut off before the first part is whole", async () => {
    server = await startServer(settings());
    for (const head of ["Content-Length: 100000", "Transfer-Encoding: chunked"]) {
      const socket = connectSocket(server.port, "127.0.0.1");
      const line = '{"id":"a","vector":[1,2]}\n';
      const part = head.startsWith("T") ? `${line.length.toString(16)}\r\n${line}\r\n` : line;
      socket.on("error", () => undefined);
      socket.write(
        `POST /vectors/batch HTTP/1.1\r\nHost: localhost\r\n${head}\r\n` +
          `Content-Type: application/x-ndjson\r\n\r\n${part}`,
      );
      await pause(50);
      socket.destroy();
    }
    await pause(100);
    await expectNothing(server);
  });

  it("lets one that comes at the same time have its way", async () => {
    server = await startServer({ ...settings(), THREADS: 3 });
    const fits = Array.from({ length: 8 }, (_, id) => ({ vectors: [{ id, vector: [id, 1] }] }));
    const bodies = [{ vectors: tooMany }, ...fits, { vectors: tooMany }];
    const asked = bodies.map((body) => server!.connect().post("/vectors/batch", body));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.slice(1, -1)).to.deep.equal(Array(8).fill(200));
    for (const status of [statuses[0], statuses.at(-1)]) expect(status).to.be.oneOf([400, 507]);
    expect((await server.connect().get("/stats")).body).to.include({ vectors: 8, dimensions: 2 });
  });

  it("is forgotten when the disk failed under it, and the server takes writes again", async () => {
    const files = new FullDisk();
    const config = readConfig({ OMENDB_PATH: folder, OMENDB_THREADS: "1" });
    const onFatal = (error: Error) => {
      throw error;
    };
    const log = pino({ level: "silent" });
    const open = () => openInner({ config, log, version: "", onFatal, files, ...loadEngine() }, 0);
    const put = async ({ database }: Awaited<ReturnType<typeof open>>) => {
      const rows = { ids: ["a"], vectors: new Float32Array([1, 2]), dimensions: 2 };
      const defaults = defaultSettings(2, "l2");
      return database.put("c", { ...rows, metadata: [undefined], mode: "upsert" }, defaults);
    };
    const first = await open();
    files.isFull = true;
    const refused = await put(first).catch((error) => error);
    expect(refused).to.include({ code: "STORAGE_FULL" });
    expect(first.database.collections()).to.deep.equal([]);
    expect(first.database.health().status).to.equal("healthy");
    files.isFull = false;
    for (let waited = 0; ; waited += 20) {
      const answer = await put(first).catch((error) => error);
      if (answer.sequence === 1) break;
      expect(waited, String(answer)).to.be.below(PATIENCE_MS);
      await pause(20);
    }
    await first.close();
    const second = await open();
    expect(second.database.collections().map(({ name, live }) => [name, live])).to.deep.equal([
      ["c", 1],
    ]);
    await second.close();
  });
});

/** Takes everything but what goes into a log, while it is full. */
class FullDisk extends NodeFiles {
  isFull = false;

  override async open(path: string, mode: OpenMode) {
    const file = await super.open(path, mode);
    const write = file.write.bind(file);
    file.write = async (offset, buffers) => {
      if (!this.isFull || !path.endsWith(".log")) return await write(offset, buffers);
      throw Object.assign(new Error("no room"), { code: "ENOSPC" });
    };
    return file;
  }
}
