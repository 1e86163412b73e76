/**
 * The writer's side of a server over a disk that fails once, at the worst place: what is refused
 * has changed nothing, what is done is answered so, and writes come back.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import pino from "pino";
import { Catalog } from "../src/collections/catalog.ts";
import { chooseVariant, SHARED_VARIANTS } from "../src/engine/variant.ts";
import { OmenError } from "../src/errors.ts";
import { NodeFiles, type OpenFile, type OpenMode } from "../src/storage/files.ts";
import { encodePut } from "../src/storage/frame.ts";
import { ControlMemory } from "../src/threads/control.ts";
import { type CoreParts, createCore, openDisk } from "../src/threads/core.ts";
import type { Disk } from "../src/threads/disk.ts";
import { loadEngine, readVariant } from "../src/threads/engineFiles.ts";
import { type Request, threadOf } from "../src/threads/messages.ts";
import { pause } from "./server.ts";

const NAME = "a";
const settings = {
  ...({ dimensions: 4, metric: "l2", quantization: "sq8" } as const),
  ...{ m: 16, efConstruction: 64, efSearch: 96 },
};
const { desk } = loadEngine();
const variant = chooseVariant(SHARED_VARIANTS, readVariant);

type Operation = "sync" | "syncFolder" | "remove";

/** Node's file system, but for the next so many of one operation on paths that match. */
class FailingFiles extends NodeFiles {
  readonly path: string;
  #left = 0;
  #operation: Operation | undefined;
  #at = /$/;

  constructor(path: string) {
    super();
    this.path = path;
  }

  fail(times: number, operation: Operation, at: RegExp): void {
    [this.#left, this.#operation, this.#at] = [times, operation, at];
  }

  #attempt(operation: Operation, path: string): void {
    if (operation !== this.#operation || !this.#at.test(path) || this.#left-- <= 0) return;
    throw Object.assign(new Error(`EIO: ${operation} ${path}`), { code: "EIO" });
  }

  override async open(path: string, mode: OpenMode): Promise<OpenFile> {
    const file = await super.open(path, mode);
    const sync = file.sync.bind(file);
    file.sync = async () => {
      this.#attempt("sync", path);
      await sync();
    };
    return file;
  }

  override async syncFolder(folder: string): Promise<void> {
    this.#attempt("syncFolder", folder);
    await super.syncFolder(folder);
  }

  override async remove(path: string): Promise<void> {
    this.#attempt("remove", path);
    await super.remove(path);
  }
}

const begun: Disk[] = [];

async function begin(files: FailingFiles, safety: "strict" | "normal" = "strict") {
  const config = { path: files.path, safety, shardRows: 1000, checkpointBytes: 1e9 };
  const log = pino({ level: "silent" });
  const parts = { config: { ...config, checkpointMinutes: 0 }, desk, log, files };
  const disk = (await openDisk(parts as unknown as CoreParts, new ControlMemory()))!;
  const catalog = new Catalog(threadOf(variant, 0));
  const announce = async () => undefined;
  const followers = { announce, ring: () => undefined };
  const core = createCore(parts as unknown as CoreParts, catalog, 1, disk, followers);
  await core.load();
  begun.push(disk);
  const ask = (request: object) => core.ask(request as Request);
  const put = (id: string) => {
    const vectors = Float32Array.of(1, 2, 3, 4);
    const frame = encodePut({ ids: [id], metadata: [undefined], vectors, dimensions: 4 });
    return ask({ kind: "write", name: NAME, mode: "upsert", frame });
  };
  const snapshot = (verb: string, id = "") =>
    ask({ kind: "snapshot", verb, name: NAME, id, path: "" });
  const taken = async () => {
    const { snapshots } = await snapshot("create");
    await disk.archive!.settle();
    return snapshots![0]!.id;
  };
  const has = (id: string) => catalog.get(NAME)?.get(id) !== undefined;
  return { disk, catalog, ask, put, snapshot, taken, has };
}

const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof OmenError ? error.code : error),
  );

describe("a disk that fails once", () => {
  let files: FailingFiles;
  beforeEach(async () => {
    files = new FailingFiles(await mkdtemp(join(tmpdir(), "omendb-once-")));
  });
  afterEach(async () => {
    for (const disk of begun.splice(0)) await disk.close().catch(() => undefined);
    await rm(files.path, { recursive: true });
  });

  it("when a drop is to last: it is refused, and what is written then stays", async () => {
    const before = await begin(files);
    await before.ask({ kind: "create", name: NAME, settings });
    await before.put("one");
    files.fail(1, "syncFolder", /collections\/a/);
    expect(await refusalOf(before.ask({ kind: "drop", name: NAME }))).to.equal("READ_ONLY");
    await before.put("two");
    await before.disk.store.close();
    const after = await begin(files);
    expect([after.has("one"), after.has("two")]).to.deep.equal([true, true]);
  });

  it("and again when the drop is undone: no write is taken that a crash could undo", async () => {
    const before = await begin(files);
    await before.ask({ kind: "create", name: NAME, settings });
    await before.put("one");
    files.fail(2, "syncFolder", /collections\/a/);
    expect(await refusalOf(before.ask({ kind: "drop", name: NAME }))).to.equal("READ_ONLY");
    expect(await refusalOf(before.put("two"))).to.be.a("string");
    expect(before.has("one")).to.equal(true);
  });

  it("when a restore closes the log: it is refused, and writes come back", async () => {
    const { ask, put, taken, snapshot, disk } = await begin(files, "normal");
    await ask({ kind: "create", name: NAME, settings });
    await put("one");
    const id = await taken();
    await put("two");
    files.fail(1, "sync", /wal-/);
    expect(await refusalOf(snapshot("restore", id))).to.equal("READ_ONLY");
    for (let wait = 0; wait < 50 && disk.health().status !== "healthy"; wait++) await pause(100);
    await put("three");
    await disk.close();
    const after = await begin(files);
    expect(["one", "two", "three"].map(after.has)).to.deep.equal([true, true, true]);
  }).timeout(20_000);

  it("when a restore that is done clears up: it is answered as done", async () => {
    const { ask, put, taken, snapshot, has, disk } = await begin(files);
    await ask({ kind: "create", name: NAME, settings });
    await put("one");
    const id = await taken();
    await snapshot("restore", id);
    await put("two");
    files.fail(1, "remove", /image-.*\.img$/);
    await snapshot("restore", id);
    expect([has("one"), has("two")]).to.deep.equal([true, false]);
    await put("three");
    await disk.store.close();
    const after = await begin(files);
    expect(["one", "two", "three"].map(after.has)).to.deep.equal([true, false, true]);
  });
});
