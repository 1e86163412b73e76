/**
 * Snapshots as a listener holds them: what is asked goes to the writer's thread, but bytes go
 * straight between the client and the file.
 */
import type { Snapshot, Snapshots } from "../collections/snapshots.ts";
import { OmenError } from "../errors.ts";
import { NodeFiles } from "../storage/files.ts";
import type { ByteSource } from "../storage/image.ts";
import { isGone, storageError } from "../storage/replace.ts";
import type { Answer, Request, SnapshotVerb } from "./messages.ts";

export class RemoteSnapshots implements Snapshots {
  readonly #ask: (request: Request) => Promise<Answer>;
  readonly #files = new NodeFiles();

  constructor(ask: (request: Request) => Promise<Answer>) {
    this.#ask = ask;
  }

  #send(verb: SnapshotVerb, name: string, id = "", path = ""): Promise<Answer> {
    return this.#ask({ kind: "snapshot", verb, name, id, path });
  }

  async create(collection: string): Promise<Snapshot> {
    return (await this.#send("create", collection)).snapshots![0]!;
  }

  async list(collection: string): Promise<Snapshot[]> {
    return [...(await this.#send("list", collection)).snapshots!];
  }

  async get(collection: string, id: string): Promise<Snapshot> {
    return (await this.#send("get", collection, id)).snapshots![0]!;
  }

  async open(collection: string, id: string): Promise<ByteSource> {
    const { path } = await this.#send("locate", collection, id);
    const file = await this.#files.open(path!, "read").catch((error) => {
      if (!isGone(error)) throw error;
      throw new OmenError("SNAPSHOT_NOT_FOUND", `there is no snapshot ${id}`);
    });
    const size = await file.size();
    const read = (offset: number, target: Uint8Array) => file.read(offset, target);
    return { name: id, size, read, close: () => file.close() };
  }

  async receive(
    collection: string,
    id: string,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Snapshot> {
    const path = (await this.#send("prepare", collection, id)).path!;
    try {
      await this.#write(path, chunks);
    } catch (error) {
      await this.#send("discard", collection, id, path);
      throw error;
    }
    return (await this.#send("adopt", collection, id, path)).snapshots![0]!;
  }

  async #write(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const doing = "keeping an uploaded snapshot";
    const onDisk = async <T>(work: Promise<T>) => {
      return await work.catch((error) => Promise.reject(storageError(error, doing)));
    };
    const file = await onDisk(this.#files.open(path, "create"));
    try {
      let at = 0;
      for await (const chunk of chunks) {
        await onDisk(file.write(at, [chunk]));
        at += chunk.length;
      }
      await onDisk(file.sync());
    } finally {
      await file.close();
    }
  }

  async restore(collection: string, id: string): Promise<{ sequence: number; vectors: number }> {
    const { sequence, changed } = await this.#send("restore", collection, id);
    return { sequence, vectors: changed };
  }

  async delete(collection: string, id: string): Promise<void> {
    await this.#send("delete", collection, id);
  }
}
