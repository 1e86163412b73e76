/**
 * The database as a page holds it: one collection, one writer, no log. Writes take the way that
 * they take on a server (frame, decide, make room, seal, apply), one after the other; linking.ts
 * says who links their rows.
 */
import { apply, hasRoom } from "../collections/changes.ts";
import type { Collection } from "../collections/collection.ts";
import type {
  CollectionView,
  Database,
  Health,
  RowsToWrite,
  Terms,
} from "../collections/database.ts";
import { Decisions, type Proposal } from "../collections/decisions.ts";
import type { Filter } from "../collections/filter.ts";
import { framesRemoving } from "../collections/removing.ts";
import type { Snapshots } from "../collections/snapshots.ts";
import { isSettled } from "../engine/linking.ts";
import { OmenError } from "../errors.ts";
import { type Crc32c, encodePut, encodeRemove, readHeader, seal } from "../storage/frame.ts";
import { newShard } from "./growing.ts";
import type { Linking } from "./linking.ts";
import { type PageRoom, ROWS_MIN } from "./room.ts";

export class PageDatabase implements Database {
  readonly #collection: Collection;
  readonly #room: PageRoom;
  readonly #crc32c: Crc32c;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #linking: Linking;

  constructor(collection: Collection, room: PageRoom, crc32c: Crc32c, linking: Linking) {
    this.#collection = collection;
    this.#room = room;
    this.#crc32c = crc32c;
    this.#linking = linking;
    if (collection.parts.some(({ shard }) => !isSettled(shard))) linking.ring();
  }

  get threads(): number {
    return this.#linking.threads;
  }

  get wasmVariant(): string {
    return this.#collection.thread.variant.name;
  }

  collection(name: string): CollectionView | undefined {
    return name === this.#collection.name ? this.#collection : undefined;
  }

  collections(): CollectionView[] {
    return [this.#collection];
  }

  health(): Health {
    return { status: "healthy" };
  }

  async put(_name: string, rows: RowsToWrite): Promise<{ sequence: number }> {
    const { mode, expected } = rows;
    return this.#write({ frame: encodePut(rows), mode, expected });
  }

  async remove(_name: string, ids: readonly string[], { expected }: Terms = {}) {
    const written = await this.#write({ frame: encodeRemove(ids), mode: "upsert", expected });
    return { deleted: written.changed, sequence: written.sequence };
  }

  async removeMatching(_name: string, filter: Filter) {
    return await this.#inTurn(async () => {
      let deleted = 0;
      for (const frame of await framesRemoving(this.#collection, filter)) {
        deleted += (await this.#carryOut({ frame, mode: "upsert" })).changed;
      }
      return { deleted, sequence: this.#collection.sequence };
    });
  }

  create(): Promise<never> {
    throw onlyOne();
  }

  drop(): Promise<never> {
    throw onlyOne();
  }

  claim(): Promise<never> {
    throw new OmenError("INVALID_REQUEST", "a page has no second sender to tell apart");
  }

  get snapshots(): Snapshots {
    throw new OmenError("INVALID_REQUEST", "a page keeps images under names: save, export");
  }

  /** Resolves when no row waits for the graph and no write is under way; nothing runs by then. */
  async still<T>(work: () => Promise<T>): Promise<T> {
    return await this.#inTurn(async () => {
      await this.#linking.settled();
      return await work();
    });
  }

  #write(proposal: Proposal): Promise<{ sequence: number; changed: number }> {
    return this.#inTurn(() => this.#carryOut(proposal));
  }

  async #carryOut(proposal: Proposal): Promise<{ sequence: number; changed: number }> {
    const { frame } = proposal;
    if (this.#linking.fault) throw this.#linking.fault;
    const collection = this.#collection;
    new Decisions(collection, [proposal]).decide(proposal);
    this.#makeRoom(frame);
    seal(frame, collection.sequence + 1, this.#crc32c);
    const changed = await apply(collection, frame);
    this.#linking.ring();
    return { sequence: readHeader(frame).sequence, changed };
  }

  /** Opens shards until the collection takes the frame. Throws OmenError MEMORY_LIMIT. */
  #makeRoom(frame: Uint8Array): void {
    const collection = this.#collection;
    while (!hasRoom(collection, [frame])) {
      const { settings, parts } = collection;
      const rows = Math.max(ROWS_MIN, Math.ceil(collection.live / 2));
      const load = { rows, recordBytes: frame.length, columnBytes: 0 };
      const shard = newShard(this.#room, settings, parts[0]!.rows.seed, load);
      collection.attach(shard);
      this.#linking.attach(shard);
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function onlyOne(): OmenError {
  return new OmenError("INVALID_REQUEST", "a page holds the one collection that it opened");
}
