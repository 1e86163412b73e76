/**
 * Which requests a collection has carried out under a key of their client's, and what the first of
 * them was told. The writer's thread keeps it: `apply` enters a frame's once when it applies the
 * frame, so a start finds it again in the log; an image carries the rest as a section of its own.
 *
 * An entry is kept for a day, or until KEYS_MAX later ones have come. In an image:
 *
 *   offset | size | name     | meaning
 *        0 |   16 | key      | as in the once of the frame (storage/once.ts)
 *       16 |   16 | request  | as there
 *       32 |    8 | atMs     | as there
 *       40 |    8 | sequence | of the write
 *       48 |    8 | changed  | rows that it removed or replaced
 */
import { OmenError } from "../errors.ts";
import { getU64, setU64, viewOf } from "../storage/bytes.ts";
import { ONCE_BYTES, type Once, readOnce, writeOnce } from "../storage/once.ts";

export const KEYS_MAX = 100_000;
export const KEPT_MS = 24 * 60 * 60 * 1000;
const ENTRY_BYTES = 56;
export const LEDGER_BYTES_MAX = KEYS_MAX * ENTRY_BYTES;
const SEQUENCE_OFFSET = 40;
const CHANGED_OFFSET = 48;

export type { Once };

/** What the first request under a key was, and what it was told. */
export interface First {
  readonly request: string;
  readonly sequence: number;
  /** Rows removed or replaced. */
  readonly changed: number;
}

/** A key that nobody else may use until it is released. */
export interface Claim {
  readonly first?: First;
  release(): Promise<void>;
}

interface Entry extends First {
  readonly atMs: number;
}

export class Ledger {
  /** Oldest first. */
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** What the first request under the key was told, while that is kept. */
  find(key: string, nowMs: number): First | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && nowMs - entry.atMs < KEPT_MS ? entry : undefined;
  }

  add({ key, request, atMs }: Once, sequence: number, changed: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { request, atMs, sequence, changed });
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= KEYS_MAX && atMs - entry.atMs < KEPT_MS) return;
      this.#entries.delete(oldest);
    }
  }

  /** All entries, oldest first, for an image. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#entries.size * ENTRY_BYTES);
    const view = viewOf(bytes);
    let at = 0;
    for (const [key, { request, atMs, sequence, changed }] of this.#entries) {
      writeOnce(bytes.subarray(at, at + ONCE_BYTES), { key, request, atMs });
      setU64(view, at + SEQUENCE_OFFSET, sequence);
      setU64(view, at + CHANGED_OFFSET, changed);
      at += ENTRY_BYTES;
    }
    return bytes;
  }

  /** Takes up what toBytes gave. Throws OmenError CORRUPT_FILE; `file` is what it calls them. */
  restore(bytes: Uint8Array, file: string): void {
    if (bytes.length % ENTRY_BYTES !== 0 || bytes.length > KEYS_MAX * ENTRY_BYTES) {
      const message = `no ledger of idempotency keys has ${bytes.length} bytes`;
      throw new OmenError("CORRUPT_FILE", `${file}: ${message}`);
    }
    const view = viewOf(bytes);
    this.#entries.clear();
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      const { key, request, atMs } = readOnce(bytes, at);
      const sequence = getU64(view, at + SEQUENCE_OFFSET);
      const changed = getU64(view, at + CHANGED_OFFSET);
      this.#entries.set(key, { request, atMs, sequence, changed });
    }
  }
}
