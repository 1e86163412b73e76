/**
 * A disk that is full for real: a small tmpfs, filled to the last byte while rows come in. It takes
 * root to mount one; without, this test says so and ends.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type Connection, pause, type Server, startServer } from "./server.ts";

const DISK_MIB = 24;
const BALLAST_BYTES = 17 * 1024 * 1024;
const DIMENSIONS = 32;
const BATCH = 200;
const REFUSED_MAX = 20;

function mount(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "omendb-full-"));
  try {
    const options = ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "tmpfs", folder];
    execFileSync("mount", options, { stdio: "ignore" });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

describe("a full disk", () => {
  it("refuses writes with 507, keeps reads, loses nothing, comes back", async () => {
    const folder = mount();
    if (folder === undefined) return console.log("    not root: no file system could be mounted");
    let server: Server | undefined;
    try {
      const settings = { PATH: `${folder}/data`, THREADS: 2, LOG_LEVEL: "error", CHECKPOINT_MB: 4 };
      server = await startServer(settings);
      const client = server.connect();
      const rows = new Ingest(client);
      const ballast = `${folder}/ballast`;
      writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES));
      while (rows.refused < REFUSED_MAX) await rows.write();
      expect([...rows.codes]).to.deep.equal(["507 STORAGE_FULL"]);
      const { body: health } = await client.get("/health");
      expect(health.status).to.equal("read_only");
      expect(health.reason).to.contain("ENOSPC");
      expect(health.reason, "anybody may ask: no paths").not.to.contain("/");
      expect(rows.detail)
        .to.match(/ENOSPC/)
        .and.not.contain("/");
      expect((await client.get("/readyz")).status).to.equal(200);
      const { body } = await client.post("/search", { vector: rows.vector, k: 5 });
      expect(body.results).to.have.length(5);

      rmSync(ballast);
      for (let waited = 0; (await rows.write()) !== 200; waited += 100) {
        expect(waited).to.be.below(10_000);
        await pause(100);
      }
      expect((await client.get("/health")).body.status).to.equal("healthy");
      await server.stop("SIGKILL");
      server = await startServer(settings);
      expect(await rows.missing(server.connect())).to.equal(0);
      expect((await server.connect().get("/stats")).body.vectors).to.equal(
        rows.acknowledged.length,
      );
    } finally {
      await server?.stop("SIGKILL");
      execFileSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    }
  }).timeout(120_000);
});

class Ingest {
  readonly acknowledged: string[] = [];
  readonly codes = new Set<string>();
  readonly vector = Array.from({ length: DIMENSIONS }, (_, d) => d);
  refused = 0;
  /** Of the last refusal. */
  detail = "";
  readonly #client: Connection;
  #count = 0;

  constructor(client: Connection) {
    this.#client = client;
  }

  async write(): Promise<number> {
    const number = this.#count++;
    const vectors = Array.from({ length: BATCH }, (_, row) => ({
      id: `${number}-${row}`,
      vector: this.vector.map((x) => x + number + row / BATCH),
    }));
    const answer = await this.#client.post("/vectors/batch", { vectors });
    if (answer.status === 200) this.acknowledged.push(...vectors.map(({ id }) => id));
    else {
      this.refused++;
      this.codes.add(`${answer.status} ${answer.body.code}`);
      this.detail = answer.body.detail;
    }
    return answer.status;
  }

  async missing(client: Connection): Promise<number> {
    let missing = 0;
    for (let at = 0; at < this.acknowledged.length; at += 1000) {
      const ids = this.acknowledged.slice(at, at + 1000);
      const { body } = await client.post("/vectors/get", { ids });
      missing += body.vectors.filter((row: unknown) => row === null).length;
    }
    return missing;
  }
}
