/** `omendb snapshot` against a server over HTTP, and on files. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { runCommand } from "./command.ts";
import { closeDoors, type OpenDoor, openDoor } from "./httpDoor.ts";
import { MemorySnapshots } from "./memorySnapshots.ts";
import type { Connection } from "./server.ts";

const IMAGE = fileURLToPath(new URL("fixtures/format1/image", import.meta.url));
const NEWER = fileURLToPath(new URL("fixtures/format2/image", import.meta.url));

describe("omendb snapshot", () => {
  let folder: string;
  let door: OpenDoor;
  let client: Connection;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "omendb-cli-snapshot-"));
    door = await openDoor();
    door.database.snapshots = new MemorySnapshots(door.database);
    client = door.connect();
    await client.post("/vectors/add", { id: "a", vector: [1, 2], metadata: { n: 1 } });
  });
  afterEach(async () => {
    await closeDoors();
    await rm(folder, { recursive: true });
  });

  const omendb = (...words: string[]) =>
    runCommand(["snapshot", ...words], { OMENDB_URL: `http://127.0.0.1:${door.port}` }, folder);
  const done = async (...words: string[]) => {
    const { code, stdout, stderr } = await omendb(...words, "--json");
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout);
  };

  it("makes, lists, carries, restores and deletes", async () => {
    const { id, status, vectors } = await done("create");
    expect([status, vectors]).to.deep.equal(["ready", 1]);
    await client.post("/vectors/add", { id: "b", vector: [3, 4] });
    expect((await done("restore", id)).vectors).to.equal(1);
    expect((await client.get("/stats")).body.vectors).to.equal(1);
    const { bytes } = await done("download", id, "kept.omen");
    expect((await readFile(join(folder, "kept.omen"))).length).to.equal(bytes);
    expect(await readdir(folder)).to.deep.equal(["kept.omen"]);
    expect((await omendb("download", id, "kept.omen")).code).to.equal(2);
    await client.send("DELETE", "/vectors/a");
    const restored = await done("restore", "./kept.omen");
    expect(restored).to.include({ id: "kept", vectors: 1 });
    expect((await client.get("/vectors/a")).body.metadata).to.deep.equal({ n: 1 });
    expect((await done("upload", "kept.omen", "--id", "third")).id).to.equal("third");
    const { snapshots } = await done("list");
    expect(snapshots.map((each: { id: string }) => each.id)).to.deep.equal([id, "kept", "third"]);
    const shown = await omendb("list");
    expect(shown.stdout).to.match(/^id\s+status\s+made\s+sequence\s+rows\s+size\n/);
    await done("create", "--file", "made.omen");
    expect((await done("restore", "made.omen")).vectors).to.equal(1);
    expect((await omendb("create", "--file", "made.omen")).code).to.equal(2);
    await done("delete", id);
    const gone = await omendb("delete", id, "--json");
    expect([gone.code, JSON.parse(gone.stderr).error.code]).to.deep.equal([
      ...[1, "SNAPSHOT_NOT_FOUND"],
    ]);
  });

  it("verifies a file byte by byte: sound, damaged, or of another build", async () => {
    const sound = await omendb("verify", IMAGE.replace(/image$/, "./image"));
    expect(sound.code, sound.stdout).to.equal(0);
    expect(sound.stdout).to.match(/sound: every checksum holds/);
    const shown = await omendb("inspect", join(IMAGE, ""), "--json");
    expect(shown.code).to.equal(0);
    const report = JSON.parse(shown.stdout);
    expect(report).to.include({ sound: true });
    expect(report.sections[0]).to.include({ sound: true }).and.have.property("name");
    const copy = join(folder, "damaged.omen");
    await cp(IMAGE, copy);
    const bytes = await readFile(copy);
    const { offset } = report.sections.at(-1);
    bytes[offset]! ^= 1;
    await writeFile(copy, bytes);
    const damaged = await omendb("verify", copy);
    expect(damaged.code, damaged.stdout).to.equal(3);
    expect(damaged.stdout).to.match(/damaged/);
    const newer = await omendb("verify", NEWER);
    expect(newer.code, newer.stdout).to.equal(4);
    expect(newer.stdout).to.match(/format version 2, this build opens 1/);
    expect((await omendb("verify", "./missing.omen")).code).to.equal(2);
  });

  it("verifies what a server keeps by reading all of it", async () => {
    const { id } = await done("create");
    const { code, stdout } = await omendb("verify", id, "--json");
    // What stands behind this server are no images.
    expect(code).to.equal(3);
    expect(JSON.parse(stdout)).to.include({ file: id, sound: false });
    const missing = await omendb("verify", "missing");
    expect([missing.code, missing.stderr]).to.deep.equal([
      ...[1, 'omendb: no snapshot is named "missing"\n'],
    ]);
  });

  it("says when the server keeps no data", async () => {
    const memory = await openDoor();
    const url = `http://127.0.0.1:${memory.port}`;
    const { code, stderr } = await omendb("create", "--url", url, "--json");
    expect([code, JSON.parse(stderr).error.code]).to.deep.equal([1, "NO_DATA_PATH"]);
  });
});
