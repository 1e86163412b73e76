/**
 * Between two frames: the writer goes through before each and says when it is done with it, and
 * whoever closes the gate has the collection standing still until it opens it again.
 */
export class Gate {
  #isInside = false;
  #opened: Promise<void> | undefined;
  #open: () => void = () => undefined;
  #onLeave: () => void = () => undefined;

  /** The writer only. */
  async enter(): Promise<void> {
    while (this.#opened !== undefined) await this.#opened;
    this.#isInside = true;
  }

  leave(): void {
    this.#isInside = false;
    this.#onLeave();
  }

  /** Resolves when the writer is not between enter and leave, and will not be. */
  async close(): Promise<void> {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
    if (!this.#isInside) return;
    await new Promise<void>((resolve) => {
      this.#onLeave = resolve;
    });
  }

  open(): void {
    this.#opened = undefined;
    this.#onLeave = () => undefined;
    this.#open();
  }
}
