/**
 * The database as a listener holds it: reads go to its own catalog, in place; writes become frames
 * here, are admitted against the tail's bound, and go to the writer.
 *
 * Admission: a frame is sent only while fewer than `tailRows` rows of its collection wait to be
 * linked, so a batch overshoots at most once. Past the bound it waits for the linkers,
 * `writeWaitMs` at most; then it is refused and nothing is written. It waits too while the graph
 * has to be repaired around many dead rows, for until then their room is not free. Deletes add
 * nothing to the tail and never wait.
 */
import type { Catalog } from "../collections/catalog.ts";
import type { Collection } from "../collections/collection.ts";
import type {
  CollectionSettings,
  Database,
  Health,
  RowsToWrite,
  Terms,
} from "../collections/database.ts";
import { refuseOnEmpty } from "../collections/decisions.ts";
import type { Filter } from "../collections/filter.ts";
import type { Claim, Once } from "../collections/ledger.ts";
import type { Snapshots } from "../collections/snapshots.ts";
import type { Config } from "../config.ts";
import { OmenError } from "../errors.ts";
import type { Control } from "../http/meters.ts";
import { encodePutInSlices, encodeRemove } from "../storage/frame.ts";
import type { Answer, Request } from "./messages.ts";
import { RemoteSnapshots } from "./remote.ts";

/** How often a write that waits looks at the tail again. */
const LOOK_MS = 5;
const RETRY_AFTER_SECONDS = 1;

export interface GatewayOptions {
  readonly catalog: Catalog;
  readonly config: Config;
  readonly control: Control;
  ask(request: Request): Promise<Answer>;
}

export class Gateway implements Database {
  readonly #options: GatewayOptions;
  readonly #snapshots: Snapshots;
  /** Writes on their way that make their collection. */
  readonly #firsts = new Map<string, Promise<void>>();

  constructor(options: GatewayOptions) {
    this.#options = options;
    const isOnDisk = options.config.path !== undefined;
    this.#snapshots = isOnDisk ? new RemoteSnapshots(options.ask) : noSnapshots;
  }

  get threads(): number {
    return this.#options.config.threads;
  }

  get wasmVariant(): string {
    return this.#options.catalog.thread.variant.name;
  }

  collection(name: string): Collection | undefined {
    return this.#options.catalog.get(name);
  }

  collections(): Collection[] {
    return this.#options.catalog.list();
  }

  health(): Health {
    return this.#options.catalog.health;
  }

  get snapshots(): Snapshots {
    return this.#snapshots;
  }

  async create(name: string, settings: CollectionSettings): Promise<{ created: boolean }> {
    const { changed } = await this.#options.ask({ kind: "create", name, settings });
    return { created: changed > 0 };
  }

  async drop(name: string): Promise<{ dropped: boolean }> {
    const { changed } = await this.#options.ask({ kind: "drop", name });
    return { dropped: changed > 0 };
  }

  async put(
    name: string,
    rows: RowsToWrite,
    defaults?: CollectionSettings,
    onRead?: () => void,
    onSent?: () => void,
  ): Promise<{ sequence: number }> {
    const { ids, mode, expected } = rows;
    const frame = await encodePutInSlices(rows, this.#options.catalog.thread.pause);
    onRead?.();
    const request = { kind: "write", name, frame, mode, expected, defaults } as const;
    while (this.#firsts.has(name)) await this.#firsts.get(name);
    const collection = this.collection(name);
    if (collection === undefined) {
      if (defaults === undefined) throw missing(name);
      refuseOnEmpty(rows);
      return await this.#putFirst(request, onSent);
    }
    await this.#admit(collection, ids.length);
    try {
      const answer = this.#options.ask(request);
      onSent?.();
      const { sequence } = await answer;
      return { sequence };
    } finally {
      collection.admit(-ids.length);
    }
  }

  async remove(
    name: string,
    ids: readonly string[],
    { expected, once }: Terms = {},
  ): Promise<{ deleted: number; sequence: number }> {
    const frame = encodeRemove(ids, once);
    if (!this.collection(name)) throw missing(name);
    const request = { kind: "write", name, frame, mode: "upsert", expected } as const;
    const { changed, sequence } = await this.#options.ask(request);
    return { deleted: changed, sequence };
  }

  async removeMatching(
    name: string,
    { text }: Filter,
    once?: Once,
  ): Promise<{ deleted: number; sequence: number }> {
    if (!this.collection(name)) throw missing(name);
    const request = { kind: "removeMatching", name, filter: text, once } as const;
    const { changed, sequence } = await this.#options.ask(request);
    return { deleted: changed, sequence };
  }

  async claim(name: string, key: string): Promise<Claim> {
    const { ask } = this.#options;
    const { first } = await ask({ kind: "claim", name, key });
    return {
      first,
      async release() {
        await ask({ kind: "release", name, key });
      },
    };
  }

  /**
   * A write that makes its collection. There is no tail yet for it to be held against, so others of
   * this thread wait until there is one.
   */
  async #putFirst(request: Request, onSent?: () => void): Promise<{ sequence: number }> {
    const { name } = request;
    const answer = this.#options.ask(request);
    const end = answer.then(
      () => undefined,
      () => undefined,
    );
    this.#firsts.set(name, end);
    onSent?.();
    try {
      const { sequence } = await answer;
      return { sequence };
    } finally {
      this.#firsts.delete(name);
    }
  }

  async #admit(collection: Collection, rows: number): Promise<void> {
    const { control, config } = this.#options;
    const mustWait = () => collection.backlog >= config.tailRows || collection.repairBacklog > 0;
    if (mustWait()) {
      const start = performance.now();
      control.count("writeWaits");
      while (mustWait()) {
        if (performance.now() - start > config.writeWaitMs) {
          control.count("writesRefused");
          const message =
            collection.repairBacklog > 0
              ? `${collection.repairBacklog} removed rows too many are still in the index`
              : `${collection.backlog} rows wait to be indexed, ${config.tailRows} may`;
          throw new OmenError("OVERLOADED", `${message}; nothing was written`, {
            retryAfterSeconds: RETRY_AFTER_SECONDS,
          });
        }
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
      control.count("writeWaitTime", (performance.now() - start) * 1e6);
    }
    collection.admit(rows);
  }
}

const refuse = async (): Promise<never> => {
  const message = "everything is in memory only; set OMENDB_PATH to a folder";
  throw new OmenError("NO_DATA_PATH", message);
};

const noSnapshots: Snapshots = {
  ...{ create: refuse, list: refuse, get: refuse, open: refuse },
  ...{ receive: refuse, restore: refuse, delete: refuse },
};

function missing(name: string): OmenError {
  return new OmenError("COLLECTION_NOT_FOUND", `there is no collection ${name}`);
}
