/**
 * Who links rows into the graph. In a page that is cross-origin isolated a worker does, over the
 * same shared memory and by the locks of a server's linkers, while the page writes and searches;
 * elsewhere the page's own thread, a few rows between two events. Neither ever waits on a lock in
 * the page's thread: where a linker is at work it links nothing itself.
 */
import type { Collection, ShardMemories } from "../collections/collection.ts";
import type { StateMemory } from "../collections/state.ts";
import { tend } from "../engine/linking.ts";
import type { Variant } from "../engine/variant.ts";
import { OmenError } from "../errors.ts";

export interface Linking {
  readonly threads: number;
  /** Why nobody links any more. */
  readonly fault: OmenError | undefined;
  /** There is something to link, or to repair. */
  ring(): void;
  /** The collection has one more shard. */
  attach(memories: ShardMemories): void;
  /** Resolves when nothing waits; then nothing is touched until the next ring. Throws `fault`. */
  settled(): Promise<void>;
}

/** Rows that are linked before the next event. */
const SLICE_ROWS = 32;
/** Other readers must move first: they are this thread's own, between two events. */
const WAIT_MS = 5;

/** Between two events of this thread. */
export class LinkingHere implements Linking {
  readonly threads = 1;
  readonly fault = undefined;
  readonly #collection: Collection;
  #linking: Promise<void> | undefined;

  constructor(collection: Collection) {
    this.#collection = collection;
  }

  ring(): void {
    this.#linking ??= this.#linkAll().finally(() => {
      this.#linking = undefined;
    });
  }

  attach(): void {}

  async settled(): Promise<void> {
    await this.#linking;
  }

  async #linkAll(): Promise<void> {
    const collection = this.#collection;
    const { efConstruction } = collection.settings;
    for (let isBusy = true; isBusy; ) {
      isBusy = false;
      await collection.thread.pause();
      for (const { shard } of collection.parts) {
        const tended = tend(shard, SLICE_ROWS, efConstruction, collection.sequence);
        if (tended === "waiting") await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
        if (tended !== "idle") isBusy = true;
      }
    }
  }
}

export type ToLinker =
  | {
      readonly kind: "start";
      readonly variant: Variant;
      readonly worker: number;
      readonly state: StateMemory;
      readonly efConstruction: number;
      readonly memories: readonly WebAssembly.Memory[];
    }
  | { readonly kind: "shard"; readonly memory: WebAssembly.Memory }
  | { readonly kind: "ring"; readonly count: number };

export type FromLinker =
  | { readonly kind: "started" }
  /** Nothing waits that was there at the ring of this count. */
  | { readonly kind: "idle"; readonly count: number };

/** A linker that has had nothing to do for so long is let go; the next write starts another. */
const KEPT_IDLE_MS = 2000;

/** In a worker beside the page. Where none starts, the page links for itself after all. */
export class LinkingBeside implements Linking {
  readonly #collection: Collection;
  readonly #worker: number;
  #linker: Worker | undefined;
  #hasStarted = false;
  /** What links where no worker starts. */
  #here: LinkingHere | undefined;
  fault: OmenError | undefined;
  #rung = 0;
  #idle = 0;
  #waiting: (() => void)[] = [];
  #letGo: ReturnType<typeof setTimeout> | undefined;

  /** `worker` is the linker's index among the threads that the shards were laid out for. */
  constructor(collection: Collection, worker: number) {
    this.#collection = collection;
    this.#worker = worker;
  }

  get threads(): number {
    return this.#here === undefined ? 2 : 1;
  }

  ring(): void {
    this.#here?.ring();
    if (this.#here || this.fault) return;
    clearTimeout(this.#letGo);
    this.#linker ??= this.#start();
    this.#say({ kind: "ring", count: ++this.#rung });
  }

  attach({ vectors }: ShardMemories): void {
    this.#say({ kind: "shard", memory: vectors });
  }

  async settled(): Promise<void> {
    if (this.#linker !== undefined && this.#idle < this.#rung) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.fault) throw this.fault;
    await this.#here?.settled();
  }

  #say(message: ToLinker): void {
    this.#linker?.postMessage(message);
  }

  #start(): Worker {
    const linker = new Worker(new URL("./linker.js", import.meta.url), { type: "module" });
    this.#hasStarted = false;
    linker.onmessage = ({ data }: MessageEvent<FromLinker>) => this.#hear(data);
    linker.onerror = ({ message }) => this.#fail(message);
    const { thread, state, settings, memories } = this.#collection;
    linker.postMessage({
      ...{ kind: "start", variant: thread.variant, worker: this.#worker, state: state.memory },
      efConstruction: settings.efConstruction,
      memories: memories.shards.map(({ vectors }) => vectors),
    } satisfies ToLinker);
    return linker;
  }

  #hear(message: FromLinker): void {
    if (message.kind === "started") {
      this.#hasStarted = true;
      return;
    }
    this.#idle = message.count;
    if (this.#idle < this.#rung) return;
    this.#wake();
    this.#letGo = setTimeout(() => {
      this.#linker?.terminate();
      this.#linker = undefined;
    }, KEPT_IDLE_MS);
  }

  #fail(reason: string | undefined): void {
    this.#linker?.terminate();
    this.#linker = undefined;
    if (this.#hasStarted) {
      // It may have held locks of rows, which nobody gives back.
      const message = `the thread that links rows has ended (${reason}): open the collection anew`;
      this.fault = new OmenError("ENGINE_FAULT", message);
    } else {
      this.#here = new LinkingHere(this.#collection);
      this.#here.ring();
    }
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
