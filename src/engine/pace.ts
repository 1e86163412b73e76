/** Long work in slices: between two of them the event loop gets a turn. */

/** How long a slice may be before the next turn is due. */
export const SLICE_MS = 3;

/**
 * Resolves after the event loop has turned: `setImmediate` in Node, a message to oneself in a
 * browser.
 */
export type Pause = () => Promise<void>;

export class Pace {
  readonly #pause: Pause;
  #sliceStart = performance.now();

  constructor(pause: Pause) {
    this.#pause = pause;
  }

  isDue(): boolean {
    return performance.now() - this.#sliceStart >= SLICE_MS;
  }

  async rest(): Promise<void> {
    await this.#pause();
    this.#sliceStart = performance.now();
  }
}
