/**
 * What threads say to each other. Collections travel as their shared memories; frames change hands,
 * they are not copied.
 */
import type { CollectionParts, ShardMemories, Thread } from "../collections/collection.ts";
import type { CollectionSettings, Health, Terms, WriteMode } from "../collections/database.ts";
import type { First, Once } from "../collections/ledger.ts";
import type { Snapshot } from "../collections/snapshots.ts";
import type { Config } from "../config.ts";
import type { Variant } from "../engine/variant.ts";
import { type ErrorCode, OmenError } from "../errors.ts";
import { createTurns } from "./turns.ts";
import type { WatchedTexts } from "./watched.ts";

/** What a worker thread is started with. */
export interface WorkerStart {
  readonly config: Config;
  readonly control: SharedArrayBuffer;
  readonly variant: Variant;
  /** The unshared build, for reading bodies. */
  readonly desk: WebAssembly.Module;
  readonly version: string;
  /** Of the files that say who may call. */
  readonly texts: WatchedTexts;
  /** The thread's index in every shard. */
  readonly worker: number;
  readonly collections: readonly CollectionParts[];
  readonly health: Health;
}

/**
 * A change of the catalog that every thread takes up, and says so by the ticket, before anyone
 * relies on it.
 */
export type Notice =
  | { readonly kind: "attach"; readonly parts: CollectionParts }
  | { readonly kind: "attachShard"; readonly name: string; readonly memories: ShardMemories }
  | { readonly kind: "detach"; readonly name: string }
  | { readonly kind: "health"; readonly health: Health };

/** What a listener asks of the writer. */
export type Request =
  | ({
      readonly kind: "write";
      readonly name: string;
      readonly frame: Uint8Array<ArrayBuffer>;
      readonly mode: WriteMode;
      /** What the collection is made with if it is not there; left out, the write is refused. */
      readonly defaults?: CollectionSettings;
    } & Terms)
  | {
      readonly kind: "removeMatching";
      readonly name: string;
      /** JSON text. */
      readonly filter: string;
      readonly once?: Once;
    }
  | { readonly kind: "create"; readonly name: string; readonly settings: CollectionSettings }
  | { readonly kind: "drop"; readonly name: string }
  | { readonly kind: "claim"; readonly name: string; readonly key: string }
  | { readonly kind: "release"; readonly name: string; readonly key: string }
  | {
      readonly kind: "snapshot";
      readonly verb: SnapshotVerb;
      readonly name: string;
      /** Empty where the verb needs none. */
      readonly id: string;
      /** Of an upload. */
      readonly path: string;
    };

/** What Archive (archive.ts) can be asked. */
export type SnapshotVerb =
  | ("create" | "list" | "get" | "locate" | "restore" | "delete")
  | ("prepare" | "adopt" | "discard");

export interface Answer {
  readonly sequence: number;
  /** Rows removed or replaced; 1 when a collection was created or dropped. */
  readonly changed: number;
  /** To a claim: what was answered under the key before. */
  readonly first?: First;
  /** To what concerns snapshots: those asked for, and where one lies or may be written. */
  readonly snapshots?: readonly Snapshot[];
  readonly path?: string;
}

export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly ids?: readonly string[];
  readonly retryAfterSeconds?: number;
}

export type ToWorker =
  | { readonly kind: "notice"; readonly ticket: number; readonly notice: Notice }
  | { readonly kind: "answer"; readonly ticket: number; readonly answer: Answer }
  | { readonly kind: "refusal"; readonly ticket: number; readonly error: PlainError }
  | { readonly kind: "listen"; readonly port: number }
  | { readonly kind: "reload"; readonly texts?: WatchedTexts }
  | { readonly kind: "close" };

export type FromWorker =
  | { readonly kind: "taken"; readonly ticket: number }
  | { readonly kind: "request"; readonly ticket: number; readonly request: Request }
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "refused"; readonly error: PlainError }
  | { readonly kind: "closed" };

/** An error as it crosses threads; what is not in the catalogue stays a mystery to clients. */
export function toPlain(error: unknown): PlainError {
  if (error instanceof OmenError) {
    const { code, message, ids, retryAfterSeconds } = error;
    return { code, message, ids, retryAfterSeconds };
  }
  return { code: "INTERNAL", message: error instanceof Error ? error.message : String(error) };
}

export function fromPlain({ code, message, ids, retryAfterSeconds }: PlainError): OmenError {
  return new OmenError(code, message, { ids, retryAfterSeconds });
}

/** The thread's own view of the engine; `pause` lets pending events run. */
export function threadOf(variant: Variant, worker: number): Thread {
  return { variant, worker, pause: createTurns() };
}
