/** Node's file system behind the storage's interface, and the lock that real processes contend for. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { OmenError } from "../src/errors.ts";
import { NodeFiles } from "../src/storage/files.ts";
import { encodePut, seal } from "../src/storage/frame.ts";
import { Wal } from "../src/storage/wal.ts";
import { crc32c } from "./crc32c.ts";

const HOLDER = fileURLToPath(new URL("./lockHolder.ts", import.meta.url));
const files = new NodeFiles();
let folder = "";
const children: ChildProcess[] = [];

/** Starts a process that wants the lock; answers it and the first line it says. */
async function startHolder(before: readonly string[] = []): Promise<[ChildProcess, string]> {
  const [program = "", ...rest] = [...before, process.execPath, HOLDER, folder];
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const line = await new Promise<string>((resolve) => {
    child.stdout!.once("data", (data) => resolve(String(data).trim()));
    child.once("exit", () => resolve("ended"));
  });
  return [child, line];
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "omendb-files-"));
});

afterEach(async () => {
  for (const child of children.splice(0)) await end(child, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

describe("Node's files", () => {
  it("write many buffers at once and read them into shared memory", async () => {
    const file = await files.open(join(folder, "a"), "create");
    const buffers = Array.from({ length: 3000 }, (_, index) => new Uint8Array(7).fill(index));
    await file.write(0, buffers);
    await file.sync();
    const target = new Uint8Array(new SharedArrayBuffer(3000 * 7 + 5));
    expect(await file.read(0, target)).to.equal(3000 * 7);
    expect(target[2999 * 7]).to.equal(2999 % 256);
    await file.truncate(10);
    expect(await file.size()).to.equal(10);
    await file.close();
  });

  it("carry a log from one process life to the next", async () => {
    const found: number[] = [];
    const options = { files, folder, crc32c, after: 0, segmentBytesMax: 3000 };
    const wal = await Wal.open({ ...options, visit: () => undefined });
    for (let round = 0; round < 30; round++) {
      const frame = encodePut({ ids: ["a"], vectors: new Float32Array(30), dimensions: 30 });
      seal(frame, wal.nextSequence, crc32c);
      await wal.commit([frame]);
    }
    await wal.dropBefore(5);
    await wal.close();
    const visit = (_: Uint8Array, { sequence }: { sequence: number }) => void found.push(sequence);
    const again = await Wal.open({ ...options, visit });
    expect(found).to.deep.equal(Array.from({ length: 30 }, (_, index) => index + 1));
    await again.close();
  });
});

describe("the lock of a data path", () => {
  it("is held by one process, and by one holder within a process", async () => {
    const [, first] = await startHolder();
    expect(first).to.match(/^held by \d+$/);
    const [, second] = await startHolder();
    expect(second)
      .to.contain("refused")
      .and.to.contain(`pid ${first.slice(8)}`);
    try {
      await files.lock(folder);
      expect.fail("a third holder");
    } catch (error) {
      expect((error as OmenError).code).to.equal("INVALID_SETTING");
    }
  });

  it("is free the moment its holder is killed, and leaves nothing in the way", async () => {
    for (let round = 0; round < 3; round++) {
      const [holder, line] = await startHolder();
      expect(line).to.contain("held");
      await end(holder, "SIGKILL");
    }
    expect(readdirSync(folder)).to.have.members(["lock", "lock.owner"]);
    const lock = await files.lock(folder);
    expect((await startHolder())[1]).to.contain("refused");
    await lock.release();
    expect((await startHolder())[1]).to.contain("held");
  });

  it("is not fooled by two processes that are both pid 1, each in a namespace of its own", async () => {
    const apart = ["unshare", "--pid", "--fork", "--kill-child", "--net", "--uts"];
    // Where the machine allows no namespaces, two plain processes contend.
    const isAllowed = spawnSync(apart[0]!, [...apart.slice(1), "true"]).status === 0;
    const [, first] = await startHolder(isAllowed ? apart : []);
    const [, second] = await startHolder(isAllowed ? apart : []);
    if (isAllowed) expect(first).to.equal("held by 1");
    expect(first).to.contain("held");
    expect(second).to.contain("refused");
  });
});
