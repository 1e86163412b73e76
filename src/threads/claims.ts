/**
 * Keys whose request is being carried out now, on whichever thread. A key is claimed before the
 * body is read and given up when the request is answered, so of two requests under one key only one
 * is under way; what was answered is in the collection's ledger.
 */
import { OmenError } from "../errors.ts";

const RETRY_AFTER_SECONDS = 1;

export class Claims {
  readonly #keys = new Set<string>();

  /** Throws IDEMPOTENCY_KEY_IN_FLIGHT. */
  claim(name: string, key: string): void {
    const claim = `${name}/${key}`;
    if (this.#keys.has(claim)) {
      const message = "a request with this Idempotency-Key is still being carried out";
      throw new OmenError("IDEMPOTENCY_KEY_IN_FLIGHT", message, {
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      });
    }
    this.#keys.add(claim);
  }

  release(name: string, key: string): void {
    this.#keys.delete(`${name}/${key}`);
  }
}
